"""Bonds as the Moscow Exchange's ISS answers: the current coupon of each, and its accrued interest.

Owns: which columns of `securities` are read, and what they mean: `COUPONPERCENT` is a year, `COUPONVALUE` a coupon of one
bond, `ACCRUEDINT` accrued interest in the currency of settlement for `SETTLEDATE`; `SUR` is the rouble; no date is `0000-00-00`.
Guarantees: numbers are taken digit by digit; all faults of a file are raised together.
Source: https://iss.moex.com/iss/reference (securities of a market).
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from connectors.files.faults import FaultCollector
from connectors.files.source import Source
from connectors.files.validation import expected_of
from schemas.accruals import StatedBond
from schemas.numbers import exact_arithmetic, parse_decimal

BYTES_MAX = 256 * 1024**2

_NO_DATE = "0000-00-00"
_CURRENCIES = {"SUR": "RUB"}
_COLUMNS = (
    "SECID",
    "BOARDID",
    "FACEUNIT",
    "CURRENCYID",
    "FACEVALUE",
    "FACEVALUEONSETTLEDATE",
    "SETTLEDATE",
    "NEXTCOUPON",
    "COUPONPERIOD",
    "COUPONPERCENT",
    "COUPONVALUE",
    "ACCRUEDINT",
)


def read_moex_bonds(source: Source) -> list[StatedBond]:
    """The bonds of an answer, one a board. Raises InputFaults."""
    faults = FaultCollector(source.name)
    found = []
    for number, row in _rows(source, faults):
        try:
            found.append(_bond(row))
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                name = ".".join(str(part) for part in fault["loc"])
                faults.add(f"index {number}", name, expected_of(fault), str(fault["input"]))
        except ValueError as error:
            faults.add(f"index {number}", "", str(error), str(row)[:80])
    faults.raise_if_any()
    return found


def _rows(source: Source, faults: FaultCollector) -> Iterator[tuple[int, dict[str, Any]]]:
    expected = "an answer of ISS in JSON, whose securities have columns and data"
    with source.open() as stream:
        text = stream.read(BYTES_MAX + 1)
    if len(text) > BYTES_MAX:
        faults.add("", "", f"at most {BYTES_MAX} bytes", "more")
        return
    try:
        document = json.loads(text, parse_float=parse_decimal, parse_int=parse_decimal)
        columns, data = document["securities"]["columns"], document["securities"]["data"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        faults.add("", "securities", expected, f"{type(error).__name__}: {error}")
        return
    absent = [name for name in _COLUMNS if name not in columns]
    if absent:
        faults.add(
            "", "securities.columns", f"the columns {', '.join(_COLUMNS)}", f"none of {', '.join(absent)}"
        )
        return
    for number, values in enumerate(data):
        if not isinstance(values, list) or len(values) != len(columns):
            faults.add(f"index {number}", "", f"{len(columns)} values", str(values)[:80])
            continue
        yield number, dict(zip(columns, values, strict=True))


def _bond(row: dict[str, Any]) -> StatedBond:
    percent: Decimal | None = row["COUPONPERCENT"]
    face = row["FACEVALUEONSETTLEDATE"]
    next_coupon = row["NEXTCOUPON"] or ""
    with exact_arithmetic():
        rate = None if percent is None else percent.scaleb(-2)
    return StatedBond(
        instrument=row["SECID"],
        board=row["BOARDID"],
        currency=_CURRENCIES.get(row["FACEUNIT"], row["FACEUNIT"]),
        settlement_currency=_CURRENCIES.get(row["CURRENCYID"], row["CURRENCYID"]),
        face=row["FACEVALUE"] if face is None else face,
        settlement_date=row["SETTLEDATE"],
        next_coupon="" if next_coupon == _NO_DATE else next_coupon,
        period_days=int(row["COUPONPERIOD"] or 0),
        rate=rate,
        amount=row["COUPONVALUE"],
        accrued=row["ACCRUEDINT"],
    )
