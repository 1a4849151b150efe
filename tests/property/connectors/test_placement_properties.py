"""Standbys by range assignment: whoever ends, partitions go where their tables are warm."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.placement import assigned_to, warm_partitions

NAMES = st.sets(
    st.text("abh-019", min_size=1, max_size=6).map(lambda text: f"w{text}"), min_size=1, max_size=7
)


@given(NAMES, st.integers(1, 40))
def test_every_partition_has_one_owner(members: set[str], partitions: int) -> None:
    found = sorted(partition for member in members for partition in assigned_to(member, members, partitions))
    assert found == list(range(partitions))


@given(NAMES, st.integers(1, 24), st.integers(0, 2), st.data())
def test_whoever_ends_the_partitions_go_where_they_are_warm(
    members: set[str], partitions: int, losses: int, data: st.DataObject
) -> None:
    member = data.draw(st.sampled_from(sorted(members)))
    gone = data.draw(st.sets(st.sampled_from(sorted(members)), max_size=losses)) - {member}
    warm = warm_partitions(member, members, partitions, losses)
    assert warm.issuperset(assigned_to(member, members - gone, partitions))
    assert warm <= set(range(partitions))
