"""The stages on one real broker, under both guarantees, beside the embedded log and stock Faust in the same run.

Rates are fills a second of the worker's processor time, all its threads together; what the broker takes is counted
apart, in the note. Each figure is the median of interleaved rounds.
"""

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import stock_faust, throughput
from bench.kafka_latency import Schedule, measure, p50_p99
from bench.kafka_rig import Rig, rig, said
from bench.row import Row
from bench.workload import PARTITIONS, WORKLOADS, frames_of, make_bookings, make_fills
from connectors.servers.process import ServerUnavailable
from schemas.topics import BOOKINGS, FILLS, Topic

GUARANTEES = ("exactly_once", "low_latency")
ROUNDS = 3
RATES = (1_000, 10_000)
SECONDS = 4.0
_WARM_SECONDS = 4.0
_STOCK_FILLS = 20_000
_POSITIONS = ["positions"]
_BOTH = ["trade_capture", "positions"]
_LOOP = "the empty loop in the same run"


def run(count: int) -> list[Row]:
    """Every figure of the cluster, on one broker."""
    return _on_a_broker(lambda running: [row for part in PARTS.values() for row in part(running, count)])


def part(name: str) -> Callable[[int], list[Row]]:
    """The figures of one of `PARTS`, on a broker of its own."""
    return lambda count: _on_a_broker(lambda running: PARTS[name](running, count))


def _on_a_broker(measured: Callable[[Rig], list[Row]]) -> list[Row]:
    try:
        with rig() as running:
            return measured(running)
    except ServerUnavailable as error:
        return [Row("on Kafka", None, "fills/s", note=str(error)[:200])]


def _rounds(part: str) -> Iterator[int]:
    """The rounds of a part, each said as it begins: one takes a minute or more."""
    for number in range(ROUNDS):
        print(f"{part}: round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
        yield number


def _frames(count: int) -> tuple[list[tuple[int, bytes]], str]:
    """Bookings as records, and how many events each partition has."""
    records = frames_of(BOOKINGS, make_bookings(make_fills(WORKLOADS["W"], count)))
    counts = [0] * PARTITIONS
    for partition, frame in records:
        counts[partition] += len(BOOKINGS.codec.decode(frame))
    return records, ",".join(map(str, counts))


# -- throughput, recovery ---------------------------------------------------------------------------------------


def _throughput(running: Rig, count: int) -> list[Row]:
    records, counts = _frames(count)
    stock_count = min(count, _STOCK_FILLS)
    embedded, stock = [], []
    ours: dict[str, list[dict[str, float]]] = {name: [] for name in GUARANTEES}
    recovered = []
    for _ in _rounds("throughput"):
        embedded.append(throughput.books(count)[0].value or 0.0)
        for guarantee in GUARANTEES:
            ours[guarantee].append(_pass_through(running, guarantee, records, counts))
            if guarantee == GUARANTEES[-1]:
                with running.started("bench.kafka_recovery", running.folder()) as process:
                    recovered.append(said(process))
        running.fresh()
        stock_faust.prepare(running.broker.address, stock_count)
        stock.append(
            stock_count
            / stock_faust.measure(running.broker.address, Path(running.folder()), stock_count)["processor"]
        )
    rows = []
    for guarantee, found in ours.items():
        rate = statistics.median(each["events"] / each["processor"] for each in found)
        note = (
            f"{statistics.median(each['events'] / each['wall'] for each in found):,.0f} by the clock; the broker "
            f"{statistics.median(each['broker'] for each in found) / count * 1e6:.1f} us a fill"
        )
        for beside, other in (("the embedded log", embedded), ("stock Faust", stock)):
            rows.append(
                Row(
                    f"positions on Kafka, W, {guarantee}, beside {beside}",
                    rate,
                    "fills/s",
                    statistics.median(other),
                    f"{beside} in the same run",
                    1e6 / rate,
                    note=note,
                )
            )
    return [*rows, _recovery(recovered, statistics.median(embedded))]


def _pass_through(
    running: Rig, guarantee: str, records: Sequence[tuple[int, bytes]], counts: str
) -> dict[str, float]:
    running.fresh()
    running.append(BOOKINGS, records)
    used = running.cpu_seconds()
    with running.started(
        "bench.kafka_worker", running.folder(), guarantee, str(PARTITIONS), counts, *_POSITIONS
    ) as process:
        said(process)
        return {**said(process), "broker": running.cpu_seconds() - used}


def _recovery(found: Sequence[dict[str, Any]], beside: float) -> Row:
    return Row(
        "recovery from the changelog, keys",
        statistics.median(each["keys"] / each["processor"] for each in found),
        "keys/s",
        beside,
        "fills/s through positions on the embedded log",
        note=(
            f"{found[0]['keys']:,} keys left of {found[0]['records']:,} records; "
            f"{statistics.median(each['keys'] / each['wall'] for each in found):,.0f} by the clock"
        ),
    )


# -- workers ----------------------------------------------------------------------------------------------------


def _workers(running: Rig, count: int) -> list[Row]:
    records, counts = _frames(count)
    found: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
    for _ in _rounds("workers"):
        for number, each in found.items():
            each.append(_together(running, number, records, counts))
    one, two = (
        [statistics.median(each[place] for each in found[number]) for place in range(3)] for number in (1, 2)
    )
    return [
        Row(
            "positions on Kafka, W, exactly_once, two workers by the clock",
            count / two[0],
            "fills/s",
            count / one[0],
            "one worker",
            note=(
                f"two cores for workers, broker and load; processor time a fill: workers {one[1] / count * 1e6:.1f} us "
                f"with one, {two[1] / count * 1e6:.1f} with two; broker {one[2] / count * 1e6:.1f}, {two[2] / count * 1e6:.1f}"
            ),
        )
    ]


def _together(
    running: Rig, number: int, records: Sequence[tuple[int, bytes]], counts: str
) -> tuple[float, float, float]:
    """Seconds from the first step of any worker to the last, and processor seconds of workers and broker."""
    running.fresh()
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                running.started(
                    "bench.kafka_worker",
                    running.folder(),
                    GUARANTEES[0],
                    str(PARTITIONS // number),
                    counts,
                    *_POSITIONS,
                    pinned=False,
                )
            )
            for _ in range(number)
        ]
        for worker in workers:
            said(worker)
        used = running.cpu_seconds()
        running.append(BOOKINGS, records)
        told = [said(worker) for worker in workers]
        return (
            max(each["ended"] for each in told) - min(each["began"] for each in told),
            sum(each["processor"] for each in told),
            running.cpu_seconds() - used,
        )


# -- commits ----------------------------------------------------------------------------------------------------


def _commits(running: Rig, count: int) -> list[Row]:
    running.fresh()
    with running.started("bench.kafka_commit") as process:
        found = said(process)
    reference = found["low_latency"]
    return [
        Row(
            f"commit of a step of 160 kB, {way}",
            found[way]["wall"],
            "ms",
            reference["wall"],
            "low_latency",
            higher_is_better=False,
            note=f"{found[way]['processor']:.2f} ms of processor time",
        )
        for way in found
    ]


# -- latency ----------------------------------------------------------------------------------------------------


def _latencies(running: Rig, count: int) -> list[Row]:
    _warm(running)
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in _rounds("latency"):
        for name, topic, arguments in _contenders():
            running.fresh()
            module, *rest = arguments
            folder = [running.folder()] if rest else []
            with running.started(module, *folder, *rest) as process:
                said(process)
                measure(running, Schedule(topic, RATES[0], _WARM_SECONDS / 2, "warm"))
                for rate in RATES:
                    p50, p99 = p50_p99(measure(running, Schedule(topic, rate, SECONDS, f"at{rate}")))
                    print(f"{name}, {rate}/s: p50 {p50:.1f}, p99 {p99:.1f} ms", file=sys.stderr, flush=True)
                    found.setdefault((name, rate), []).append((p50, p99))
    rows = []
    for (name, rate), each in found.items():
        for place, share in enumerate(("p50", "p99")):
            loop = statistics.median(one[place] for one in found["the empty loop", rate])
            value = statistics.median(one[place] for one in each)
            rows.append(
                Row(
                    f"record produced -> output consumed, {rate // 1_000}k/s, {name}, {share}",
                    value,
                    "ms",
                    loop,
                    _LOOP,
                    higher_is_better=False,
                    note=f"{value - loop:+.1f} ms above it; rounds {', '.join(f'{one[place]:.1f}' for one in each)}",
                )
            )
    return rows


def _contenders() -> list[tuple[str, Topic, list[str]]]:
    nothing = ",".join(["0"] * PARTITIONS)
    owned = str(PARTITIONS)
    worker = "bench.kafka_worker"
    return [
        ("the empty loop", BOOKINGS, ["bench.kafka_loop"]),
        *(
            (f"positions, {name}", BOOKINGS, [worker, name, owned, nothing, *_POSITIONS])
            for name in GUARANTEES
        ),
        *(
            (f"capture exactly_once and positions {name}", FILLS, [worker, name, owned, nothing, *_BOTH])
            for name in GUARANTEES
        ),
    ]


def _warm(running: Rig) -> None:
    """A broker that has just started shows seconds of latency for a while."""
    running.fresh()
    with running.started("bench.kafka_loop") as process:
        said(process)
        measure(running, Schedule(BOOKINGS, 2 * RATES[0], _WARM_SECONDS, "warm"))


PARTS: dict[str, Callable[[Rig, int], list[Row]]] = {
    "throughput": _throughput,
    "workers": _workers,
    "commits": _commits,
    "latency": _latencies,
}
"""By name, what is measured on a running broker with a number of fills."""
