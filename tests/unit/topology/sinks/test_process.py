import os
import subprocess
import sys

from topology.sinks.process import WATCH_STDIN

PROGRAM = """
import asyncio
from topology.sinks.process import until_told

async def work():
    try:
        print("begun", flush=True)
        await asyncio.sleep(60)
    finally:
        for number in range(20):
            await asyncio.sleep(0.01)
        print("ended in order", flush=True)

asyncio.run(until_told(work()))
"""


def test_the_end_of_the_standard_input_is_told_once():
    """An ended pipe can be read for ever: told again at each turn of the loop, the work could not end in order."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, WATCH_STDIN: "1"},
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        assert process.stdout.readline() == b"begun\n"
        process.stdin.close()
        assert process.stdout.read() == b"ended in order\n"
    assert process.returncode == 0
