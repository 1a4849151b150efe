"""The process of one source, as `pks source NAME` runs it.

Guarantees: it ends in order on SIGTERM, and when its standard input ends; what was acknowledged is in the log.
"""

import asyncio
import time

import uvloop

from topology.settings import Settings
from topology.sinks.process import until_told
from topology.sources.intake import Intake
from topology.sources.registry import SOURCE_BY_NAME
from topology.sources.runner import SourceRunner


def run_source(settings: Settings, name: str) -> int:
    """Run a source until it is told to stop."""
    source = SOURCE_BY_NAME[name].make(settings)
    intake = Intake(settings, name, time.time_ns)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_told(SourceRunner(source, intake, settings.data).run()))
    return 0
