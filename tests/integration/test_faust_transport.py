"""Faust on `embedded://` as anybody would use it: agents, tables, ask and reply, and what is refused."""

import asyncio
import threading
from pathlib import Path

import faust
import pytest
from faust.exceptions import ImproperlyConfigured
from rocksdict import WriteBatch
from yarl import URL

from connectors.embedded import layout
from connectors.embedded.errors import OwnedElsewhereError, StateError
from connectors.embedded.log import EmbeddedLog
from connectors.embedded.retention import Retention
from connectors.embedded.shared import log_of, share_log
from connectors.embedded.store import EmbeddedStore
from connectors.embedded.transport import Transport
from schemas.murmur2 import partition_of_key
from tests.integration.faust_support import append, plain_app, started, until


@pytest.fixture
def log(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="os") as opened:
        yield opened


def counting_app(log: EmbeddedLog, folder: Path, **options):
    """An App that counts words in a table and answers with the count."""
    app = plain_app(log, folder, "words", topic_partitions=3, **options)
    source = app.topic("words", key_type=str, value_type=str, partitions=3)
    counts = app.Table("counts", default=int, partitions=3)

    @app.agent(source)
    async def count(stream):
        async for word in stream:
            counts[word] += 1
            yield counts[word]

    return app, count, counts


def test_the_entry_points_lead_here(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "data", sync="os") as log:
        app = plain_app(log, tmp_path)
        assert isinstance(app.transport, Transport)
        assert isinstance(app.Table("t", partitions=1).data, EmbeddedStore)


def test_agents_tables_ask_and_reply(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("words", 3)
    app, count, counts = counting_app(log, tmp_path)
    words = ["a", "b", "a", "c", "a", "b"]

    async def run():
        async with started(app):
            answers = [await count.ask(word, key=word) for word in words]
            await until(
                lambda: (
                    log.end_offset("words-counts-changelog", 0)
                    + log.end_offset("words-counts-changelog", 1)
                    + log.end_offset("words-counts-changelog", 2)
                    == len(words)
                )
            )
            return answers, dict(counts.items()), len(counts), "a" in counts, counts.get("none")

    answers, found, size, has_a, missing = asyncio.run(run())
    assert answers == [1, 1, 2, 1, 3, 2]
    assert found == {"a": 3, "b": 2, "c": 1}
    assert (size, has_a, missing) == (3, True, 0)
    for word in "abc":
        partition = partition_of_key(word.encode(), 3)
        keys = [record.key for record in log.read("words", partition, 0, 100, 1 << 20)]
        assert word.encode() in keys


def test_a_table_goes_on_after_a_restart_and_when_it_was_lost(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("words", 3)

    def lose():
        for partition in range(3):
            transaction = log.transaction()
            for key, _ in list(log.scan("words/counts", partition, b"")):
                transaction.delete("words/counts", partition, key)
            transaction.commit()

    async def run(words, expected):
        app, count, counts = counting_app(log, tmp_path)
        async with started(app):
            for word in words:
                await count.channel.send(key=word, value=word)
            await until(lambda: dict(counts.items()) == expected)
            await until(lambda: not app.producer.buffer.size)

    asyncio.run(run(["a", "b", "a"], {"a": 2, "b": 1}))
    asyncio.run(run(["a"], {"a": 3, "b": 1}))
    lose()
    asyncio.run(run(["a", "b"], {"a": 4, "b": 2}))
    lose()
    asyncio.run(run([], {"a": 4, "b": 2}))
    assert sum(log.end_offset("words", partition) for partition in range(3)) == 6


def test_a_table_with_many_records_and_a_deleted_key_is_restored(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1)
    log.create_topic("plain-latest-changelog", 1, compact=True)
    for number in range(12_000):
        if number % 1_000 == 0:
            transaction = log.transaction()
        transaction.append("plain-latest-changelog", 0, str(number % 5_000).encode(), str(number).encode())
        if number % 1_000 == 999:
            transaction.commit()
    append(log, "plain-latest-changelog", [None], key=b"7")
    app = plain_app(log, tmp_path)
    latest = app.Table("latest", key_type=bytes, value_type=int, partitions=1)

    @app.agent(app.topic("in"))
    async def idle(stream):
        async for _ in stream:
            pass

    async def look():
        async with started(app):
            keys = len(latest)
            tp = next(tp for tp in app.consumer.assignment() if tp.topic == "plain-latest-changelog")
            return keys, latest.get(b"8"), latest.get(b"7"), latest.data.persisted_offset(tp)

    assert asyncio.run(look()) == (4_999, 10_008, None, 12_000)


def test_appends_of_another_thread_wake_the_consumer(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1)
    app = plain_app(log, tmp_path)
    seen: list[bytes] = []

    @app.agent(app.topic("in", value_type=bytes, value_serializer="raw"))
    async def note(stream):
        async for value in stream:
            seen.append(value)

    async def run():
        async with started(app):
            await until(lambda: app.consumer._wakeup._waiters)
            threads = []
            for number in range(20):
                thread = threading.Thread(target=append, args=(log, "in", [str(number).encode()]))
                thread.start()
                # One writer at a time, as the log demands, and never the loop's thread.
                await asyncio.to_thread(thread.join)
                threads.append(thread)
            await until(lambda: len(seen) == 20)

    asyncio.run(run())
    assert seen == [str(number).encode() for number in range(20)]


def test_missing_topics_are_made_and_records_without_a_key_take_turns(log: EmbeddedLog, tmp_path: Path):
    app = plain_app(log, tmp_path, topic_partitions=2)
    topic = app.topic("new", value_type=bytes, value_serializer="raw")
    seen: set[int] = set()

    @app.agent(topic)
    async def note(stream):
        async for event in stream.events():
            seen.add(event.message.partition)

    async def run():
        async with started(app):
            for _ in range(4):
                await topic.send(value=b"x")
            await until(lambda: seen == {0, 1})

    asyncio.run(run())
    assert log.topics()["new"].partitions == 2
    assert [log.end_offset("new", partition) for partition in (0, 1)] == [2, 2]


def test_an_agent_added_while_the_app_runs_is_served_at_once(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1)
    log.create_topic("late", 1)
    app = plain_app(log, tmp_path)
    seen: list[str] = []

    @app.agent(app.topic("in", value_type=bytes, value_serializer="raw"))
    async def first(stream):
        async for _ in stream:
            seen.append("first")

    async def run():
        async with started(app):
            append(log, "in", [b"x"])
            await until(lambda: seen == ["first"])
            stream = app.stream(app.topic("late", value_type=bytes, value_serializer="raw"))

            async def follow():
                async for _ in stream:
                    seen.append("late")

            task = asyncio.ensure_future(follow())
            append(log, "late", [b"x"])
            await until(lambda: "late" in seen)
            append(log, "in", [b"x"])
            await until(lambda: seen.count("first") == 2)
            task.cancel()

    asyncio.run(run())
    assert seen == ["first", "late", "first"]


def test_what_retention_took_away_is_stepped_over(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1, retention_seconds=60)
    append(log, "in", [b"x"] * 10)
    later = log.appended_at + 3_600 * 1_000_000_000
    assert Retention(log, clock=lambda: later).run_round() == 9
    app = plain_app(log, tmp_path)
    seen: list[int] = []

    @app.agent(app.topic("in", value_type=bytes, value_serializer="raw"))
    async def note(stream):
        async for event in stream.events():
            seen.append(event.message.offset)

    async def run():
        async with started(app):
            await until(lambda: log.committed("plain", "in", 0) == 10)

    asyncio.run(run())
    assert seen == [9]


def test_a_hole_that_no_retention_made_ends_the_app(log: EmbeddedLog, tmp_path: Path):
    log.create_topic("in", 1)
    append(log, "in", [b"x"] * 5)
    batch = WriteBatch(raw_mode=True)
    batch.delete(layout.log_key_of(layout.LOG, log.topics()["in"].number, 0, 2))
    log.write(batch)
    app = plain_app(log, tmp_path)
    seen: list[int] = []

    @app.agent(app.topic("in", value_type=bytes, value_serializer="raw"))
    async def note(stream):
        async for event in stream.events():
            seen.append(event.message.offset)

    async def run():
        try:
            await app.start()
            await until(lambda: app.crashed)
            return app.crash_reason
        finally:
            await app.stop()

    reason = asyncio.run(run())
    assert isinstance(reason, StateError)
    assert "expected offset 2 of in/0, found 3" in str(reason)
    assert 3 not in seen


@pytest.mark.parametrize(
    "options",
    [{"processing_guarantee": "exactly_once"}, {"producer_threaded": True}],
    ids=lambda found: next(iter(found)),
)
def test_what_the_log_does_otherwise_is_refused(log: EmbeddedLog, tmp_path: Path, options: dict):
    async def run():
        return plain_app(log, tmp_path, **options).producer

    with pytest.raises(ImproperlyConfigured, match="expected"):
        asyncio.run(run())


def test_transactions_of_the_producer_are_refused(log: EmbeddedLog, tmp_path: Path):
    async def run():
        producer = plain_app(log, tmp_path).producer
        calls = [
            producer.begin_transaction("t"),
            producer.commit_transaction("t"),
            producer.abort_transaction("t"),
            producer.stop_transaction("t"),
            producer.maybe_begin_transaction("t"),
            producer.commit_transactions({}, "g"),
            producer.send("in", None, b"x", 0, None, None, transactional_id="t"),
            producer.send_and_wait("in", None, b"x", 0, None, None, transactional_id="t"),
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(run())
    assert len(answers) == 8
    assert {type(answer) for answer in answers} == {ImproperlyConfigured}


def test_a_url_leads_to_the_shared_log_or_opens_it(tmp_path: Path):
    with EmbeddedLog.owner(tmp_path / "shared", sync="os") as log:
        url = share_log(log)
        assert log_of(url) is log
        assert share_log(log) == url
    opened = log_of(url)
    assert opened is not log and opened.writable and log_of(url) is opened
    with pytest.raises(OwnedElsewhereError):
        EmbeddedLog.owner(tmp_path / "shared")
    opened.close()
    for wrong in ("embedded://", "kafka://localhost"):
        with pytest.raises(ImproperlyConfigured, match="expected embedded:///folder"):
            log_of(URL(wrong))


def test_an_app_of_a_url_alone_works(tmp_path: Path):
    app = faust.App(
        "alone",
        broker=f"embedded://{tmp_path}/data",
        store="memory://",
        datadir=tmp_path / "faust",
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=1,
    )
    topic = app.topic("in", value_type=str)
    seen: list[str] = []

    @app.agent(topic)
    async def note(stream):
        async for word in stream:
            seen.append(word)

    async def run():
        async with started(app):
            await topic.send(value="x")
            await until(lambda: seen)

    asyncio.run(run())
    app.transport.embedded.close()
    assert seen == ["x"]
