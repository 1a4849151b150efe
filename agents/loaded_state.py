"""What a stage keeps of one partition whole in memory, read from its table: how a step of it is kept or forgotten.

Owns: when what is in memory is read again. Whoever changes memory sets `_stale` before; the table has every change too.
Guarantees: after a step that failed, memory is what the table has, and a step that changed nothing reads nothing again.
"""

from agents.counters import Counters
from tables.partition import TablePartition


class LoadedState:
    """The base of such a state. A state says in `_load` how it reads its memory, and calls that when it is made."""

    def __init__(self, table: TablePartition) -> None:
        self.table = table
        self.counters = Counters(table)
        self._stale = False

    def _load(self) -> None:
        """Take everything from the table."""
        raise NotImplementedError

    def before_commit(self) -> None:
        """Write the counts."""
        self.counters.before_commit()

    def committed(self) -> None:
        """The step is committed."""
        self._stale = False
        self.counters.committed()

    def rollback(self) -> None:
        """Take the state again from the table, where the step changed it."""
        self.counters.rollback()
        if self._stale:
            self._load()
            # After a rollback of a part of the step, what is loaded is not committed either.
            self._stale = bool(self.table.changes)
