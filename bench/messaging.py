"""What the sinks of NATS and QuestDB reach, each beside a bare loop of the same client library in the same run.

Turns of the sink and of the bare loop alternate on one server, each with events of its own; the rates compared are by
processor time of this process, which others on the machine disturb least. The time from a position that is handed to the
sink to its subscriber, in another process, is that of the clock, at 10,000 a second.
"""

import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from questdb import Sender, TimestampNanos

from bench import questdb_delay
from bench.row import Row
from bench.sink_loop import run_as_sink
from clients.python.pks_client.stream import PositionStream
from connectors.nats.link import NatsSettings
from connectors.nats.sink import NatsSink, messages_of
from connectors.questdb.bookings import TABLE, BookingsSink, row_of
from connectors.questdb.server import QuestdbSettings
from connectors.servers.nats import LocalNats
from connectors.servers.questdb import LocalQuestdb
from connectors.sink import Batch, Item
from schemas import events, topics
from schemas.frames import wire
from schemas.times import Nanoseconds

BATCH_EVENTS = 5_000
OUTSTANDING = 1_000
TURNS_MIN = 3
RATE = 10_000
LATENCY_SECONDS = 5
QUESTDB_SECONDS = 8.0
_TICK_SECONDS = 0.002
_START = 1_767_571_200_000_000_000
_PositionUpdated = wire(events.PositionUpdated)
_TradeBooked = wire(events.TradeBooked)


def _batches(make: Callable[[int], Any], topic: topics.Topic, events_max: int) -> Iterator[list[Item]]:
    number = 0
    while True:
        now = time.time_ns()
        found = [Item(topic.name, 0, at, 0, at, now, make(at)) for at in range(number, number + events_max)]
        number += events_max
        yield found


def _update(number: int) -> Any:
    return _PositionUpdated(
        event_id=f"{number:032x}.c0.p0",
        correlation_id=f"{number:032x}",
        causation_id=f"{number:032x}.c0",
        book=f"BOOK-{number % 200}",
        instrument=f"INSTRUMENT-{number % 50}",
        trade_id=f"trade-{number}",
        revision=number,
        executed_at=Nanoseconds(_START + number),
        quantity=Decimal("125.50"),
        average_price=Decimal("101.25"),
        cost_basis=Decimal("12706.875"),
        realised_pnl=Decimal("25.5"),
        net_realised_pnl=Decimal("22.25"),
        fees=Decimal("3.1"),
        currency="USD",
        lots_open=2,
        quantity_delta=Decimal("0.25"),
        cost_basis_delta=Decimal("25.3125"),
    )


def _trade(number: int) -> Any:
    return _TradeBooked(
        event_id=f"{number:032x}.c0",
        trade_id=f"trade-{number}",
        book=f"BOOK-{number % 200}",
        instrument=f"INSTRUMENT-{number % 50}",
        quantity=Decimal("1.25"),
        price=Decimal("101.25"),
        executed_at=Nanoseconds(_START + number * 1_000),
        settlement_currency="USD",
        venue="XNAS",
    )


async def _compare(
    name: str,
    reference: str,
    batches: Iterator[list[Item]],
    events_total: int,
    ours: Callable[[list[Item]], Awaitable[None]],
    bare: Callable[[list[Item]], Awaitable[None]],
) -> Row:
    """Turns of ours and of the bare loop; rates by processor time, the middle of the turns."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * max(TURNS_MIN, events_total // BATCH_EVENTS // 2)):
        batch, is_ours = next(batches), turn % 2 == 0
        started = time.process_time()
        await (ours if is_ours else bare)(batch)
        taken[is_ours].append(len(batch) / (time.process_time() - started))
    rate = median(taken[True])
    return Row(name, rate, "events/s", median(taken[False]), reference, cpu_us=1e6 / rate)


def nats(events_total: int) -> list[Row]:
    """Publishing in bulk, and from the sink to a subscriber."""
    with tempfile.TemporaryDirectory() as folder, LocalNats(Path(folder) / "nats") as server:
        return [run_as_sink(_publishing(server, events_total)), run_as_sink(_latency(server))]


async def _publishing(server: LocalNats, events_total: int) -> Row:
    sink = NatsSink(NatsSettings(server.url), batch_events_max=BATCH_EVENTS)
    await sink.open()
    client = sink.client
    jetstream = client.jetstream()

    async def ours(items: list[Item]) -> None:
        await sink.write(Batch(items))

    async def bare(items: list[Item]) -> None:
        # Encoded beforehand by nobody: it is what a program without PKS would have to do as well.
        messages = list(messages_of(items, time.time_ns()))
        for start in range(0, len(messages), OUTSTANDING):
            part = messages[start : start + OUTSTANDING]
            await asyncio.gather(
                *[
                    await jetstream.publish_async(each.subject, each.payload, headers=each.headers)
                    for each in part
                ]
            )

    try:
        return await _compare(
            "NATS: positions published in bulk",
            "publish_async of nats-py, 1,000 at a time, the same messages",
            _batches(_update, topics.POSITIONS, BATCH_EVENTS),
            events_total,
            ours,
            bare,
        )
    finally:
        await sink.close()


async def _latency(server: LocalNats) -> Row:
    sink = NatsSink(NatsSettings(server.url), batch_events_max=BATCH_EVENTS)
    await sink.open()
    mine, theirs = multiprocessing.get_context("spawn").Pipe()
    total = int(RATE * LATENCY_SECONDS)
    # Made before: whoever makes positions has no part in this figure. Each says when it is due after the start.
    updates = [_due(number) for number in range(total)]
    subscriber = multiprocessing.get_context("spawn").Process(
        target=_subscribe, args=(server.url, total, theirs)
    )
    subscriber.start()
    try:
        await asyncio.to_thread(mine.recv)  # it listens
        busy, started, sent = time.process_time(), time.time_ns(), 0
        while sent < total:
            due = min(total, (time.time_ns() - started) * RATE // 1_000_000_000, sent + BATCH_EVENTS)
            if due > sent:
                now = time.time_ns()
                items = [
                    Item(topics.POSITIONS.name, 0, at, 0, at, now, updates[at]) for at in range(sent, due)
                ]
                await sink.write(Batch(items))
                sent = due
            await asyncio.sleep(_TICK_SECONDS)
        busy = time.process_time() - busy
        arrivals, subscriber_busy = await asyncio.to_thread(mine.recv)
    finally:
        await sink.close()
        subscriber.kill()
        subscriber.join()
    cuts = quantiles([arrived - started for arrived in arrivals], n=100)
    return Row(
        "NATS: position due -> subscriber in another process, 10k/s, p99",
        cuts[98] / 1e6,
        "ms",
        higher_is_better=False,
        note=f"p50 {cuts[49] / 1e6:.2f} ms, {total} positions; a process each for sink ({busy / total * 1e6:.0f} us of "
        f"processor time a position), server and subscriber ({subscriber_busy / total * 1e6:.0f} us)",
    )


def _due(number: int) -> Any:
    """An update that says how long after the start it is due."""
    update = _update(-1 - number)
    fields = {name: getattr(update, name) for name in update.__struct_fields__}
    due = number * 1_000_000_000 // RATE
    return _PositionUpdated(**{**fields, "event_id": f"latency-{os.getpid()}-{number}", "executed_at": due})


def _subscribe(url: str, total: int, pipe: Any) -> None:
    """The process that subscribes: how long after it was due each update came, from the start on, and its busy seconds."""

    async def follow() -> tuple[list[int], float]:
        arrivals = []
        async with PositionStream(url) as updates:
            pipe.send("listening")
            busy = time.process_time()
            async for update in updates:
                arrivals.append(time.time_ns() - update.executed_at)
                if len(arrivals) == total:
                    break
        return arrivals, time.process_time() - busy

    pipe.send(asyncio.run(follow()))


def questdb(events_total: int) -> list[Row]:
    """How long a booking takes until it is there, and writing in bulk."""
    with tempfile.TemporaryDirectory() as folder, LocalQuestdb(Path(folder) / "questdb") as server:
        # First, as the table is small: that of an operator is as small for each of its days.
        return [
            questdb_delay.measure(server, QUESTDB_SECONDS),
            run_as_sink(_writing(QuestdbSettings(f"http://{server.address}"), events_total)),
        ]


async def _writing(settings: QuestdbSettings, events_total: int) -> Row:
    sink = BookingsSink(settings)
    await sink.open()
    with Sender.from_conf(settings.client) as sender:

        async def ours(items: list[Item]) -> None:
            await sink.write(Batch(items))

        async def bare(items: list[Item]) -> None:
            buffer = sender.new_buffer()
            for item in items:
                row = row_of(item)
                assert row is not None, "a booking has a row"
                buffer.row(TABLE, symbols=row[0], columns=row[1], at=TimestampNanos(row[2]))
            await asyncio.to_thread(sender.flush, buffer)

        try:
            return await _compare(
                "QuestDB: bookings written in bulk",
                "the client's rows over HTTP, the same rows",
                _batches(_trade, topics.BOOKINGS, BATCH_EVENTS),
                events_total,
                ours,
                bare,
            )
        finally:
            await sink.close()
