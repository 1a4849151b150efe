"""Points of a commit on Kafka at which a worker kills itself, by a real kill -9, or stands still until it is woken."""

import os
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

from agents import positions
from connectors.kafka.exactly_once import ExactlyOnce
from connectors.kafka.log import KafkaLog
from connectors.kafka.low_latency import LowLatency


class Point(NamedTuple):
    """Before or after a method, where it is called for a step of positions."""

    owner: type
    method: str
    before: bool
    of_a_step: Callable[..., bool]


def _of_positions(self: KafkaLog, *_: Any) -> bool:
    return self.group == positions.NAME


def _offsets_of_positions(self: ExactlyOnce, consumed: Any) -> bool:
    return positions.NAME in self._changelog and bool(consumed)


def _outputs(self: LowLatency, outputs: Any) -> bool:
    return bool(outputs)


def _not_announced(self: LowLatency, partition: Any, *_: Any) -> bool:
    return True


_COMPUTED = Point(KafkaLog, "write", True, _of_positions)
_COMMITTED = Point(KafkaLog, "_write_state", True, _of_positions)

POINTS = {
    "exactly_once": {
        "computed": _COMPUTED,
        "outputs": Point(ExactlyOnce, "_send_offsets", True, _offsets_of_positions),
        "offsets": Point(ExactlyOnce, "_send_offsets", False, _offsets_of_positions),
        "committed": _COMMITTED,
    },
    "low_latency": {
        "computed": _COMPUTED,
        "outputs": Point(LowLatency, "_send_outputs", False, _outputs),
        "changelog": Point(LowLatency, "_follow", True, _not_announced),
        "committed": _COMMITTED,
    },
}
"""By guarantee, where a worker may die."""


def end_at(place: str) -> None:
    """Let this process signal itself at GUARANTEE/POINT/N/SIGNAL, as it comes there for the N-th time."""
    guarantee, name, times, sent = place.split("/")
    point = POINTS[guarantee][name]
    original = getattr(point.owner, point.method)
    left = int(times)

    def marked(self: Any, *arguments: Any) -> Any:
        nonlocal left
        counted = point.of_a_step(self, *arguments)
        if counted:
            left -= 1
        if point.before and counted and left == 0:
            os.kill(os.getpid(), signal.Signals[sent])
        found = original(self, *arguments)
        if not point.before and counted and left == 0:
            os.kill(os.getpid(), signal.Signals[sent])
        return found

    setattr(point.owner, point.method, marked)
