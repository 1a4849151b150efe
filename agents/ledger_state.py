"""What the ledger stage keeps of one partition, under separate keys.

Families of keys (first byte):

    a names     an account            z names   residues of rounding     p book 0 day 0 names   what is pending
    s P         what is posted of a position (`Posted`), P is book 0 instrument
    t P 0 id    what a trade moved (`Content`)
    b book      the last closed day of a book, and its entities
    l entity    the last locked day of an entity
    m id        a movement            k names   what is accrued under a key
    y id        a payment order
    q P 0 id    the ids of the payment orders of a trade
    r version   the posting rules
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from agents.counters import Counters
from agents.ledger_accounts import Accounts, Scope
from agents.ledger_entries import Dates
from agents.stage import Refusal
from domain.ledger.posting import Content, Posted, Terms
from domain.ledger.rules import ClosedPeriod, Rules, coarser_scale
from domain.ledger.rules_document import RulesFaults, read_rules
from schemas.identity import position_key
from tables.partition import TablePartition

POSITION, TRADE, BOOK, LOCK, RULES = b"s", b"t", b"b", b"l", b"r"

_encode = msgspec.json.Encoder().encode
_decode_posted = msgspec.json.Decoder(Posted).decode
_decode_content = msgspec.json.Decoder(Content).decode
_decode_book = msgspec.json.Decoder(tuple[str, list[str]]).decode

NO_BOOK = "\x01"
"""With an entity after it: the book of what has none. No identifier begins so."""

_DAY = timedelta(1)
_CACHED_DATES_MAX = 10_000


class LedgerPosition:
    """What is posted of a position, with the rules and accounts that its trades use; `plan` is the compiled twin's."""

    __slots__ = ("dirty", "key", "plan", "posted", "scopes", "terms")

    def __init__(self, key: bytes, posted: Posted) -> None:
        self.key = key
        self.posted = posted
        self.scopes: dict[str, Scope] = {}
        self.terms: dict[tuple[int, str, str, bool, str], Terms] = {}
        self.plan: Any = None
        self.dirty = False


class LedgerState:
    """The ledger of one partition."""

    def __init__(self, table: TablePartition, standard: Rules) -> None:
        self.table = table
        self.counters = Counters(table)
        self.accounts = Accounts(table)
        self._standard = standard
        self.positions: dict[tuple[str, str], LedgerPosition] = {}
        self._dirty: list[LedgerPosition] = []
        self._load()

    def _load(self) -> None:
        self.rules: dict[int, Rules] = {0: self._standard, **stored_rules(self.table)}
        self._closed: dict[str, tuple[str, list[str]]] = {}
        self._locked: dict[str, str] = {}
        self._dates: dict[tuple[str, str, str, str, str, int, bool], Dates | Refusal] = {}
        # Another one whenever a day is closed or locked: what was planned with dates before it holds no more.
        self.epoch = object()

    def define(self, definition: Any) -> Refusal | None:
        """Take in a version of the posting rules, which never changes afterwards."""
        version = definition.version
        known = self.table.get(RULES + str(version).encode())
        if known is not None:
            same = known == definition.definition.encode()
            return None if same else _refused(f"version {version}, which is defined", "a version of its own")
        if version < 1:
            return _refused(str(version), "a version from 1 on")
        try:
            rules = read_rules(msgspec.json.decode(definition.definition), version)
        except (RulesFaults, msgspec.DecodeError) as fault:
            return _refused(str(fault), "a rules document without faults", "definition")
        coarser = coarser_scale(self.rules[max(self.rules)], rules)
        if coarser is not None:
            currency, before, after = coarser
            found = f"{after} decimals of {currency or 'what is not named'}"
            return _refused(found, f"at least {before}: a minor unit never becomes coarser", "scales")
        self.rules[version] = rules
        self.table.put(RULES + str(version).encode(), definition.definition.encode())
        return None

    def position(self, book: str, instrument: str) -> LedgerPosition:
        """What is posted of a position."""
        key = POSITION + position_key(book, instrument)
        stored = self.table.get(key)
        found = LedgerPosition(key, Posted() if stored is None else _decode_posted(stored))
        self.positions[book, instrument] = found
        return found

    def touch(self, position: LedgerPosition) -> None:
        """The step changes what is posted of a position."""
        position.dirty = True
        self._dirty.append(position)

    def content(self, key: bytes) -> Content | None:
        """What a trade moved, as it stands now."""
        stored = self.table.get(key)
        return None if stored is None else _decode_content(stored)

    def put_content(self, key: bytes, content: Content) -> None:
        """Keep what a trade moves."""
        self.table.changes[key] = _encode(content)

    def book(self, book: str) -> tuple[str, list[str]]:
        """The last closed day of a book (none: empty), and the entities whose trades it has."""
        found = self._closed.get(book)
        if found is None:
            stored = self.table.get(BOOK + book.encode())
            found = self._closed[book] = ("", []) if stored is None else _decode_book(stored)
        return found

    def note_book(self, book: str, closed: str, entities: list[str]) -> None:
        """Keep the last closed day of a book, and its entities."""
        self._closed[book] = closed, entities
        self.epoch = object()
        self._dates.clear()
        self.table.put(BOOK + book.encode(), _encode((closed, entities)))

    def locked(self, entity: str) -> str:
        """The last day that an entity has locked; empty where none."""
        found = self._locked.get(entity)
        if found is None:
            stored = self.table.get(LOCK + entity.encode())
            found = self._locked[entity] = "" if stored is None else stored.decode()
        return found

    def lock(self, entity: str, through: str) -> None:
        """Lock an entity's books up to and including a day."""
        self._locked[entity] = through
        self.epoch = object()
        self._dates.clear()
        self.table.put(LOCK + entity.encode(), through.encode())

    def dates(
        self,
        rules: Rules,
        entity: str,
        book: str,
        trade_date: str,
        settlement_date: str,
        value_date: str,
        *,
        at_once: bool,
    ) -> Dates | Refusal:
        """When a posting counts and settles; a refusal where its day is closed and the rules refuse that."""
        key = (entity, book, trade_date, settlement_date, value_date, rules.version, at_once)
        found = self._dates.get(key)
        if found is None:
            if len(self._dates) >= _CACHED_DATES_MAX:
                self._dates.clear()
            found = self._dates[key] = self._make_dates(rules, *key[:5], at_once=at_once)
        return found

    def _make_dates(
        self,
        rules: Rules,
        entity: str,
        book: str,
        trade_date: str,
        settlement_date: str,
        value_date: str,
        *,
        at_once: bool,
    ) -> Dates | Refusal:
        closed = self.book(book or NO_BOOK + entity)[0]
        locked = max(self.locked(entity), closed if rules.lock_on_day_close else "")
        posting_date = reference = ""
        if trade_date <= locked:
            if rules.closed_period is ClosedPeriod.REFUSE:
                return _refused(trade_date, f"a day after {locked}, which is closed", "trade_date")
            posting_date = (date.fromisoformat(locked) + _DAY).isoformat()
            reference = f"closed: {trade_date}"
        pending = not at_once and settlement_date > closed
        return Dates(trade_date, settlement_date, value_date, posting_date, reference, pending=pending)

    def before_commit(self) -> None:
        """Write what changed, and hold it against the invariants."""
        changes = self.table.changes
        for position in self._dirty:
            changes[position.key] = _encode(position.posted)
        self.accounts.before_commit()
        self.counters.before_commit()

    def committed(self) -> None:
        """The step is committed."""
        for position in self._dirty:
            position.dirty = False
        self._dirty.clear()
        self.accounts.committed()
        self.counters.committed()

    def rollback(self) -> None:
        """Forget the step: all is read again from the table."""
        self.positions.clear()
        self._dirty.clear()
        self.accounts.rollback()
        self.counters.rollback()
        self._load()


def stored_rules(table: TablePartition) -> dict[int, Rules]:
    """The versions of the posting rules that a table partition has, from 1 on."""
    return {
        int(key[1:]): read_rules(msgspec.json.decode(value), int(key[1:]))
        for key, value in table.scan_prefix(RULES)
    }


def scan_positions(table: TablePartition) -> Iterator[tuple[bytes, Posted]]:
    """What is posted of every position of a table partition, by its key."""
    for key, value in table.scan_prefix(POSITION):
        yield key[1:], _decode_posted(value)


def _refused(found: str, expected: str, field: str = "version") -> Refusal:
    return Refusal("the posting is not possible", field, expected, found)


def unknown_rules(version: int, known: Mapping[int, Rules]) -> Refusal:
    """Refuse what names a version of the posting rules that is not defined."""
    expected = f"a version that is defined: {', '.join(map(str, sorted(known)))}"
    return Refusal("its posting rules are not known", "posting_rules", expected, str(version))
