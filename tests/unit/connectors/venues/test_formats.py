"""The registry of formats, and the canonical one behind the same door."""

from pathlib import Path

import pytest

from connectors.files.faults import InputFaults
from connectors.venues.decoding import DecodeOptions
from connectors.venues.formats import FORMATS, decode

HEADER = "trade_id,book,instrument,side,quantity,price,executed_at\n"
ROW = "t1,{book},X,BUY,10,100,2026-01-05T10:00:00Z\n"


def canonical(folder: Path, *rows: str) -> str:
    path = folder / "fills.csv"
    path.write_text(HEADER + "".join(rows))
    return str(path)


def test_every_format_of_the_contract_is_named():
    assert list(FORMATS) == [
        "canonical", "binance-stream", "lean-tick", "ibkr-flex", "ibkr-activity", "moex-iss-trades", "moex-twime",
        "fix", "coinbase", "hyperliquid", "polymarket", "alor",
    ]  # fmt: skip
    assert [name for name, entry in FORMATS.items() if entry.available] == list(FORMATS)[:4]


@pytest.mark.parametrize("name", ["fix", "alor", "FIX", "nonsense", ""])
def test_a_format_that_is_not_read_is_refused_at_once(name: str):
    with pytest.raises(InputFaults) as raised:
        decode(name, ["whatever"])
    assert str(raised.value.faults[0]).startswith("--format: expected one of canonical, binance-stream")


def test_a_format_that_comes_later_says_so():
    with pytest.raises(InputFaults, match="fix is not available in this version"):
        decode("fix", ["whatever"])


@pytest.mark.parametrize("options", [DecodeOptions(book="=1+1"), DecodeOptions(books={"X": ""})])
def test_a_book_must_be_an_identifier(options: DecodeOptions):
    with pytest.raises(InputFaults, match=r"--books?: expected"):
        decode("canonical", ["whatever"], options)


def test_canonical_rows_keep_their_book_and_others_take_the_options(tmp_path: Path):
    path = canonical(tmp_path, ROW.format(book="B1"), ROW.format(book="").replace("t1", "t2"))
    fills = decode("canonical", [path], DecodeOptions(book="REST")).fills()
    assert [(found.trade_id, found.book) for found in fills] == [("t1", "B1"), ("t2", "REST")]
    assert decode("canonical", [path]).fills()[1].book is None


def test_canonical_rows_that_repeat(tmp_path: Path):
    row = ROW.format(book="B1")
    decoded = decode("canonical", [canonical(tmp_path, row, row, row.replace(",10,", ",11,"))])
    assert len(decoded.fills()) == 1
    assert decoded.counts.document() == {
        "read": 3, "fills": 1, "duplicates": 1, "rejected": 1, "skipped": {},
    }  # fmt: skip
    assert "line 4: trade_id" in str(decoded.rejections[0])


def test_every_file_with_a_fault_is_named(tmp_path: Path):
    path = canonical(tmp_path, ROW.format(book="B1").replace("BUY", "HOLD"))
    with pytest.raises(InputFaults) as raised:
        decode("canonical", [path, str(tmp_path / "missing.csv")]).fills()
    assert [str(fault).partition(": expected")[0] for fault in raised.value.faults] == [
        f"{path}: line 2: side", str(tmp_path / "missing.csv"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["canonical", "binance-stream", "lean-tick", "ibkr-flex"])
def test_a_missing_file_is_bad_input_in_every_format(tmp_path: Path, name: str):
    missing = str(tmp_path / "missing.zip")
    with pytest.raises(InputFaults) as raised:
        decode(name, [missing]).fills()
    assert [str(fault) for fault in raised.value.faults] == [
        f"{missing}: expected a file that exists, found none of this name"
    ]
