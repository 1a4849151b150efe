"""What an answer of a server has still to wait for: its sink, which writes, and the server, which applies what it took.

Guarantees: it never raises; what cannot be asked is not waited for.
"""

import asyncio

from connectors.sink import Unavailable
from topology.settings import Settings
from topology.sinks.status import SinkStatus, read_statuses

SINK_OF_SERVER = {
    "postgres": "postgres-positions",
    "nats": "nats",
    "questdb": "questdb",
    "redis": "redis",
}


async def outstanding(server: str, settings: Settings) -> str:
    """What is still under way to a server, in words; empty where nothing is."""
    found = []
    status = _status(server, settings)
    if status is not None and (status.lag_records or status.failures):
        found.append(_said(status))
    if server == "questdb":
        found += await _not_applied(settings)
    return "; ".join(found)


def advice(server: str, settings: Settings) -> str:
    """What is known of a sink whose server says something else than the log, and what to do."""
    status = _status(server, settings)
    name = SINK_OF_SERVER[server]
    known = f"its sink {name} never ran" if status is None else _said(status)
    return (
        f"{server} differs: {known}. See .venv/bin/pks sinks --data {settings.data} and docs/operating/sink-down.md. "
        "On a busy machine a sink may only be late: DEMO_HOLD=1 make demo keeps the stack running, to ask again. Where "
        f"it is not behind, please report it with {settings.data} and {settings.data}.log."
    )


def _status(server: str, settings: Settings) -> SinkStatus | None:
    name = SINK_OF_SERVER[server]
    return next((status for status in read_statuses(settings.data) if status.name == name), None)


def _said(status: SinkStatus) -> str:
    told = f"its sink {status.name} is {status.state}, {status.lag_records:,} records behind"
    if status.refused:
        told += f", {status.refused:,} refused"
    return f"{told} ({status.trouble})" if status.trouble else told


async def _not_applied(settings: Settings) -> list[str]:
    from connectors.questdb.bookings import TABLE
    from connectors.questdb.server import QuestdbSettings, query

    asked = f"select sequencerTxn - writerTxn from wal_tables() where name = '{TABLE}'"  # noqa: S608
    try:
        rows = await asyncio.to_thread(query, QuestdbSettings(settings.questdb), asked)
    except Unavailable:
        return []
    return [f"{rows[0][0]} transactions of {TABLE} are not applied"] if rows and rows[0][0] else []
