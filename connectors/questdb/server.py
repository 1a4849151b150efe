"""What is asked of QuestDB in SQL, over HTTP: tables, and the state of their write-ahead logs.

Guarantees: every call has an end; a fault says what was asked and what came.
"""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from connectors.sink import Unavailable

QUERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class QuestdbSettings:
    """Where QuestDB's HTTP interface is: `http://host:port` or `https://...`, with `user:password@` where it asks."""

    url: str

    @property
    def parts(self) -> urllib.parse.SplitResult:
        """The address, taken apart."""
        return urllib.parse.urlsplit(self.url)

    @property
    def client(self) -> str:
        """The address as the client library takes it."""
        parts = self.parts
        text = (
            f"{parts.scheme}::addr={parts.hostname}:{parts.port or 9000};protocol_version=3;auto_flush=off;"
        )
        # The runtime tries again, with its own pauses.
        text += "retry_timeout=0;request_timeout=10000;"
        if parts.username:
            text += f"username={parts.username};password={parts.password or ''};"
        return text


def query(settings: QuestdbSettings, sql: str) -> list[list[Any]]:
    """The rows of a statement; none for one that has none. Raises Unavailable."""
    parts = settings.parts
    address = f"{parts.scheme}://{parts.hostname}:{parts.port or 9000}/exec?"
    request = urllib.request.Request(address + urllib.parse.urlencode({"query": sql}))  # noqa: S310
    if parts.username:
        token = base64.b64encode(f"{parts.username}:{parts.password or ''}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=QUERY_SECONDS) as answer:  # noqa: S310
            rows: list[list[Any]] = json.load(answer).get("dataset", [])
            return rows
    except urllib.error.HTTPError as error:
        found = error.read(500).decode(errors="replace")
        raise Unavailable(
            f"QuestDB: expected an answer to {sql[:80]!r}, found {error.code}: {found}"
        ) from error
    except (OSError, ValueError) as error:
        raise Unavailable(f"QuestDB: expected an answer, found: {error}") from error


def resume_suspended(settings: QuestdbSettings, table: str) -> bool:
    """Let a table's write-ahead log go on, where QuestDB stopped to apply it; whether it had to. Raises Unavailable.

    A suspended table takes rows and shows none of them: nobody would notice by writing.
    """
    asked = f"select suspended from wal_tables() where name = '{table}'"  # noqa: S608
    rows = query(settings, asked)
    if not rows or not rows[0][0]:
        return False
    query(settings, f"alter table {table} resume wal")
    return True
