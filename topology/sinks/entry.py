"""How the process of a sink or a source puts events into the log: through the worker that owns it, or into a cluster."""

from collections.abc import Callable, Sequence
from typing import Any

from connectors.sink import Unavailable
from schemas.topics import Topic
from topology.control.entry import Appending, LogInput, RemoteGate
from topology.control.protocol import ControlClient, ControlError
from topology.settings import Settings, on_kafka


class LogEntry:
    """A way into the log, opened when it is first used and after each failure. Not for several threads at once.

    What was given is durable when a method returns; where one raises Unavailable, some of it may be in the log.
    """

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        self._settings = settings
        self._clock = clock
        self._client: ControlClient | None = None
        self._entry: LogInput | None = None

    def append_fills(self, fills: list[Any]) -> None:
        """Append fills. Raises Unavailable."""
        self._do(lambda entry: entry.append_fills(fills))

    def publish(self, topic: Topic, found: Sequence[Any], key_of: Callable[[Any], str]) -> None:
        """Append events of a topic. Raises Unavailable."""
        self._do(lambda entry: entry.publish(topic, found, key_of))

    def _do(self, act: Callable[[LogInput], Any]) -> None:
        try:
            act(self._entry or self._open())
        except ControlError as error:
            self.close()
            raise Unavailable(f"expected a worker that takes what came in, found: {error}") from error

    def _open(self) -> LogInput:
        self._entry = LogInput(self._log(), self._clock)
        return self._entry

    def _log(self) -> Appending:
        if on_kafka(self._settings):
            from topology.cluster.places import link_of
            from topology.sinks.appending import ClusterAppender

            return ClusterAppender(link_of(self._settings))
        self._client = ControlClient(self._settings.data)
        return RemoteGate(self._client)

    def close(self) -> None:
        """Let the worker go."""
        if self._client is not None:
            self._client.close()
        self._client = self._entry = None
