"""Fills and bookings from a real NATS server: in the log before they are acknowledged, whatever happens between."""

import asyncio
import contextlib
import json
import signal
from decimal import Decimal
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.js.api import ConsumerConfig

from connectors.nats import source as source_module
from connectors.nats.link import NatsSettings
from connectors.nats.source import NatsSource, fill_of
from schemas import events
from schemas.proto.pks.v1 import events_pb2
from schemas.protobuf import MessageError, decode_message, encode_message
from tests.faults.up_support import connect, pks, running, settle
from tests.nats_support import batch, come_true, connected, count, running_nats, sink_of, updated
from tests.support import MONDAY, LifecycleEventApplied, booked, eventually, fill

IN = "backoffice.booking.in.v1"


@pytest.fixture
def server(tmp_path):
    with running_nats(tmp_path / "nats") as started:
        yield started


def send(server, *messages: tuple[str, bytes]) -> None:
    """Publish messages as another system does, each confirmed."""

    async def publish():
        async with connected(server) as client:
            jetstream = client.jetstream()
            for subject, payload in messages:
                await jetstream.publish(subject, payload)

    asyncio.run(publish())


def unacknowledged(server) -> int:
    """Messages that PKS has not acknowledged yet."""

    async def ask():
        async with connected(server) as client:
            infos = [
                await client.jetstream().consumer_info(stream, "pks_capture")
                for stream in ("FILLS", "BOOKINGS_IN")
            ]
        return sum(info.num_pending + info.num_ack_pending for info in infos)

    return asyncio.run(ask())


def taken(folder: Path) -> int:
    """Messages that the source has put into the log."""
    file = folder / "sinks" / "nats-source.json"
    return json.loads(file.read_bytes()).get("written", 0) if file.exists() else 0


def positions(folder: Path) -> dict[str, str]:
    client = connect(folder)
    settle(client)
    client.close()
    shown = json.loads(pks(folder, "positions", "--json").stdout)["positions"]
    return {f"{found['book']}/{found['instrument']}": found["quantity"] for found in shown}


def letters(folder: Path) -> list[dict]:
    return json.loads(pks(folder, "dlq", "list", "--json").stdout)["dead_letters"]


def test_what_others_send_is_captured_and_comes_back_once(server, tmp_path):
    """Fills and bookings go in, positions come out; nothing that went out comes in again."""
    folder = tmp_path / "data"
    trade = booked("b1", -3, 20, instrument="Y", event_id="")
    with running(folder, PKS_NATS=server.url):
        eventually(lambda: _state(folder) == "running", timeout=60)
        send(
            server,
            ("pd.canonical", encode_message(fill("f1", 5, 10))),
            ("pd.canonical", encode_message(fill("f1", 5, 10))),  # sent twice
            (f"{IN}.TradeBooked", encode_message(trade)),
            (f"{IN}.FillEvent", encode_message(fill("f2", 2, 11, at=1))),
        )
        eventually(lambda: taken(folder) == 4, timeout=60)
        eventually(lambda: unacknowledged(server) == 0, timeout=60)
        assert positions(folder) == {"B1/X": "7", "B1/Y": "-3"}
        change = LifecycleEventApplied(
            event_id="", kind="cancel", trade_id="b2", original_trade_id="b1", book="B1",
            executed_at=MONDAY, trade=trade,
        )  # fmt: skip
        send(server, (f"{IN}.LifecycleEventApplied", encode_message(change)))
        eventually(lambda: taken(folder) == 5, timeout=60)
        assert positions(folder) == {"B1/X": "7", "B1/Y": "0"}
        eventually(lambda: _counts(server) == (4, 4), timeout=60)
        # What went out stays out: nothing more arrives.
        assert taken(folder) == 5


def _state(folder: Path) -> str:
    file = folder / "sinks" / "nats-source.json"
    return json.loads(file.read_bytes()).get("state", "") if file.exists() else ""


def _counts(server) -> tuple[int, int]:
    """How many bookings, and updates of positions, went out."""

    async def ask():
        async with connected(server) as client:
            # Values of positions and their P&L are in the same stream as their updates.
            return await count(client, "BOOKINGS"), await count(
                client, "POSITIONS", "bo.position.updated.v1.*"
            )

    return asyncio.run(ask())


def test_what_is_no_message_becomes_a_dead_letter_with_its_bytes(server, tmp_path):
    folder = tmp_path / "data"
    bad = events_pb2.FillEvent(
        trade_id="t", instrument="X", side=1, quantity="none", price="1", executed_at=1
    )
    with running(folder, PKS_NATS=server.url):
        eventually(lambda: _state(folder) == "running", timeout=60)
        send(
            server,
            ("pd.canonical", b"\xff\xff no message"),
            ("pd.canonical", bad.SerializeToString()),
            (f"{IN}.PositionUpdated", b""),
            ("pd.canonical", encode_message(fill("f1", 5, 10))),
        )
        eventually(lambda: taken(folder) == 4, timeout=60)
        assert positions(folder) == {"B1/X": "5"}
        found = {letter["id"]: letter for letter in letters(folder)}
        assert set(found) == {"nats/FILLS@1/dead0", "nats/FILLS@2/dead0", "nats/BOOKINGS_IN@1/dead0"}
        garbage = found["nats/FILLS@1/dead0"]
        assert garbage["original_hex"] == b"\xff\xff no message".hex()
        assert garbage["expected"] == "a FillEvent message of pks.v1"
        number = found["nats/FILLS@2/dead0"]
        assert (number["field"], number["found"]) == ("quantity", "'none'")
        assert number["dead_letter_topic"] == "pd.dlq.canonical"
        assert found["nats/BOOKINGS_IN@1/dead0"]["dead_letter_topic"] == "backoffice.dlq.booking"
        eventually(lambda: unacknowledged(server) == 0, timeout=60)
        eventually(lambda: _dead_letters_out(server) == 3, timeout=60)


def _dead_letters_out(server) -> int:
    async def ask():
        async with connected(server) as client:
            return (await client.jetstream().stream_info("DEAD_LETTERS")).state.messages

    return asyncio.run(ask())


def test_nothing_is_acknowledged_while_no_worker_takes_it(server, tmp_path):
    """The server keeps what came while PKS was down, and hands it out when it is back."""
    folder = tmp_path / "data"
    with running(folder, PKS_NATS=server.url) as worker:
        eventually(lambda: _state(folder) == "running", timeout=60)
        worker.send_signal(signal.SIGTERM)
        worker.wait()
    send(server, *(("pd.canonical", encode_message(fill(f"f{at}", 1, 10, at=at))) for at in range(50)))
    assert unacknowledged(server) == 50
    with running(folder, PKS_NATS=server.url):
        eventually(lambda: unacknowledged(server) == 0, timeout=60)
        assert positions(folder) == {"B1/X": "50"}


def test_a_source_waits_for_a_server_that_is_not_there(server, tmp_path):
    folder = tmp_path / "data"
    server.stop()
    with running(folder, PKS_NATS=server.url):
        eventually(lambda: _state(folder) in ("retrying", "open"), timeout=60)
        server.start()
        eventually(lambda: _state(folder) == "running", timeout=60)
        send(server, ("pd.canonical", encode_message(fill("f1", 5, 10))))
        eventually(lambda: taken(folder) == 1, timeout=60)
        assert positions(folder) == {"B1/X": "5"}


def test_a_message_that_is_not_acknowledged_comes_again(server, monkeypatch):
    monkeypatch.setattr(source_module, "ACK_SECONDS", 0.3)

    async def receive():
        source = NatsSource(NatsSettings(server.url))
        await source.open()
        async with connected(server) as client:
            await client.jetstream().publish("pd.canonical", encode_message(fill("f1", 5, 10)))
        first = await source.receive()
        await source.close()
        await source.open()
        again = await source.receive()
        await source.acknowledge(again)
        await source.close()
        return first, again

    first, again = asyncio.run(receive())
    assert [each.fill.trade_id for each in first] == ["f1"]
    assert [each.identity for each in again] == [each.identity for each in first]


def test_what_a_consumer_gives_up_goes_to_the_dead_letters_of_its_stream(server):
    async def give_up():
        source, sink = NatsSource(NatsSettings(server.url)), sink_of(server)
        await source.open()
        await sink.open()
        await sink.write(batch(updated(1)))
        receiving = asyncio.ensure_future(source.receive())
        async with connected(server) as client:
            jetstream = client.jetstream()
            config = ConsumerConfig(name="desk", durable_name="desk", ack_wait=0.1, max_deliver=2)
            await jetstream.add_consumer("POSITIONS", config)
            subscription = await jetstream.pull_subscribe_bind("desk", "POSITIONS")
            delivered = [(await subscription.fetch(1, timeout=5))[0] for _ in range(2)]

            async def letter():
                with contextlib.suppress(nats.errors.Error):
                    await subscription.fetch(1, timeout=0.2)
                return await count(client, "DEAD_LETTERS")

            await come_true(letter)
            found = await jetstream.get_last_msg("DEAD_LETTERS", "bo.dlq.position")
        receiving.cancel()
        await source.close()
        await sink.close()
        return delivered, decode_message(events.DeadLetter, found.data)

    delivered, letter = asyncio.run(give_up())
    assert len(delivered) == 2
    assert letter.original == delivered[0].data
    assert letter.reason == "consumer desk did not take it in 2 deliveries"
    assert (letter.topic, letter.offset) == ("bo.position.updated.v1.B1", 1)


def test_a_fill_has_no_id_of_its_sender_but_keeps_it():
    given = fill("f1", 5, 10, event_id="theirs", recorded_at=7)
    found = fill_of("pd.canonical", encode_message(given))
    assert (found.event_id, found.correlation_id) == ("", "theirs")
    assert (found.recorded_at, found.source) == (0, "nats:pd.canonical")
    assert (found.trade_id, found.quantity, found.price) == ("f1", Decimal(5), Decimal(10))


def test_a_booking_is_the_fill_that_capture_makes_it_of():
    trade = booked("b1", "-2.5", 20, settlement_currency="USD", counterparty="C", multiplier=Decimal(10))
    found = fill_of(f"{IN}.TradeBooked", encode_message(trade))
    assert (found.side, found.quantity, found.currency) == ("SELL", Decimal("2.5"), "USD")
    assert (found.book, found.counterparty, found.multiplier) == ("B1", "C", Decimal(10))


@pytest.mark.parametrize(
    ("subject", "payload", "field"),
    [
        (f"{IN}.TradeBooked", encode_message(booked("b1", 0, 20)), "quantity"),
        (f"{IN}.Other", b"", ""),
        ("pd.canonical", encode_message(booked())[:-3], ""),
        (
            f"{IN}.LifecycleEventApplied",
            encode_message(
                LifecycleEventApplied(
                    event_id="",
                    kind="cancel",
                    trade_id="b2",
                    original_trade_id="b1",
                    book="B1",
                    executed_at=1,
                )
            ),
            "trade",
        ),
    ],
)
def test_what_is_none_is_named(subject: str, payload: bytes, field: str):
    with pytest.raises(MessageError) as raised:
        fill_of(subject, payload)
    assert raised.value.field == field


def test_an_amendment_says_the_trade_as_it_is_after_it():
    change = LifecycleEventApplied(
        event_id="theirs", kind="amend", trade_id="b2", original_trade_id="b1", book="B2",
        executed_at=MONDAY, trade=booked("b1", 7, 20),
    )  # fmt: skip
    found = fill_of(f"{IN}.LifecycleEventApplied", encode_message(change))
    assert isinstance(found, events.FillEvent)
    assert (found.action, found.kind, found.trade_id, found.original_trade_id) == (
        "AMEND",
        None,
        "b2",
        "b1",
    )
    assert (found.book, found.quantity, found.correlation_id) == ("B2", Decimal(7), "theirs")
