"""Malformed input: each parser and import refuses it with its place, and none ends in a crash."""

import json
import math
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from schemas import topics
from schemas.frames import BadEvent, encode_frames
from tests.faults import stages_worker
from tests.faults.malformed_support import CSV, FEWER, IMPORTS, PARSERS, mutants, read
from tests.faults.up_support import pks, request_of, running, settle
from tests.support import Books, ClockTick, fill, soak_minutes
from topology.cli.application import run
from topology.control.protocol import LENGTH, ControlClient, ControlError, Request, encode

MUTANTS = 20_000
COMMANDS = 60
"""Mutants that pass the whole command; each takes as long as 50 of the parser alone."""


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: a million small files are written."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


def read_mutants(folder: Path, name: str, number: int, seed: str, ends: float = math.inf) -> dict[str, int]:
    """Read the sample, then mutants of it, until the number or the time is reached; what became of them."""
    reader, sample = PARSERS[name]
    path = folder / name
    path.write_bytes(sample)
    assert reader(path)
    seen = {"read": 0, "refused": 0}
    for content in mutants(sample, number, seed):
        path.write_bytes(content)
        seen[read(path, reader)] += 1
        if time.monotonic() > ends:
            break
    return seen


@pytest.mark.parametrize("name", PARSERS)
def test_no_mutant_ends_in_a_crash(scratch: Path, name: str):
    number = FEWER.get(name, MUTANTS)
    seen = read_mutants(scratch, name, number, name)
    assert min(seen.values()) > 0 and sum(seen.values()) == number


@pytest.mark.soak
@pytest.mark.parametrize("name", PARSERS)
def test_no_mutant_of_a_million_ends_in_a_crash(scratch: Path, name: str):
    ends = time.monotonic() + 60 * soak_minutes() / len(PARSERS)
    seen = read_mutants(scratch, name, 1_000_000, f"soak {name}", ends)
    assert min(seen.values()) > 0


def run_import(folder: Path, path: Path, format_name: str, capsys: pytest.CaptureFixture[str]) -> int:
    """`pks import` of a file in this process: its exit code; it must keep the contract of what it prints."""
    before = (folder / "log").exists()
    code = run(
        ["import", str(path), "--format", format_name, "--book", "B1", "--data", str(folder), "--json"]
    )
    printed, told = capsys.readouterr()
    assert code in (0, 2)
    if code == 2:
        assert printed == "" and told.strip() and all(path.name in line for line in told.splitlines())
        assert (folder / "log").exists() == before
    else:
        counts = json.loads(printed)
        assert counts["read"] == (
            counts["fills"] + counts["duplicates"] + counts["rejected"] + sum(counts["skipped"].values())
        )
    return code


@pytest.mark.parametrize("name", IMPORTS)
def test_the_import_command_keeps_its_contract_for_every_mutant(
    scratch: Path, name: str, capsys: pytest.CaptureFixture[str]
):
    format_name, sample = IMPORTS[name]
    codes = set()
    for content in (sample, *mutants(sample, COMMANDS, f"command {name}")):
        (scratch / name).write_bytes(content)
        codes.add(run_import(scratch / "data", scratch / name, format_name, capsys))
    assert codes == {0, 2}


@pytest.mark.soak
@pytest.mark.parametrize("name", IMPORTS)
def test_the_import_command_keeps_its_contract_for_20000_mutants(
    scratch: Path, name: str, capsys: pytest.CaptureFixture[str]
):
    format_name, sample = IMPORTS[name]
    ends = time.monotonic() + 60 * soak_minutes() / len(IMPORTS)
    codes = set()
    for content in chain([sample], mutants(sample, MUTANTS, f"soak command {name}")):
        (scratch / name).write_bytes(content)
        codes.add(run_import(scratch / "data", scratch / name, format_name, capsys))
        if time.monotonic() > ends:
            break
    assert codes == {0, 2}


def test_each_of_20000_malformed_rows_is_told_with_its_line(tmp_path: Path):
    path = tmp_path / "fills.csv"
    head, row, _ = CSV.splitlines(keepends=True)
    bad = row.replace(b"100.25", b"1e5")
    path.write_bytes(head + b"".join(row.replace(b"t1", b"s%d" % n) + bad for n in range(MUTANTS)))
    done = pks(tmp_path / "data", "import", str(path), "--format", "canonical", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == MUTANTS
    assert all(f":{3 + 2 * n}:" in line or f"line {3 + 2 * n}" in line for n, line in enumerate(lines))
    assert not (tmp_path / "data" / "log").exists()


@pytest.mark.parametrize("name", IMPORTS)
def test_the_import_command_refuses_what_it_cannot_read_and_touches_no_log(tmp_path: Path, name: str):
    format_name, sample = IMPORTS[name]
    path = tmp_path / name
    path.write_bytes(sample[: len(sample) // 4] + b"\xff\x00<{")
    done = pks(tmp_path / "data", "import", str(path), "--format", format_name, "--book", "B1", "--json")
    assert done.returncode == 2, done.stderr
    assert name in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "log").exists()


def test_bytes_that_reach_the_log_are_dead_letters_with_their_bytes(tmp_path: Path):
    choose = random.Random(1)
    values = [choose.randbytes(choose.randint(1, 200)) for _ in range(20_000)]
    with Books(tmp_path / "data") as books:
        for start in range(0, len(values), 1_000):
            books.append(topics.FILLS, None, values[start : start + 1_000])
        books.book(fill("sound"))
        counts = books.counts()
        assert (counts.refused, counts.applied) == (len(values), 1)
        assert sorted(bytes(letter.original) for letter in books.dead_letters()) == sorted(values)
        assert books.position().quantity == 10


def test_each_mutant_of_a_frame_is_applied_or_a_dead_letter(tmp_path: Path):
    (frame,) = encode_frames([fill(f"t{number}", at=number) for number in range(3)])
    values = list(mutants(frame, MUTANTS, "frames"))
    with Books(tmp_path / "data") as books:
        for start in range(0, len(values), 1_000):
            books.append(topics.FILLS, None, values[start : start + 1_000])
            books.run()
        counts, letters = books.counts(), books.dead_letters()
        found = [event for value in values for event in topics.FILLS.codec.decode_each(value)]
        inputs = [event for event in found if not isinstance(event, ClockTick)]
        assert counts.read == len(inputs) == counts.applied + counts.duplicates + counts.refused
        assert counts.refused == len(letters) > MUTANTS // 2 and counts.applied >= 3
        bad = Counter(event.original for event in inputs if isinstance(event, BadEvent))
        assert Counter(bytes(letter.original) for letter in letters if letter.kind == "unreadable") == bad
        assert all(bytes(letter.original) in values[letter.offset] for letter in letters)
        assert not [letter for letter in letters if letter.kind == "failed"]
        assert books.position().quantity == 10 * counts.applied or counts.applied > 3


def test_no_mutant_of_a_control_message_harms_its_owner(tmp_path: Path):
    """Each is answered, and a sound connection beside it is served; who lies about lengths harms only itself."""
    folder = tmp_path / "data"
    sound = [
        encode(request_of([fill("t1", book="ODD")])),
        encode(Request("counts", sources=["test"])),
        encode(Request("status")),
    ]
    with running(folder) as process:
        client, answered, refused = ControlClient(folder), 0, 0
        for number, message in enumerate(m for each in sound for m in mutants(each, MUTANTS // 3, "control")):
            client._socket.sendall(LENGTH.pack(len(message)) + message)
            if number % 50 == 49:
                for _ in range(50):
                    try:
                        client.receive()
                    except ControlError:
                        refused += 1
                    answered += 1
        for head in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff some", b"\x00"):
            liar = ControlClient(folder)
            liar._socket.sendall(head)
            liar.close()
        assert answered >= MUTANTS - 100 and 0 < refused < answered
        client.close()
        client = ControlClient(folder)
        client.ask(request_of([fill("sound", book="SOUND")]))
        settle(client)
        client.close()
        process.terminate()
        assert process.wait(30) == 0
    assert pks(folder, "verify", "--quick").returncode == 0
    with Books(folder, partitions=stages_worker.PARTITIONS) as books:
        assert books.position("SOUND").quantity == 10
