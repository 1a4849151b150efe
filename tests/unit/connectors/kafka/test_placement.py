"""Where range assignment puts partitions, and which tables are warm for it. That the cluster agrees: the tests of
`tests/integration/test_kafka_owners.py`."""

from connectors.kafka.placement import assigned_to, warm_partitions


def test_range_gives_neighbours_and_one_more_to_the_first() -> None:
    found = {name: list(assigned_to(name, ["c", "a", "b"], 8)) for name in "abc"}
    assert found == {"a": [0, 1, 2], "b": [3, 4, 5], "c": [6, 7]}


def test_names_are_sorted_as_the_member_ids_that_begin_with_them() -> None:
    members = ["host-2", "host-10", "host-1"]
    assert [list(assigned_to(name, members, 3)) for name in ("host-1", "host-10", "host-2")] == [
        [0],
        [1],
        [2],
    ]


def test_who_is_no_member_gets_nothing() -> None:
    assert list(assigned_to("x", ["a"], 4)) == []


def test_of_two_workers_each_keeps_everything_warm() -> None:
    assert warm_partitions("a", ["a", "b"], 4, 1) == {0, 1, 2, 3}


def test_without_standbys_only_what_is_owned_is_warm() -> None:
    assert warm_partitions("a", ["a", "b"], 4, 0) == {0, 1}


def test_what_moves_along_is_warm_too() -> None:
    # Without `a`, `b` has 0 to 2 and `c` gets 3 of it.
    assert warm_partitions("c", ["a", "b", "c"], 6, 1) == {3, 4, 5}
