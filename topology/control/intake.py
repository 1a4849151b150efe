"""What is appended to a running worker, and stepped through its stages in the same commit where that can be.

Owns: the way of records from the control socket into the log.
Assumes: the event loop of the worker; its Apps, upstream first, chained (`topology.app.chain_apps`).
Guarantees: what is appended is in the log, and nothing of it where `append` raised; a stage that is behind, stopped,
restoring or in trouble is left alone, and reads it from the log.
"""

import time
from collections.abc import Sequence

import structlog

from connectors.embedded.errors import CommitError
from connectors.embedded.log import EmbeddedLog
from topology.app import StageApp
from topology.control.entry import append_records
from topology.control.protocol import Outgoing
from topology.runtime import PartitionRunner, append_together
from topology.step_output import Appended

_logger = structlog.get_logger(__name__)


class Intake:
    """Appends records for the control socket; `bytes_max` bounds what is stepped through in their commit."""

    def __init__(self, log: EmbeddedLog, apps: Sequence[StageApp], bytes_max: int) -> None:
        self._log = log
        self._apps = {app.stage.input.name: app for app in apps}
        self._bytes_max = bytes_max

    def append(self, records: Sequence[Outgoing]) -> int:
        """Append records together; returns the sequence after them. Raises CommitError."""
        app = self._apps.get(records[0].topic) if records else None
        if app is not None and sum(len(record.value) for record in records) <= self._bytes_max:
            runners = {runner.partition: runner for runner in app.caught_up_runners()}
            if all(
                record.topic == app.stage.input.name and self._has_read_all(runners.get(record.partition))
                for record in records
            ):
                try:
                    return append_through(self._log, app, list(runners.values()), records)
                except CommitError:
                    raise
                except Exception as error:
                    # Whatever a stage met, it meets again when it reads this from the log, and says so.
                    _logger.warning(
                        "a step beside its append failed", stage=app.stage.name, error=repr(error)
                    )
        return append_records(self._log, records)

    def _has_read_all(self, runner: PartitionRunner | None) -> bool:
        if runner is None:
            return False
        return runner.next_offset == self._log.end_offset(runner.stage.input.name, runner.partition)


def append_through(
    log: EmbeddedLog, app: StageApp, runners: Sequence[PartitionRunner], records: Sequence[Outgoing]
) -> int:
    """Append records and step them through the stage of an App, and the one that follows it, in one commit."""
    started = time.perf_counter()
    transaction = log.transaction()
    appended: dict[tuple[str, int], list[Appended]] = {}
    for record in records:
        offset = transaction.append(record.topic, record.partition, record.key, record.value)
        place = (record.topic, record.partition)
        appended.setdefault(place, []).append(Appended(offset, record.value))
    following = app.following
    after = () if following is None else following.caught_up_runners()
    pending = append_together(transaction, appended, (runners, after))
    try:
        sequence = pending.commit()
    except BaseException:
        pending.abandon()
        raise
    reports = pending.finish(sequence)
    seconds = time.perf_counter() - started
    app.took(reports, seconds)
    if following is not None:
        following.took(reports, seconds)
    return sequence
