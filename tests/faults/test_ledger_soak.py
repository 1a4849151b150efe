"""Millions of transfers through ledger and cash on a log: the same hash whatever the steps, and memory that does not grow.

`PKS_SOAK_TRANSFERS` says how many (ten millions: make soak with PKS_SOAK_TRANSFERS=10000000).
"""

import os
import resource
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents import cash, ledger
from schemas.frames import encode_frames
from schemas.numbers import ZERO
from schemas.topics import LEDGER_INPUT
from tests.ledger_support import PositionUpdated, day_closed
from tests.support import Books, Fee
from topology.drive import run_until_idle
from topology.log_reading import table_partition
from topology.money.documents import hash_of
from topology.money.rules import standard_rules

INSTRUMENTS = 40
FRAME = 2_000
TRANSFERS_A_PAIR = 5
"""A share is bought and sold: two prices, two fees, one profit."""

_FEE = (Fee(amount=Decimal("0.01")),)


def updates(pairs: int) -> Iterator[Any]:
    """What positions would say: each instrument bought and sold in turn, with a gain of 1; days go by."""
    for number in range(pairs):
        turn, place = divmod(number, INSTRUMENTS)
        profit, day = Decimal(turn + 1), f"2026-{1 + turn % 12:02d}-{1 + turn // 12 % 28:02d}"
        common = {
            "book": f"B{place % 4}", "instrument": f"X{place}", "executed_at": number, "currency": "USD",
            "trade_fees": _FEE, "business_date": day, "entity": "E", "account": "A", "instrument_class": "equity",
            "settlement_date": day,
        }  # fmt: skip
        yield PositionUpdated(
            event_id=f"b{number}", trade_id=f"b{number}", revision=2 * turn + 1, quantity=Decimal(1),
            quantity_delta=Decimal(1), cost_basis=Decimal(100), cost_basis_delta=Decimal(100),
            realised_pnl=profit - 1, trade_price=Decimal(100), **common,
        )  # fmt: skip
        yield PositionUpdated(
            event_id=f"s{number}", trade_id=f"s{number}", revision=2 * turn + 2, quantity=ZERO,
            quantity_delta=Decimal(-1), cost_basis_delta=Decimal(-100), realised_pnl=profit,
            realised_pnl_delta=Decimal(1), trade_price=Decimal(101), **common,
        )  # fmt: skip


def frames(pairs: int) -> Iterator[bytes]:
    together: list[Any] = []
    for event in updates(pairs):
        together.append(event)
        if len(together) == FRAME:
            yield from encode_frames(together)
            together = []
    yield from encode_frames([*together, *(day_closed(f"B{book}", "2027-01-01") for book in range(4))])


def posted(folder: Path, pairs: int, frames_a_step: int) -> tuple[str, int]:
    """The ledger hash, and by how many KiB the process grew after the first fifth."""
    stages = (ledger.stage(standard_rules()), cash.stage())
    with Books(folder, partitions=1, stages=stages, sync="os") as books:
        grown = 0
        for number, frame in enumerate(frames(pairs), 1):
            transaction = books.log.transaction()
            transaction.append(LEDGER_INPUT.name, 0, None, frame)
            transaction.commit()
            if number % frames_a_step == 0:
                run_until_idle(books.runners, books.log, max_events=frames_a_step)
            if number == max(2 * pairs // FRAME // 5, 1):
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run_until_idle(books.runners, books.log)
        assert not any(runner.stopped for runner in books.runners)
        table = table_partition(books.log, ledger.NAME, 0)
        found, accounts = hash_of([table])
        assert accounts == 9  # what is held is flat again
        return found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown


def run(tmp_path: Path, transfers: int, allowed_kib: int) -> None:
    pairs = transfers // TRANSFERS_A_PAIR
    first, grown = posted(tmp_path / "first", pairs, 1)
    second, _ = posted(tmp_path / "second", pairs, 7)
    assert first == second
    assert grown < allowed_kib, f"grew by {grown} KiB"


def test_the_steps_do_not_show(tmp_path: Path):
    run(tmp_path, 20_000, 1 << 20)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_millions_of_transfers(tmp_path: Path):
    run(tmp_path, int(os.environ.get("PKS_SOAK_TRANSFERS", "2000000")), 200 * 1024)
