"""Logs: structlog for everything, as lines for people or JSON for machines, on stderr.

Faust, mode, aiohttp and alembic log by the standard library; their records pass the same processors, from WARNING on (a
worker that starts and stops as it should has nothing to say), and all of them at `log_level` debug.
"""

import logging
import sys
from typing import Any

import structlog

from topology.settings import Settings

_LIBRARIES = (
    *("faust", "mode", "aiohttp", "aiokafka", "alembic", "asyncio", "kafka"),
    # Ours by name only: mode logs the life of a service under the module of its class.
    *(
        "topology.app",
        "topology.cluster.app",
        "topology.web.server",
        "connectors.embedded",
        "connectors.kafka",
    ),
)


def configure_logging(settings: Settings) -> None:
    """Set up logging for this process."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: list[Any]
    if settings.log_format == "json":
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderer = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
