"""Whatever the bytes: a decoder gives fills that capture can judge, or faults; never anything else."""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.files.faults import InputFaults
from connectors.venues.decoding import DecodeOptions
from connectors.venues.formats import FORMATS, decode
from domain.capture.validation import validate
from schemas.frames import encode_frames
from schemas.topics import FILLS
from tests.unit.connectors.venues import samples

READABLE = [name for name, entry in FORMATS.items() if entry.available]
MUTATIONS = 500
MUTATIONS_SOAK = 5_000


def check(name: str, path: Path) -> bool:
    """Whether the file decodes; whatever it decodes to must be sound, and accounted for."""
    decoded = decode(name, [str(path)], DecodeOptions(book="B"))
    faults = []
    try:
        fills = decoded.fills()
    except InputFaults as refused:
        faults, fills = [str(fault) for fault in refused.faults], None
    if fills is None:
        assert faults and not any("\n" in fault for fault in faults)
        return False
    counts = decoded.counts
    assert counts.ties() and counts.fills == len(fills)
    assert len({fill.trade_id for fill in fills}) == len(fills)
    for fill in fills:
        assert validate(fill) is None, fill
    assert [fill for frame in encode_frames(fills) for fill in FILLS.codec.decode(frame)] == fills
    return True


def mutate(content: bytes, chance: random.Random) -> bytes:
    """A few changes of bytes: other ones, fewer, more, parts that stand twice or elsewhere."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        until = min(len(data), at + chance.randint(1, 12))
        kind = chance.randrange(6)
        if kind == 0:
            data[at:until] = bytes(chance.randrange(256) for _ in range(until - at))
        elif kind == 1:
            del data[at:until]
        elif kind == 2:
            data[at:at] = chance.choice(samples.NASTY)
        elif kind == 3:
            data[at:at] = data[chance.randrange(len(data) + 1) :][: chance.randint(1, 200)]
        elif kind == 4:
            del data[at:]
        else:
            data[at:until] = chance.choice(samples.NASTY)
    return bytes(data)


def mutations(name: str, folder: Path, count: int) -> int:
    chance = random.Random(f"{name}/2026")
    content = samples.SAMPLES[name]
    good = 0
    for number in range(count):
        path = folder / samples.FILE_NAMES[name]
        path.write_bytes(mutate(content, chance))
        try:
            good += check(name, path)
        except Exception as error:
            raise AssertionError(f"mutation {number} of {name}: {path.read_bytes()!r}") from error
    return good


@pytest.mark.parametrize("name", READABLE)
def test_samples_decode(tmp_path: Path, name: str):
    path = tmp_path / samples.FILE_NAMES[name]
    path.write_bytes(samples.SAMPLES[name])
    assert check(name, path)


@pytest.mark.parametrize("name", READABLE)
def test_mutations_decode_or_are_refused(tmp_path: Path, name: str):
    good = mutations(name, tmp_path, MUTATIONS)
    # Some of them hit what is not read, some do not: both ways are walked.
    assert 0 < good < MUTATIONS


@pytest.mark.soak
@pytest.mark.parametrize("name", READABLE)
def test_many_mutations_decode_or_are_refused(tmp_path: Path, name: str):
    assert 0 < mutations(name, tmp_path, MUTATIONS_SOAK) < MUTATIONS_SOAK


@pytest.mark.parametrize("name", READABLE)
@given(content=st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(tmp_path: Path, name: str, content: bytes):
    path = tmp_path / samples.FILE_NAMES[name]
    path.write_bytes(content)
    assert check(name, path) in (True, False)


def zipped(folder: Path, member: str, content: bytes) -> Path:
    path = folder / "20131007_trade.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return path


def test_mutations_of_a_zip_decode_or_are_refused(tmp_path: Path):
    chance = random.Random("zip/2026")
    path = zipped(tmp_path, "20131007_spy_Trade_Tick.csv", samples.SAMPLES["lean-tick"])
    whole = path.read_bytes()
    good = 0
    for _ in range(MUTATIONS):
        path.write_bytes(mutate(whole, chance))
        good += check("lean-tick", path)
    assert good < MUTATIONS


RUNS: Callable[[list[int]], bytes] = lambda prices: "\n".join(  # noqa: E731
    f"{34_200_000 + number},{price},100,P,,0" for number, price in enumerate(prices)
).encode()


@given(prices=st.lists(st.integers(1, 5), min_size=1, max_size=60), cut=st.integers(0, 60))
def test_the_tick_test_does_not_see_where_files_end(tmp_path: Path, prices: list[int], cut: int):
    """Two files of two days give the sides that one file of all prints gives."""
    whole = tmp_path / "20131007_spy_Trade_Tick.csv"
    whole.write_bytes(RUNS(prices))
    expected = [fill.side for fill in decode("lean-tick", [str(whole)]).fills()]
    paths = []
    for day, part in (("20131008", prices[:cut]), ("20131009", prices[cut:])):
        if part:
            paths.append(tmp_path / f"{day}_spy_Trade_Tick.csv")
            paths[-1].write_bytes(RUNS(part))
    found = [fill.side for fill in decode("lean-tick", [str(path) for path in reversed(paths)]).fills()]
    assert found == expected
