"""The metrics of a worker, for Prometheus.

Nothing is done per event: the stages count what becomes of their inputs anyway (in their tables, so the figures
go on after a restart), and those counts, lags and sequences are read when somebody asks. Only the time of a step is
noted as it happens.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents import pnl
from agents.counters import Counts
from agents.stage import Stage
from agents.valuation_state import ValuationState
from connectors.embedded.log import EmbeddedLog
from topology.runtime import PartitionRunner, StepReport
from topology.stages import Observer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STEP_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class WatchedApp(Protocol):
    """What is read of an App."""

    stage: Stage
    runners: dict[int, PartitionRunner]
    trouble: str | None


class Lags(Protocol):
    """Says how far stages are behind."""

    def lag(self, app: Any, partition: int) -> int:
        """Records of a stage's input that it has not applied."""


class Metrics:
    """The registry of one worker."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._step_seconds = Histogram(
            "pks_step_seconds",
            "Time of a step: decode, rules and one commit of all partitions that had input.",
            ["stage"],
            buckets=_STEP_SECONDS,
            registry=self._registry,
        )
        # To ask for a histogram by its labels costs as much as to note a time in it.
        self._observe: dict[str, Callable[[float], None]] = {}
        self._dead_letters = Counter(
            "pks_dead_letters",
            "Inputs that went to the dead letters since the worker started; each holds its reason and bytes.",
            ["stage"],
            registry=self._registry,
        )

    def step(
        self, stage: Stage, reports: Sequence[tuple[PartitionRunner, StepReport]], seconds: float
    ) -> None:
        """Note a committed step."""
        observe = self._observe.get(stage.name)
        if observe is None:
            observe = self._observe[stage.name] = self._step_seconds.labels(stage.name).observe
        observe(seconds)
        letters = sum(report.dead_letters for _, report in reports)
        if letters:
            self._dead_letters.labels(stage.name).inc(letters)

    def watch(self, apps: Sequence[WatchedApp], lags: Lags, others: Sequence[Collector]) -> None:
        """Export the figures of these Apps as well, and those that other collectors read."""
        for app in apps:
            self._step_seconds.labels(app.stage.name)
            self._dead_letters.labels(app.stage.name)
        for collector in (_StageCollector(apps, lags), *others):
            self._registry.register(collector)

    def render(self) -> bytes:
        """The text that a scrape gets."""
        return generate_latest(self._registry)


class LazyCollector(Collector):
    """Reads figures when they are asked for: nothing before the first scrape."""

    def describe(self) -> Iterable[Metric]:
        """Nothing is read before the first scrape."""
        return ()


class _StageCollector(LazyCollector):
    """The figures of the stages of a worker."""

    def __init__(self, apps: Sequence[WatchedApp], lags: Lags) -> None:
        self._apps = apps
        self._lags = lags

    def collect(self) -> Iterable[Metric]:
        """The figures now."""
        yield from self._events()
        yield from self._partitions()
        yield self._late_ticks()
        yield from self._valuation()

    def _events(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "pks_events",
            "Inputs by stage and by what became of them, since the log was made.",
            labels=["stage", "outcome"],
        )
        residual = GaugeMetricFamily(
            "pks_identity_residual",
            "Inputs less applied, duplicate, rejected and waiting ones; anything but 0 is an alarm.",
            labels=["stage"],
        )
        of_pnl = GaugeMetricFamily(
            "pks_pnl_residual",
            "What identities of P&L have left over since the worker started; anything but 0 is an alarm, and stopped a partition.",
        )
        for app in self._apps:
            counts = Counts()
            for runner in app.runners.values():
                for found in runner.state.counters.all().values():
                    counts.add(found)
            outcomes = {
                "applied": counts.applied,
                "duplicate": counts.duplicates,
                "rejected": counts.refused,
                "waiting": counts.waiting,
            }
            for outcome, value in outcomes.items():
                events.add_metric([app.stage.name, outcome], value)
            residual.add_metric([app.stage.name], counts.read - sum(outcomes.values()))
            if app.stage.name == pnl.NAME:
                left = sum(getattr(runner.state, "residual", 0) for runner in app.runners.values())
                of_pnl.add_metric([], float(left))
        yield events
        yield residual
        yield of_pnl

    def _valuation(self) -> Iterator[Metric]:
        """What became of marks, and what the engine owes; an App without that stage has neither."""
        marks = CounterMetricFamily(
            "pks_marks_left_out",
            "Marks that the valuation stage did not use, by why: conflated (a newer one in the same step), "
            "passed_over (older than the known one), since the log was made.",
            labels=["why"],
        )
        owed = GaugeMetricFamily(
            "pks_prices_waited_for",
            "Instruments whose price the pricing engine has been asked for and not given.",
        )
        states = [
            state
            for app in self._apps
            for runner in app.runners.values()
            if isinstance(state := runner.state, ValuationState)
        ]
        for why in ("conflated", "passed_over"):
            marks.add_metric([why], sum(getattr(state.tallies, why) for state in states))
        owed.add_metric([], sum(state.prices_waited_for for state in states))
        yield from (marks, owed)

    def _late_ticks(self) -> Metric:
        late = CounterMetricFamily(
            "pks_bar_ticks_too_late",
            "Marks that came when the bar they belong to was kept no more, by interval, since the log was made.",
            labels=["interval"],
        )
        counted: dict[str, int] = {}
        for app in self._apps:
            for runner in app.runners.values():
                for interval, number in getattr(runner.state, "too_late", {}).items():
                    counted[interval] = counted.get(interval, 0) + number
        for interval, number in sorted(counted.items()):
            late.add_metric([interval], number)
        return late

    def _partitions(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "pks_lag_events",
            "Records (frames of events) of a stage's input that it has not applied yet.",
            labels=["stage", "partition"],
        )
        stopped = GaugeMetricFamily(
            "pks_partitions_stopped",
            "Partitions that stopped on a broken invariant; anything but 0 is an alarm.",
            labels=["stage"],
        )
        trouble = GaugeMetricFamily(
            "pks_commit_trouble", "1 while a stage tries a failed commit again, else 0.", labels=["stage"]
        )
        for app in self._apps:
            name = app.stage.name
            for partition in sorted(app.runners):
                lag.add_metric([name, str(partition)], self._lags.lag(app, partition))
            stopped.add_metric([name], sum(runner.stopped is not None for runner in app.runners.values()))
            trouble.add_metric([name], app.trouble is not None)
        yield lag
        yield stopped
        yield trouble


class LogCollector(LazyCollector):
    """The figures of an embedded log and of what watches its steps."""

    def __init__(self, log: EmbeddedLog, observers: Sequence[Observer]) -> None:
        self._log = log
        self._observers = observers

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        yield GaugeMetricFamily(
            "pks_commit_sequence", "Records in the log, over all topics.", value=self._log.sequence
        )
        yield GaugeMetricFamily(
            "pks_durable_sequence",
            "Up to which sequence the log is synced to the disk.",
            value=self._log.durable_sequence,
        )
        yield CounterMetricFamily(
            "pks_log_listener_failures",
            "Times that something which waits for commits failed when it was told of one; the commit stands.",
            value=self._log.listener_failures,
        )
        yield CounterMetricFamily(
            "pks_shared_memory_alarms",
            "Times that shared memory had no room, since the worker started.",
            value=sum(getattr(observer, "alarms", 0) for observer in self._observers),
        )
