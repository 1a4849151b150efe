"""A reader beside an owner whose database finishes and removes write-ahead logs all the time sees no gap."""

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from connectors.embedded.log import EmbeddedLog
from tests.faults.up_support import ROOT

SECONDS, FLUSH_EVERY = 4.0, 40
_OWNER = f"""
import sys, time
from pathlib import Path
from connectors.embedded.log import EmbeddedLog

with EmbeddedLog.owner(Path(sys.argv[1]), sync="os") as log:
    log.create_topic("t", 1)
    print("ready", flush=True)
    ends, number = time.monotonic() + {SECONDS}, 0
    while time.monotonic() < ends:
        transaction = log.transaction()
        transaction.append("t", 0, None, b"x" * 200)
        transaction.commit()
        number += 1
        if number % {FLUSH_EVERY} == 0:
            log._database.flush()
    print(number)
"""


def test_a_reader_sees_every_record_before_the_next(tmp_path: Path):
    """Without the second look at the manifest every fiftieth read or so had a gap."""
    folder = tmp_path / "data"
    command = [sys.executable, "-c", _OWNER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        seen = reads = 0
        with closing(EmbeddedLog.reader(folder)) as log:
            while owner.poll() is None or seen < log.end_offset("t", 0):
                log.catch_up()
                found = [record.offset for record in log.read("t", 0, seen, 100_000, 1 << 30)]
                assert found == list(range(seen, seen + len(found)))
                seen += len(found)
                reads += 1
                time.sleep(0.0005)
        assert seen == int(owner.stdout.read()) and reads > 100
