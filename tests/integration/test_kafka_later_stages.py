"""What hangs on the books, through one worker on a real broker: values, ledger, cash and currencies as on the embedded log.

With two workers, one of them killed, and every command: `test_kafka_all_stages` (soak).
"""

from pathlib import Path

import pytest

from clients.python.pks_client import GreeksReader, MarkReader
from tests.integration.test_kafka_all_stages import BEFORE, Books, Desk
from tests.kafka_support import PATIENCE, running_broker
from tests.support import eventually


def test_stages_behind_the_books_have_the_figures_of_the_embedded_log(
    tmp_path: Path, shared_memory_name: str
) -> None:
    with running_broker(tmp_path / "broker") as broker:
        cluster = Desk(
            tmp_path / "cluster",
            f"kafka://{broker.address}",
            PKS_STAGES="all",
            PKS_SHARED_MEMORY=shared_memory_name,
        )
        books = Books(Desk(tmp_path / "embedded", "embedded://"), cluster)
        for desk in (books.embedded, books.cluster):
            desk.write()
        with cluster.up():
            for command in BEFORE:
                books.both(*command)
            books.both("import", "first.csv", "--format", "canonical")
            books.settle()
            for question in (("book-hash",), ("ledger-hash",), ("cash",), ("valuations",), ("ocp-live",)):
                books.assert_same(*question)
            checks = {check["name"]: check for check in cluster.ask("verify")["checks"]}
            assert [name for name, check in checks.items() if not check["ok"]] == []
            # A check that looks at nothing holds, too.
            for name in ("replay", "double entry", "transfers", "cash", "ledger"):
                assert checks[name]["checked"] > 0, name
            shown_values(cluster, shared_memory_name)


def shown_values(cluster: Desk, name: str) -> None:
    """The worker shows in shared memory what its tables say."""
    greeks, marks = GreeksReader(f"{name}.greeks"), MarkReader(f"{name}.md.marks")
    for each in cluster.ask("valuations")["valuations"]:
        handle = greeks.slot(each["book"], each["instrument"])
        eventually(lambda handle=handle: handle.live, PATIENCE)
        assert handle.raw().market_value == pytest.approx(float(each["market_value"]), abs=0)
        assert marks.slot(each["instrument"]).live
