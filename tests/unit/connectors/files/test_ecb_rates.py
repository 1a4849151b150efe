"""`ecb-rates`: cells, holes, the newest of each currency, and what is wrong with a file."""

from decimal import Decimal
from pathlib import Path

import pytest

from connectors.files.ecb_rates import RatesFile, read_ecb_rates
from connectors.files.faults import InputFaults
from connectors.files.source import open_source
from schemas.times import format_time
from schemas.units import MarkQuality

GOOD = "Date,USD,RUB,\n2022-03-02,1.1106,N/A,\n2022-03-01,1.1162,117.201,\n2022-02-28,1.1199,115.4842,\n"


def read(folder: Path, text: str) -> RatesFile:
    path = folder / "hist.csv"
    path.write_text(text)
    return read_ecb_rates(open_source(str(path)))


def test_the_newest_of_each_currency_and_what_has_ended(tmp_path: Path):
    found = read(tmp_path, GOOD)
    assert [day.day for day in found.days] == ["2022-02-28", "2022-03-01", "2022-03-02"]
    assert found.missing == 1 and found.ended() == {"RUB": "2022-03-01"}
    rouble, dollar = found.newest()
    assert (rouble.rate, rouble.quality) == (Decimal("117.201"), MarkQuality.STALE)
    assert (dollar.rate, dollar.quality) == (Decimal("1.1106"), MarkQuality.INDICATIVE)
    # Four in the afternoon in Frankfurt, in winter and in summer.
    assert format_time(dollar.event_time) == "2022-03-02T15:00:00Z"
    summer = read(tmp_path, "Date,USD\n2024-07-01,1.07\n").newest()[0]
    assert format_time(summer.event_time) == "2024-07-01T14:00:00Z"
    assert read(tmp_path, GOOD).newest() == found.newest()


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [""]),
        ("Day,USD\n2022-03-01,1\n", ["line 1"]),
        ("Date,usd\n2022-03-01,1\n", ["line 1"]),
        (
            "Date,USD\n2022-02-30,1\nsoon,1\n2022-03-01,1e5\n2022-03-02,0\n2022-03-03\n",
            [f"line {n}" for n in range(2, 7)],
        ),
        ("Date,USD\n2022-03-01,1\n2022-03-01,2\n", ["line 3"]),
    ],
)
def test_faults_have_their_lines(tmp_path: Path, text: str, places: list[str]):
    with pytest.raises(InputFaults) as raised:
        read(tmp_path, text)
    assert set(places) <= {fault.place for fault in raised.value.faults}
