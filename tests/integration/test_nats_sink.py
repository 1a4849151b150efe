"""What PKS publishes to a real NATS server: every event once, whatever is written twice."""

import asyncio
from decimal import Decimal

import pytest

from connectors.nats.streams import ensure_streams
from connectors.sink import Batch, Refused, Unavailable
from schemas import events, topics
from schemas.frames import wire
from schemas.protobuf import decode_message
from schemas.subjects import STREAMS
from tests.nats_support import batch, connected, count, running_nats, sink_of, updated
from tests.support import Book, ClockTick, DayClosed, booked


@pytest.fixture
def server(tmp_path):
    with running_nats(tmp_path / "nats") as started:
        yield started


def test_events_go_out_on_their_subjects_as_their_messages(server):
    async def publish():
        sink = sink_of(server)
        await sink.open()
        await sink.write(batch(booked(), ClockTick(event_id="c", event_time=1), topic=topics.BOOKINGS))
        await sink.write(
            batch(
                DayClosed(event_id="d", book="B1", business_date="2026-01-05", event_time=1),
                topic=topics.BOOKINGS,
            )
        )
        await sink.write(batch(updated(1, book="a.b")))
        async with connected(server) as client:
            jetstream = client.jetstream()
            trade = await jetstream.get_msg("BOOKINGS", seq=1)
            day = await jetstream.get_msg("BOOKINGS", seq=2)
            position = await jetstream.get_msg("POSITIONS", seq=1)
            assert await count(client, "BOOKINGS") == 2
        await sink.close()
        return trade, day, position

    trade, day, position = asyncio.run(publish())
    assert (trade.subject, day.subject) == (
        "backoffice.booking.v1.TradeBooked",
        "backoffice.booking.v1.DayClosed",
    )
    assert position.subject == "bo.position.updated.v1.a%2Eb"
    assert trade.headers["Nats-Msg-Id"] == booked().event_id
    assert trade.headers["Pks-Event"] == "TradeBooked"
    assert decode_message(events.TradeBooked, trade.data).quantity == Decimal(10)
    assert decode_message(events.PositionUpdated, position.data).average_price == Decimal("100.50")


def test_an_id_with_line_ends_makes_no_header_of_its_own(server):
    async def publish():
        sink = sink_of(server)
        await sink.open()
        await sink.write(batch(updated(1, event_id="e1\r\nNats-Rollup: all"), updated(2)))
        await sink.close()
        async with connected(server) as client:
            return await client.jetstream().get_msg("POSITIONS", seq=1)

    headers = asyncio.run(publish()).headers
    assert headers == {"Nats-Msg-Id": "e1  Nats-Rollup: all", "Pks-Event": "PositionUpdated"}


def test_what_is_written_again_is_stored_once(server):
    async def publish():
        sink = sink_of(server)
        await sink.open()
        found = [updated(number) for number in range(1, 301)]
        await sink.write(batch(*found))
        await sink.write(batch(*found))
        assert (sink.duplicates, sink.passed_over) == (300, 0)
        await sink.close()
        await sink.open()
        await sink.write(batch(*found, updated(301)))
        assert sink.passed_over == 300
        await sink.close()
        async with connected(server) as client:
            return await count(client, "POSITIONS")

    assert asyncio.run(publish()) == 301


def test_a_repeat_beyond_the_servers_memory_of_ids_is_passed_over(server):
    """A sink that died between the confirmation and its note, and came back when the server had forgotten the ids."""

    async def publish():
        sink = sink_of(server)
        await sink.open()
        await sink.write(batch(*(updated(number) for number in range(1, 401))))
        await sink.close()
        async with connected(server) as client:
            jetstream = client.jetstream()
            config = (await jetstream.stream_info("POSITIONS")).config
            config.duplicate_window = 0.1
            await jetstream.update_stream(config)
            async with asyncio.timeout(60):  # the server forgets by its own clock
                while (
                    await jetstream.publish(
                        "bo.position.updated.v1.B1", b"", headers={"Nats-Msg-Id": "e1.c0.p0"}
                    )
                ).duplicate:
                    await asyncio.sleep(0.05)
            before = await count(client, "POSITIONS")
            await sink.open()
            await sink.write(batch(*(updated(number) for number in range(1, 401))))
            await sink.close()
            return before, await count(client, "POSITIONS"), sink.passed_over

    before, after, passed_over = asyncio.run(publish())
    assert (after, passed_over) == (before, 400)


def test_streams_are_made_once_and_brought_up_to_date(server):
    async def make():
        async with connected(server) as client:
            jetstream = client.jetstream()
            await ensure_streams(jetstream)
            config = (await jetstream.stream_info("BOOKINGS")).config
            config.max_age = 300.0
            await jetstream.update_stream(config)
            await jetstream.publish("backoffice.booking.v1.TradeBooked", b"kept")
            await ensure_streams(jetstream)
            found = {stream.name: await jetstream.stream_info(stream.name) for stream in STREAMS}
            return {name: (info.config.max_age, info.state.messages) for name, info in found.items()}

    found = asyncio.run(make())
    assert found["BOOKINGS"] == (86_400, 1)
    assert found["POSITIONS"] == (7 * 86_400, 0)


def test_a_definition_replaces_the_one_before(server):
    async def publish():
        sink = sink_of(server)
        await sink.open()
        books = [Book(event_id=f"b{number}", book="B1", entity=f"E{number}") for number in range(3)]
        await sink.write(batch(*books, topic=topics.BOOKS))
        await sink.close()
        async with connected(server) as client:
            return await client.jetstream().get_last_msg("REFERENCE", "ref.book.v1.B1"), await count(
                client, "REFERENCE"
            )

    message, number = asyncio.run(publish())
    assert decode_message(topics.BOOKS.event_classes[0], message.data).entity == "E2"
    assert number == 1


def test_an_event_too_large_for_a_message_is_refused_and_the_others_are_stored(server):
    async def publish():
        sink = sink_of(server)
        await sink.open()
        large = updated(2, currency="x" * 2_000_000)
        with pytest.raises(Refused, match="at most 1048576 bytes"):
            await sink.write(batch(updated(1), large, updated(3)))
        await sink.write(batch(updated(4)))
        await sink.close()
        async with connected(server) as client:
            return await count(client, "POSITIONS")

    assert asyncio.run(publish()) == 3


def test_a_full_store_is_waited_for_and_nothing_is_set_aside(server):
    async def publish():
        sink = sink_of(server)
        await sink.open()
        async with connected(server) as client:
            jetstream = client.jetstream()
            config = (await jetstream.stream_info("POSITIONS")).config
            config.max_msgs, config.discard = 2, "new"
            await jetstream.update_stream(config)
            with pytest.raises(Unavailable, match="maximum messages exceeded"):
                await sink.write(batch(*(updated(number) for number in range(1, 6))))
            config.max_msgs = -1
            await jetstream.update_stream(config)
            await sink.write(batch(*(updated(number) for number in range(1, 6))))
            await sink.close()
            return await count(client, "POSITIONS")

    assert asyncio.run(publish()) == 5


def test_a_stream_that_is_gone_is_told(server):
    async def publish():
        sink = sink_of(server)
        await sink.open()
        async with connected(server) as client:
            await client.jetstream().delete_stream("POSITIONS")
        with pytest.raises(Unavailable, match="expected a stream"):
            await sink.write(batch(updated(1)))
        await sink.close()
        await sink.open()
        await sink.write(batch(updated(1)))
        await sink.close()

    asyncio.run(publish())


def test_nobody_at_the_address_is_unavailable(server):
    server.stop()
    with pytest.raises(Unavailable, match="expected a connection"):
        asyncio.run(sink_of(server).open())


def test_a_letter_about_nats_is_not_sent_to_nats(server):
    async def publish():
        sink = sink_of(server)
        await sink.open()
        letters = [
            wire(events.DeadLetter)(
                event_id=stage, reason="r", kind="k", stage=stage, topic="bo.position.updated.v1",
                partition=0, offset=1, index=0, original=b"{}",
            )
            for stage in ("sink nats", "positions")
        ]  # fmt: skip
        await sink.write(batch(*letters, topic=topics.BOOKING_DEAD_LETTERS))
        await sink.write(Batch((), {}))
        await sink.close()
        async with connected(server) as client:
            return await count(client, "DEAD_LETTERS")

    assert asyncio.run(publish()) == 1


def test_what_its_stream_would_not_keep_any_more_is_not_published(server):
    day = 86_400

    async def publish():
        sink = sink_of(server)
        await sink.open()
        await sink.write(batch(booked("t1", event_id="1"), topic=topics.BOOKINGS, age_seconds=day + 1))
        await sink.write(batch(booked("t2", event_id="2"), topic=topics.BOOKINGS, age_seconds=day - 60))
        await sink.write(batch(updated(1), age_seconds=day + 1))
        await sink.write(batch(Book(event_id="b", book="B1"), topic=topics.BOOKS, age_seconds=1_000 * day))
        await sink.close()
        async with connected(server) as client:
            return [await count(client, stream) for stream in ("BOOKINGS", "POSITIONS", "REFERENCE")]

    assert asyncio.run(publish()) == [1, 1, 1]
