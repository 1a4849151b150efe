"""Opening: plain, gzip, zip, standard input, pipes; and what cannot be opened says so, within bounds."""

import gzip
import io
import os
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from connectors.files import source as source_module
from connectors.files.faults import FaultCollector, InputFault, InputFaults, escaped
from connectors.files.source import open_members, open_source

CONTENT = b"a,b\n1,2\n"


def _zip(path: Path, members: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return str(path)


def _read(path: str) -> tuple[str, bytes]:
    source = open_source(path)
    with source.open() as stream:
        return source.suffix, stream.read()


def _refused(path: str) -> InputFault:
    with pytest.raises(InputFaults) as caught:
        _read(path)
    [fault] = caught.value.faults
    assert fault.file == path
    return fault


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):
    def use(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return use


def test_plain(tmp_path: Path):
    path = tmp_path / "trades.CSV"
    path.write_bytes(CONTENT)
    assert _read(str(path)) == (".csv", CONTENT)


def test_a_source_can_be_opened_again(tmp_path: Path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(CONTENT, mtime=0))
    source = open_source(str(path))
    for _ in range(2):
        with source.open() as stream:
            assert stream.read() == CONTENT


@pytest.mark.parametrize(("name", "suffix"), [("a.jsonl.gz", ".jsonl"), ("a.csv", ".csv"), ("a.GZ", "")])
def test_gzip_by_content(tmp_path: Path, name: str, suffix: str):
    path = tmp_path / name
    path.write_bytes(gzip.compress(CONTENT, mtime=0) + gzip.compress(b"3,4\n", mtime=0))
    assert _read(str(path)) == (suffix, CONTENT + b"3,4\n")


@pytest.mark.parametrize(
    ("name", "member", "suffix"),
    [("a.zip", "b.JSON", ".json"), ("a.csv.zip", "b", ".csv"), ("a.csv", "b.csv", ".csv")],
)
def test_a_zip_of_one_file(tmp_path: Path, name: str, member: str, suffix: str):
    path = _zip(tmp_path / name, {"folder/": b"", "__MACOSX/x": b"y", member: CONTENT})
    assert _read(path) == (suffix, CONTENT)


def test_a_zip_of_several_files(tmp_path: Path):
    path = _zip(tmp_path / "a.zip", {"a.csv": b"1", "b.csv": b"2"})
    assert "2 files: a.csv, b.csv" in _refused(path).found
    assert [(name, stream.read()) for name, stream in open_members(path)] == [
        ("a.csv", b"1"),
        ("b.csv", b"2"),
    ]


def test_members_of_what_is_no_zip(tmp_path: Path):
    path = tmp_path / "20131007_trade.csv.gz"
    path.write_bytes(gzip.compress(CONTENT, mtime=0))
    assert [(name, stream.read()) for name, stream in open_members(str(path))] == [
        ("20131007_trade.csv", CONTENT)
    ]


def test_an_empty_zip(tmp_path: Path):
    path = _zip(tmp_path / "a.zip", {})
    assert "0 files" in _refused(path).found
    with pytest.raises(InputFaults):
        list(open_members(path))


@pytest.mark.parametrize("packed", [CONTENT, gzip.compress(CONTENT, mtime=0)])
def test_standard_input(stdin, packed: bytes):
    stdin(packed)
    assert _read("-") == ("", CONTENT)


def test_a_zip_from_standard_input(stdin, tmp_path: Path):
    stdin(Path(_zip(tmp_path / "a.zip", {"b.json": CONTENT})).read_bytes())
    assert _read("-") == (".json", CONTENT)


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
def test_nothing_from_standard_input(stdin, content: bytes):
    stdin(content)
    assert _refused("-").found == "an empty file"


@pytest.mark.parametrize("packed", [CONTENT, gzip.compress(CONTENT, mtime=0)])
def test_a_pipe_is_opened_once(tmp_path: Path, packed: bytes):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(packed,))
    writer.start()
    try:
        assert _read(str(path)) == (".csv", CONTENT)
    finally:
        writer.join()


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
def test_an_empty_file(tmp_path: Path, content: bytes):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert _refused(str(path)).found == "an empty file"


def test_what_is_no_file(tmp_path: Path):
    assert _refused(str(tmp_path / "none.csv")).expected == "a file that exists"
    assert _refused(str(tmp_path)).found == "a folder"
    assert _refused("a\0b").expected == "a file that can be read"
    (tmp_path / "file").write_bytes(b"1")
    assert _refused(str(tmp_path / "file" / "x")).expected == "a file that can be read"


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(CONTENT * 1000, mtime=0)[:40],
        gzip.compress(CONTENT, mtime=0)[:-6] + b"\0\0\0\0\0\0",
        b"\x1f\x8b" + CONTENT,
        b"PK\x03\x04" + CONTENT,
        b"PK\x05\x06",
    ],
)
def test_a_broken_archive(tmp_path: Path, content: bytes):
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    assert _refused(str(path)).expected in (
        "a readable file (plain, gzip or zip)",
        "a zip that can be read",
    )


def test_a_damaged_member(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.csv", CONTENT)
    path.write_bytes(path.read_bytes().replace(CONTENT, CONTENT[::-1]))
    assert "CRC" in _refused(str(path)).found


def test_an_archive_that_expands_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source_module, "EXPANSION_FREE_BYTES", 100_000)
    zeros = bytes(1_000_000)
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(zeros))
    for path in (str(packed), _zip(tmp_path / "a.zip", {"a.csv": zeros})):
        assert "times its size" in _refused(path).expected


def test_a_packed_stream_that_expands_without_end(stdin, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source_module, "EXPANSION_FREE_BYTES", 100_000)
    stdin(gzip.compress(bytes(100_000_000), 9))
    assert "times its size" in _refused("-").expected


def test_a_file_beyond_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source_module, "EXPANSION_FREE_BYTES", 1_000)
    monkeypatch.setattr(source_module, "BYTES_MAX", 100_000)
    path = tmp_path / "a.csv"
    path.write_bytes(bytes(200_000))
    assert "at most 100000 bytes" in _refused(str(path)).expected


def test_a_fault_is_one_line():
    fault = InputFault("a\n.csv", "line 3", "price", "a number", "x\n\x1b[31m\\" + "é" * 100)
    text = str(fault)
    assert "\n" not in text and "\x1b" not in text
    assert text.startswith(r"a\n.csv: line 3: price: expected a number, found x\n\x1b[31m\\éé")
    assert len(escaped("\ud800" * 100)) == len(escaped("x" * 100)) == 80
    assert escaped("x" * 80) == "x" * 80


def test_faults_come_in_the_order_of_places_and_are_counted_beyond_the_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("connectors.files.faults.FAULTS_MAX", 3)
    faults = FaultCollector("f")
    assert not faults
    faults.raise_if_any()
    for line in (12, 3, 5, 1, 2):
        faults.add(f"line {line}", "x", "y", "z")
    faulty = faults.sorted()
    assert [fault.place for fault in faulty] == ["line 3", "line 5", "line 12", ""]
    assert faulty[-1].found == "2 more faults"
    with pytest.raises(InputFaults, match="line 3"):
        faults.raise_if_any()


@pytest.mark.parametrize(
    ("found", "said"),
    [("BUY ", "'BUY '"), (" ", "' '"), ("a b", "a b"), ("", ""), (" " + "x" * 99, f"' {'x' * 76}…'")],
)
def test_a_blank_at_an_end_is_seen(found: str, said: str):
    line = str(InputFault("a.csv", "line 3", "side", "BUY or SELL", found))
    assert line == f"a.csv: line 3: side: expected BUY or SELL, found {said}"
    assert len(said) <= 80
