"""The strategies' package stands alone: its own name, the standard library, nothing of this repository."""

import json
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

from connectors.shm.writer import PositionWriter

PROJECT = Path(__file__).parents[3] / "clients" / "python"
# Isolated, and without site-packages: what is not in the standard library cannot be imported.
READ = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pks_client import PositionReader
position = PositionReader(sys.argv[2]).slot("B1", "X").read()
print(json.dumps([str(position.quantity), position.status, repr(position)]))
"""


def test_it_reads_with_the_standard_library_only(shared_memory_name):
    writer = PositionWriter(shared_memory_name, slots=16, partitions=1)
    writer.write(("B1", "X"), 0, "USD", (Decimal("1.25"),) * 6, (1, 1), (1, 1))
    writer.claim()
    command = [sys.executable, "-I", "-S", "-c", READ, str(PROJECT), shared_memory_name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    writer.close(keep=False)
    assert done.returncode == 0, done.stderr
    quantity, status, text = json.loads(done.stdout)
    assert (quantity, status) == ("1.25", "live")
    assert text.startswith("PositionSlot('B1', 'X', quantity=1.25")


def test_its_project_file_has_its_folder_and_needs_nothing():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert project["project"]["dependencies"] == []
    assert all(
        (PROJECT / package / "__init__.py").is_file() for package in project["tool"]["setuptools"]["packages"]
    )
