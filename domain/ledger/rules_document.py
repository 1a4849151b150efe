"""Reading a rules document: every fault of it with its path, or the rules.

Scalars may be text (as YAML has them) or numbers of JSON; a path is the keys and places that lead to a value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

from domain.ledger.calendars import WEEKDAYS, Calendar, Cycle, joint
from domain.ledger.currencies import ROUNDINGS, SCALE_MAX
from domain.ledger.rules import (
    ANY,
    CASH,
    REQUIRED_ACCOUNTS,
    Account,
    AccountType,
    BelowZero,
    ClosedPeriod,
    Model,
    MovementRule,
    Rules,
    TradeClass,
)
from schemas.units import MovementKind

Path = tuple[str | int, ...]
_Word = TypeVar("_Word", bound=StrEnum)

_SECTIONS = (
    "description",
    "rounding",
    "default_scale",
    "scales",
    "accounts",
    "classes",
    "fees",
    "movements",
    "periods",
    "cycles",
    "calendars",
)
_DAYS_MAX = 30


@dataclass(frozen=True, slots=True)
class RulesFault:
    """What is wrong with a document, and where."""

    path: Path
    expected: str
    found: str


class RulesFaults(ValueError):
    """Every fault of a document."""

    def __init__(self, faults: Sequence[RulesFault]) -> None:
        super().__init__(
            f"{len(faults)} faults, the first at {faults[0].path}: expected {faults[0].expected}"
        )
        self.faults = tuple(faults)


def read_rules(document: Any, version: int) -> Rules:
    """The rules of a document as `version`. Raises RulesFaults with every fault."""
    reader = _Reader()
    rules = reader.rules(document, version)
    if reader.faults:
        raise RulesFaults(reader.faults)
    return rules


@dataclass(slots=True)
class _Reader:
    faults: list[RulesFault] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    calendars: dict[str, Calendar] = field(default_factory=dict)
    cycles: dict[str, dict[str, Cycle]] = field(default_factory=dict)

    def fault(self, path: Path, expected: str, found: Any) -> None:
        self.faults.append(RulesFault(path, expected, found if isinstance(found, str) else repr(found)))

    def rules(self, document: Any, version: int) -> Rules:
        sections = self.mapping(document, (), "a mapping of sections")
        for name in sections:
            if name not in _SECTIONS:
                self.fault((name,), f"a section: {', '.join(_SECTIONS)}", name)
        for name, path, given in self.entries(sections, "accounts", required=True):
            self.accounts[name] = self.account(path, given)
        for name in REQUIRED_ACCOUNTS:
            if name not in self.accounts:
                self.fault(("accounts",), f"an account {name}", "none")
        for name, path, given in self.entries(sections, "calendars"):
            self.calendars[name] = self.calendar(name, path, given)
        for name, path, given in self.entries(sections, "cycles"):
            self.cycles[name] = self.cycle_table(path, given)
        classes = {
            name.lower(): self.trade_class(path, given)
            for name, path, given in self.entries(sections, "classes", required=True)
        }
        fees = {
            name: self.account_name(path, given)
            for name, path, given in self.entries(sections, "fees", required=True)
        }
        for section, found in (("classes", classes), ("fees", fees)):
            if section in sections and ANY not in found:
                self.fault((section,), f"a rule for {ANY!r}", "none")
        movements = self.movements(sections)
        periods = self.fields(sections.get("periods", {}), ("periods",), ("closed", "lock_on_day_close"))
        return Rules(
            version,
            self.accounts,
            classes,
            fees,
            movements,
            self.cycles,
            {
                name: self.integer(path, given, SCALE_MAX)
                for name, path, given in self.entries(sections, "scales")
            },
            self.integer(("default_scale",), sections.get("default_scale", 8), SCALE_MAX),
            self.one_of(("rounding",), sections.get("rounding", "half_even"), tuple(ROUNDINGS)),
            self.word(("periods", "closed"), periods.get("closed", "next_open"), ClosedPeriod),
            self.boolean(("periods", "lock_on_day_close"), periods.get("lock_on_day_close", "false")),
        )

    def mapping(self, given: Any, path: Path, expected: str) -> Mapping[str, Any]:
        if isinstance(given, Mapping):
            return {str(key): value for key, value in given.items()}
        self.fault(path, expected, given)
        return {}

    def entries(
        self, sections: Mapping[str, Any], name: str, *, required: bool = False
    ) -> list[tuple[str, Path, Any]]:
        if name not in sections:
            if required:
                self.fault((), f"a section {name}", "none")
            return []
        found = self.mapping(sections[name], (name,), "a mapping")
        return [(key, (name, key), value) for key, value in found.items()]

    def fields(self, given: Any, path: Path, names: Sequence[str]) -> Mapping[str, Any]:
        found = self.mapping(given, path, f"a mapping of {', '.join(names)}")
        for name in found:
            if name not in names:
                self.fault((*path, name), f"one of {', '.join(names)}", name)
        return found

    def one_of(self, path: Path, given: Any, words: Sequence[str]) -> str:
        if given in words:
            return str(given)
        self.fault(path, f"one of {', '.join(words)}", given)
        return words[0]

    def word(self, path: Path, given: Any, words: type[_Word]) -> _Word:
        return words(self.one_of(path, given, tuple(words)))

    def boolean(self, path: Path, given: Any) -> bool:
        text = str(given).lower()
        return self.one_of(path, text, ("false", "true")) == "true"

    def integer(self, path: Path, given: Any, most: int) -> int:
        text = str(given)
        if text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= most:
            return int(text)
        self.fault(path, f"a whole number from 0 to {most}", given)
        return 0

    def day(self, path: Path, given: Any) -> date:
        try:
            return date.fromisoformat(str(given))
        except ValueError:
            self.fault(path, "a day as YYYY-MM-DD", given)
            return date.min

    def account(self, path: Path, given: Any) -> Account:
        found = self.fields(given, path, ("type", "below_zero"))
        kind = self.word((*path, "type"), found.get("type", "nothing"), AccountType)
        below_zero = self.word((*path, "below_zero"), found.get("below_zero", "allow"), BelowZero)
        if kind is not AccountType.ASSET and below_zero is not BelowZero.ALLOW:
            self.fault((*path, "below_zero"), "allow: only assets are held against zero", below_zero.value)
        return Account(kind, below_zero)

    def account_name(self, path: Path, given: Any) -> str:
        if given not in self.accounts:
            self.fault(path, "an account of this document", given)
        elif given == CASH:
            self.fault(path, f"another account than {CASH}", given)
        return str(given)

    def calendar(self, name: str, path: Path, given: Any) -> Calendar:
        found = self.fields(given, path, ("first", "last", "holidays"))
        holidays: set[date] = set()
        listed = found.get("holidays", [])
        if not isinstance(listed, Sequence) or isinstance(listed, str):
            self.fault((*path, "holidays"), "a list of days", listed)
            listed = []
        for place, item in enumerate(listed):
            at = (*path, "holidays", place)
            if isinstance(item, Sequence) and not isinstance(item, str):
                holidays.update(self.day((*at, inner), day) for inner, day in enumerate(item))
            else:
                holidays.add(self.day(at, item))
        first = self.integer((*path, "first"), found.get("first", 0), 9999)
        last = self.integer((*path, "last"), found.get("last", 9999), 9999)
        return Calendar(name, first, last, frozenset(holidays))

    def cycle_table(self, path: Path, given: Any) -> dict[str, Cycle]:
        found = {
            currency: self.cycle((*path, currency), value)
            for currency, value in self.mapping(given, path, "a mapping of currencies").items()
        }
        if ANY not in found:
            self.fault(path, f"a cycle for {ANY!r}", "none")
        return found

    def cycle(self, path: Path, given: Any) -> Cycle:
        found = self.fields(given, path, ("calendar", "days"))
        calendars = []
        for name in str(found.get("calendar", "")).replace("+", " ").split():
            if name in self.calendars:
                calendars.append(self.calendars[name])
            else:
                self.fault((*path, "calendar"), "calendars of this document, with + between them", name)
        given_days = found.get("days", 0)
        if not isinstance(given_days, Mapping):
            return Cycle(joint(calendars) if calendars else WEEKDAYS, days=(self._days(path, given_days),))
        changes = sorted((str(start), days) for start, days in given_days.items())
        starts: list[str] = []
        for start, _ in changes:
            at = (*path, "days", start)
            starts.append("" if start == ANY else self.day(at, start).isoformat())
        if not starts or starts[0]:
            self.fault((*path, "days"), f"days for {ANY!r}, which hold before the first date", "none")
        return Cycle(joint(calendars), tuple(starts), tuple(self._days(path, days) for _, days in changes))

    def _days(self, path: Path, given: Any) -> int:
        return self.integer((*path, "days"), given, _DAYS_MAX)

    def trade_class(self, path: Path, given: Any) -> TradeClass:
        found = self.fields(given, path, ("model", "inventory", "settlement"))
        model = self.word((*path, "model"), found.get("model", "nothing"), Model)
        inventory = ""
        if model is Model.PRINCIPAL:
            inventory = self.account_name((*path, "inventory"), found.get("inventory", "nothing"))
        elif "inventory" in found:
            self.fault((*path, "inventory"), f"nothing for the model {model.value}", found["inventory"])
        cycle = found.get("settlement", "at_once")
        if cycle != "at_once" and cycle not in self.cycles:
            self.fault((*path, "settlement"), "at_once, or a cycle of this document", cycle)
            cycle = "at_once"
        return TradeClass(model, inventory, None if cycle == "at_once" else str(cycle))

    def movements(self, sections: Mapping[str, Any]) -> dict[MovementKind, MovementRule]:
        found: dict[MovementKind, MovementRule] = {}
        for name, path, given in self.entries(sections, "movements", required=True):
            if name not in tuple(MovementKind):
                self.fault(path, f"one of {', '.join(MovementKind)}", name)
                continue
            rule = self.fields(given, path, ("account", "accrued"))
            account = self.account_name((*path, "account"), rule.get("account", "nothing"))
            accrued = self.account_name((*path, "accrued"), rule["accrued"]) if "accrued" in rule else ""
            is_accrual = name.endswith("_accrual")
            if is_accrual and not accrued:
                self.fault((*path, "accrued"), "the account of what is accrued", "none")
            found[MovementKind(name)] = MovementRule(account, accrued, is_accrual)
        return found
