"""The sink of positions: positions and lots as they are, and the effects of trades in both times.

Fed by the changelog of the positions stage, which has every change of its table, and is kept for ever.

Guarantees: the tables are those of one moment of the log, by partition; where no place is noted they are made anew from
the first record. An in-order trade costs a row; one that re-matches others closes and adds as many as it changed.
"""

from collections.abc import Callable, Mapping, Sequence

import asyncpg
import msgspec

from connectors.postgres.changelog_sink import ChangelogSink
from connectors.postgres.copying import Target, Value, copy_line
from connectors.postgres.position_steps import (
    EffectRow,
    LotRow,
    Order,
    PositionName,
    PositionRow,
    PositionStep,
)
from connectors.sink import Batch, Item

_NAME = ("book", "instrument")
_ORDER = ("executed_at_ns", "source_sequence", "trade_id")
_EFFECT_COLUMNS = (*_NAME, *_ORDER, *EffectRow._fields, "known_from_ns", "log_partition", "log_offset")


def _updating(key: Sequence[str], rest: Sequence[str]) -> str:
    changed = ", ".join(f"{name} = excluded.{name}" for name in rest)
    return f"on conflict ({', '.join(key)}) do update set {changed}"


_POSITION_REST = ("log_partition", *PositionRow._fields, "known_at_ns")
_POSITIONS = Target("position", "position", (*_NAME, *_POSITION_REST), _updating(_NAME, _POSITION_REST))
_LOTS = Target(
    "position",
    "lot",
    (*_NAME, *_ORDER, *LotRow._fields),
    _updating((*_NAME, *_ORDER), LotRow._fields),
)
_EFFECTS = Target("position", "effect", _EFFECT_COLUMNS)

_GONE = """
delete from position.lot as lot
using unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
    as gone(book, instrument, executed_at_ns, source_sequence, trade_id)
where lot.book = gone.book and lot.instrument = gone.instrument and lot.executed_at_ns = gone.executed_at_ns
    and lot.source_sequence = gone.source_sequence and lot.trade_id = gone.trade_id
"""

_LASTS = """
select book, instrument, last_executed_at_ns, last_source_sequence, last_trade_id
from position.position join unnest($1::text[], $2::text[]) as touched(book, instrument) using (book, instrument)
"""

_EFFECT_TYPES = {
    **dict.fromkeys((*_NAME, "trade_id"), "text"),
    **dict.fromkeys(("lots", "log_partition"), "integer"),
    **dict.fromkeys(("executed_at_ns", "source_sequence", "known_from_ns", "log_offset"), "bigint"),
    "inverse": "boolean",
}
"""Of the columns that are not numeric."""

_KNOWN_FOR_EVER = "effect.known_to_ns = 9223372036854775807"
_SAME = " and ".join(
    f"incoming.{name} {'is not distinct from' if name == 'pool_price' else '='} effect.{name}"
    for name in (*_NAME, *_ORDER, *EffectRow._fields)
)
_REPLACE = f"""
with incoming as (
    select {
    ", ".join(
        f"(given ->> {place})::{_EFFECT_TYPES.get(name, 'numeric')} as {name}"
        for place, name in enumerate(_EFFECT_COLUMNS)
    )
}
    from jsonb_array_elements($7::jsonb) as given
), closed as (
    update position.effect set known_to_ns = $1
    from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
        as began(book, instrument, executed_at_ns, source_sequence, trade_id)
    where effect.book = began.book and effect.instrument = began.instrument
        and {_KNOWN_FOR_EVER}
        and effect.executed_at_ns >= began.executed_at_ns
        and (effect.executed_at_ns, effect.source_sequence, effect.trade_id collate "C")
            >= (began.executed_at_ns, began.source_sequence, began.trade_id collate "C")
        and not exists (select from incoming where {_SAME})
)
insert into position.effect ({", ".join(_EFFECT_COLUMNS)})
select {", ".join(_EFFECT_COLUMNS)} from incoming
where not exists (select from position.effect where {_KNOWN_FOR_EVER} and {_SAME})
on conflict do nothing
"""  # noqa: S608 - names of this package alone
"""One statement: a temporary table that is filled and emptied for each late step is read with all that it ever held."""


class PositionsSink(ChangelogSink):
    """`position.*`. `steps_of` reads the steps of the stage out of its changelog records."""

    name = "postgres-positions"
    tables: Sequence[str] = ("position.position", "position.lot", "position.effect")
    targets: Sequence[Target] = (_POSITIONS, _LOTS, _EFFECTS)

    def __init__(self, url: str, steps_of: Callable[[Sequence[Item]], list[PositionStep]]) -> None:
        super().__init__(url)
        self._steps_of = steps_of

    async def write_rows(self, connection: asyncpg.Connection, batch: Batch) -> None:
        """Write what the steps changed."""
        await self.begin_anew(connection, batch.items[0])
        steps = self._steps_of(batch.items)
        positions: dict[PositionName, list[Value]] = {}
        lots: dict[tuple[str, str, Order], LotRow | None] = {}
        for step in steps:
            for name, row in step.positions.items():
                positions[name] = [*name, step.partition, *row, step.known_at]
            lots |= step.lots
        await self._write_effects(connection, steps, positions)
        await _POSITIONS.add(connection, [copy_line(row) for row in positions.values()])
        await _LOTS.add(
            connection,
            [copy_line([*key[:2], *key[2], *row]) for key, row in lots.items() if row is not None],
        )
        gone = [(*key[:2], *key[2]) for key, row in lots.items() if row is None]
        if gone:
            await connection.execute(_GONE, *map(list, zip(*gone, strict=True)))

    async def _write_effects(
        self,
        connection: asyncpg.Connection,
        steps: Sequence[PositionStep],
        touched: Mapping[PositionName, object],
    ) -> None:
        """In-order trades together; before a step that re-matches, all that came before it."""
        lasts: dict[PositionName, Order] = {}
        if touched:
            for row in await connection.fetch(_LASTS, *map(list, zip(*touched, strict=True))):
                lasts[row[0], row[1]] = (row[2], row[3], row[4])
        waiting: list[str] = []
        for step in steps:
            late = {
                name: place for name, place in step.begins.items() if name in lasts and place <= lasts[name]
            }
            if late:
                await self._add_in_order(connection, waiting)
                await self._replace(connection, step, late)
                waiting = []
            for name, effects in step.effects.items():
                if name not in late:
                    waiting += _effect_lines(step, name, effects)
            lasts |= {name: row.last for name, row in step.positions.items()}
        await self._add_in_order(connection, waiting)

    async def _add_in_order(self, connection: asyncpg.Connection, lines: Sequence[str]) -> None:
        """Straight into the table; the way around only where a batch that was refused in part comes again."""
        if lines and not await _EFFECTS.add_new(connection, lines):
            await _EFFECTS.add(connection, lines)
            await _EFFECTS.clear(connection)

    async def _replace(
        self, connection: asyncpg.Connection, step: PositionStep, late: Mapping[PositionName, Order]
    ) -> None:
        """What is known of these positions from a place on becomes what the step says, where that differs."""
        rows = [row for name in late for row in _effect_rows(step, name, step.effects.get(name, ()))]
        began = [(*name, *place) for name, place in late.items()]
        # One text: of arrays each value is encoded by itself. Decimals are strings in it.
        given = msgspec.json.encode(rows).decode()
        await connection.execute(_REPLACE, step.known_at, *map(list, zip(*began, strict=True)), given)


def _effect_rows(
    step: PositionStep, name: PositionName, effects: Sequence[tuple[Order, EffectRow]]
) -> list[list[Value]]:
    stamp = (step.known_at, step.partition, step.offset)
    return [[*name, *order, *row, *stamp] for order, row in effects]


def _effect_lines(
    step: PositionStep, name: PositionName, effects: Sequence[tuple[Order, EffectRow]]
) -> list[str]:
    return [copy_line(row) for row in _effect_rows(step, name, effects)]
