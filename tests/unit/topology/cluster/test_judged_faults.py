"""A worker that the brokers call another's double is one only where that other is heard."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.kafka.errors import FencedError, LinkError, NameTakenError
from connectors.kafka.ownership import Lease
from topology.cluster.status import Order
from topology.cluster.worker import ClusterWorker
from topology.settings import Settings
from topology.web.server import listen

TAKEN = NameTakenError("expected to be the one worker of its name")
RIVAL = Lease("host-1", "another life", "another host")


def judged(folder: Path, rival: Lease | None, fault: Exception) -> Any:
    settings = Settings(data=folder, transport="kafka://127.0.0.1:9092")
    order = Order({}, "host-1", "cluster", 0, {})
    with closing(listen("127.0.0.1", 0)) as listener:
        worker = ClusterWorker(order, settings, [], listener, SimpleNamespace(rival=rival))
        return worker.judged(fault)


def test_where_another_is_heard_the_name_is_taken(tmp_path: Path) -> None:
    assert judged(tmp_path, RIVAL, TAKEN) is TAKEN


def test_where_nobody_is_heard_a_restart_mends_it(tmp_path: Path) -> None:
    found = judged(tmp_path, None, TAKEN)
    assert isinstance(found, LinkError)
    assert "nobody else of that name was heard" in str(found)


@pytest.mark.parametrize("rival", [None, RIVAL])
def test_other_faults_are_as_they_are(tmp_path: Path, rival: Lease | None) -> None:
    fault = FencedError("another worker has taken over")
    assert judged(tmp_path, rival, fault) is fault
