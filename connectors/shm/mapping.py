"""A named piece of shared memory, mapped for writing: what `shm_open` and `mmap` do, and one exclusive lock.

Owns: creation, mapping, locking and removal by name.
Assumes: Linux, where `shm_open` is an `open` below /dev/shm.
Guarantees: all memory is there from the start (`posix_fallocate`), so a full /dev/shm is an error here and
never a SIGBUS later; only `unlink` removes a name (Python's `SharedMemory` lets an exiting reader do so before
3.13, which is why it is not used); the lock goes with the process, however that ends.
"""

import fcntl
import mmap
import os
import re

from connectors.shm.errors import SharedMemoryError, SharedMemoryFull
from connectors.shm.layout import Member

FOLDER = "/dev/shm"  # noqa: S108 (this is where shm_open has its names)
PERMISSIONS = 0o640
"""The writer's group may read."""

_NAME = re.compile(r"/[A-Za-z0-9._-]{1,200}", re.ASCII)


def path_of(name: str) -> str:
    """The file of a shared-memory name; raises SharedMemoryError for what is none."""
    if _NAME.fullmatch(name) is None:
        raise SharedMemoryError(
            f"shared memory: expected a name like /pks-positions-v1 (letters, digits, . _ -), found {name!r}"
        )
    return FOLDER + name


def unlink(name: str) -> None:
    """Remove a name; who has it mapped keeps the memory."""
    try:
        os.unlink(path_of(name))
    except FileNotFoundError:
        return


class Mapping:
    """Mapped memory; `words[i]` is the i-th 8 bytes.

    Storing to `words` is what the sequence of a slot relies on: CPython's `memoryview` of format `Q` stores an
    item by a `memcpy` of a constant 8 bytes to an aligned address, which compilers make one 8-byte store (`mov
    %r14,(%r12)` in `pack_single` of CPython 3.11).
    """

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, 0)
        self.view = memoryview(self._map)
        self.words = self.view[: len(self.view) & ~7].cast("Q")

    @classmethod
    def create(cls, name: str, size: int) -> "Mapping":
        """New memory of `size` zero bytes, locked; what had the name before is removed."""
        unlink(name)
        descriptor = os.open(path_of(name), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PERMISSIONS)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(descriptor, 0, size)
            return cls(name, descriptor)
        except OSError as error:
            os.close(descriptor)
            unlink(name)
            raise SharedMemoryFull(
                f"shared memory {name}: expected {size} free bytes in {FOLDER}, found {error.strerror}: "
                "give it more (docker: --shm-size) or remove what is not needed there"
            ) from error

    @classmethod
    def open(cls, name: str) -> "Mapping | None":
        """Memory that exists, for writing; None where there is none (or none that is whole)."""
        try:
            descriptor = os.open(path_of(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if os.fstat(descriptor).st_size == 0:
            os.close(descriptor)
            return None
        return cls(name, descriptor)

    def try_lock(self) -> bool:
        """Take the lock; False where another writer has it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def lock(self) -> None:
        """Take the lock, however long that takes."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def unlock(self) -> None:
        """Give the lock back."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def get(self, member: Member, base: int = 0) -> int:
        """An 8-byte member."""
        return self.words[base + member.offset >> 3]

    def set(self, member: Member, value: int, base: int = 0) -> None:
        """Store an 8-byte member."""
        self.words[base + member.offset >> 3] = value

    def set_text(self, member: Member, text: str, base: int = 0) -> None:
        """Store a text member, zero-filled."""
        start = base + member.offset
        self.view[start : start + member.size] = text.encode().ljust(member.size, b"\0")

    def get_text(self, member: Member, base: int = 0) -> str:
        """A text member."""
        start = base + member.offset
        return bytes(self.view[start : start + member.size]).rstrip(b"\0").decode()

    def close(self) -> None:
        """Unmap, and give the lock back."""
        self.words.release()
        self.view.release()
        self._map.close()
        os.close(self._descriptor)
