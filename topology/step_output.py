"""What a step writes: outputs of several partitions merged, and the changelog record of its changes.

Guarantees: outputs of one partition keep their order; a changelog record stays within `CHANGELOG_BYTES_MAX`
wherever it can be cut.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

from agents.stage import Output, Step
from schemas.changelog import pack_changes
from schemas.frames import join_frames
from topology.log import Transaction

CHANGELOG_BYTES_MAX = 512 * 1024
"""Most bytes of a changelog record; a Kafka record must stay under 1 MB."""


class Appended(NamedTuple):
    """A record that a running step emits: the next stage may take it before it is committed, with it."""

    offset: int
    value: bytes


Appends = Mapping[tuple[str, int], Sequence[Appended]]
"""What a transaction appends, by topic and partition."""


def write_outputs(transaction: Transaction, steps: Iterable[Step]) -> Appends:
    """Append what the partitions' parts of a step emit; returns it."""
    outputs: dict[tuple[str, int], list[Output]] = {}
    for step in steps:
        for place, output in step.outputs.items():
            outputs.setdefault(place, []).append(output)
    return {place: _append(transaction, *place, found) for place, found in outputs.items()}


def _append(
    transaction: Transaction, topic: str, partition: int, found: Sequence[Output]
) -> Sequence[Appended]:
    if any(output.keys for output in found):
        # One event a record where records have keys.
        latest = {
            key: b"[%b]" % event
            for output in found
            for key, event in zip(output.keys, output.encoded, strict=False)
        }
        return [
            Appended(transaction.append(topic, partition, key, frame), frame) for key, frame in latest.items()
        ]
    return [
        Appended(transaction.append(topic, partition, None, frame), frame)
        for frame in join_frames(merged(found))
    ]


def merged(outputs: Sequence[Output]) -> Sequence[bytes]:
    """Events of several partitions by place in the order of matching; those of one partition keep their order."""
    if len(outputs) == 1:
        return outputs[0].encoded
    whole = list(chain.from_iterable(output.encoded for output in outputs))
    # What stands behind a later event of its partition waits for it.
    orders = list(chain.from_iterable(accumulate(output.orders, max) for output in outputs))
    if len(orders) != len(whole):
        return whole
    return [whole[place] for place in sorted(range(len(whole)), key=orders.__getitem__)]


def packed(changes: list[bytes | None]) -> list[bytes]:
    """Changelog records that hold `changes` (key, value, key, value, ...) in order, each within its cap."""
    value = pack_changes(changes)
    if len(value) <= CHANGELOG_BYTES_MAX or len(changes) == 2:
        return [value]
    # In as many parts as will fit, at once: to halve it until they do packs the whole again for each halving.
    pairs, parts = len(changes) // 2, 8 * len(value) // (7 * CHANGELOG_BYTES_MAX) + 1
    length = 2 * -(-pairs // parts)
    return [
        record
        for start in range(0, len(changes), length)
        for record in packed(changes[start : start + length])
    ]
