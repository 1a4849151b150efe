"""Malformed input: each parser and import refuses it with its place, and none ends in a crash."""

import gzip
import json
import math
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from connectors.files.book_map import read_book_map
from connectors.files.definitions import read_definitions
from connectors.files.faults import InputFaults
from connectors.files.source import open_source
from connectors.venues.decoding import DecodeOptions
from connectors.venues.formats import decode
from schemas import reference, topics
from schemas.frames import BadEvent, encode_frames
from tests.faults import stages_worker
from tests.faults.up_support import ROOT, environment, pks, request_of, running, settle
from tests.support import Books, ClockTick, fill, soak_minutes
from topology.cli.application import run
from topology.control import LENGTH, ControlClient, ControlError, Request, encode

MUTANTS = 20_000
COMMANDS = 60
"""Mutants that pass the whole command; each takes as long as 50 of the parser alone."""

JSON_MEMORY_KILOBYTES_MAX = 1_200_000
"""A JSON array is read whole, up to 256 MiB, and may take some times that in memory."""

CSV = b"""trade_id,book,instrument,side,quantity,price,executed_at
t1,B1,X,BUY,10,100.25,2026-01-05T10:00:00Z
t2,B1,X,SELL,4,101,2026-01-05T10:00:01Z
"""
JSON_LINE = (
    b'{"trade_id":"t1","book":"B1","instrument":"X","side":"BUY","quantity":"10","price":"100.25",'
    b'"executed_at":"2026-01-05T10:00:00Z"}\n'
)
FLEX = b"""<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1">
<FlexStatement accountId="U1"><Trades><Trade accountId="U1" symbol="AAPL" conid="1" assetCategory="STK"
currency="USD" tradeID="7" ibExecID="0001.1" dateTime="20260105;100000" buySell="BUY" quantity="10"
tradePrice="100.25" ibCommission="-1" ibCommissionCurrency="USD" transactionType="ExchTrade"/></Trades>
</FlexStatement></FlexStatements></FlexQueryResponse>
"""
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1767571200000,"s":"BTCUSDT","t":1,"p":"100.5","q":"0.1",'
    b'"T":1767571200000,"m":true,"M":true}}\n'
)
TICKS = b"34200000,1000000,100,Q,0,0\n34200001,1000100,50,Q,0,0\n"
BOOKS = (
    b"book,entity,base_currency,lot_methods,fee_policy,calendar,time_zone,cut_off,active\n"
    b"B1,E,USD,equity=fifo;*=average,expensed,weekdays,Europe/London,17:30,true\n"
)
INSTRUMENTS = (
    b"instrument,class,currency,multiplier,inverse,settlement_days,isin,symbol:XNAS\n"
    b"X,equity,USD,1,false,2,US0378331005,AAPL\n"
)
RULES = b'{"rule":"r","book":"B1","priority":1,"venue":"XNAS"}\n{"rule":"s","book":"B2"}\n'

Reader = Callable[[Path], object]


def importing(format_name: str) -> Reader:
    """Reads every fill of a file."""
    return lambda path: decode(format_name, [str(path)], DecodeOptions(book="B1")).fills()


def defining(kind: type) -> Reader:
    """Reads definitions."""
    return lambda path: read_definitions(open_source(str(path)), kind)


def mapping(path: Path) -> object:
    """Reads a map of books."""
    return read_book_map(open_source(str(path)))


IMPORTS = {
    "canonical.csv": ("canonical", CSV),
    "canonical.jsonl": ("canonical", JSON_LINE),
    "canonical.json": ("canonical", b"[" + JSON_LINE.strip() + b"]"),
    "flex.xml": ("ibkr-flex", FLEX),
    "btcusdt.jsonl": ("binance-stream", TRADE),
    "20260105_trade.csv": ("lean-tick", TICKS),
}
PARSERS: dict[str, tuple[Reader, bytes]] = {
    **{name: (importing(format_name), sample) for name, (format_name, sample) in IMPORTS.items()},
    "packed.csv.gz": (importing("canonical"), gzip.compress(CSV, mtime=0)),
    "books.csv": (defining(reference.Book), BOOKS),
    "instruments.csv": (defining(reference.Instrument), INSTRUMENTS),
    "rules.jsonl": (defining(reference.RoutingRule), RULES),
    "map.csv": (mapping, b"instrument,book\nX,B1\nY,B2\n"),
    "map.json": (mapping, b'{"X":"B1","Y":"B2","*":"REST"}'),
    "books.yaml": (
        defining(reference.Book),
        b"- book: B1\n  lot_methods: {equity: fifo}\n  cut_off: '17:00'\n",
    ),
    "map.yaml": (mapping, b"X: B1\nY: B2\n"),
}
FEWER = {
    **dict.fromkeys(
        ("packed.csv.gz", "books.csv", "instruments.csv", "rules.jsonl", "map.csv", "map.json"), 5_000
    ),
    **dict.fromkeys(("books.yaml", "map.yaml"), 300),
}
"""Mutants of what shares its reader of rows with others, and of YAML, which is read 50 times as slowly; the soak run
makes no difference."""

NASTY = (
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"'",
    b"\n",
    b",,,",
    b"=1+1",
    b"1e999999",
    b"NaN",
    b"{" * 50,
    b"[" * 3000,
)


def mutants(sample: bytes, number: int, seed: str) -> Iterator[bytes]:
    """The sample with bytes flipped, cut, repeated or replaced by what parsers dislike."""
    choose = random.Random(seed)
    for _ in range(number):
        content = bytearray(sample)
        for _ in range(choose.randint(1, 4)):
            place = choose.randrange(len(content) or 1)
            kind = choose.randrange(5)
            if kind == 0 and content:
                content[place] ^= 1 << choose.randrange(8)
            elif kind == 1:
                del content[place : place + choose.randint(1, 20)]
            elif kind == 2:
                content[place:place] = choose.choice(NASTY)
            elif kind == 3:
                content[place:place] = content[place : place + 40]
            else:
                del content[place:]
        yield bytes(content)


def read(path: Path, reader: Reader) -> str:
    """What became of a file: `read`, or `refused` with every fault placed in it, on one line that can be shown."""
    try:
        reader(path)
    except InputFaults as refused:
        lines = [str(fault) for fault in refused.faults]
        assert lines and all(line.isprintable() and path.name in line for line in lines), lines
        return "refused"
    return "read"


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
