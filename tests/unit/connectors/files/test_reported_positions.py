"""Reported positions of files: exact, all faults at once, the same ids at every import."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.files.faults import InputFaults
from connectors.files.reported_positions import read_reported_positions
from connectors.files.source import open_source

HEADER = "venue,account,instrument,reported_at,quantity,average_price,currency\n"
GOOD = "MOEX,L01,SBER,2026-01-05T18:45:00.000000001+03:00,-12.50,271.1,RUB\n"


def read(tmp_path: Path, text: str, name: str = "s.csv", **options: Any) -> list[Any]:
    (tmp_path / name).write_text(text)
    return read_reported_positions(open_source(str(tmp_path / name)), **options)


def faults(tmp_path: Path, text: str, **options: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(InputFaults) as raised:
        read(tmp_path, text, **options)
    return [(fault.place, fault.field, fault.expected) for fault in raised.value.faults]


def test_a_row_is_read_exactly_and_has_the_same_id_again(tmp_path: Path):
    (first,) = read(tmp_path, HEADER + GOOD)
    assert (first.venue, first.account, first.instrument, first.currency) == ("MOEX", "L01", "SBER", "RUB")
    assert (first.quantity, first.average_price) == (Decimal("-12.50"), Decimal("271.1"))
    assert first.reported_at == 1_767_627_900_000_000_001
    assert first.source == "reported:s.csv"
    assert read(tmp_path, HEADER + GOOD + GOOD) == [first]
    (other,) = read(tmp_path, HEADER + GOOD.replace("271.1", "271.2"))
    assert other.event_id != first.event_id


def test_the_options_are_for_rows_that_name_none(tmp_path: Path):
    text = '[{"instrument": "X", "reported_at": "2026-01-05T00:00:00Z", "quantity": 1.10, "account": "A"}]'
    (found,) = read(tmp_path, text, "s.json", venue="V", account="B")
    assert (found.venue, found.account, found.quantity) == ("V", "A", Decimal("1.10"))


def test_all_faults_are_said_together(tmp_path: Path):
    text = HEADER + GOOD + ",L01,,noon,1e3,x,RUB\n" + GOOD.replace("-12.50", "3")
    assert faults(tmp_path, text) == [
        ("line 3", "venue", "a value"),
        ("line 3", "instrument", "a value"),
        (
            "line 3",
            "reported_at",
            "an ISO 8601 time with its time zone, as 2026-01-05T09:30:00Z (and at most nine decimals)",
        ),
        ("line 3", "quantity", "a plain decimal number (optional sign, ASCII digits, optional point)"),
        ("line 3", "average_price", "a plain decimal number (optional sign, ASCII digits, optional point)"),
        ("line 4", "quantity", "one quantity of a venue, account, instrument and time"),
    ]


def test_a_column_that_is_missing_is_said_once(tmp_path: Path):
    found = faults(
        tmp_path, "instrument,reported_at\nX,2026-01-05T00:00:00Z\nY,2026-01-05T00:00:00Z\n", venue="V"
    )
    assert [(place, field) for place, field, _ in found] == [("line 1", "quantity")]
