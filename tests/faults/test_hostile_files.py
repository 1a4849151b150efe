"""Files made to harm: other encodings, a gigabyte in one line, bombs, formulas for a spreadsheet."""

import gzip
import re
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.faults.malformed_support import CSV, PARSERS, importing, read
from tests.faults.up_support import ROOT, environment, pks

JSON_MEMORY_KILOBYTES_MAX = 1_200_000
"""A JSON array is read whole, up to 256 MiB, and may take some times that in memory."""


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "cp037", "latin-1", "shift_jis"])
def test_a_file_in_another_encoding_is_refused(tmp_path: Path, encoding: str):
    path = tmp_path / "fills.csv"
    letter = "é" if encoding in ("cp037", "latin-1") else "本"
    path.write_bytes(CSV.decode().replace("X", letter).encode(encoding))
    assert read(path, importing("canonical")) == "refused"


@pytest.mark.parametrize("name", ["canonical.csv", "canonical.jsonl", "canonical.json"])
def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path, name: str):
    reader, sample = PARSERS[name]
    plain, marked = tmp_path / "plain" / name, tmp_path / "marked" / name
    for path, content in ((plain, sample), (marked, b"\xef\xbb\xbf" + sample)):
        path.parent.mkdir()
        path.write_bytes(content)
    assert reader(marked) == reader(plain)


GIGABYTE = 64


def gigabyte_of_one_line(path: Path) -> Path:
    """A gigabyte without an end of line, as members of a gzip file that repeat."""
    member = gzip.compress(b"0" * (16 << 20), compresslevel=1)
    with path.open("wb") as file:
        for _ in range(GIGABYTE):
            file.write(member)
    return path


@pytest.mark.parametrize("name", ["fills.csv.gz", "fills.jsonl.gz"])
def test_a_gigabyte_in_one_line_is_refused_in_bounded_memory(tmp_path: Path, name: str):
    path = gigabyte_of_one_line(tmp_path / name)
    assert path.stat().st_size < 8 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(path, importing("canonical")) == "refused"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


@pytest.mark.parametrize("name", ["fills.jsonl", "fills.json", "fills.csv", "fills.xml"])
def test_a_gigabyte_file_without_an_end_of_line_is_refused_in_bounded_memory(tmp_path: Path, name: str):
    """Sparse, so that it takes no room; read in a process of its own, whose greatest size is its own."""
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"[" if name.endswith(".json") else b"")
        file.truncate(1 << 30)
    script = (
        "import resource, sys\n"
        "from topology.cli.application import run\n"
        "code = run(sys.argv[1:])\n"
        "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    format_name = "ibkr-flex" if name.endswith(".xml") else "canonical"
    done = subprocess.run(
        [sys.executable, "-c", script, "import", str(path), "--format", format_name, "--book", "B1"],
        cwd=ROOT,
        env={**environment(), "PKS_DATA": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    code, kilobytes = done.stdout.split()
    assert code == "2" and name in done.stderr
    assert int(kilobytes) < JSON_MEMORY_KILOBYTES_MAX


def test_a_zip_bomb_is_refused(tmp_path: Path):
    path = tmp_path / "fills.csv.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("fills.csv", "w") as member,
    ):
        for _ in range(128):
            member.write(b"0" * (1 << 20))
    assert path.stat().st_size < 1 << 20
    assert read(path, importing("canonical")) == "refused"


FORMULAS = ("=1+1", "=cmd|' /C calc'!A0", "@SUM(1)", "+1+1", "-1+1")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_in_a_number_or_an_identifier_is_refused(tmp_path: Path, text: str):
    for place in (b"100.25", b"t1", b"B1", b"X"):
        path = tmp_path / "fills.csv"
        path.write_bytes(CSV.replace(place, b'"%b"' % text.encode()))
        assert read(path, importing("canonical")) == "refused", place


def test_a_formula_is_refused_by_the_command(tmp_path: Path):
    path = tmp_path / "fills.csv"
    path.write_bytes(CSV.replace(b"100.25", b"=1+1"))
    done = pks(tmp_path / "data", "import", str(path), "--format", "canonical")
    assert done.returncode == 2 and "price" in done.stderr
    assert not (tmp_path / "data" / "log").exists()


def test_nothing_of_the_product_writes_csv():
    """Who makes the first CSV output must see to formulas in what venues and desks wrote; then this test goes."""
    writing = re.compile(r"csv\.(writer|DictWriter)|text/csv|\.to_csv")
    packages = ("agents", "clients", "connectors", "domain", "schemas", "tables", "topology")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 100
    assert not [file for file in files if writing.search(file.read_text(encoding="utf-8"))]
