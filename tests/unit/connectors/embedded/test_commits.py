"""Reading partitions side by side: what was appended together is handed on together."""

from connectors.embedded.commits import first_commits, whole_commits
from connectors.embedded.log import EmbeddedLog
from schemas.units import Side
from tests.support import MONDAY, SECOND, Books, fill


def read(log, bounds):
    found = {partition: log.read("t", partition, 0, bounds[partition], 1 << 30) for partition in bounds}
    ends = {partition: log.end_offset("t", partition) for partition in bounds}
    return {key: [record.value for record in records] for key, records in whole_commits(found, ends).items()}


def test_cuts_every_partition_before_the_commit_that_one_could_not_read_whole(tmp_path):
    ticks = iter(range(1, 100))
    with EmbeddedLog.owner(tmp_path / "data", clock=lambda: next(ticks)) as log:
        log.create_topic("t", 2)
        for commit in range(3):
            transaction = log.transaction()
            for partition, record in ((0, b"a"), (0, b"b"), (1, b"c")):
                transaction.append("t", partition, None, record + str(commit).encode())
            transaction.commit()
        assert read(log, {0: 3, 1: 3}) == {0: [b"a0", b"b0"], 1: [b"c0"]}
        assert read(log, {0: 6, 1: 3}) == {
            0: [b"a0", b"b0", b"a1", b"b1", b"a2", b"b2"],
            1: [b"c0", b"c1", b"c2"],
        }
        # A commit that one read cannot hold is handed on as it was read: the reader gets on.
        assert read(log, {0: 1, 1: 3}) == {0: [b"a0"], 1: [b"c0", b"c1", b"c2"]}


def test_bulk_input_in_order_makes_no_trade_late(tmp_path):
    rematched = []

    def watch(runner, report):
        for opened in report.touched.values():
            rematched.append((runner.stage.name, opened.revision))

    with Books(tmp_path / "data", partitions=4, observers=[watch]) as books:
        for chunk in range(4):
            books.fills(
                *(
                    fill(f"t{number}", 1 + number % 7, side=Side.BUY, executed_at=MONDAY + number * SECOND)
                    for number in range(chunk * 2_000, chunk * 2_000 + 2_000)
                )
            )
        books.run(max_bytes=200_000)
        orders = [
            (event.executed_at, event.source_sequence, event.trade_id)
            for event in books.events("backoffice.booking.v1")
        ]
        assert len(orders) == 8_000
        assert orders == sorted(orders)


def test_a_large_commit_is_alone_and_small_ones_are_together(tmp_path):
    ticks = iter(range(1, 100))
    with EmbeddedLog.owner(tmp_path / "data", clock=lambda: next(ticks)) as log:
        log.create_topic("t", 2)
        for value in (b"small", b"L" * 100, b"small", b"small", b"L" * 100):
            transaction = log.transaction()
            for partition in range(2):
                transaction.append("t", partition, None, value)
            transaction.commit()
        transaction = log.transaction()
        transaction.append("t", 1, None, b"last")
        transaction.commit()
        offsets = {0: 0, 1: 0}
        taken = []
        while found := {
            partition: records
            for partition, offset in offsets.items()
            if (records := log.read("t", partition, offset, 100, 1 << 20))
        }:
            first = first_commits(found, 100)
            taken.append({partition: len(records) for partition, records in first.items()})
            offsets.update({partition: records[-1].offset + 1 for partition, records in first.items()})
        assert taken == [{0: 2, 1: 2}, {0: 3, 1: 3}, {1: 1}]
        assert first_commits({}, 100) == {}
        everything = {partition: log.read("t", partition, 0, 100, 1 << 20) for partition in range(2)}
        assert {place: len(found) for place, found in first_commits(everything, 1 << 20, 3).items()} == {
            0: 2,
            1: 2,
        }
