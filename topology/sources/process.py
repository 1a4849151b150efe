"""The process of one source, as `pks source NAME` runs it.

Guarantees: it ends in order on SIGTERM, and when its standard input ends; what was acknowledged is in the log.
"""

import asyncio

import uvloop

from topology.settings import Settings
from topology.sinks.process import until_told
from topology.sources.registry import SOURCE_BY_NAME


def run_source(settings: Settings, name: str) -> int:
    """Run a source until it is told to stop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_told(SOURCE_BY_NAME[name].runner(settings).run()))
    return 0
