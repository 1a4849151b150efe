"""The metrics of a worker's sinks, read from what each says of itself when somebody asks."""

import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from topology.sinks.status import STANDBY, SinkStatus, read_statuses
from topology.web.metrics import LazyCollector

SILENT_SECONDS = 5.0
"""A sink that said nothing for so long does not run."""


def is_up(status: SinkStatus, now: int) -> bool:
    """Whether a sink runs and its far side takes what it writes, or stands by; `now` in nanoseconds."""
    return status.state in ("running", STANDBY) and now - status.updated_at < SILENT_SECONDS * 1e9


class SinkCollector(LazyCollector):
    """The figures of the sinks of a data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def collect(self) -> Iterable[Metric]:
        """The figures now."""
        statuses = read_statuses(self._data)
        now = time.time_ns()
        up = GaugeMetricFamily(
            "pks_sink_up",
            "1 while a sink runs and its far side takes what it writes, or it stands by, else 0.",
            labels=["sink"],
        )
        lag = GaugeMetricFamily(
            "pks_sink_lag_records",
            "Records (frames of events) that a sink's far side has not confirmed.",
            labels=["sink"],
        )
        age = GaugeMetricFamily(
            "pks_sink_age_seconds",
            "Age of the oldest record that a sink's far side has not confirmed.",
            labels=["sink"],
        )
        failures = GaugeMetricFamily(
            "pks_sink_failures",
            "Failures in a row of a sink's far side; from 5 on its circuit is open.",
            labels=["sink"],
        )
        written = CounterMetricFamily(
            "pks_sink_events",
            "Events that a sink's far side has confirmed, since the sink started.",
            labels=["sink"],
        )
        refused = CounterMetricFamily(
            "pks_sink_refused",
            "Events that a sink's far side did not take, since the sink started; each is a dead letter.",
            labels=["sink"],
        )
        complaints = CounterMetricFamily(
            "pks_sink_complaints",
            "What a far side said aside of any answer (slow_consumer, permission, disconnected), since the sink started.",
            labels=["sink", "kind"],
        )
        for status in statuses:
            name = [status.name]
            up.add_metric(name, is_up(status, now))
            lag.add_metric(name, status.lag_records)
            age.add_metric(name, status.age_seconds(now))
            failures.add_metric(name, status.failures)
            written.add_metric(name, status.written)
            refused.add_metric(name, status.refused)
            for kind, number in sorted(status.complaints.items()):
                complaints.add_metric([status.name, kind], number)
        yield from (up, lag, age, failures, written, refused, complaints)
