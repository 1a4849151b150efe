"""The loop and the collector that `pks sink` runs with, for figures of sinks."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

from topology.sinks.process import GC_THRESHOLDS

Result = TypeVar("Result")


def run_as_sink(work: Coroutine[Any, Any, Result]) -> Result:
    """Run some work as the process of a sink would."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
