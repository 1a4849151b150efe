"""What can be wrong with shared memory."""


class SharedMemoryError(Exception):
    """Shared memory cannot be used; the text says what was expected, what was found and what to do."""


class SharedMemoryInUse(SharedMemoryError):
    """Another process is the writer."""


class SharedMemoryFull(SharedMemoryError):
    """A segment cannot grow."""
