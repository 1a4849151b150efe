"""Faust's table manager and recovery, on the embedded log: no waiting, and changelogs read where they lie.

Stock recovery reads one changelog record at a time through the consumer (24-29 thousand a second) and starts
with a second of sleep; here a table partition that is behind or gone is restored straight from the log.
"""

import asyncio
from typing import Any

from faust.exceptions import ConsistencyError
from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery

from connectors.embedded.store import EmbeddedStore


class Recovery(FaustRecovery):  # type: ignore[misc]
    """Restores embedded tables before Faust compares offsets; other tables go Faust's own way.

    Ends the App where a table is ahead of its changelog (P7).
    """

    async def _build_offsets(self, consumer: Any, tps: set[Any], destination: Any, title: str) -> None:
        await super()._build_offsets(consumer, tps, destination, title)
        for tp in tps:
            store = self.tp_to_table[tp].data
            if isinstance(store, EmbeddedStore):
                while not self.should_stop and store.restore_slice(tp):
                    await asyncio.sleep(0)
                end, restored = consumer.highwater(tp), store.persisted_offset(tp)
                if restored is not None and restored >= end:
                    raise ConsistencyError(
                        f"expected table {store.table_name} to hold records of {tp.topic}/{tp.partition} up to "
                        f"{end - 1} at most, found {restored} noted; the changelog lost records: run `pks rebuild` "
                        "(docs/operating/rebuild.md)"
                    )
                # Whatever compaction took away is superseded by what was read: the end counts as reached.
                destination[tp] = end - 1


class TableManager(FaustTableManager):  # type: ignore[misc]
    """Starts at once."""

    _recovery: Any = None

    @property
    def recovery(self) -> Any:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """P8: Faust's own sleeps a second here, for tables that are declared late; ours are all declared."""
        await self._update_channels()
        await self.recovery.start()
