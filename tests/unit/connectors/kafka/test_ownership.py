"""Who owns a partition, by the records of the owners topic and the time at which leases were heard."""

import pytest

from connectors.kafka.ownership import (
    LEASE_ENDS_SECONDS,
    Lease,
    Owned,
    Owners,
    Standing,
    encode,
    record_key,
)

ONE, TWO = Lease("one", "life1", "host-a", "http://a:1", "/pks"), Lease("two", "life2", "host-b")


class Told:
    """A view that is told records, each at the next offset."""

    def __init__(self) -> None:
        self.view = Owners()
        self.offset = 0

    def __call__(self, record: Lease | Owned | Standing, heard: float | None = 0.0) -> None:
        self.view.apply(record_key(record, "positions"), encode(record), self.offset, heard)
        self.offset += 1

    def forget(self, record: Lease | Owned | Standing) -> None:
        self.view.apply(record_key(record, "positions"), None, self.offset, 0.0)
        self.offset += 1

    def owner(self, partition: int, now: float = 0.0) -> str | None:
        found = self.view.owner("positions", partition, now)
        return None if found is None else found.lease.worker


@pytest.fixture
def told() -> Told:
    told = Told()
    told(ONE)
    told(TWO)
    return told


def test_the_later_claim_is_the_owner_and_its_offset_the_epoch(told: Told) -> None:
    told(Owned("one", "life1", {0: 5, 1: 0}))
    told(Owned("two", "life2", {1: 7}))
    found = told.view.owner("positions", 1, 0.0)
    assert found is not None
    assert (found.lease, found.epoch, found.caught_up) == (TWO, 3, 7)
    assert told.owner(0) == "one"
    assert told.owner(2) is None


def test_nobody_owns_what_the_owner_s_lease_no_longer_covers(told: Told) -> None:
    told(Owned("one", "life1", {0: 0}))
    assert told.owner(0, LEASE_ENDS_SECONDS) == "one"
    assert told.owner(0, LEASE_ENDS_SECONDS + 0.01) is None
    # Not even the one before: it was taken over from.
    told(Owned("two", "life2", {0: 0}))
    told(ONE, heard=10.0)
    assert told.owner(0, 10.0) is None
    last = told.view.last_owner("positions", 0)
    assert last is not None
    assert last[0].worker == "two"


def test_another_life_of_a_worker_owns_nothing_by_what_the_one_before_said(told: Told) -> None:
    told(Owned("one", "life1", {0: 0}))
    told(Lease("one", "life9", "host-a"), heard=1.0)
    assert told.owner(0, 1.0) is None
    told(Owned("one", "life9", {0: 3}))
    assert told.owner(0, 1.0) == "one"


def test_what_stood_there_before_somebody_looked_is_no_sign_of_life() -> None:
    told = Told()
    told(ONE, heard=None)
    told(Owned("one", "life1", {0: 0}), heard=None)
    assert told.owner(0) is None
    assert told.view.workers(0.0) == []
    told(ONE, heard=2.0)
    assert told.owner(0, 2.0) == "one"


def test_who_left_in_order_is_gone_at_once(told: Told) -> None:
    told(Owned("one", "life1", {0: 0}))
    told(Standing("one", "life1", [1]))
    for record in (ONE, Owned("one", "life1", {}), Standing("one", "life1", [])):
        told.forget(record)
    assert told.owner(0) is None
    assert told.view.workers(0.0) == [TWO]
    assert told.view.standbys("positions", 1, 0.0) == []


def test_standbys_are_those_that_live_and_do_not_own(told: Told) -> None:
    told(Owned("one", "life1", {0: 0}))
    told(Standing("one", "life1", [0, 1]))
    told(Standing("two", "life2", [0]))
    told(Standing("three", "life3", [0]))
    assert told.view.standbys("positions", 0, 0.0) == [TWO]
    assert told.view.standbys("positions", 1, 0.0) == [ONE]


def test_stages_are_told_apart(told: Told) -> None:
    told(Owned("one", "life1", {0: 0}))
    assert told.view.owner("trade_capture", 0, 0.0) is None


@pytest.mark.parametrize(
    ("key", "value"), [(b"lease//one", b"{"), (b"owner", b"{}"), (b"\xff", b"{}"), (b"other/a/b", b"{}")]
)
def test_a_record_of_another_form_is_refused(key: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Owners().apply(key, value, 0, 0.0)
