"""Who owns which partition, as the records of the owners topic say.

Three kinds of record, told apart by their key: what a worker owns of a stage (written when it has taken partitions
over, before it commits anything), what it keeps warm, and its lease (again and again while it lives, with where it is
to be found).

Guarantees: pure; `now` is any clock that only rises. Of two workers that both name a partition the later one in the
topic is its owner: a record's offset is the owner's epoch. A worker whose lease ended, or that began a new life since,
owns nothing; no clocks of two machines are compared, for a lease counts from when it was heard.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

LEASE_SECONDS = 1.0
"""How often a worker says that it lives."""

LEASE_ENDS_SECONDS = 3.0
"""A worker that was not heard for so long owns nothing any more, as far as routing goes."""


class Lease(msgspec.Struct, frozen=True):
    """A worker lives. `life` tells one run of it from another; `web` and `shared_memory` are None where it has none."""

    worker: str
    life: str
    host: str
    web: str | None = None
    shared_memory: str | None = None


class Owned(msgspec.Struct, frozen=True):
    """What a worker owns of a stage, and how many changelog records it took to catch each partition up."""

    worker: str
    life: str
    partitions: dict[int, int]


class Standing(msgspec.Struct, frozen=True):
    """Whose tables a worker keeps warm, of a stage."""

    worker: str
    life: str
    partitions: list[int]


class Owner(NamedTuple):
    """The owner of a partition: `caught_up` are the changelog records that it took over with."""

    lease: Lease
    epoch: int
    caught_up: int


Record = Lease | Owned | Standing
_KINDS: dict[str, type[Record]] = {"lease": Lease, "owner": Owned, "standby": Standing}
_encode = msgspec.json.Encoder().encode
_decoders = {kind: msgspec.json.Decoder(found).decode for kind, found in _KINDS.items()}


def record_key(record: Record, stage: str = "") -> bytes:
    """The key of a record; those of a worker's later life take its place."""
    kind = next(name for name, found in _KINDS.items() if type(record) is found)
    return f"{kind}/{stage}/{record.worker}".encode()


def encode(record: Record) -> bytes:
    """The value of a record."""
    return _encode(record)


class Owners:
    """What was read of the topic so far."""

    def __init__(self) -> None:
        self._leases: dict[str, tuple[Lease, float]] = {}
        self._owned: dict[tuple[str, str], tuple[Owned, int]] = {}
        self._standing: dict[tuple[str, str], Standing] = {}

    def apply(self, key: bytes, value: bytes | None, offset: int, heard: float | None) -> None:
        """Take in a record. `heard` is now for one that has just been written, None for one that stood there before.

        Raises ValueError for a record of another form.
        """
        kind, stage, worker = key.decode().split("/", 2)
        if kind not in _KINDS:
            raise ValueError(f"expected a key of {', '.join(_KINDS)}, found {key!r}")
        place = (stage, worker)
        if value is None:
            if kind == "lease":
                self._leases.pop(worker, None)
            elif kind == "owner":
                self._owned.pop(place, None)
            else:
                self._standing.pop(place, None)
            return
        record = _decoders[kind](value)
        if isinstance(record, Lease):
            if heard is not None:
                self._leases[worker] = (record, heard)
        elif isinstance(record, Owned):
            self._owned[place] = (record, offset)
        else:
            self._standing[place] = record

    def lease(self, worker: str, life: str | None, now: float) -> Lease | None:
        """The lease of a worker in one of its lives (None: whichever), while it lasts."""
        lease, heard = self._leases.get(worker, (None, 0.0))
        if lease is None or now - heard > LEASE_ENDS_SECONDS or life not in (None, lease.life):
            return None
        return lease

    def workers(self, now: float) -> list[Lease]:
        """The workers that live, by name."""
        found = (self.lease(worker, None, now) for worker in sorted(self._leases))
        return [lease for lease in found if lease is not None]

    def named(self) -> set[str]:
        """The workers that own something as far as the topic says, living or not."""
        return {worker for (_, worker), (owned, _) in self._owned.items() if owned.partitions}

    def last_owner(self, stage: str, partition: int) -> tuple[Owned, int] | None:
        """Who owned a partition last, living or not, and its epoch."""
        claims = [
            claim
            for (claimed, _), claim in self._owned.items()
            if claimed == stage and partition in claim[0].partitions
        ]
        return max(claims, key=lambda claim: claim[1], default=None)

    def owner(self, stage: str, partition: int, now: float) -> Owner | None:
        """Who owns a partition; None while nobody does who lives."""
        found = self.last_owner(stage, partition)
        if found is None:
            return None
        owned, epoch = found
        lease = self.lease(owned.worker, owned.life, now)
        return None if lease is None else Owner(lease, epoch, owned.partitions[partition])

    def standbys(self, stage: str, partition: int, now: float) -> list[Lease]:
        """Who keeps a partition's table warm, without its owner."""
        owner = self.owner(stage, partition, now)
        return [
            lease
            for lease in self._standing_leases(stage, partition, now)
            if owner is None or lease.worker != owner.lease.worker
        ]

    def _standing_leases(self, stage: str, partition: int, now: float) -> Iterator[Lease]:
        for (standing_for, worker), standing in sorted(self._standing.items()):
            if standing_for == stage and partition in standing.partitions:
                lease = self.lease(worker, standing.life, now)
                if lease is not None:
                    yield lease
