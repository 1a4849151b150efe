"""The open logs of this process, by the URL that Faust knows them by.

Owns: one open log a folder for all Apps of the process, and who consumes it under which group.
Assumes: one process a folder (the log's lock sees to that), and one thread that writes.
Guarantees: Apps with the same URL share one log; a group has one member a log, so that no two Apps apply the
same records (a second one is refused, not balanced).
"""

import atexit
from collections.abc import Callable
from pathlib import Path

from faust.exceptions import ImproperlyConfigured
from yarl import URL

from connectors.embedded.log import EmbeddedLog

SCHEME = "embedded"

_logs: dict[Path, EmbeddedLog] = {}
_groups: dict[EmbeddedLog, set[str]] = {}


def share_log(log: EmbeddedLog) -> URL:
    """Let the Apps of this process use an open log; returns the URL to configure them with."""
    folder = log.folder.resolve()
    known = _logs.get(folder)
    if known is not None and known is not log and not known.closed:
        raise ImproperlyConfigured(
            f"{folder}: expected one open log a folder, found another one shared already"
        )
    _logs[folder] = log
    return URL.build(scheme=SCHEME, host="", path=str(folder))


def log_of(url: URL) -> EmbeddedLog:
    """The log of a URL: the one that was shared, or else opened here and owned until the process ends.

    Raises OwnedElsewhereError where another process owns the folder, StateError where it is damaged.
    """
    if url.scheme != SCHEME or len(url.path) < 2:
        raise ImproperlyConfigured(
            f"expected {SCHEME}:///folder, found {url}; name the data folder in the URL"
        )
    folder = Path(url.path).resolve()
    log = _logs.get(folder)
    if log is None or log.closed:
        log = _logs[folder] = EmbeddedLog.owner(folder)
        atexit.register(log.close)
    return log


def claim_group(log: EmbeddedLog, group: str) -> Callable[[], None]:
    """Become the one member of a group on a log; returns how to leave it."""
    members = _groups.setdefault(log, set())
    if group in members:
        raise ImproperlyConfigured(
            f"{log.folder}: expected one App with the id {group!r} on this log, found a second; two would apply "
            "the same records twice: give it another id"
        )
    members.add(group)

    def leave() -> None:
        members.discard(group)
        if not members:
            _groups.pop(log, None)

    return leave
