"""A broken invariant under `pks up`: its partition stops and says so everywhere; the others go on."""

import json
from pathlib import Path

from clients.python.pks_client import PositionReader, Status
from schemas import topics
from schemas.murmur2 import partition_of_key
from tests.faults.up_support import Watch, pks, planted, running, settle
from tests.support import Books, eventually, fill, fill_key
from topology.control.entry import records_of
from topology.control.protocol import ControlClient, Request

PARTITIONS = 2
SOUND = "B1"
BROKEN = next(
    name
    for name in ("B2", "B3", "B4", "B5", "B6")
    if partition_of_key(name.encode(), PARTITIONS) != partition_of_key(SOUND.encode(), PARTITIONS)
)
PLACE = partition_of_key(BROKEN.encode(), PARTITIONS)


def send(client: ControlClient, *fills: object) -> None:
    client.ask(Request("append", records=records_of(topics.FILLS, fills, fill_key, PARTITIONS)))
    settle(client)


def test_its_partition_stops_the_others_go_on_and_a_sound_worker_takes_it_up(
    tmp_path: Path, shared_memory_name: str
):
    folder = tmp_path / "data"
    settings = {"PKS_PARTITIONS": str(PARTITIONS), "PKS_SHARED_MEMORY": shared_memory_name}
    with running(folder, command=planted("miscounted"), **settings) as process:
        watch, client = Watch(process.pid, folder), ControlClient(folder)
        reader = PositionReader(shared_memory_name)
        send(client, fill("t1", book=SOUND), fill("t2", book=BROKEN))
        eventually(lambda: (slot := reader.slot(BROKEN, "X")) and slot.live)
        send(client, fill("broken", book=BROKEN, at=1))
        send(client, fill("t3", book=SOUND, at=2), fill("t4", book=BROKEN, at=2))

        status, document = watch.health()
        stopped = {
            part["partition"]: part["stopped"]
            for stage in document["stages"]
            if stage["stage"] == "positions"
            for part in stage["partitions"]
        }
        assert status == 503 and document["ready"] is False
        assert stopped[1 - PLACE] is None
        assert "expected read = applied + duplicates + refused + waiting" in stopped[PLACE]
        metrics = watch.metrics()
        assert metrics['pks_partitions_stopped{stage="positions"}'] == 1
        assert metrics['pks_partitions_stopped{stage="trade_capture"}'] == 0
        assert metrics[f'pks_lag_events{{partition="{PLACE}",stage="positions"}}'] == 2
        assert metrics[f'pks_lag_events{{partition="{1 - PLACE}",stage="positions"}}'] == 0
        # The last committed state is readable, and nobody takes it for live.
        eventually(lambda: reader.slot(BROKEN, "X").read().status is Status.NOT_OWNED)
        eventually(lambda: reader.slot(SOUND, "X").quantity == 20)
        assert reader.slot(SOUND, "X").live and reader.slot(BROKEN, "X").quantity == 10
        shown = json.loads(pks(folder, "positions", "--json").stdout)
        assert {each["book"]: each["quantity"] for each in shown["positions"]} == {SOUND: "20", BROKEN: "10"}
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    with running(folder, **settings) as process:
        client = ControlClient(folder)
        settle(client)
        assert Watch(process.pid, folder).health()[0] == 200
        client.close()
    with Books(folder, partitions=PARTITIONS) as books:
        assert {name: opened.position.quantity for (name, _), opened in books.positions().items()} == {
            SOUND: 20,
            BROKEN: 30,
        }
