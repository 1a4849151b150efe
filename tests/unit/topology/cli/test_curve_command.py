"""`pks curve-define`: versions are counted, digits kept, and a curve that cannot be built refuses the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from topology.cli.application import run
from topology.cli.reading_options import opened_log_of
from topology.log_reading import read_events
from topology.settings import Settings

FLAT = {"curve": "EUR-FLAT", "type": "flat", "rate": 0.025, "reference_date": "2026-01-05"}
ESTR: dict[str, Any] = {
    "curve": "EUR-ESTR",
    "type": "bootstrap",
    "reference_date": "2026-01-05",
    "instruments": [
        {"type": "ois", "tenor": tenor, "rate": rate}
        for tenor, rate in (("1M", 0.019), ("1Y", 0.0205), ("5Y", 0.023), ("10Y", 0.025))
    ],
}


def defined(folder: Path, capsys: Any, *curves: Any, text: str | None = None) -> tuple[int, Any, str]:
    file = folder / "curves.json"
    file.write_text(json.dumps(curves) if text is None else text, encoding="utf-8")
    code = run(["curve-define", str(file), "--data", str(folder / "data"), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def in_log(folder: Path) -> list[Any]:
    with opened_log_of(Settings(data=folder / "data")) as log:
        return [curve for _, curve in read_events(log, topics.CURVES, 0)]


def with_rate(index: int, rate: Any) -> dict[str, Any]:
    instruments = [dict(each) for each in ESTR["instruments"]]
    instruments[index]["rate"] = rate
    return {**ESTR, "instruments": instruments}


def test_versions_are_counted_and_the_same_curve_is_no_new_one(tmp_path: Path, capsys: Any):
    assert defined(tmp_path, capsys, FLAT, ESTR)[1]["defined"] == 2
    assert defined(tmp_path, capsys, FLAT, ESTR)[1] == {
        "defined": 0,
        "unchanged": 2,
        "curves": [
            {"curve": "EUR-FLAT", "version": 1, "state": "unchanged"},
            {"curve": "EUR-ESTR", "version": 1, "state": "unchanged"},
        ],
    }
    _, document, _ = defined(tmp_path, capsys, with_rate(1, 0.0206))
    assert document["curves"] == [{"curve": "EUR-ESTR", "version": 2, "state": "new"}]
    quoted = {**FLAT, "event_time": "2026-01-05T12:00:00Z"}
    assert defined(tmp_path, capsys, quoted)[1]["curves"][0]["version"] == 2
    assert defined(tmp_path, capsys, quoted)[1]["unchanged"] == 1
    assert [(curve.curve, curve.version) for curve in in_log(tmp_path)] == [
        ("EUR-FLAT", 1),
        ("EUR-ESTR", 1),
        ("EUR-ESTR", 2),
        ("EUR-FLAT", 2),
    ]


def test_what_is_bootstrapped_is_told_in_plain_form_too(tmp_path: Path, capsys: Any):
    defined(tmp_path, capsys, FLAT, ESTR)
    flat, estr = in_log(tmp_path)
    assert flat.plain_definition == ""
    plain = json.loads(estr.plain_definition)
    assert (plain["type"], plain["reference_date"], len(plain["dates"])) == ("discount", "2026-01-05", 4)
    assert 0.75 < plain["factors"][-1] < 0.79


def test_digits_are_kept(tmp_path: Path, capsys: Any):
    text = '[{"curve": "C", "type": "flat", "rate": 0.02500000000000000000000001, "reference_date": "2026-01-05"}]'
    assert defined(tmp_path, capsys, text=text)[0] == 0
    [curve] = in_log(tmp_path)
    assert curve.definition == (
        '{"type": "flat", "rate": 0.02500000000000000000000001, "reference_date": "2026-01-05"}'
    )


@pytest.mark.parametrize(
    ("curve", "fault"),
    [
        (
            with_rate(2, -9),
            "instruments[2].rate: expected a quote that a curve with the others reprices, found -9",
        ),
        (with_rate(2, "NaN"), "instruments[2].rate: expected a plain decimal number"),
        (with_rate(0, 1e308), "instruments[0].rate: expected a plain decimal number"),
        (with_rate(3, 101), "instruments[3].rate: expected a number from -100 to 100, found 101"),
        (
            {**ESTR, "instruments": [*ESTR["instruments"], ESTR["instruments"][1]]},
            "instruments[4]: expected an end of",
        ),
        ({**FLAT, "reference_date": None}, "reference_date: expected a date that exists"),
        ({**FLAT, "type": "spline"}, "type: expected flat, zero, discount, bootstrap, found spline"),
        ({**FLAT, "curve": ""}, "curve: expected a name, found none"),
        ({**FLAT, "event_time": "today"}, "event_time: expected an ISO 8601 time"),
        (
            {"curve": "Z", "type": "zero", "dates": ["2026-01-05", "2027-01-05"], "rates": [0.01]},
            "rates: expected 2 numbers, as there are dates, found 1",
        ),
    ],
)
def test_what_cannot_be_built_refuses_the_file(tmp_path: Path, capsys: Any, curve: Any, fault: str):
    code, document, said = defined(tmp_path, capsys, FLAT, curve)
    assert (code, document) == (2, None)
    assert f"curves.json: index 1: {fault}" in said
    assert not (tmp_path / "data").exists()


def test_a_curve_stands_once_in_a_file(tmp_path: Path, capsys: Any):
    assert defined(tmp_path, capsys, FLAT, FLAT)[1]["defined"] == 1
    code, _, said = defined(tmp_path, capsys, FLAT, {**FLAT, "rate": 0.03})
    assert code == 2 and "index 1: curve: expected one curve of a name, found EUR-FLAT" in said


def test_a_discount_curve_begins_with_its_dates(tmp_path: Path, capsys: Any):
    curve = {"curve": "D", "type": "discount", "dates": ["2026-01-05", "2027-01-05"], "factors": [1, 0.97]}
    assert defined(tmp_path, capsys, curve)[0] == 0
