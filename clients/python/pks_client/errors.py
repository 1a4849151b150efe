"""What can be wrong with reading positions."""


class PositionError(Exception):
    """Positions cannot be read; the text says what was expected, what was found and what to do."""


class NotAvailable(PositionError):
    """There is no shared memory of that name (nothing runs, or it was never started)."""


class LayoutMismatch(PositionError):
    """The memory has another layout than this package reads."""


class SlotBusy(PositionError):
    """A slot stayed half-written for as long as was waited: its writer stopped or died in the middle."""
