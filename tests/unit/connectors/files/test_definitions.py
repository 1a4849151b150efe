"""Faults of definition files: the column of the file, and what it may hold, in words."""

from collections import Counter
from pathlib import Path

import pytest

from connectors.files.definitions import read_definitions
from connectors.files.faults import InputFaults
from connectors.files.source import open_source
from schemas import reference


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        (
            reference.Book,
            "book,lot_method\nB,hifo\n",
            "lot_method: expected fifo, lifo or average, found hifo",
        ),
        (
            reference.Book,
            "book,lot_methods\nB,equity=hifo\n",
            "lot_methods.equity: expected fifo, lifo or average, found hifo",
        ),
        (reference.Book, "book,active\nB,maybe\n", "active: expected true or false, found maybe"),
        (
            reference.Instrument,
            "instrument,settlement_days\nX,31\n",
            "settlement_days: expected a whole number of at most 30, found 31",
        ),
        (
            reference.RoutingRule,
            "rule,book,priority\nR,B,first\n",
            "priority: expected a whole number, found first",
        ),
        (reference.RoutingRule, "rule,book\nR,\n", "book: expected a value, found nothing"),
    ],
)
def test_a_value_that_cannot_be(tmp_path: Path, kind: type, text: str, fault: str):
    path = tmp_path / "definitions.csv"
    path.write_text(text)
    with pytest.raises(InputFaults) as refused:
        read_definitions(open_source(str(path)), kind)
    assert [str(found) for found in refused.value.faults] == [f"{path}: line 2: {fault}"]


def test_fields_that_are_none_of_a_definition_are_counted(tmp_path: Path):
    file = tmp_path / "d.yaml"
    file.write_text(
        "- {instrument: X, multiplyer: 50, class: future}\n- {instrument: Y, multiplyer: 5, isin: }\n"
    )
    unknown: Counter[str] = Counter()
    found = read_definitions(open_source(str(file)), reference.Instrument, unknown=unknown)
    assert [(each.instrument, each.multiplier, each.instrument_class) for each in found] == [
        ("X", 1, "future"),
        ("Y", 1, found[1].instrument_class),
    ]
    assert unknown == {"multiplyer": 2}


PRICING = (
    '{"expiry":"2026-03-20T16:00:00Z","model":"bsm","option_type":"call","strike":"50.10","volatility":"0.2"}'
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "d.csv",
            "instrument,model,option_type,strike,expiry,volatility\n"
            "X,bsm,call,50.10,2026-03-20T16:00:00Z,0.2\nY,,,,,\n",
        ),
        (
            "d.json",
            '[{"instrument": "X", "pricing": {"model": "bsm", "option_type": "call", "strike": 50.10,'
            ' "expiry": "2026-03-20T16:00:00Z", "volatility": 0.2}}, {"instrument": "Y"}]',
        ),
        (
            "d.yaml",
            "- {instrument: X, model: bsm, option_type: call, strike: 50.10,"
            " pricing: {expiry: '2026-03-20T16:00:00Z', volatility: 0.2}}\n- {instrument: Y}\n",
        ),
    ],
)
def test_pricing_comes_in_columns_or_as_an_object(tmp_path: Path, name: str, text: str):
    path = tmp_path / name
    path.write_text(text)
    option, other = read_definitions(open_source(str(path)), reference.Instrument)
    assert option.pricing == PRICING
    assert other.pricing == ""


def test_a_fault_of_pricing_names_the_column(tmp_path: Path):
    path = tmp_path / "d.csv"
    path.write_text("instrument,model,option_type,strike,expiry\nX,bsm,call,zero,2026-03-20T16:00:00Z\n")
    with pytest.raises(InputFaults) as refused:
        read_definitions(open_source(str(path)), reference.Instrument)
    (fault,) = refused.value.faults
    assert str(fault).startswith(f"{path}: line 2: strike: expected a plain decimal number")
