"""Rules documents: every fault with its line; minor units; business days."""

from datetime import date
from pathlib import Path

import pytest

from connectors.files.faults import InputFaults
from connectors.files.source import open_source
from domain.ledger.calendars import Calendar, Cycle, add_business_days, joint
from domain.ledger.currencies import ISO_4217, money_of
from schemas.units import MovementKind
from topology.money.rules import STANDARD, rules_of_file, standard_rules


def faults_of(folder: Path, text: str) -> list[str]:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputFaults) as raised:
        rules_of_file(open_source(str(path)), standard_rules())
    return [str(fault).removeprefix(f"{path}: ") for fault in raised.value.faults]


def test_the_built_in_rules_are_a_file_that_can_be_defined():
    rules, _ = rules_of_file(open_source(str(STANDARD)), standard_rules())
    assert rules.version == 1
    assert set(rules.movements) == set(MovementKind)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("positions: {type: asset}", "positions: {type: thing}", "accounts.positions.type: expected one of asset, liability"),
        ("inventory: positions, settlement: next_day}", "inventory: nowhere, settlement: next_day}", "classes.bill.inventory: expected an account of this document, found nowhere"),
        ("scales: {BTC: 8", "scales: {BTC: 19", "scales.BTC: expected a whole number from 0 to 18, found 19"),
        ("scales: {BTC: 8", "scales: {BTC: 7", "scales.BTC: expected at least 8 decimals, as version 0 has"),
        ("{closed: next_open", "{closed: maybe", "periods.closed: expected one of next_open, refuse, found maybe"),
        ("calendar: XETR, days: 1", "calendar: NOWHERE, days: 1", "cycles.next_day.EUR.calendar: expected calendars of this document"),
        ("rounding: half_even", "rounding: up", "rounding: expected one of half_even, half_up, down, found up"),
        ("  other_fees: {type: expense}", "  other_fees: {type: expense, below_zero: warn}", "expected allow: only assets are held against zero"),
        ("2010-01-01", "2010-02-30", "expected a day as YYYY-MM-DD, found 2010-02-30"),
        ("  rounding: {type: income}\n", "", "accounts: expected an account rounding, found none"),
        ("description:", "discription:", "discription: expected a section"),
        ("  fee: {account: other_fees}", "  fee: {account: cash}", "movements.fee.account: expected another account than cash"),
        ("funding_accrual: {account: funding_income, accrued: accrued_income}", "funding_accrual: {account: funding_income}", "movements.funding_accrual.accrued: expected the account of what is accrued"),
        ("  cfd: {model: margined}", "  cfd: {model: margined}\n  cfd: {model: margined}", "expected each key once"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line(tmp_path: Path, before: str, after: str, fault: str):
    text = STANDARD.read_text(encoding="utf-8")
    assert before in text
    found = faults_of(tmp_path, text.replace(before, after, 1))
    line = text[: text.index(before)].count("\n") + 1
    assert any(fault in each for each in found), found
    first = next(each for each in found if fault in each)
    assert (
        abs(int(first.split(":")[0].removeprefix("line ")) - line) <= max(1, after.count("\n"))
        or "accounts: expected an account" in first
    )


@pytest.mark.parametrize("text", ["", "[]", "a: [", "\x00", "&a [*a]", "- " * 5_000])
def test_what_is_no_document(tmp_path: Path, text: str):
    assert faults_of(tmp_path, text)


def test_a_document_that_unfolds_without_end_is_refused(tmp_path: Path):
    doubled = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))
    assert any("200000 values" in each for each in faults_of(tmp_path, f"a0: &a0 [x]\n{doubled}"))


@pytest.mark.parametrize(
    ("currency", "scale"),
    [("JPY", 0), ("USD", 2), ("KWD", 3), ("CLF", 4), ("BTC", 8), ("ETH", 18), ("NEW", 8)],
)
def test_minor_units(currency: str, scale: int):
    assert standard_rules().scale(currency) == scale


def test_the_table_of_minor_units_is_whole():
    assert len(ISO_4217) == 165
    assert set(ISO_4217.values()) == {0, 2, 3, 4}


def test_rounding_is_as_the_rules_say():
    from decimal import Decimal

    rounded = [str(money_of(2, word).round(Decimal("0.125"))) for word in ("half_even", "half_up", "down")]
    assert rounded == ["0.12", "0.13", "0.12"]


def test_business_days_of_two_markets():
    one = Calendar("A", 2020, 2026, frozenset({date(2026, 1, 6)}))
    other = Calendar("B", 2021, 2030, frozenset({date(2026, 1, 7)}))
    both = joint((one, other))
    assert (both.name, both.first, both.last) == ("A+B", 2021, 2026)
    assert add_business_days(both, date(2026, 1, 5), 1) == date(2026, 1, 8)
    assert add_business_days(one, date(2026, 1, 10), 0) == date(2026, 1, 12)
    assert Cycle(both, days=(2,)).settles("2027-01-04") == ("2027-01-06", False)
    assert Cycle(both, days=(2,)).settles("2024-02-28") == ("2024-03-01", True)
