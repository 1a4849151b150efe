"""Entering fills: as the owner of a log, and through the socket of a running worker; the same either way."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.embedded.errors import OwnedElsewhereError
from connectors.embedded.log import EmbeddedLog
from schemas import topics
from schemas.frames import encode_frames
from schemas.units import Action
from tests.support import Book, fill
from topology.control import entry as entry_module
from topology.control.entry import open_entry
from topology.control.protocol import ControlClient, ControlError, Outgoing, Request
from topology.demo.stack import Stack
from topology.settings import Settings


@pytest.fixture
def stack(tmp_path: Path, shared_memory_name: str) -> Iterator[Stack]:
    """A worker of its own, as `pks up` starts it."""
    started = Stack(tmp_path / "data", 0, shared_memory_name)
    started.start()
    yield started
    started.stop()


def settings_of(folder: Path) -> Settings:
    return Settings(data=folder / "data", sync="os", waiting_ticks_max=3)


def some_fills() -> list:
    return [
        *(
            fill(f"t{number}", 10 - number % 19, book=f"B{number % 5}", at=number)
            for number in range(60)
            if number % 19 != 10
        ),
        fill("t1", 9, book="B1", at=1),
        fill("c1", 1, action=Action.CANCEL, original_trade_id="t2", book="B2"),
        fill("c2", 1, action=Action.CANCEL, original_trade_id="nowhere"),
    ]


def test_receipt_accounts_for_every_fill(tmp_path):
    with open_entry(settings_of(tmp_path)) as entry:
        receipt = entry.submit(some_fills())
    assert (receipt.events, receipt.duplicates, receipt.rejected, receipt.waiting) == (60, 1, 0, 1)
    assert receipt.events == receipt.applied + receipt.duplicates + receipt.rejected + receipt.waiting


def test_second_submission_changes_nothing(tmp_path):
    with open_entry(settings_of(tmp_path)) as entry:
        first = entry.submit(some_fills())
    with open_entry(settings_of(tmp_path)) as entry:
        again = entry.submit(some_fills())
    assert first.applied == 58
    assert (again.events, again.applied, again.duplicates) == (60, 0, 60)


def test_waiting_corrections_expire_on_request(tmp_path):
    with open_entry(settings_of(tmp_path)) as entry:
        receipt = entry.submit(some_fills(), expire_waiting_ticks=4)
    assert (receipt.rejected, receipt.waiting) == (1, 0)


def test_stamps_recorded_at_once(tmp_path):
    stamped = fill("t1", recorded_at=77)
    fresh = fill("t2")
    with open_entry(settings_of(tmp_path)) as entry:
        entry.submit([stamped, fresh])
    assert stamped.recorded_at == 77
    assert fresh.recorded_at > 1_700_000_000_000_000_000


def test_owner_that_does_not_listen_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(entry_module, "_START_SECONDS", 0.0)
    with (
        EmbeddedLog.owner(tmp_path / "data"),
        pytest.raises(OwnedElsewhereError, match=str(os.getpid())),
        open_entry(settings_of(tmp_path)),
    ):
        pass


def test_worker_takes_fills_and_gives_the_same_receipt(stack, tmp_path):
    with open_entry(settings_of(tmp_path)) as entry:
        assert not entry.owned
        receipt = entry.submit(some_fills())
        again = entry.submit(some_fills())
    assert (receipt.events, receipt.applied, receipt.duplicates, receipt.waiting) == (60, 58, 1, 1)
    assert (again.applied, again.duplicates) == (0, 60)


def test_definitions_precede_the_fills_after_them(stack, tmp_path):
    with open_entry(settings_of(tmp_path)) as entry:
        entry.publish(
            topics.BOOKS, [Book(event_id="b", book="L", lot_methods={"*": "lifo"})], lambda book: book.book
        )
        entry.submit(
            [
                fill("a", 1, 10, book="L", at=1),
                fill("b", 1, 20, book="L", at=2),
                fill("c", -1, 25, book="L", at=3),
            ]
        )
    stack.stop()
    from tests.support import Books

    with Books(tmp_path / "data", partitions=4) as books:
        assert books.position("L", "X").realised_pnl == 5


def test_worker_refuses_what_it_does_not_know(stack, tmp_path):
    client = ControlClient(tmp_path / "data")
    with pytest.raises(ControlError, match="expected append, settle, counts or status, found 'nonsense'"):
        client.ask(Request("nonsense"))
    with pytest.raises(ControlError, match="found nowhere/0"):
        client.ask(Request("append", records=[Outgoing("nowhere", 0, None, b"[]")]))
    assert client.ask(Request("status")).document["partitions"] == 4
    client.close()


def test_socket_is_for_the_owner_of_the_folder_only(stack, tmp_path):
    assert (tmp_path / "data" / "control.sock").stat().st_mode & 0o777 == 0o600


def test_client_whose_worker_is_killed_is_told_to_run_again(stack, tmp_path):
    client = ControlClient(tmp_path / "data")
    stack.kill()
    with pytest.raises(ControlError, match="run the command again"):
        client.ask(Request("status"))
    client.close()


def test_requests_sent_ahead_are_answered_in_their_order(stack, tmp_path):
    client = ControlClient(tmp_path / "data")
    for number in range(30):
        records = [Outgoing(topics.FILLS.name, 0, None, encode_frames([fill(f"a{number}")])[0])]
        client.send(Request("append", records=records, durable=number % 3 > 0))
    sequences = [client.receive().sequence for _ in range(30)]
    assert sequences == sorted(sequences)
    assert sequences[-1] > 0
    assert not client.answered()
    client.close()


def test_message_that_is_no_request_is_answered_and_the_next_one_is_served(stack, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.connect(str(tmp_path / "data" / "control.sock"))
        raw.sendall((3).to_bytes(4, "big") + b"abc" + (2**31).to_bytes(4, "big"))
        answers = b""
        while b"found one of" not in answers:
            answers += raw.recv(4096)
        assert b"expected a request" in answers
        assert raw.recv(4096) == b""
