"""`pks` with a defect planted in it, for faults that no sound worker has.

`python -m tests.faults.planted_up DEFECT ARGUMENTS...` is `pks ARGUMENTS...`, but for what `DEFECT` changes:

    held-disk   no sync of the log ends while there is a file `hold` in its folder
    held-stage  the positions stage can commit nothing while that file is there
    failing     capture fails on a fill whose trader is `poison`
    miscounted  positions count an event too many where the trade's id begins with `broken`
    half-slot   the process is killed in the middle of the store of the position of book `HALF`
    few-slots   shared memory may have no more than 32 slots
    none        nothing
"""

import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from agents import positions, trade_capture

HOLD = "hold"
FEW_SLOTS = 32


def _with_handler(module: Any, wrap: Callable[..., Callable[..., None]]) -> None:
    """The stage of a module with its handler wrapped."""
    sound = module.stage

    def stage(*settings: Any, **named: Any) -> Any:
        declared = sound(*settings, **named)
        return dataclasses.replace(declared, handler=wrap(declared.handler))

    module.stage = stage


def _held_disk() -> None:
    from connectors.embedded.log import EmbeddedLog

    sound = EmbeddedLog._flush

    def _flush(self: Any) -> None:
        while (self.folder / HOLD).exists():
            time.sleep(0.01)
        sound(self)

    EmbeddedLog._flush = _flush


def _held_stage() -> None:
    from topology.app import StageApp

    step, caught_up_runners = StageApp._step, StageApp.caught_up_runners

    def held(app: Any) -> bool:
        return app.stage.name == positions.NAME and (app.embedded.folder / HOLD).exists()

    StageApp._step = lambda app, waiting: False if held(app) else step(app, waiting)
    StageApp.caught_up_runners = lambda app: () if held(app) else caught_up_runners(app)


def _failing(handler: Callable[..., None]) -> Callable[..., None]:
    def failing(state: Any, frames: Any, step: Any) -> None:
        found = list(frames)
        handler(state, found, step)
        if any(getattr(event, "trader", "") == "poison" for frame in found for event in frame.events):
            raise ZeroDivisionError("planted: met poison")

    return failing


def _miscounted(handler: Callable[..., None]) -> Callable[..., None]:
    def miscounted(state: Any, frames: Any, step: Any) -> None:
        found = list(frames)
        handler(state, found, step)
        for frame in found:
            for event in frame.events:
                if getattr(event, "trade_id", "").startswith("broken"):
                    state.counters.of(event.source).read += 1

    return miscounted


def _half_slot() -> None:
    from connectors.shm.segment import Segment
    from topology.shared_memory import PositionsPublisher

    sound, write = PositionsPublisher.write_touched, Segment.write
    half = [False]

    def write_touched(self: Any, touched: Any, *rest: Any) -> None:
        half[0] = touched.book == "HALF" and touched.revision > 1
        sound(self, touched, *rest)

    class Words:
        """The words of a segment: the second store of a slot's sequence, which would make it even, never comes."""

        def __init__(self, words: Any) -> None:
            self._words = words

        def __getitem__(self, place: int) -> Any:
            return self._words[place]

        def __setitem__(self, place: int, value: Any) -> None:
            if value % 2 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._words[place] = value

    def write_half(self: Any, number: int, body: bytes) -> None:
        if half[0]:
            self.mapping.words = Words(self.mapping.words)
        write(self, number, body)

    PositionsPublisher.write_touched = write_touched
    Segment.write = write_half


def _few_slots() -> None:
    from topology.shared_memory import PositionsPublisher

    sound = PositionsPublisher.__init__
    PositionsPublisher.__init__ = lambda *rest, **named: sound(*rest, slots_max=FEW_SLOTS, **named)


def plant(defect: str) -> None:
    """Change this process."""
    match defect:
        case "held-disk":
            _held_disk()
        case "held-stage":
            _held_stage()
        case "failing":
            _with_handler(trade_capture, _failing)
        case "miscounted":
            _with_handler(positions, _miscounted)
        case "half-slot":
            _half_slot()
        case "few-slots":
            _few_slots()
        case _:
            assert defect == "none"


if __name__ == "__main__":
    plant(sys.argv.pop(1))
    from topology.cli import main

    main()
