"""Events as rows, field by field, and tables that keep the newest row of a key.

Guarantees: a column has its field's name, with `_ns` behind it for a time in nanoseconds; what comes again, or older than
what stands there, changes nothing.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from connectors.postgres.copying import Target, Value
from connectors.postgres.trades import PLACE, place_of
from connectors.sink import Item

_TIMES = frozenset({"event_time", "executed_at", "mark_time", "fx_time"})
_ORDER = ("known_at_ns", "log_offset", "log_index")


def json_of(value: Any) -> str | None:
    """A part of an event as JSON; numbers keep their digits, as text."""
    return None if value is None else msgspec.json.encode(value).decode()


class Rows:
    """The rows of one class of events in one table: `fields`, then those in `documents` as JSON, then the place.

    With a `key` (columns) the newest row of it is kept, else every event, by its id.
    """

    def __init__(
        self,
        schema: str,
        table: str,
        fields: Sequence[str],
        documents: Sequence[str] = (),
        key: Sequence[str] = (),
    ) -> None:
        columns = [f"{name}_ns" if name in _TIMES else name for name in fields]
        columns += [*documents, *PLACE]
        self._key_of = attrgetter(*key) if key else None
        self._values_of = attrgetter(*fields)
        self._documents = documents
        self.target = Target(schema, table, columns, _replacing(table, columns, key) if key else "")

    def key(self, event: Any) -> Any:
        """What of an event is there once."""
        return event.event_id if self._key_of is None else self._key_of(event)

    def row(self, item: Item, event: Any) -> list[Value]:
        """The row of an event that stands in an item of the log."""
        documents = [json_of(getattr(event, name)) for name in self._documents]
        return [*self._values_of(event), *documents, *place_of(item)]


def _replacing(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    stands = ", ".join(f"{table}.{name}" for name in _ORDER)
    comes = ", ".join(f"excluded.{name}" for name in _ORDER)
    return f"on conflict ({', '.join(key)}) do update set {changed} where ({comes}) >= ({stands})"
