"""No reader ever sees a torn slot: one writer, eight readers in C and Python, growth while they read.

The members of each slot follow from one number, so a torn copy shows. That the check can fail is tested as well: with
a reader that does not look at the sequence, and with a writer that does not set it.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.c_programs import ROOT, compile_c
from tests.support import soak_minutes

NUMBERS = Path(__file__).with_name("shm_numbers.py")
POSITIONS = 3
C_READERS, PYTHON_READERS = 6, 2
SECONDS_MAX = 60


class Counted(NamedTuple):
    reads: int
    torn: int
    changes: int
    mappings: int
    nanoseconds: int


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return compile_c("read_positions.c", tmp_path_factory.mktemp("c") / "read_positions")


def start(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        list(map(str, arguments)), env=environment, stdout=subprocess.PIPE, text=True, **options
    )


@contextmanager
def writing(name, how="seqlock"):
    """A writer in a process of its own, which writes without a pause."""
    process = start(sys.executable, NUMBERS, "write", name, POSITIONS, how, stdin=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        written, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and int(written) > 0


def counted(*processes, seconds=SECONDS_MAX):
    """What readers counted; none is left running, whatever happens."""
    try:
        outputs = [process.communicate(timeout=seconds + 60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [Counted(*map(int, found.split())) for found in outputs]


def read_beside_a_writer(name, reader, c_reads, python_reads, changes, seconds=SECONDS_MAX):
    with writing(name):
        processes = [
            start(reader, name, POSITIONS, c_reads, changes, seconds, "checked") for _ in range(C_READERS)
        ] + [
            start(sys.executable, NUMBERS, "read", name, POSITIONS, python_reads, changes, seconds)
            for _ in range(PYTHON_READERS)
        ]
        return counted(*processes, seconds=seconds)


def test_a_million_reads_beside_a_writer_and_none_is_torn(reader, shared_memory_name):
    found = read_beside_a_writer(shared_memory_name, reader, 170_000, 10_000, changes=1_000)
    assert sum(each.reads for each in found) >= 1_000_000
    assert sum(each.torn for each in found) == 0
    # They read while it was written; whether it also grew meanwhile is up to the scheduler.
    assert min(each.changes for each in found) >= 1_000
    assert max(each.mappings for each in found) >= 1


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_hundred_million_reads_beside_a_writer_and_none_is_torn(reader, shared_memory_name):
    """A hundred million, or as many as its minutes allow."""
    seconds = max(1, min(600, int(60 * soak_minutes())))
    found = read_beside_a_writer(
        shared_memory_name, reader, 17_000_000, 500_000, changes=5_000, seconds=seconds
    )
    reads = sum(each.reads for each in found)
    print(f"{reads} reads, {sum(each.changes for each in found)} of another state than the one before")
    assert reads >= (100_000_000 if seconds == 600 else 1_000_000)
    assert sum(each.torn for each in found) == 0


def test_a_reader_that_ignores_the_sequence_is_caught(reader, shared_memory_name):
    torn = 0
    with writing(shared_memory_name):
        for _ in range(20):
            [found] = counted(start(reader, shared_memory_name, POSITIONS, 1_000_000, 1_000, 10, "unchecked"))
            torn += found.torn
            if torn:
                break
    assert torn > 0


@pytest.mark.parametrize("language", ["c", "python"])
def test_a_writer_that_leaves_the_sequence_alone_is_caught(reader, shared_memory_name, language):
    torn = 0
    with writing(shared_memory_name, "broken"):
        for _ in range(20):
            if language == "c":
                process = start(reader, shared_memory_name, POSITIONS, 100_000, 1_000, 10, "checked")
            else:
                process = start(
                    sys.executable, NUMBERS, "read", shared_memory_name, POSITIONS, 5_000, 500, 10
                )
            [found] = counted(process)
            torn += found.torn
            if torn:
                break
    assert torn > 0
