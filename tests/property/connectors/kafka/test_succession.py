"""Whose changelog records count, with several workers that believe to own a partition, in any order."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.succession import Succession, announcement_key, step_keys
from schemas.changelog import pack_changes

WORKERS = 3


@dataclass
class Worker:
    """A worker as `connectors.kafka.low_latency` has it: it ends where its records did not follow and do not count."""

    token: bytes
    state: dict[bytes, bytes] = field(default_factory=dict)
    end: int = -1
    pending: dict[bytes, bytes] = field(default_factory=dict)
    begun: list[tuple[bytes, bytes]] = field(default_factory=list)
    first: int = -1
    alive: bool = False


@dataclass
class Log:
    """A changelog partition."""

    records: list[tuple[bytes, bytes]] = field(default_factory=list)

    def append(self, key: bytes, value: bytes) -> int:
        self.records.append((key, value))
        return len(self.records) - 1

    def read(self) -> tuple[dict[bytes, bytes], bytes | None]:
        succession, state = Succession(None), {}
        for key, value in self.records:
            state.update(succession.take(key, value))
        return state, succession.owner


def announce(log: Log, worker: Worker, life: int) -> None:
    worker.token = bytes([life]) * 16
    worker.end = log.append(announcement_key(worker.token), b"")
    worker.state, _ = log.read()
    worker.begun, worker.alive = [], True


def step(log: Log, worker: Worker, parts: int) -> None:
    """Begin a step, or send the next record of the one that has begun; what is complete is applied or given up."""
    if not worker.begun:
        count = int(worker.state.get(b"count", b"0")) + 1
        changes = [
            (b"count", b"%d" % count),
            *((b"key%d" % number, b"%d" % count) for number in range(1, parts)),
        ]
        keys = step_keys(worker.token, worker.end + 1, parts)
        worker.begun = [(key, pack_changes(change)) for key, change in zip(keys, changes, strict=True)]
        worker.pending, worker.first = dict(changes), -1
    offset = log.append(*worker.begun.pop(0))
    worker.first = offset if worker.first < 0 else worker.first
    if worker.begun:
        return
    followed = worker.first == worker.end + 1 and offset == worker.first + len(worker.pending) - 1
    state, owner = log.read()
    if followed:
        assert owner == worker.token
        worker.state.update(worker.pending)
    elif owner == worker.token:
        worker.state = state
    else:
        worker.alive = False
        return
    worker.end = offset
    assert worker.state == state


@given(
    st.lists(
        st.tuples(st.integers(0, WORKERS - 1), st.sampled_from(["announce", "step"]), st.integers(1, 3)),
        max_size=60,
    )
)
def test_who_is_told_that_a_step_counts_has_the_state_of_the_log_and_no_step_is_counted_twice(
    events: list[tuple[int, str, int]],
) -> None:
    log, workers, lives = Log(), [Worker(b"") for _ in range(WORKERS)], 0
    for place, what, parts in events:
        worker = workers[place]
        if what == "announce" or not worker.alive:
            lives += 1
            announce(log, worker, lives)
        else:
            before, owner = log.read()
            step(log, worker, parts)
            after, _ = log.read()
            if owner != worker.token:
                assert after == before
            else:
                assert int(after.get(b"count", b"0")) - int(before.get(b"count", b"0")) in (0, 1)
