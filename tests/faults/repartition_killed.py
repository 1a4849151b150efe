"""`pks`, which signals itself (a real kill -9, say) where a move of a cluster has come to: `POINT/SIGNAL ARGUMENT...`."""

import os
import signal
import sys
from typing import Any

from connectors.kafka.layout import LayoutWriter
from topology.cli import application
from topology.rebuilding.cluster_copies import TopicCopies
from topology.rebuilding.cluster_repartition import _Move

POINTS: dict[str, tuple[type, str, int, bool]] = {
    "made": (TopicCopies, "copy", 1, True),
    "copying": (TopicCopies, "_send", 20, True),
    "copied": (_Move, "_replay", 1, True),
    "replayed": (_Move, "_write_changelogs", 1, True),
    "written": (_Move, "_write_changelogs", 1, False),
    "sealed": (LayoutWriter, "write", 1, True),
    "in force": (LayoutWriter, "write", 1, False),
}
"""By name: what is called there, the how-many-th time, and whether the signal comes before it or after."""


def signal_at(place: str) -> None:
    """Let this process signal itself at a point."""
    name, _, sent = place.partition("/")
    owner, method, times, before = POINTS[name]
    original = getattr(owner, method)
    left = times

    def marked(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if before and left == 0:
            os.kill(os.getpid(), signal.Signals[sent])
        found = original(self, *arguments, **options)
        if not before and left == 0:
            os.kill(os.getpid(), signal.Signals[sent])
        return found

    setattr(owner, method, marked)


if __name__ == "__main__":
    signal_at(sys.argv[1])
    sys.exit(application.run(sys.argv[2:]))
