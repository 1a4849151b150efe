"""Every identity that must hold over the state and the log, each with its residual.

Owns: which checks are made: over the state (`verify_books`), over the log and its counters (`verify_log`), and
over the state made again from the log (`verify_rebuild`).
Assumes: a reader of the log, which does not catch up meanwhile: all checks see one moment.
Guarantees: nothing is changed; memory is bounded by the open lots of one position and the number of positions.
"""

from collections.abc import Callable, Sequence

from connectors.embedded.log import EmbeddedLog
from schemas.numbers import exact_arithmetic
from topology.log_reading import WholeLog, partition_count
from topology.verifying.books import check_books
from topology.verifying.checks import UNREADABLE, Check, Step
from topology.verifying.currencies import check_currencies
from topology.verifying.log import check_counts, check_dead_letters, check_offsets, check_updates
from topology.verifying.money import check_money
from topology.verifying.pnl import check_pnl
from topology.verifying.rebuild import check_changelogs, check_checkpoints, check_replay

Groups = dict[str, Callable[[], Sequence[Check]]]

LEFT_OUT_ON_A_CLUSTER = ("offsets", "changelogs", "checkpoints")
"""Checks of what only the embedded log has, or has in one order; the tables that are read are made of their changelogs."""


def verify(log: WholeLog, *, quick: bool = False, step: Step | None = None) -> Sequence[Check]:
    """Every check over a log; `quick` leaves out what makes the state again (recomputation, changelog, replay).

    Over the copy of a cluster `LEFT_OUT_ON_A_CLUSTER` are left out.
    """
    partitions = partition_count(log)
    told: Step = step or (lambda name, done: None)
    groups: Groups = {
        "positions": lambda: check_books(log, partitions, told, recompute=not quick),
        "counters": lambda: check_counts(log, partitions, told),
        "dead letters": lambda: [check_dead_letters(log, partitions)],
        "updates": lambda: check_updates(log, partitions, told),
        "P&L": lambda: check_pnl(log, partitions, told),
        "currencies": lambda: check_currencies(log, partitions, told),
        "money": lambda: check_money(log, partitions, told),
    }
    if not quick:
        groups["replay"] = lambda: check_replay(log, partitions, told)
    if isinstance(log, EmbeddedLog):
        groups |= _of_the_embedded_log(log, partitions, told, quick)
    with exact_arithmetic():
        return [check for name, group in groups.items() for check in _guarded(name, group)]


def _of_the_embedded_log(log: EmbeddedLog, partitions: int, told: Step, quick: bool) -> Groups:
    groups: Groups = {"offsets": lambda: [check_offsets(log, told)]}
    if not quick:
        groups["changelogs"] = lambda: [check_changelogs(log, partitions, told)]
        groups["checkpoints"] = lambda: check_checkpoints(log, partitions, told)
    return groups


def _guarded(name: str, group: Callable[[], Sequence[Check]]) -> Sequence[Check]:
    """The checks of a group; where what they read cannot be read, that is the finding."""
    try:
        return group()
    except UNREADABLE as error:
        unreadable = Check(name, "what is checked can be read")
        unreadable.broken("state", f"cannot be read: {error}")
        return [unreadable]
