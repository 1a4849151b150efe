"""What an App of a stage is on every backend: how Faust is set up for it, how much it takes at once, what went wrong.

Owns: the options of Faust that no backend decides.
Assumes: a subclass has `_run`, which reads the input, and `_do_idle_work`, which does what steps have left over.
Guarantees: a stage behind the books takes no more than a slice at once; trouble is told once when it begins and once when
it ends.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import faust
import structlog
from mode.supervisors import CrashingSupervisor

from agents.stage import Stage
from topology.runtime import PartitionRunner, StepReport
from topology.settings import Settings
from topology.stages import Observer, is_spine
from topology.turns import SLICE_BYTES_MAX, SLICE_RECORDS_MAX
from topology.web.server import ListeningWeb

RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0
"""Between the attempts of a commit that failed (a full disk): doubled each time, up to the second."""

ROOM_SECONDS = 0.01
"""Between two looks at whether a stage that has left over as much as it may can step again."""

_UNUSED_PORT = 6066

Reports = Sequence[tuple[PartitionRunner, StepReport]]
StepObserver = Callable[[Stage, Reports, float], None]
_logger = structlog.get_logger(__name__)


class BaseStageApp(faust.App):  # type: ignore[misc]
    """The App of one stage, whose id is the stage's consumer group; `runners` by partition, once they are ready."""

    _run: Callable[..., Any]
    _do_idle_work: Callable[..., Any]

    def __init__(
        self,
        stage: Stage,
        settings: Settings,
        *,
        folder: Path,
        observers: Sequence[Observer],
        on_step: StepObserver | None,
        listener: socket.socket | None,
        **backend: Any,
    ) -> None:
        """`folder` is Faust's, `backend` its options that the backend decides."""
        self.stage = stage
        self.settings = settings
        self.listener = listener
        self.runners: dict[int, PartitionRunner] = {}
        self.trouble: str | None = None
        self.batch_records_max, self.batch_bytes_max = settings.step_events_max, settings.step_bytes_max
        self.batch_backlog_bytes_max = settings.step_backlog_bytes_max
        if not is_spine(stage):
            # Between two of its steps the loop goes round, so that the spine waits for no more than one of them.
            self.batch_records_max = min(settings.step_events_max, SLICE_RECORDS_MAX)
            self.batch_bytes_max = self.batch_backlog_bytes_max = min(
                settings.step_bytes_max, SLICE_BYTES_MAX
            )
        self._observers = observers
        self._on_step = on_step
        self._work_left = asyncio.Event()
        folder.mkdir(exist_ok=True)
        super().__init__(
            stage.name,
            datadir=folder / stage.name,
            topic_partitions=settings.partitions,
            # Records pass as bytes: the runtime decodes frames, and a bad one is its business.
            key_serializer="raw",
            value_serializer="raw",
            topic_disable_leader=True,
            reply_create_topic=False,
            stream_buffer_maxsize=settings.queue_records_max,
            # A step is committed before the loop runs again, so at the end there is nothing to wait for.
            stream_wait_empty=False,
            stream_recovery_delay=0.0,
            agent_supervisor=CrashingSupervisor,
            web_enabled=listener is not None,
            web_host=f"[{settings.web_host}]" if ":" in settings.web_host else settings.web_host,
            web_port=_UNUSED_PORT if listener is None else listener.getsockname()[1],
            web_stats_enabled=False,
            web_graph_enabled=False,
            web_router_enabled=False,
            web_tables_enabled=False,
            web_metrics_enabled=False,
            worker_redirect_stdouts=False,
            **backend,
        )

    def _new_web(self) -> Any:
        return ListeningWeb(self)

    def _read_input(self, topic: str) -> None:
        """Declare what is run: the agent over the input, and the work between its steps."""
        source = self.topic(
            topic,
            key_type=bytes,
            value_type=bytes,
            partitions=self.settings.partitions,
            allow_empty=True,
        )
        self.agent(source, name=self.stage.name)(self._run)
        if self.stage.idle_work is not None:
            self.task(self._do_idle_work)

    async def _make_room(self, partitions: Iterable[int]) -> None:
        """Wait while one of these partitions has left over as much as it may."""
        partitions = list(partitions)
        while not self.should_stop and any(
            self.runners[partition].is_full for partition in partitions if partition in self.runners
        ):
            await self.sleep(ROOM_SECONDS)

    def _look_for_idle_work(self) -> None:
        if any(runner.has_idle_work for runner in self.runners.values()):
            self._work_left.set()

    def _commit_failed(self, error: Exception) -> None:
        if self.trouble is None:
            _logger.error("commit failed, to be tried again", stage=self.stage.name, error=str(error))
        self.trouble = str(error)

    def _commit_succeeded(self) -> None:
        if self.trouble is not None:
            _logger.info("commits succeed again", stage=self.stage.name)
            self.trouble = None
