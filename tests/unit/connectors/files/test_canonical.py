"""Canonical files: what is read, what is refused and where, and that what is written is read again."""

import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.files import rows
from connectors.files.canonical import FILL_READERS, read_canonical, read_fills, write_canonical_line
from connectors.files.faults import FaultCollector, InputFaults
from connectors.files.source import open_source
from schemas.times import parse_time
from schemas.units import Action, Regime, Side
from tests.support import Fee, fill

HEADER = "trade_id,book,instrument,side,quantity,price,fee,executed_at"
ROW = "t1,B1,X,BUY,100,10,1,2026-01-05T09:00:00Z"
OBJECT = {
    "trade_id": "t1",
    "book": "B1",
    "instrument": "X",
    "side": "BUY",
    "quantity": "100",
    "price": "10",
    "executed_at": "2026-01-05T09:00:00Z",
}

Read = Callable[..., list[Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(
        content: str | bytes, name: str = "a.csv", input_format: str | None = None, **options: Any
    ) -> list[Any]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_canonical(open_source(str(path)), input_format=input_format, **options)

    return read


@pytest.fixture
def refused(read: Read) -> Callable[..., list[tuple[str, str, str]]]:
    def refused(content: str | bytes, name: str = "a.csv", **options: Any) -> list[tuple[str, str, str]]:
        with pytest.raises(InputFaults) as caught:
            read(content, name, **options)
        return [(fault.place, fault.field, fault.found) for fault in caught.value.faults]

    return refused


def test_a_row(read: Read):
    [found] = read(f"{HEADER}\n{ROW}\n")
    assert (found.trade_id, found.book, found.instrument, found.side) == ("t1", "B1", "X", Side.BUY)
    assert (found.quantity, found.price, found.fees) == (100, 10, (Fee(amount=Decimal(1)),))
    assert found.executed_at == parse_time("2026-01-05T09:00:00Z")
    assert (found.action, found.source, found.source_sequence, found.recorded_at) == (
        Action.NEW,
        "canonical:a.csv",
        2,
        0,
    )
    assert (found.multiplier, found.inverse, found.currency) == (None, None, None)


def test_the_same_row_has_the_same_event_id_wherever_it_stands(read: Read):
    [first] = read(f"{HEADER}\n{ROW}\n")
    [again, other] = read(f"{HEADER}\n\n{ROW}\n{ROW.replace('100', '101')}\n", "b.csv")
    assert first.event_id == again.event_id != other.event_id


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_line_ending_and_byte_order_mark(read: Read, ending: str, mark: bytes):
    text = f"{HEADER}\n{ROW}\n\n{ROW.replace('t1', 't2')}\n\n\n".replace("\n", ending)
    found = read(mark + text.encode())
    assert [(one.trade_id, one.source_sequence) for one in found] == [("t1", 2), ("t2", 4)]
    assert len(read(mark + text.rstrip().encode())) == 2


def test_columns_in_any_order_and_unknown_ones_ignored(read: Read):
    names = [*HEADER.split(","), "note", ""]
    values = dict(zip(names, [*ROW.split(","), '"a ""quoted"", note\nover, lines"', "x"], strict=True))
    expected = read(f"{HEADER}\n{ROW}\n")[0]
    shuffled = random.Random(3)
    for _ in range(5):
        shuffled.shuffle(names)
        [found] = read(",".join(names) + "\n" + ",".join(values[name] for name in names) + "\n")
        assert found == expected


def test_the_line_of_a_row_is_its_first(refused: Any):
    text = f'{HEADER},note\n{ROW},"two\r\nlines\n"\n{ROW.replace("BUY", "Buy")},"1\n2"\n{ROW},x,y\n'
    assert refused(text) == [("line 5", "side", "Buy"), ("line 7", "", f"10: {ROW},x,y")]


def test_every_fault_of_a_file_at_once(refused: Any):
    text = "\n".join(
        [
            HEADER,
            "t1,B1,X,SOLD,-1,1e3, 1 ,2026-01-05T09:00:00",
            "=t2,,X,BUY,1,1,,",
            "t3,B1,X",
            "t4," + "B" * 129 + ",X,BUY,0,--1,NaN,yesterday",
        ]
    )
    assert refused(text) == [
        ("line 2", "side", "SOLD"),
        ("line 2", "quantity", "-1"),
        ("line 2", "price", "1e3"),
        ("line 2", "fee", " 1 "),
        ("line 2", "executed_at", "2026-01-05T09:00:00"),
        ("line 3", "trade_id", "=t2"),
        ("line 3", "executed_at", "nothing"),
        ("line 4", "", "3: t3,B1,X"),
        ("line 5", "book", "B" * 129),
        ("line 5", "quantity", "0"),
        ("line 5", "price", "--1"),
        ("line 5", "fee", "NaN"),
        ("line 5", "executed_at", "yesterday"),
    ]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (HEADER + ",price\n", [("line 1", "price", "the column twice")]),
        (HEADER.replace(",", ";") + "\nx;y\n", [("line 1", "", HEADER.replace(",", ";"))]),
        ("\n\n", [("", "", "blank lines")]),
        (f"{HEADER}\nt\xe9".encode("latin-1"), [("line 2", "", "t\udce9")]),
        (f"{HEADER}\n{ROW}\n".encode("utf-16"), [("", "", "UTF-16; save the file as UTF-8")]),
        (f"{HEADER}\nt\0", [("line 2", "", "t\0")]),
        (f'{HEADER}\n{ROW}\n"t2,x\n{ROW}\n', [("line 3", "", "unexpected end of data")]),
    ],
)
def test_a_csv_that_is_none(refused: Any, content: str | bytes, found: list[Any]):
    assert refused(content) == found


def test_missing_columns_are_said_once(refused: Any):
    found = refused("trade_id,book,side,quantity\nt1,B,BUY,1\nt2,B,BUY,x\n")
    assert [(place, field) for place, field, _ in found] == [
        ("line 1", "instrument"),
        ("line 1", "price"),
        ("line 1", "executed_at"),
        ("line 3", "quantity"),
    ]


def test_a_header_alone_is_no_fault(read: Read):
    assert read(HEADER) == []


def test_rows_are_bounded(refused: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rows, "LINE_CHARACTERS_MAX", 1_000)
    assert refused(f"{HEADER}\n{'x' * 2_000}\n{ROW}\n")[0][0] == "line 2"
    assert refused(f"{HEADER}\n{ROW}\n" + '"a\n\n' * 500)[0][0] == "line 3"
    assert refused('{"a": "' + "x" * 2_000 + '"}\n', "a.jsonl")[0][0] == "line 1"
    monkeypatch.setattr(rows, "JSON_BYTES_MAX", 1_000)
    assert "more" in refused("[" + " " * 2_000, "a.json")[0][2]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson", "a.data"])
def test_json(read: Read, name: str):
    text = json.dumps(OBJECT | {"fee": None, "original_trade_id": "", "unknown": {"a": [1, {}]}})
    text = text.replace('"100"', "100.000000000000000000000000000000000000001").replace('"10"', "-0.1")
    [found] = read(text if name.endswith(("jsonl", "ndjson")) else f"\ufeff \n[{text}]\n", name)
    assert found.quantity == Decimal("100.000000000000000000000000000000000000001")
    assert (str(found.price), found.fees) == ("-0.1", ())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[]]", [("", "", "]")]),
        ('{"trade_id": 1}', [("", "", '{"trade_id": 1}')]),
        (
            "[1, null, [], true]",
            [
                ("index 0", "", "1"),
                ("index 1", "", "null"),
                ("index 2", "", "a list"),
                ("index 3", "", "true"),
            ],
        ),
        ("[" * 10_000, [("index 0", "", "values nested too deeply")]),
        (" \n", [("", "", "an empty file")]),
        (b'[{"a": "\xff"}]', [("line 1", "", '[{"a": "\\xff"}]')]),
        ('[{"a": 1, "a": 2}]', [("index 0", "a", "the field twice")]),
    ],
)
def test_json_that_is_no_array_of_rows(refused: Any, text: str | bytes, found: list[Any]):
    assert refused(text, "a.json") == found


def test_json_values_of_other_kinds(refused: Any):
    row = OBJECT | {
        "trade_id": 7,
        "quantity": True,
        "price": [1],
        "executed_at": 1767603600,
        "side": {},
        "inverse": 2,
    }
    text = json.dumps([OBJECT, row]).replace("}]", ', "fee": 1e-3, "multiplier": NaN}]')
    assert refused(text, "a.json") == [
        ("index 1", "trade_id", "7"),
        ("index 1", "side", "an object"),
        ("index 1", "quantity", "true"),
        ("index 1", "price", "a list"),
        ("index 1", "fee", "1e-3"),
        ("index 1", "executed_at", "1767603600"),
        ("index 1", "multiplier", "NaN"),
        ("index 1", "inverse", "2"),
    ]


def test_json_that_breaks_off(refused: Any):
    text = json.dumps([OBJECT, OBJECT])
    assert refused(text[:-20], "a.json")[0][0] == "index 1"
    assert refused(text[:-1], "a.json") == [("index 1", "", "the end")]


def test_json_lines_count_lines_and_skip_blank_ones(refused: Any):
    good = json.dumps(OBJECT)
    assert refused(f'{good}\n\nnope\r\n{good[:-1]}, "side": "x"}}\n[]\n', "a.jsonl") == [
        ("line 3", "", "Expecting value at nope"),
        ("line 4", "side", "the field twice"),
        ("line 5", "", "a list"),
    ]
    assert refused("\n \n", "a.jsonl") == [("", "", "blank lines")]


def test_the_format_is_told_by_option_or_extension_or_first_character(read: Read, refused: Any):
    line = json.dumps(OBJECT)
    for name, content in (("a", f"{HEADER}\n{ROW}"), ("a.txt", line), ("a.x", f"[{line}]")):
        assert len(read(content, name)) == 1
    assert len(read(line, "a.csv", "jsonl")) == 1
    assert refused(line, "a.csv")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("FALSE", False), ("True", True), ("1", True), ("0", False)]
)
def test_booleans(read: Read, text: str, value: bool):
    [found] = read(f"{HEADER},inverse\n{ROW},{text}\n")
    assert found.inverse is value
    [found] = read(json.dumps([OBJECT | {"inverse": value}]), "a.json")
    assert found.inverse is value


@pytest.mark.parametrize("text", ["yes", "t", " true", "2", "-1"])
def test_what_is_no_boolean(refused: Any, text: str):
    assert refused(f"{HEADER},inverse\n{ROW},{text}\n") == [("line 2", "inverse", text)]


def test_corrections_need_an_original_and_new_rows_have_none(refused: Any, read: Read):
    text = f"{HEADER},action,original_trade_id\n{ROW},AMEND,\n{ROW},CANCEL,\n{ROW},,t0\n{ROW},NEW,t0\n{ROW},REPLACE,t0\n{ROW},amend,t0\n"
    assert refused(text) == [
        ("line 2", "original_trade_id", "nothing"),
        ("line 3", "original_trade_id", "nothing"),
        ("line 4", "original_trade_id", "t0"),
        ("line 5", "original_trade_id", "t0"),
        ("line 6", "action", "REPLACE"),
        ("line 7", "action", "amend"),
    ]
    [found] = read(f"{HEADER},action,original_trade_id\n{ROW},NEW,t1\n")
    assert found.original_trade_id is None


def test_a_cancel_need_not_repeat_its_trade(read: Read, refused: Any):
    header = f"{HEADER},action,original_trade_id\n"
    found = read(f"{header}c1,,,,,,,,CANCEL,t1\n{ROW},,\nc2,B9,,,,,,,CANCEL,t1\n")
    assert [one.trade_id for one in found] == ["c1", "t1", "c2"]
    assert (found[0].quantity, found[0].book, found[0].executed_at) == (100, "B1", found[1].executed_at)
    assert found[2].book == "B9"
    places = refused(
        f"{header}c1,B,X,,,,,2026-01-05T09:00:00Z,CANCEL,t9\nc2,,,,,,,,CANCEL,t2\nt2,B,X,HOLD,1,1,1,2026-01-05T09:00:00Z,,\n"
    )
    assert [(place, field) for place, field, _ in places] == [
        ("line 2", "side"),
        ("line 2", "quantity"),
        ("line 2", "price"),
        ("line 4", "side"),
    ]
    assert refused(f"{header}c1,,,,,,,,AMEND,t1\n{ROW},,\n")[0][:2] == ("line 2", "instrument")


def test_the_book_of_rows_without_one(read: Read, refused: Any, tmp_path: Path):
    text = HEADER.replace("book,", "") + "\n" + ROW.replace("B1,", "") + "\n"
    assert read(text)[0].book is None
    assert read(text, book="B7")[0].book == "B7"
    assert read(f"{HEADER}\n{ROW}\n", book="B7")[0].book == "B1"
    faults = FaultCollector("a.csv")
    read_fills(open_source(str(tmp_path / "a.csv")), faults, lots_only=True)
    assert not faults
    (tmp_path / "a.csv").write_text(f"{HEADER}\n{ROW.replace('B1', '')}\n")
    assert read_fills(open_source(str(tmp_path / "a.csv")), faults, lots_only=True).faulty_ids == {"t1"}
    assert [(fault.place, fault.field) for fault in faults.sorted()] == [("line 2", "book")]


def test_fees_as_a_list(read: Read, refused: Any):
    fees = [{"kind": "tax", "amount": "0.10", "currency": "EUR"}, {"amount": -1}]
    [found] = read(json.dumps([OBJECT | {"fees": fees}]), "a.json")
    assert found.fees == (Fee(kind="tax", amount=Decimal("0.1"), currency="EUR"), Fee(amount=Decimal(-1)))
    cell = '"' + json.dumps(fees).replace('"', '""') + '"'
    assert read(f"{HEADER},fees\n{ROW.replace(',1,2026', ',,2026')},{cell}\n")[0].fees == found.fees
    for wrong in (
        [{"kind": "tax"}],
        [1],
        {"amount": 1},
        [{"amount": "x"}],
        [{"amount": 1, "rate": 2}],
        "[",
        7,
    ):
        assert refused(json.dumps([OBJECT | {"fees": wrong}]), "a.json")[0][1] == "fees"
    assert refused(json.dumps([OBJECT | {"fees": fees, "fee": 1}]), "a.json")[0][:2] == ("index 0", "fees")


def test_only_the_columns_of_lots_are_read_for_lots(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([OBJECT | {"regime": "?", "leg": "x", "source_sequence": "y", "venue": [1]}]))
    faults = FaultCollector("a.json")
    [found] = read_fills(open_source(str(path)), faults, lots_only=True).fills
    assert not faults and found.regime is Regime.EXCHANGE


WHOLE: dict[str, Any] = {
    "action": Action.AMEND,
    "original_trade_id": "т1",
    "fees": (Fee(kind="tax", amount=Decimal("1E+3"), currency="EUR"), Fee(amount=Decimal("-0.5"))),
    "source_sequence": 77,
    "regime": Regime.OTC,
    "instrument_scheme": "isin",
    "venue": "XNAS",
    "account": "A",
    "entity": "E",
    "strategy": "S",
    "trader": "T",
    "counterparty": "C",
    "underlying": "U",
    "instrument_class": "future",
    "multiplier": Decimal("1E+2"),
    "inverse": False,
    "currency": "USD",
    "accrued_interest": Decimal("0.25"),
    "settlement_date": "2026-01-07",
    "group_id": "g",
    "leg": 1,
    "idempotency_hash": "h",
}


@pytest.mark.parametrize(
    "written",
    [
        fill("t1", "10", "-1E-7", at=0.5),
        fill("t1", "-10", "1E+9", fees=(Fee(amount=Decimal("0.10")),)),
        fill("t1", 1, 1, fees=(Fee(amount=Decimal(0)),)),
        fill("t1", 1, 1, fees=(Fee(amount=Decimal(1), currency="USD"),), book=None),
        fill("сделка \U0001f4b0", "0.000000000000000001", 1, **WHOLE),
    ],
)
def test_what_is_written_is_read_again(read: Read, written: Any):
    line = write_canonical_line(written)
    assert line.endswith("}\n") and "E+" not in line
    [found] = read(line, "a.jsonl")
    for name in FILL_READERS:
        if name not in ("fee", "fee_currency"):
            assert getattr(found, name) == getattr(written, name), name
    [again] = read(write_canonical_line(found), "a.jsonl")
    assert again == found
