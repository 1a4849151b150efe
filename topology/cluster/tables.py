"""The tables of a worker on a cluster, as one log to read: those partitions that it owns."""

from collections.abc import Iterator, Sequence

from topology.cluster.app import ClusterApp


class WorkerTables:
    """Tables by name over the databases of a worker's Apps."""

    def __init__(self, apps: Sequence[ClusterApp]) -> None:
        self._held = {app.stage.table.name: app.held for app in apps}

    def get(self, table: str, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a table."""
        return self._held[table].get(table, partition, key)

    def scan(
        self, table: str, partition: int, start: bytes, end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a table partition."""
        return self._held[table].scan(table, partition, start, end, reverse=reverse)
