"""Where librdkafka's range assignment puts partitions, and so which tables a worker should keep warm.

Assumes: `partition.assignment.strategy` is `range`; members are static (`group.instance.id` is the worker's name), so
that the cluster makes their member ids of the name, a dash and something random, and range sorts by these.
Guarantees: pure. Where a name and a dash begin another name the order is not known beforehand: standbys may stand in
the wrong place then, which costs time at a takeover and nothing else.
"""

from collections.abc import Iterable
from itertools import combinations


def assigned_to(member: str, members: Iterable[str], partitions: int) -> range:
    """The partitions that range assignment gives to a member of a group; none to one that is no member."""
    ordered = sorted(members, key=lambda name: f"{name}-")
    if member not in ordered:
        return range(0)
    place = ordered.index(member)
    each, more = divmod(partitions, len(ordered))
    start = place * each + min(place, more)
    return range(start, start + each + (place < more))


def warm_partitions(member: str, members: Iterable[str], partitions: int, losses: int) -> frozenset[int]:
    """What a member would own with all the others, or with any `losses` of them gone: what it owns, and its standbys.

    So whichever worker ends, its partitions go where their tables are warm, and so do those that move with them.
    """
    names = set(members) | {member}
    others = sorted(names - {member})
    return frozenset(
        partition
        for number in range(min(losses, len(others)) + 1)
        for gone in combinations(others, number)
        for partition in assigned_to(member, names.difference(gone), partitions)
    )
