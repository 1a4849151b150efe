"""What the metrics say of a worker on a cluster, beside the figures of its stages."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from topology.cluster.app import ClusterApp
from topology.web.metrics import LazyCollector


class ClusterCollector(LazyCollector):
    """Reads the figures when they are asked for."""

    def __init__(self, apps: Sequence[ClusterApp], restarts: Mapping[str, int]) -> None:
        self._apps = apps
        self._restarts = restarts

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        ready = GaugeMetricFamily(
            "pks_stage_ready",
            "1 while every partition of the stage here has caught up, else 0.",
            labels=["stage"],
        )
        owned = GaugeMetricFamily(
            "pks_partitions_owned", "Partitions of the stage that this worker has.", labels=["stage"]
        )
        rebalances = SummaryMetricFamily(
            "pks_rebalance_seconds",
            "Times that partitions came to this worker, and how long it was until their tables were restored.",
            labels=["stage"],
        )
        commits = SummaryMetricFamily(
            "pks_transaction_seconds",
            "Transactions of the cluster, and how long they took.",
            labels=["stage"],
        )
        restored = CounterMetricFamily(
            "pks_restored_records", "Changelog records applied to tables at takeovers.", labels=["stage"]
        )
        missing = GaugeMetricFamily(
            "pks_restoring_records",
            "Changelog records that a table lacks before its partition is served.",
            labels=["stage", "partition"],
        )
        fenced = CounterMetricFamily(
            "pks_fenced_writers",
            "Writers whose open transaction this worker ended when it took a partition over.",
            labels=["stage"],
        )
        warm = GaugeMetricFamily(
            "pks_standby_partitions",
            "Partitions of other workers whose table this worker keeps warm.",
            labels=["stage"],
        )
        behind = GaugeMetricFamily(
            "pks_standby_lag_records",
            "Changelog records that a warm table lacks, marks of commits included.",
            labels=["stage", "partition"],
        )
        for app in self._apps:
            name, measures = app.stage.name, app.measures
            ready.add_metric([name], app.ready)
            owned.add_metric([name], len(app.runners))
            rebalances.add_metric([name], measures.rebalances, measures.rebalance_seconds)
            commits.add_metric([name], measures.steps, measures.commit_seconds)
            restored.add_metric([name], measures.restored)
            for partition, (next_offset, end) in dict(measures.restoring).items():
                missing.add_metric([name, str(partition)], end - next_offset)
            fenced.add_metric([name], measures.fenced)
            if app.standby is not None:
                warm.add_metric([name], len(app.standby.tables.kept))
                for partition, lag in app.standby.tables.lag().items():
                    behind.add_metric([name, str(partition)], lag)
        restarts = CounterMetricFamily(
            "pks_worker_restarts",
            "Times that the supervisor started this worker again, by how it had ended.",
            labels=["reason"],
        )
        for reason, count in self._restarts.items():
            restarts.add_metric([reason], count)
        yield from (ready, owned, rebalances, commits, restored, missing, fenced, warm, behind, restarts)
