"""Whether the stages run, keep up, and can write: figures for the health views and the metrics.

A partition has *caught up* when it has applied what the log held when the worker started, and no more waits for
it than the bound at which senders are slowed (`queue_records_max`). The worker is *ready* while every partition of
the stages that keep the books has caught up, none has stopped, and commits succeed; what hangs on them is told as well,
and may be behind.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.embedded.contents import TopicPartition
from connectors.embedded.log import EmbeddedLog
from topology.app import StageApp
from topology.settings import Settings
from topology.stages import is_spine


class Health:
    """Looks at the Apps of a worker."""

    def __init__(self, settings: Settings, log: EmbeddedLog, apps: Sequence[StageApp]) -> None:
        self._log = log
        self._apps = apps
        self._partitions = settings.partitions
        self._lag_max = settings.queue_records_max
        self._ends_at_start: Mapping[TopicPartition, int] = {
            (app.stage.input.name, partition): log.end_offset(app.stage.input.name, partition)
            for app in apps
            for partition in range(settings.partitions)
        }

    def lag(self, app: StageApp, partition: int) -> int:
        """Records of a stage's input that it has not applied."""
        name = app.stage.input.name
        runner = app.runners.get(partition)
        if runner is None:
            applied = self._log.committed(app.stage.name, name, partition) or 0
        else:
            applied = runner.next_offset
        return self._log.end_offset(name, partition) - applied

    def partition_document(self, app: StageApp, partition: int) -> dict[str, Any]:
        """One partition of a stage."""
        name = app.stage.input.name
        lag = self.lag(app, partition)
        end = self._log.end_offset(name, partition)
        runner = app.runners.get(partition)
        caught_up = (
            runner is not None
            and end - lag >= self._ends_at_start[name, partition]
            and lag <= self._lag_max
            and runner.stopped is None
        )
        return {
            "partition": partition,
            "applied_offset": end - lag,
            "end_offset": end,
            "lag": lag,
            "caught_up": caught_up,
            "stopped": None if runner is None else runner.stopped,
        }

    def document(self) -> dict[str, Any]:
        """All of it; `ready` is the verdict, `trouble` a fault that keeps it from writing."""
        stages: list[dict[str, Any]] = [
            {
                "stage": app.stage.name,
                "trouble": app.trouble,
                "partitions": [
                    self.partition_document(app, partition) for partition in range(self._partitions)
                ],
            }
            for app in self._apps
        ]
        ready = self._log.failed is None and all(
            stage["trouble"] is None and all(partition["caught_up"] for partition in stage["partitions"])
            for stage, app in zip(stages, self._apps, strict=True)
            if is_spine(app.stage)
        )
        return {
            "ready": ready,
            "trouble": self._log.failed,
            "sequence": self._log.sequence,
            "durable_sequence": self._log.durable_sequence,
            "stages": stages,
        }
