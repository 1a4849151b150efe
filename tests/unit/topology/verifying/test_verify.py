"""Every check of `pks verify` holds over sound books, and fails on the damage that it is there for."""

from collections.abc import Callable
from dataclasses import astuple
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents import positions, trade_capture
from agents.capture_state import WAITING
from agents.counters import FAMILY, read_counts
from agents.journal import JOURNAL, chunk_of, decode_chunk
from agents.open_position import LOT, SUMMARY, Summary
from agents.trade_index import TRADE
from connectors.embedded import layout
from domain.lots.position import Lot, Terms
from schemas.frames import encode_frames
from schemas.topics import BOOKINGS, FILL_DEAD_LETTERS, POSITIONS, Topic
from schemas.units import Action, FeePolicy, LotMethod
from tests.support import Book, Books, Fee, booked, fill
from topology.log_reading import table_partition
from topology.verifying import checks as checks_module
from topology.verifying.checks import Check
from topology.verifying.verify import verify

HELD = positions.NAME
CAPTURED = trade_capture.NAME
CHANGELOG = positions.stage().changelog


@pytest.fixture
def sound(tmp_path: Path):
    """Books of every method with late, amended, cancelled, moved, duplicate, refused and waiting fills."""
    with Books(tmp_path / "data", partitions=1) as books:
        books.define(
            Book(event_id="d1", book="B1", fee_policy=FeePolicy.CAPITALISED),
            Book(event_id="d2", book="B2", lot_methods={"*": LotMethod.LIFO}),
            Book(event_id="d3", book="B3", lot_methods={"*": LotMethod.AVERAGE}),
        )
        for batch in range(3):
            books.book(
                *(
                    fill(
                        f"t{batch}.{number}",
                        9 - number * 7 % 17 or 1,
                        100 + number % 7,
                        book=f"B{1 + number % 3}",
                        instrument="XY"[number % 2],
                        at=number + 10 * batch,
                        fees=(Fee(amount=Decimal("0.3")),),
                    )
                    for number in range(30)
                ),
                fill(f"c{batch}", action=Action.CANCEL, original_trade_id=f"t{batch}.3"),
                fill(
                    f"a{batch}", 3, 99, at=4, action=Action.AMEND, original_trade_id=f"t{batch}.4", book="B3"
                ),
                fill(f"w{batch}", action=Action.CANCEL, original_trade_id="nowhere"),
                fill("t0.0", 77),
            )
        books.book(fill("f1", 5, 10, book="B9", at=1), fill("f2", -5, 11, book="B9", at=2))
        books.bookings(booked("t0.1", 5, 5, book="B2"))
        books.append(BOOKINGS, None, [b"no frame"])
        books.run()
        yield books


def _broken(books: Books, **options: Any) -> dict[str, Check]:
    return {check.name: check for check in verify(books.log, **options) if not check.ok}


def test_sound_books_hold(sound: Books):
    checks = verify(sound.log)
    assert [(check.name, check.findings) for check in checks if not check.ok] == []
    assert all(check.checked and not check.residual for check in checks)
    assert len(checks) == 15


def test_quick_leaves_out_what_makes_the_state_again(sound: Books):
    whole, quick = ({check.name for check in verify(sound.log, quick=fast)} for fast in (False, True))
    assert whole - quick == {"recomputation", "changelogs", "replay", "replay counts"}


def test_an_empty_log_holds(tmp_path: Path):
    with Books(tmp_path / "data", partitions=2) as books:
        assert _broken(books) == {}


def test_progress_is_told(sound: Books):
    told: dict[str, int] = {}

    def step(name: str, done: int) -> None:
        told[name] = told.get(name, 0) + done

    verify(sound.log, step=step)
    assert set(told) == {"positions", "inputs", "updates", "offsets", "changelogs", "replay"}


# -- damage ---------------------------------------------------------------------------------------------------


def _write(books: Books, table: str, key: bytes, value: bytes | None) -> None:
    transaction = books.log.transaction()
    if value is None:
        transaction.delete(table, 0, key)
    else:
        transaction.put(table, 0, key, value)
    transaction.commit()


def _entries(books: Books, family: bytes, table: str = HELD) -> list[tuple[bytes, bytes]]:
    return list(table_partition(books.log, table, 0).scan_prefix(family))


def _change_lot(books: Books) -> None:
    key, value = _entries(books, LOT)[-1]
    lot = msgspec.msgpack.decode(value, type=Lot)
    _write(books, HELD, key, msgspec.msgpack.encode(msgspec.structs.replace(lot, quantity=lot.quantity + 1)))


def _drop_lot(books: Books) -> None:
    _write(books, HELD, _entries(books, LOT)[-1][0], None)


def _lot_of_a_flat_position(books: Books) -> None:
    _, value = _entries(books, LOT)[-1]
    _write(books, HELD, LOT + b"B9\x00X\x00" + b"\x80" * 16 + b"f1", value)


def _drop_journal_chunk(books: Books) -> None:
    _write(books, HELD, _entries(books, JOURNAL)[0][0], None)


def _chunk_of(books: Books, change: Callable[[list], list]) -> None:
    key, value = next(item for item in _entries(books, JOURNAL) if len(decode_chunk(item[1])) > 2)
    _write(books, HELD, key, chunk_of(change(decode_chunk(value)), Terms()).encoded())


def _drop_journal_entry(books: Books) -> None:
    _chunk_of(books, lambda entries: entries[:1] + entries[2:])


def _swap_journal_entries(books: Books) -> None:
    _chunk_of(books, lambda entries: [entries[0], entries[2], entries[1], *entries[3:]])


def _double_journal_entry(books: Books) -> None:
    _chunk_of(books, lambda entries: [entries[0], *entries])


def _change_summary(name: str) -> Callable[[Books], None]:
    def change(books: Books) -> None:
        key, value = _entries(books, SUMMARY)[0]
        summary = msgspec.msgpack.decode(value, type=Summary)
        setattr(summary, name, getattr(summary, name) + 1)
        _write(books, HELD, key, msgspec.msgpack.encode(summary))

    return change


def _garble_summary(books: Books) -> None:
    _write(books, HELD, _entries(books, SUMMARY)[0][0], b"\xff\x00")


def _drop_index(books: Books) -> None:
    _write(books, HELD, _entries(books, TRADE)[0][0], None)


def _misplace_index(books: Books) -> None:
    key, value = next(item for item in _entries(books, TRADE) if item[1][0] == 1)
    _write(books, HELD, key, value[:8] + bytes([value[8] ^ 1]) + value[9:])


def _count(*names: str) -> Callable[[Books], None]:
    def change(books: Books) -> None:
        counts = read_counts(table_partition(books.log, HELD, 0))["test"]
        for name in names:
            setattr(counts, name, getattr(counts, name) + 1)
        _write(books, HELD, FAMILY + b"test", msgspec.json.encode(astuple(counts)))

    return change


def _drop_waiting(books: Books) -> None:
    _write(books, CAPTURED, _entries(books, WAITING, CAPTURED)[0][0], None)


def _record_key(books: Books, topic: str, offset: int) -> bytes:
    return layout.log_key_of(layout.LOG, books.log.topics()[topic].number, 0, offset)


def _drop_record(topic: str, offset: int) -> Callable[[Books], None]:
    def drop(books: Books) -> None:
        place = offset if offset >= 0 else books.log.end_offset(topic, 0) + offset
        books.log._database.delete(_record_key(books, topic, place))

    return drop


def _rewrite(topic: Topic, change: Callable[[list], list]) -> Callable[[Books], None]:
    """Change the events of a topic's first record where it stands."""

    def rewrite(books: Books) -> None:
        record = books.log.read(topic.name, 0, 0, 1, 1)[0]
        [frame] = encode_frames(change(topic.codec.decode(record.value)))
        stored = layout.encode_record(
            record.sequence, record.appended_at, record.bytes_before, record.key, frame, record.headers
        )
        books.log._database.put(_record_key(books, topic.name, 0), stored)

    return rewrite


def _replaced(number: int, **fields: Any) -> Callable[[list], list]:
    def replace(events: list) -> list:
        return [
            msgspec.structs.replace(event, **fields) if place == number else event
            for place, event in enumerate(events)
        ]

    return replace


def _group_past_the_end(books: Books) -> None:
    transaction = books.log.transaction()
    transaction.commit_offset(CAPTURED, "pd.canonical", 0, 99)
    transaction.commit()


DAMAGE: dict[str, tuple[Callable[[Books], None], set[str]]] = {
    "a lot says another quantity": (_change_lot, {"lots", "recomputation", "replay", "changelogs"}),
    "a lot is gone": (_drop_lot, {"lots", "recomputation", "changelogs"}),
    "a flat position has a lot": (_lot_of_a_flat_position, {"lots", "changelogs"}),
    "a chunk of the journal is gone": (_drop_journal_chunk, {"journal", "trade index", "recomputation"}),
    "an entry of the journal is gone": (_drop_journal_entry, {"journal", "trade index", "recomputation"}),
    "an entry of the journal stands twice": (
        _double_journal_entry,
        {"journal order", "journal", "trade index"},
    ),
    "the journal is out of order": (_swap_journal_entries, {"journal order"}),
    "a position's quantity is wrong": (
        _change_summary("quantity"),
        {"lots", "journal", "recomputation", "deltas"},
    ),
    "a position's P&L is wrong": (
        _change_summary("realised_pnl"),
        {"journal", "recomputation", "deltas", "replay"},
    ),
    "a position's net P&L is wrong": (
        _change_summary("net_realised_pnl"),
        {"journal", "recomputation", "deltas"},
    ),
    "a position's fees are wrong": (
        _change_summary("fees"),
        {"journal", "recomputation", "deltas", "replay"},
    ),
    "a position's held fees are wrong": (_change_summary("held_fees"), {"lots", "journal", "recomputation"}),
    "a position's number of lots is wrong": (_change_summary("lots"), {"lots", "changelogs"}),
    "a position's revision is wrong": (_change_summary("revision"), {"updates", "changelogs"}),
    "a position cannot be read": (_garble_summary, {"journal", "updates", "replay", "changelogs"}),
    "a trade is not in the index": (_drop_index, {"trade index", "changelogs"}),
    "a trade is elsewhere in the index": (_misplace_index, {"trade index", "changelogs"}),
    "a count does not add up": (_count("applied"), {"counters", "updates", "replay counts"}),
    "a booking was counted twice": (_count("read", "applied"), {"inputs", "updates", "replay counts"}),
    "a duplicate was counted too often": (_count("read", "duplicates"), {"inputs", "replay counts"}),
    "a refusal was counted too often": (
        _count("read", "refused"),
        {"inputs", "dead letters", "replay counts"},
    ),
    "a waiting correction is gone": (_drop_waiting, {"waiting", "changelogs"}),
    "a dead letter is gone": (_drop_record(FILL_DEAD_LETTERS.name, 0), {"dead letters", "offsets"}),
    "an update is gone": (_rewrite(POSITIONS, lambda events: events[:2] + events[3:]), {"updates", "deltas"}),
    "the first update is gone": (_rewrite(POSITIONS, lambda events: events[1:]), {"updates"}),
    "a delta is wrong": (_rewrite(POSITIONS, _replaced(3, fees_delta=Decimal(9))), {"deltas"}),
    "a booking is gone": (_drop_record(BOOKINGS.name, 1), {"inputs", "offsets", "replay"}),
    "a booking says another price": (_rewrite(BOOKINGS, _replaced(2, price=Decimal(9))), {"replay"}),
    "a change is not in the changelog": (_drop_record(CHANGELOG, -1), {"changelogs"}),
    "a stage is past the end of its input": (_group_past_the_end, {"offsets"}),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(sound: Books, name: str):
    damage, expected = DAMAGE[name]
    damage(sound)
    broken = _broken(sound)
    assert expected <= set(broken)
    assert all(check.residual and check.findings for check in broken.values())


def test_every_check_is_shown_to_fail(sound: Books):
    assert {check.name for check in verify(sound.log)} == set().union(
        *(names for _, names in DAMAGE.values())
    )


def test_findings_are_bounded_and_the_residual_is_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks_module, "FINDINGS_MAX", 2)
    check = Check("name", "identity")
    for number in range(5):
        check.expect(f"place {number}", 0, Decimal("1.5"))
    assert (check.checked, check.residual, len(check.findings)) == (5, Decimal("7.5"), 2)
    assert check.document()["residual"] == "7.5"
