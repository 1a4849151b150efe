"""What Faust's assignor says after it was told an assignment, and then another."""

from types import SimpleNamespace

from faust.assignor.partition_assignor import PartitionAssignor
from faust.types.tuples import TP

from connectors.kafka.assignment import tell_assignment


def test_each_assignment_takes_the_place_of_the_one_before() -> None:
    assignor = PartitionAssignor(SimpleNamespace(tables=None))
    for partitions in ((0, 1, 2, 3), (2, 3), (), (0, 3)):
        assigned = {TP("input", partition) for partition in partitions}
        tell_assignment(assignor, assigned)
        assert assignor.assigned_actives() == assigned
        assert assignor.assigned_standbys() == set()
        assert all(assignor.is_active(tp) for tp in assigned)
        assert not assignor.is_active(TP("input", 1)) or TP("input", 1) in assigned
