"""The accounts of the ledger in memory: what each holds, and what of it has settled.

Owns: the layout of the families `a` (accounts), `z` (residues of rounding) and `p` (what is pending, by settlement date).
Assumes: a single writer; whoever changes an account marks it.
Guarantees: cash of an entity's account in one currency is one account over all books; every other account is one a book.
What a step changed sums to zero in each currency, checked before it is committed.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from agents.stage import InvariantBroken
from domain.ledger.posting import Residues, Transfer
from domain.ledger.rules import CASH, BelowZero, Rules
from schemas.numbers import ZERO
from tables.partition import TablePartition

ACCOUNT, RESIDUE, PENDING = b"a", b"z", b"p"

_encode = msgspec.json.Encoder().encode
_decode_figures = msgspec.json.Decoder(tuple[Decimal, Decimal]).decode
_decode_residues = msgspec.json.Decoder(list[tuple[str, str, Decimal]]).decode
_decode_pending = msgspec.json.Decoder(list[tuple[str, str, str, Decimal]]).decode

Names = tuple[str, str, str, str, str]
"""Entity, account, book (none for cash), currency, name in the chart."""

PendingSums = dict[tuple[str, str, str], Decimal]
"""What is pending from one account to another: by debit, credit and currency; each pair in one order, signed."""


def names_key(family: bytes, *names: str) -> bytes:
    """The key of something that is told apart by names; no identifier holds the separator."""
    return family + "\x00".join(names).encode()


class LedgerAccount:
    """What an account holds: debits less credits, in all and settled."""

    __slots__ = ("committed", "dirty", "key", "names", "settled", "total", "warns")

    def __init__(self, names: Names, total: Decimal, settled: Decimal, *, warns: bool) -> None:
        self.names = names
        self.key = names_key(ACCOUNT, *names)
        self.total = self.committed = total
        self.settled = settled
        self.warns = warns
        self.dirty = False


class Scope:
    """The accounts of one book in one account of an entity."""

    __slots__ = ("_accounts", "accounts", "book", "entity", "keys", "name", "residues")

    def __init__(self, accounts: "Accounts", entity: str, name: str, book: str) -> None:
        self._accounts = accounts
        self.entity, self.name, self.book = entity, name, book
        self.accounts: dict[tuple[str, str], LedgerAccount] = {}
        self.keys: dict[str, str] = {}
        self.residues: Residues | None = None

    def account(self, code: str, currency: str, rules: Rules) -> LedgerAccount:
        """An account of this scope, by its name in the chart."""
        found = self.accounts.get((code, currency))
        if found is None:
            book = "" if code == CASH else self.book
            found = self._accounts.account((self.entity, self.name, book, currency, code), rules)
            self.accounts[code, currency] = found
            self.keys[currency] = f"{self.entity}/{self.name}/{currency}"
        return found


class Accounts:
    """The accounts of one partition."""

    def __init__(self, table: TablePartition) -> None:
        self._table = table
        self._accounts: dict[Names, LedgerAccount] = {}
        self._scopes: dict[tuple[str, str, str], Scope] = {}
        self._pending: dict[tuple[Scope, str], PendingSums] = {}
        self._dirty_pending: set[tuple[Scope, str]] = set()
        self._dirty_residues: set[tuple[str, str, str]] = set()
        self.dirty: list[LedgerAccount] = []

    def scope(self, entity: str, account: str, book: str) -> Scope:
        """The accounts of a book in an account of an entity."""
        found = self._scopes.get((entity, account, book))
        if found is None:
            found = self._scopes[entity, account, book] = Scope(self, entity, account, book)
        return found

    def account(self, names: Names, rules: Rules) -> LedgerAccount:
        """An account, which holds nothing where there was none."""
        found = self._accounts.get(names)
        if found is None:
            stored = self._table.get(names_key(ACCOUNT, *names))
            total, settled = (ZERO, ZERO) if stored is None else _decode_figures(stored)
            declared = rules.accounts.get(names[4])
            warns = declared is not None and declared.below_zero is not BelowZero.ALLOW
            found = self._accounts[names] = LedgerAccount(names, total, settled, warns=warns)
        return found

    def touch(self, account: LedgerAccount) -> None:
        """The step changes this account."""
        if not account.dirty:
            account.dirty = True
            self.dirty.append(account)

    def residues(self, scope: Scope) -> Residues:
        """What rounding has left over in a scope, to be changed by the running step."""
        self._dirty_residues.add((scope.entity, scope.name, scope.book))
        if scope.residues is None:
            stored = self._table.get(names_key(RESIDUE, scope.entity, scope.name, scope.book))
            found = [] if stored is None else _decode_residues(stored)
            scope.residues = {(account, currency): left for account, currency, left in found}
        return scope.residues

    def pending(self, scope: Scope, settlement_date: str) -> PendingSums:
        """What of a scope settles on a day, to be changed by the running step."""
        place = scope, settlement_date
        self._dirty_pending.add(place)
        found = self._pending.get(place)
        if found is None:
            stored = self._table.get(_pending_key(scope, settlement_date))
            found = self._pending[place] = {} if stored is None else _pending_of(stored)
        return found

    def hold_pending(
        self, scope: Scope, settlement_date: str, transfers: Iterable[Transfer], *, release: bool = False
    ) -> None:
        """Let transfers settle with the end of a day; with `release` those that were to, no more."""
        pending = self.pending(scope, settlement_date)
        for _, debit, credit, currency, amount in transfers:
            first, second = (debit, credit) if debit < credit else (credit, debit)
            signed = amount if (debit < credit) is not release else -amount
            pending[first, second, currency] = pending.get((first, second, currency), ZERO) + signed

    def take_due(
        self, book: str, through: str, of_entity: str | None
    ) -> Iterator[tuple[str, str, str, PendingSums]]:
        """Take out what of a book (and an entity) settles up to and including a day: that day, entity, account, sums."""
        self._write_pending()
        start = names_key(PENDING, book, "")
        due = list(self._table.scan(start, start + through.encode() + b"\x01"))
        for key, value in due:
            _, settlement_date, entity, account = key[1:].decode().split("\x00")
            if of_entity is not None and entity != of_entity:
                continue
            self._table.delete(key)
            self._pending.pop((self.scope(entity, account, book), settlement_date), None)
            yield settlement_date, entity, account, _pending_of(value)

    def _write_pending(self) -> None:
        for key, place in sorted((_pending_key(*place), place) for place in self._dirty_pending):
            sums = self._pending.get(place)
            if sums is not None:
                rows = [(*pair, amount) for pair, amount in sorted(sums.items()) if amount]
                self._table.put(key, _encode(rows)) if rows else self._table.delete(key)
        self._dirty_pending.clear()

    def before_commit(self) -> None:
        """Write what changed, and hold it against the identity of double entry."""
        changed: dict[str, Decimal] = {}
        for account in self.dirty:
            currency = account.names[3]
            changed[currency] = changed.get(currency, ZERO) + (account.total - account.committed)
            self._table.put(account.key, _encode((account.total, account.settled)))
        for currency, left in changed.items():
            if left:
                raise InvariantBroken(
                    f"expected debits equal to credits in {currency!r}, found {left} more debits"
                )
        self._write_pending()
        for names in sorted(self._dirty_residues):
            residues = self._scopes[names].residues or {}
            rows = [
                (account, currency, left) for (account, currency), left in sorted(residues.items()) if left
            ]
            key = names_key(RESIDUE, *names)
            self._table.put(key, _encode(rows)) if rows else self._table.delete(key)
        self._dirty_residues.clear()

    def committed(self) -> None:
        """The step is committed."""
        for account in self.dirty:
            account.dirty = False
            account.committed = account.total
        self.dirty.clear()
        if len(self._pending) > _CACHED_DAYS_MAX:
            self._pending.clear()

    def rollback(self) -> None:
        """Forget all that is in memory: it is read again from the table."""
        self._accounts.clear()
        self._scopes.clear()
        self._pending.clear()
        self._dirty_pending.clear()
        self._dirty_residues.clear()
        self.dirty.clear()


_CACHED_DAYS_MAX = 10_000


def _pending_key(scope: Scope, settlement_date: str) -> bytes:
    return names_key(PENDING, scope.book, settlement_date, scope.entity, scope.name)


def _pending_of(stored: bytes) -> PendingSums:
    return {(debit, credit, currency): amount for debit, credit, currency, amount in _decode_pending(stored)}


def read_accounts(table: TablePartition) -> Iterator[tuple[Names, Decimal, Decimal]]:
    """Every account of a table partition: names, what it holds, what of it has settled."""
    for key, value in table.scan_prefix(ACCOUNT):
        entity, account, book, currency, code = key[1:].decode().split("\x00")
        total, settled = _decode_figures(value)
        yield (entity, account, book, currency, code), total, settled
