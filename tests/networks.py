"""Hosts as network namespaces, joined by a wire that a test can slow down, make lossy, and cut, pair by pair.

Every namespace has one network device whose packets this process reads and hands on: so nothing is needed of the kernel
but namespaces and `/dev/net/tun`. Skipped with the reason where those are not allowed.
"""

import contextlib
import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

_SET_INTERFACE = 0x400454CA
_TUN_WITHOUT_HEADER = 0x0001 | 0x1000
_MTU = 16_000
_DESTINATION = slice(16, 20)


@dataclass(frozen=True)
class Link:
    """How packets from one host to another fare; `loss` is the part of them that does not arrive."""

    delay_seconds: float = 0.0
    loss: float = 0.0
    cut: bool = False


class Network:
    """Hosts by name. This process is the host `here`."""

    def __init__(self, hosts: Sequence[str], seed: int = 1) -> None:
        self._mark = f"pks{os.getpid()}"
        self._names = ["here", *hosts]
        self._links: dict[tuple[int, int], Link] = {}
        self._random = random.Random(seed)
        self._devices: list[int] = []
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self.dropped = 0

    def address(self, host: str) -> str:
        """The address of a host."""
        return f"10.77.{os.getpid() % 250}.{1 + self._names.index(host)}"

    def within(self, host: str) -> list[str]:
        """What to put before a command so that it runs on a host."""
        return ["ip", "netns", "exec", self._space(host)]

    def _space(self, host: str) -> str:
        return f"{self._mark}-{host}"

    # -- the wire ---------------------------------------------------------------------------------------------------

    def link(self, one: str, other: str, **fares: float) -> None:
        """From now on packets between two hosts fare so, both ways."""
        a, b = self._names.index(one), self._names.index(other)
        self._links[a, b] = self._links[b, a] = Link(**fares)  # type: ignore[arg-type]

    def cut(self, host: str) -> None:
        """Nothing passes between a host and any other."""
        for other in self._names:
            if other != host:
                self.link(host, other, cut=True)

    def mend(self) -> None:
        """Every packet arrives at once again."""
        self._links = {}

    def _carry(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        count = 0
        poll = select.poll()
        for device in (*self._devices, self._wake):
            poll.register(device, select.POLLIN)
        while True:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, target, packet = heapq.heappop(waiting)
                self._deliver(target, packet)
            pause = None if not waiting else max(0.0, (waiting[0][0] - now) * 1_000)
            for device, _ in poll.poll(pause):
                if device == self._wake:
                    return
                source = self._devices.index(device)
                packet = os.read(device, _MTU)
                target = packet[_DESTINATION][3] - 1 if packet[0] >> 4 == 4 else -1
                if not 0 <= target < len(self._devices):
                    continue
                link = self._links.get((source, target), Link())
                if link.cut or self._random.random() < link.loss:
                    self.dropped += 1
                elif link.delay_seconds:
                    count += 1
                    heapq.heappush(waiting, (time.monotonic() + link.delay_seconds, count, target, packet))
                else:
                    self._deliver(target, packet)

    def _deliver(self, target: int, packet: bytes) -> None:
        # A host that has no room for it loses it, as on any wire.
        with contextlib.suppress(OSError):
            os.write(self._devices[target], packet)

    # -- hosts ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the hosts and join them. Raises OSError or CalledProcessError where that is not allowed."""
        for number, host in enumerate(self._names):
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            self._devices.append(device)
            name = f"{self._mark}.{number}"
            fcntl.ioctl(device, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
            os.set_blocking(device, False)
            run: list[str] = []
            if host != "here":
                _ip("netns", "add", self._space(host))
                _ip("link", "set", name, "netns", self._space(host))
                run = self.within(host)
                _run(*run, "ip", "link", "set", "lo", "up")
            _run(*run, "ip", "address", "add", f"{self.address(host)}/24", "dev", name)
            _run(*run, "ip", "link", "set", name, "mtu", str(_MTU), "up")
        self._thread.start()

    def close(self) -> None:
        """Take the hosts away."""
        os.write(self._waker, b"x")
        if self._thread.is_alive():
            self._thread.join()
        for end in (*self._devices, self._wake, self._waker):
            os.close(end)
        for host in self._names[1:]:
            subprocess.run(["ip", "netns", "delete", self._space(host)], capture_output=True, check=False)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


@contextlib.contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """Hosts that are joined; the test is skipped where this machine allows none."""
    if shutil.which("ip") is None:
        pytest.skip("expected the command ip (iproute2) to make network namespaces, found none")
    made = Network(hosts)
    try:
        try:
            made.open()
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or str(error).encode()
            pytest.skip(
                f"expected to make network namespaces, found: {reason.decode().strip()}; run it as root"
            )
        yield made
    finally:
        made.close()
