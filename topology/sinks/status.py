"""What a sink says of itself, in a small file of the data folder that the worker and `pks sinks` read.

Owns: `sinks/NAME.json` (how it goes) and `sinks/NAME.offsets` (where it goes on, for outside systems that cannot keep
that themselves).
Guarantees: a reader never sees half a file; offsets are on the disk when `write_offsets` returns.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from connectors.sink import TopicPartition

FOLDER = "sinks"

STANDBY = "standby"
"""The state of a sink that another process has, on another host of the cluster."""


class SinkStatus(msgspec.Struct, omit_defaults=True):
    """How a sink goes. Counts are those of its process; times are nanoseconds, 0 for never.

    `state` is `starting`, `running`, `retrying` (the far side failed, tried again soon), `open` (the circuit is open: it
    failed many times), `standby` (another process has it) or `stopped`. `waiting_since` is when the oldest record that is not confirmed was appended. `complaints` counts what the far side said aside of any answer.
    """

    name: str
    process: int = 0
    state: str = "starting"
    trouble: str = ""
    written: int = 0
    refused: int = 0
    failures: int = 0
    batches: int = 0
    lag_records: int = 0
    waiting_since: int = 0
    updated_at: int = 0
    complaints: dict[str, int] = {}

    def age_seconds(self, now: int) -> float:
        """How old the oldest record is that the far side has not confirmed; 0 where it has all."""
        return max(0, now - self.waiting_since) / 1e9 if self.waiting_since else 0.0


def write_status(data: Path, status: SinkStatus) -> None:
    """Show a status."""
    status.updated_at = time.time_ns()
    _replace(data / FOLDER / f"{status.name}.json", msgspec.json.encode(status), sync=False)


def read_statuses(data: Path) -> list[SinkStatus]:
    """The sinks that ever ran over a data folder, by name."""
    found = []
    for file in sorted((data / FOLDER).glob("*.json")):
        try:
            found.append(msgspec.json.decode(file.read_bytes(), type=SinkStatus))
        except (OSError, msgspec.MsgspecError):
            continue
    return found


def read_offsets(data: Path, name: str) -> dict[TopicPartition, int]:
    """Where a sink goes on, as `write_offsets` noted it; nothing where it never did."""
    try:
        stored = (data / FOLDER / f"{name}.offsets").read_bytes()
    except FileNotFoundError:
        return {}
    return {
        (topic, partition): offset
        for topic, partition, offset in msgspec.json.decode(stored, type=list[tuple[str, int, int]])
    }


def write_offsets(data: Path, name: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Note where a sink goes on."""
    rows = sorted((topic, partition, offset) for (topic, partition), offset in offsets.items())
    _replace(data / FOLDER / f"{name}.offsets", msgspec.json.encode(rows), sync=True)


def _replace(file: Path, content: bytes, *, sync: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.new")
    with new.open("wb") as opened:
        opened.write(content)
        if sync:
            opened.flush()
            os.fsync(opened.fileno())
    new.replace(file)
