"""Dead letters reach Postgres with their bytes, and people with a message at a time."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.alerts.sink import TelegramSink, WebhookSink
from connectors.postgres.dead_letters import DeadLettersSink
from schemas import topics
from tests.http_support import Endpoint, endpoint
from tests.postgres_support import fetch
from tests.sink_support import following, write_all
from tests.support import Books, eventually, fill
from topology.documents.dead_letters import (
    dead_letters_document,
    drop_records,
    find_dead_letter,
    retry_records,
)


@pytest.fixture
def far() -> Iterator[Endpoint]:
    with endpoint() as running:
        yield running


def refused(books: Books, name: str) -> None:
    """A fill that capture refuses: its id is known with another content."""
    books.book(fill(name, 1, 10), fill(name, 2, 10))


def resolve(books: Books, identity: str, records_of) -> None:
    letter = find_dead_letter(books.log, books.partitions, identity)
    transaction = books.log.transaction()
    for record in records_of([letter], books.partitions, time.time_ns):
        transaction.append(record.topic, record.partition, record.key, record.value)
    transaction.commit()
    books.run()


def test_letters_with_their_bytes_and_what_became_of_them(books: Books, postgres: str):
    books.append(topics.FILLS, None, [b"\x00no json \xff"])
    for name in ("a", "b"):
        refused(books, name)
    listed = dead_letters_document(books.log, books.partitions)
    by_trade = {letter["trade_id"]: letter for letter in listed}
    resolve(books, by_trade["a"]["id"], retry_records)
    resolve(books, by_trade["b"]["id"], drop_records)
    for _ in range(2):
        write_all(DeadLettersSink(postgres), books.folder)
        rows = fetch(postgres, "select * from back_office.dead_letters order by known_at_ns, log_offset")
        again = dead_letters_document(books.log, books.partitions)
        assert [(row["id"], row["kind"], row["status"], row["reason"]) for row in rows] == [
            (letter["id"], letter["kind"], letter["status"], letter["reason"]) for letter in again
        ]
        # All again: nothing changes.
        fetch(postgres, "delete from back_office.sink_offset returning topic")
    assert rows[0]["original"] == b"\x00no json \xff"
    assert {row["trade_id"]: row["attempts"] for row in rows if row["status"] != "open"} == {"a": 2, "b": 1}


def test_a_webhook_hears_of_letters_once(books: Books, far: Endpoint):
    refused(books, "a")
    sink = WebhookSink(f"{far.address}/hook", 0.0)
    write_all(sink, books.folder)
    write_all(sink, books.folder)
    assert [path for path, _ in far.posts] == ["/hook"]
    document = far.posts[0][1]
    assert document["count"] == 1
    assert document["dead_letters"][0]["trade_id"] == "a"
    assert "1 rejected of trade_capture" in document["text"]


def test_a_burst_is_two_messages(books: Books, far: Endpoint):
    for number in range(40):
        refused(books, f"t{number}")
    # Of batches of five letters each, the second may not be sent before an hour is over.
    with following(WebhookSink(far.address, 3_600.0), books.folder, events_max=5) as status:
        eventually(lambda: len(far.posts) == 1)
        eventually(lambda: status.batches >= 1)
    assert far.posts[0][1]["count"] < 40
    # Whoever may send takes all that waits.
    write_all(WebhookSink(far.address, 0.0), books.folder)
    assert len(far.posts) == 2
    assert far.posts[0][1]["count"] + far.posts[1][1]["count"] == 40
    assert "more; pks dlq list has them all" in far.posts[1][1]["text"]


def test_telegram_is_obeyed_when_it_asks_for_patience(books: Books, far: Endpoint):
    refused(books, "a")
    far.answers = [(429, {"ok": False, "parameters": {"retry_after": 0.05}}), (502, {}), (200, {"ok": True})]
    sink = TelegramSink(far.address, "1:secret", "77", 0.0)
    status = write_all(sink, books.folder)
    assert [path for path, _ in far.posts] == ["/bot1:secret/sendMessage"] * 3
    assert far.posts[2][1]["chat_id"] == "77"
    assert len(far.posts[2][1]["text"]) <= 4_096
    assert status.refused == 0


def test_a_fault_never_tells_the_token(books: Books, far: Endpoint, tmp_path: Path):
    refused(books, "a")
    sink = TelegramSink("http://127.0.0.1:1", "1:secret", "77", 0.0)
    with following(sink, books.folder) as status:
        eventually(lambda: status.failures)
        assert "ClientConnectorError" in status.trouble
    far.answers = [(401, {"ok": False})]
    with following(TelegramSink(far.address, "1:secret", "77", 0.0), books.folder) as unauthorised:
        eventually(lambda: unauthorised.failures)
        assert "401" in unauthorised.trouble
    assert "secret" not in status.trouble + unauthorised.trouble
    for file in (books.folder / "sinks").iterdir():
        assert b"secret" not in file.read_bytes()
