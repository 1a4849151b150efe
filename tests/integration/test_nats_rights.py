"""The shipped configuration of NATS, tried: who may do what, with which key, over TLS only."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import APIError, NoStreamResponseError

from clients.python.pks_client import NotAvailable
from clients.python.pks_client.stream import PositionStream
from connectors.nats.link import NatsSettings
from connectors.nats.sink import NatsSink
from connectors.nats.source import NatsSource
from connectors.sink import Unavailable
from schemas.protobuf import encode_message
from tests.nats_keys import Authority, User, client_tls, new_user
from tests.nats_support import batch, come_true, count, running_nats, updated
from tests.support import fill

ACCOUNTS = Path(__file__).parents[2] / "deploy" / "nats" / "accounts.conf"
BOOK = "MM-BOOK"
REFUSED = (nats.errors.TimeoutError, nats.errors.Error, APIError, NoStreamResponseError)


class Served:
    """A server with the shipped accounts, and the keys of each."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "keys")
        self.users = {
            name: new_user(name, folder / "keys") for name in ("pks", "sender", "reader", "strategy")
        }
        certificate, key = self.authority.issue("server")
        self.environment = {
            "PKS_NATS_CERTIFICATE": str(certificate),
            "PKS_NATS_KEY": str(key),
            "PKS_NATS_AUTHORITY": str(self.authority.file),
            **{f"PKS_NATS_NKEY_{name}".upper(): user.public for name, user in self.users.items()},
        }
        self.server = None

    def settings(self, user: User | None = None) -> NatsSettings:
        certificate, key = self.authority.issue("pks")
        return NatsSettings(
            self.url,
            seed_file=(user or self.users["pks"]).seed_file,
            authority_file=self.authority.file,
            certificate_file=certificate,
            key_file=key,
        )

    @property
    def url(self) -> str:
        return f"tls://localhost:{self.server.port}"

    def options(self, name: str) -> dict:
        return {
            "tls": client_tls(self.authority, name),
            "nkeys_seed_str": self.users[name].seed,
            "inbox_prefix": f"_INBOX_{name}",
        }

    @asynccontextmanager
    async def user(self, name: str, **changed):
        """A connection of a user, and what the server refused it."""
        denied: list[str] = []

        async def note(error: Exception) -> None:
            denied.append(str(error))

        options = {
            **self.options(name),
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "error_cb": note,
        }
        client = await nats.connect(self.url, **{**options, **changed})
        try:
            yield client, denied
        finally:
            await client.close()

    def sink(self) -> NatsSink:
        return NatsSink(self.settings(), batch_events_max=500)


@pytest.fixture
def served(tmp_path):
    found = Served(tmp_path)
    accounts = ACCOUNTS.read_text(encoding="utf-8")
    with running_nats(tmp_path / "nats", configuration=accounts, environment=found.environment) as server:
        found.server = server
        yield found


async def _published(sink: NatsSink) -> None:
    await sink.open()
    await sink.write(batch(*(updated(number, book=BOOK) for number in range(1, 4))))
    await sink.write(batch(*(updated(number, book="OTHER", event_id=f"o{number}") for number in range(1, 4))))
    await sink.close()


def test_pks_publishes_and_takes_what_senders_send_and_cannot_send_a_fill(served):
    async def work():
        await _published(served.sink())
        source = NatsSource(served.settings())
        await source.open()
        async with served.user("sender") as (client, denied):
            await client.jetstream().publish("pd.canonical", encode_message(fill("f1", 5, 10)))
            received = await source.receive()
            await source.acknowledge(received)
            assert not denied
        await source.close()
        async with served.user("pks") as (client, denied):
            with pytest.raises(REFUSED):
                await client.jetstream(timeout=0.5).publish("pd.canonical", b"an echo")
            return [each.fill.trade_id for each in received], denied

    taken, denied = asyncio.run(work())
    assert taken == ["f1"]
    assert any("pd.canonical" in text for text in denied)


PUBLISHED = (
    "bo.position.updated.v1.mm-book",
    "backoffice.booking.v1.tradebooked",
    "ref.book.v1.b1",
    "pd.dlq.x",
)


@pytest.mark.parametrize("name", ["sender", "reader", "strategy"])
def test_only_pks_publishes_what_pks_says(served, name: str):
    async def work():
        await _published(served.sink())
        async with served.user(name) as (client, denied):
            for subject in PUBLISHED:
                await client.publish(subject, b"forged")
            await client.flush()
            await come_true(lambda: _as_coroutine(len(denied) == len(PUBLISHED)))
            return denied

    for subject, text in zip(PUBLISHED, asyncio.run(work()), strict=True):
        assert f'permissions violation for publish to "{subject}"' in text


@pytest.mark.parametrize("name", ["sender", "strategy", "reader", "pks"])
def test_nobody_listens_to_subjects_or_to_the_inbox_of_another(served, name: str):
    async def work():
        async with served.user(name) as (client, denied):
            for subject in (">", "bo.position.>", "_INBOX_pks.>" if name != "pks" else "_INBOX_sender.>"):
                await client.subscribe(subject)
                await client.flush()
            await come_true(lambda: _as_coroutine(len(denied) == 3))
            return denied

    assert all("permissions violation" in text.lower() for text in asyncio.run(work()))


async def _as_coroutine(found):
    return found


def test_a_reader_reads_every_stream_that_is_published_and_none_that_comes_in(served):
    async def work():
        await _published(served.sink())
        source = NatsSource(served.settings())
        await source.open()
        await source.close()
        async with served.user("reader") as (client, _):
            # What is refused is answered with nothing: the short time is for that alone.
            allowed, jetstream = client.jetstream(timeout=10), client.jetstream(timeout=0.5)
            config = ConsumerConfig(name="desk", durable_name="desk", ack_policy=AckPolicy.EXPLICIT)
            await allowed.add_consumer("POSITIONS", config)
            subscription = await allowed.pull_subscribe_bind("desk", "POSITIONS")
            found = await subscription.fetch(6, timeout=30)
            for message in found:
                await message.ack()
            refused = 0
            for stream in ("FILLS", "BOOKINGS_IN"):
                for attempt in (
                    lambda stream=stream: jetstream.add_consumer(stream, ConsumerConfig(name="thief")),
                    lambda stream=stream: jetstream.purge_stream(stream),
                    lambda stream=stream: jetstream.get_msg(stream, seq=1),
                    lambda stream=stream: jetstream.delete_consumer(stream, "pks_capture"),
                ):
                    with pytest.raises(REFUSED):
                        await attempt()
                    refused += 1
            # Nor does it take from PKS what PKS has not captured yet.
            with pytest.raises(REFUSED):
                await client.request("$JS.API.CONSUMER.MSG.NEXT.FILLS.pks_capture", b"1", timeout=0.5)
            for attempt in (
                lambda: jetstream.delete_stream("POSITIONS"),
                lambda: jetstream.purge_stream("POSITIONS"),
            ):
                with pytest.raises(REFUSED):
                    await attempt()
            return len(found), refused

    assert asyncio.run(work()) == (6, 8)


def test_a_strategy_sees_its_book_and_no_other(served):
    async def work():
        await _published(served.sink())
        own = {**served.options("strategy"), "consumer": "strategy"}
        async with PositionStream(served.url, book=BOOK, from_sequence=1, **own) as updates:
            found = [update.book async for update in _first(updates, 3)]
        for tried in (
            {"book": "OTHER", **own},
            {"book": None, **own},
            {"book": BOOK, **own, "consumer": "another"},
        ):
            with pytest.raises(NotAvailable):
                async with PositionStream(served.url, from_sequence=1, **tried):
                    pass
        async with served.user("strategy") as (client, _):
            jetstream = client.jetstream(timeout=0.5)
            for attempt in (
                lambda: jetstream.get_msg("POSITIONS", seq=4),
                lambda: jetstream.get_last_msg("POSITIONS", "bo.position.updated.v1.OTHER"),
                lambda: jetstream.stream_info("POSITIONS"),
                lambda: jetstream.add_consumer("POSITIONS", ConsumerConfig(name="strategy")),
                lambda: jetstream.get_last_msg("POSITIONS", "bo.position.updated.v1.OTHER", direct=True),
            ):
                with pytest.raises(REFUSED):
                    await attempt()
        return found

    assert asyncio.run(work()) == [BOOK] * 3


async def _first(updates, number: int):
    async for update in updates:
        yield update
        number -= 1
        if not number:
            return


def test_a_strategy_cannot_widen_its_consumer_in_the_request(served):
    """The subject of the request names the book; the request asks for another."""

    async def work():
        await _published(served.sink())
        async with served.user("strategy") as (client, _):
            asked = b'{"stream_name":"POSITIONS","config":{"name":"strategy","ack_policy":"none","filter_subject":"%s"}}'
            reply = await client.request(
                f"$JS.API.CONSUMER.CREATE.POSITIONS.strategy.bo.position.updated.v1.{BOOK}",
                asked % b"bo.position.updated.v1.OTHER",
                timeout=10,
            )
            return reply.data

    assert b'"error"' in asyncio.run(work())


def test_without_the_key_or_the_certificate_nobody_comes_in(served, tmp_path):
    stranger = new_user("stranger", tmp_path)

    async def work():
        with pytest.raises(Unavailable, match="Authorization Violation"):
            await NatsSink(served.settings(stranger), batch_events_max=500).open()
        bare = NatsSettings(
            served.url, seed_file=served.users["pks"].seed_file, authority_file=served.authority.file
        )
        with pytest.raises(Unavailable, match="expected a connection"):
            await NatsSink(bare, batch_events_max=500).open()
        other = Authority(tmp_path / "other")
        distrusted = NatsSettings(served.url, authority_file=other.file)
        with pytest.raises(Unavailable, match="certificate"):
            await NatsSink(distrusted, batch_events_max=500).open()

    asyncio.run(work())


async def _until_refused(sink: NatsSink) -> int:
    """The number of the first update that could not be published."""
    for number in range(2, 10_000):
        try:
            await sink.write(batch(updated(number)))
        except Unavailable:
            return number
    raise AssertionError("the sink published on without its key")


def test_rights_that_are_withdrawn_stop_the_sink_until_they_are_back(served):
    """An operator takes PKS's key away while it publishes, and gives it back."""

    async def work():
        sink = served.sink()
        await sink.open()
        await sink.write(batch(updated(1)))
        key = served.users["pks"].public
        written = ACCOUNTS.read_text(encoding="utf-8")
        served.server.reload(
            written.replace("$PKS_NATS_NKEY_PKS", new_user("new", served.authority.folder).public)
        )
        number = await _until_refused(sink)
        await sink.close()
        with pytest.raises(Unavailable, match="Authorization Violation"):
            await sink.open()
        served.server.reload(written.replace("$PKS_NATS_NKEY_PKS", key))

        async def opened():
            try:
                await sink.open()
            except Unavailable:
                return False
            return True

        await come_true(opened)
        await sink.write(batch(*(updated(number) for number in range(1, number + 2))))
        stored = await count(sink.client, "POSITIONS")
        await sink.close()
        return stored, number + 1

    stored, sent = asyncio.run(work())
    assert stored == sent
