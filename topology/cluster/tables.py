"""The tables of a worker on a cluster, as one log to read: the partitions that it owns, and none that it keeps warm."""

from collections.abc import Iterator, Sequence

from topology.cluster.app import ClusterApp


class WorkerTables:
    """Tables by name over the databases of a worker's Apps."""

    def __init__(self, apps: Sequence[ClusterApp]) -> None:
        self._apps = {app.stage.table.name: app for app in apps}

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a table; None where the partition is not owned."""
        app = self._apps[table]
        return app.held.get(table, partition, key) if partition in app.runners else None

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a table partition; none where it is not owned."""
        app = self._apps[table]
        if partition not in app.runners:
            return iter(())
        return app.held.scan(table, partition, start, end, reverse=reverse)
