"""Whose records of a changelog count: those of the last owner that announced itself in it.

A partition's owner begins with an announcement, a record with a token of its own, and reads the changelog past it.
Each record of its steps carries the token. To whoever reads the partition in order, a record counts where its token is
that of the last announcement before it. So a former owner that wakes up may write, and is ignored by everybody; and an
owner whose records follow one another without a gap knows that nobody has announced himself in between.

A step may be several records: they count together, when the last of them is there. Records without a token are those
of transactions, which the cluster itself refuses to a former owner. No two keys are the same, so compaction keeps all.

Pure: what to write and what a record means; no cluster.
"""

from collections.abc import Iterator, Sequence
from uuid import uuid4

from connectors.kafka.errors import ChangelogError
from schemas.changelog import PACKED_KEY, changes_of

OWNER_KEY = b"\x00owner"
"""First bytes of the key of an announcement, and the key under which a table partition notes the last token."""

_OWNED_KEY = b"\x00owned"
_TOKEN_BYTES = 16
_NUMBER_BYTES = 4
_PLACE_BYTES = 8
_HEAD = len(_OWNED_KEY) + _TOKEN_BYTES

Changes = Sequence[tuple[bytes, bytes | None]]


def new_token() -> bytes:
    """A token that nobody else has."""
    return uuid4().bytes


def announcement_key(token: bytes) -> bytes:
    """The key of the record by which an owner announces itself."""
    return OWNER_KEY + token


def token_of(key: bytes) -> bytes | None:
    """The token in the key of an announcement, or of a step without a transaction; None for any other record."""
    if key.startswith(OWNER_KEY):
        return key[len(OWNER_KEY) :]
    return key[len(_OWNED_KEY) : _HEAD] if key.startswith(_OWNED_KEY) else None


def step_keys(token: bytes, place: int, count: int) -> Iterator[bytes]:
    """The keys of the `count` records of a step; `place` is the offset that the first of them should get."""
    head = _OWNED_KEY + token + place.to_bytes(_PLACE_BYTES, "big")
    for number in range(count):
        yield head + number.to_bytes(_NUMBER_BYTES, "big") + (b"\x01" if number == count - 1 else b"\x00")


class Succession:
    """Reads one changelog partition in order and tells what counts; `owner` is the token of its last announcement."""

    def __init__(self, owner: bytes | None) -> None:
        self.owner = owner
        self._begun: list[tuple[bytes, bytes | None]] = []
        self._parts = 0

    @property
    def inside_a_step(self) -> bool:
        """Whether a step has begun whose last record has not come."""
        return self._parts > 0

    def take(self, key: bytes, value: bytes | None) -> Changes:
        """What a record changes, with all of its step; nothing where it does not count, or not yet."""
        if key.startswith(OWNER_KEY):
            self.owner = key[len(OWNER_KEY) :]
            self._forget()
            return ()
        if not key.startswith(_OWNED_KEY):
            return list(changes_of(key, value))
        if key[len(_OWNED_KEY) : _HEAD] != self.owner:
            return ()
        return self._take_part(key, value)

    def _take_part(self, key: bytes, value: bytes | None) -> Changes:
        number, last = int.from_bytes(key[-_NUMBER_BYTES - 1 : -1], "big"), key[-1] == 1
        if number != self._parts:
            raise ChangelogError(
                f"expected record {self._parts} of a step, found record {number}: the changelog lost records; restore "
                "the cluster's backup"
            )
        self._begun += changes_of(PACKED_KEY, value)
        self._parts += 1
        if not last:
            return ()
        found = self._begun
        self._forget()
        return found

    def _forget(self) -> None:
        self._begun, self._parts = [], 0
