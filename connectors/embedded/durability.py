"""When a commit reaches the disk.

| policy | a commit returns when | a power cut or kernel crash can lose |
|---|---|---|
| `always` | it is synced | nothing that was committed |
| `group` (default) | the kernel has it; synced within some milliseconds, many commits at once | the last milliseconds; never something that was acknowledged to an outside source, since that waits for the sync |
| `os` | the kernel has it | what the kernel had not written yet, often 30 seconds |

None of them loses a committed step to a kill of the process.
"""

import atexit
import threading
from collections.abc import Callable

GROUP_SECONDS = 0.004
"""Pause between two syncs of the `group` policy."""

IDLE_SECONDS = 0.25
"""Pause between two calls of `idle` while nothing is committed."""


class GroupSync:
    """A thread that syncs whatever was committed since its last sync, and calls `idle` while there is nothing."""

    def __init__(
        self,
        sync: Callable[[], None],
        committed: Callable[[], int],
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._sync = sync
        self._committed = committed
        self._idle = idle
        self._waited = 0.0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self.durable = committed()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pks-group-sync", daemon=True)
        self._thread.start()
        # A thread inside RocksDB while the interpreter ends would abort the process.
        atexit.register(self.close)

    def _run(self) -> None:
        while not self._closing.wait(GROUP_SECONDS):
            self.sync_now()

    def sync_now(self) -> None:
        """Sync what is committed by now; a failure is kept for those who wait."""
        sequence = self._committed()
        if sequence <= self.durable:
            self._waited += GROUP_SECONDS
            if self._waited >= IDLE_SECONDS:
                self._waited = 0.0
                self._idle()
            return
        self._waited = 0.0
        try:
            self._sync()
        except Exception as error:
            self.failure = error
        else:
            self.durable = sequence
        with self._changed:
            self._changed.notify_all()

    def wait(self, sequence: int, timeout_seconds: float) -> bool:
        """Wait until `sequence` is synced; False after the time-out. Raises what the sync raised."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.durable >= sequence or self.failure is not None, timeout_seconds
            )
        if self.failure is not None:
            raise self.failure
        return self.durable >= sequence

    def close(self) -> None:
        """Sync a last time and stop."""
        atexit.unregister(self.close)
        self._closing.set()
        self._thread.join()
        self.sync_now()
