"""Senders wait while a stage is behind by more than the bound: found out without looking at every append."""

from itertools import pairwise
from pathlib import Path

from schemas.topics import FILLS
from tests.support import Books, fill
from topology.control.entry import append_records
from topology.control.owner import OwnerAnswers
from topology.control.protocol import Outgoing
from topology.runtime import PartitionRunner
from topology.settings import Settings

BOUND = 10


def test_the_bound_holds_to_the_record(tmp_path: Path) -> None:
    with Books(tmp_path / "data", partitions=2) as books:
        settings = Settings(data=tmp_path / "data", partitions=2, queue_records_max=BOUND)
        answers = OwnerAnswers(books.log, settings, lambda: books.runners, {})
        for _ in range(3):
            for _ in range(2 * BOUND):
                behind = books.log.end_offset(FILLS.name, 1) - books.runners[1].next_offset
                assert answers.lagging() is (behind > BOUND), behind
                append_records(books.log, [Outgoing(FILLS.name, 1, None, b"[]")])
            books.run()


def test_no_stage_is_looked_at_before_it_can_be_behind(tmp_path: Path) -> None:
    looks: list[int] = []
    with Books(tmp_path / "data", partitions=2) as books:

        def runners() -> list[PartitionRunner]:
            looks.append(books.log.sequence)
            return books.runners

        settings = Settings(data=tmp_path / "data", partitions=2, queue_records_max=100)
        answers = OwnerAnswers(books.log, settings, runners, {})
        for number in range(100):
            assert not answers.lagging()
            books.fills(fill(f"t{number}"))
            books.run()
        assert 2 < len(looks) <= 1 + books.log.sequence // 100
        assert all(later > earlier + 100 for earlier, later in pairwise(looks))
