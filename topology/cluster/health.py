"""Whether a worker on a cluster is ready: for the health views, and as lags for the metrics.

A worker is *ready* when the groups of the stages that keep the books gave it partitions (maybe none), their tables are
restored, each has caught up (see `ClusterApp.caught_up`), and commits succeed.
"""

from collections.abc import Sequence
from typing import Any

from topology.cluster.app import ClusterApp
from topology.stages import is_spine


class ClusterHealth:
    """Looks at the Apps of a worker."""

    def __init__(self, apps: Sequence[ClusterApp]) -> None:
        self._apps = apps

    def lag(self, app: ClusterApp, partition: int) -> int:
        """Records of a stage's input that it has not applied."""
        return app.lag(partition)

    def document(self) -> dict[str, Any]:
        """All of it; `ready` is the verdict."""
        return {
            "ready": all(app.ready for app in self._apps if is_spine(app.stage)),
            "stages": [
                {
                    "stage": app.stage.name,
                    "trouble": app.trouble,
                    "rebalancing": app.rebalancing,
                    "restoring": {
                        str(partition): {"next_offset": place[0], "end_offset": place[1]}
                        for partition, place in dict(app.measures.restoring).items()
                    },
                    "partitions": [
                        {
                            "partition": partition,
                            "applied_offset": runner.next_offset,
                            "lag": app.lag(partition),
                            "caught_up": app.caught_up(partition),
                            "stopped": runner.stopped,
                        }
                        for partition, runner in sorted(app.runners.items())
                    ],
                }
                for app in self._apps
            ],
        }
