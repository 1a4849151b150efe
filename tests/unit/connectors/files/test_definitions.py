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
