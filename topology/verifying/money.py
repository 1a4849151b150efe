"""Checks over the money: debits and credits, accounts against their transfers, balances, and the ledger against the positions."""

from collections import defaultdict
from decimal import Decimal

from agents import cash, ledger
from agents.cash import scan_balances
from agents.ledger_accounts import Names, read_accounts
from agents.ledger_state import scan_positions, stored_rules
from agents.open_position import OpenPosition, load_position
from domain.ledger.posting import Terms
from domain.ledger.rules import CASH, REALISED, BelowZero, Model
from schemas import topics
from schemas.identity import split_position_key
from schemas.numbers import ZERO
from schemas.units import EntryStatus
from topology.catching_up import behind_of
from topology.log_reading import POSITIONS_TABLE, WholeLog, read_events, table_partition
from topology.money.rules import latest_rules, standard_rules
from topology.verifying.checks import Check, Step

_Figures = dict[Names, tuple[Decimal, Decimal]]


def check_money(log: WholeLog, partitions: int, step: Step) -> list[Check]:
    """The checks over ledger and cash; of a log that was made without them, none."""
    if not {ledger.stage(standard_rules()).changelog, cash.stage().changelog} <= set(log.topics()):
        return []
    accounts: _Figures = {}
    for partition in range(partitions):
        for names, total, settled in read_accounts(table_partition(log, ledger.NAME, partition)):
            accounts[names] = total, settled
            step("accounts", 1)
    return [
        _double_entry(accounts),
        _transfers(log, partitions, accounts, step),
        _balances(log, partitions, accounts),
        _positions(log, partitions, accounts, step),
        *_blocked(log, accounts),
    ]


def _blocked(log: WholeLog, accounts: _Figures) -> list[Check]:
    """Accounts that may not go below zero: movements are refused for it, trades have happened and are told here."""
    rules = latest_rules(log)[0]
    codes = {code for code, account in rules.accounts.items() if account.below_zero is BelowZero.BLOCK}
    if not codes:
        return []
    check = Check("below zero", "what an account whose rule is below_zero: block holds below zero = 0")
    for names, (total, _) in accounts.items():
        if names[4] in codes:
            check.expect("/".join(names), ZERO, min(total, ZERO))
    return [check]


def _double_entry(accounts: _Figures) -> Check:
    check = Check("double entry", "debits = credits, by entity and currency, in all and settled")
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for names, (total, settled) in accounts.items():
        held = sums[names[0], names[3]]
        held[0] += total
        held[1] += settled
    for (entity, currency), held in sums.items():
        for word, left in zip(("in all", "settled"), held, strict=True):
            check.expect(f"{entity or 'no entity'} {currency} {word}", ZERO, left)
    return check


def _transfers(log: WholeLog, partitions: int, accounts: _Figures, step: Step) -> Check:
    check = Check("transfers", "sum of an account's transfers in the log = what it holds, in all and settled")
    sums: dict[Names, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for partition in range(partitions):
        for _, entry in read_events(log, topics.LEDGER_ENTRIES, partition):
            for code, amount in ((entry.debit_account, entry.amount), (entry.credit_account, -entry.amount)):
                book = "" if code == CASH else entry.book
                held = sums[entry.entity, entry.account, book, entry.currency, code]
                if not entry.pending_id:
                    held[0] += amount
                if entry.status is EntryStatus.POSTED:
                    held[1] += amount
            step("transfers", 1)
    for names in {*sums, *accounts}:
        total, settled = accounts.get(names, (ZERO, ZERO))
        where = "/".join(names)
        check.expect(f"{where} in all", total, sums[names][0])
        check.expect(f"{where} settled", settled, sums[names][1])
    return check


def _balances(log: WholeLog, partitions: int, accounts: _Figures) -> Check:
    check = Check("cash", "balances of cash = the ledger's accounts of cash; settled + pending = balance")
    if behind_of(log, cash.stage(), partitions):
        return check
    kept = {}
    for partition in range(partitions):
        for names, balance in scan_balances(table_partition(log, cash.NAME, partition)):
            kept[names] = balance
            pending = sum(balance.pending.values(), ZERO)
            check.expect(f"{'/'.join(names)} pending", balance.total - balance.settled, pending)
            check.expect(
                f"{'/'.join(names)} by value date", balance.total, sum(balance.values.values(), ZERO)
            )
    for (entity, account, _, currency, code), (total, settled) in accounts.items():
        if code == CASH:
            found = kept.get((entity, account, currency))
            where = f"{entity}/{account}/{currency}"
            check.expect(where, total, ZERO if found is None else found.total)
            check.expect(f"{where} settled", settled, ZERO if found is None else found.settled)
    return check


def _positions(log: WholeLog, partitions: int, accounts: _Figures, step: Step) -> Check:
    """Of the positions whose every update the ledger has posted."""
    check = Check(
        "ledger", "posted cost and realised P&L of a position = its own, rounded; their sum = the account's"
    )
    profits: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for partition in range(partitions):
        table = table_partition(log, ledger.NAME, partition)
        rules = {0: standard_rules(), **stored_rules(table)}
        for key, posted in scan_positions(table):
            book, instrument = split_position_key(key)
            profits[book, posted.currency] += posted.realised
            step("posted positions", 1)
            opened = _position(log, partitions, book, instrument)
            if opened is None or opened.revision != posted.revision:
                continue
            position = opened.position
            terms = Terms(
                rules[posted.posting_rules],
                posted.instrument_class,
                posted.currency,
                inverse=position.terms.inverse,
                underlying=posted.underlying,
            )
            where = f"{book}/{instrument}"
            check.expect(f"{where} realised P&L", terms.money.round(position.realised_pnl), posted.realised)
            if terms.model is not Model.MARGINED:
                check.expect(f"{where} cost", terms.money.round(position.cost_basis), posted.inventory)
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (_, _, book, currency, code), (total, _) in accounts.items():
        if code == REALISED:
            found[book, currency] -= total
    for place in {*profits, *found}:
        check.expect(f"{'/'.join(place)} realised P&L of the book", profits[place], found[place])
    return check


def _position(log: WholeLog, partitions: int, book: str, instrument: str) -> OpenPosition | None:
    for partition in range(partitions):
        found = load_position(table_partition(log, POSITIONS_TABLE, partition), book, instrument)
        if found is not None:
            return found
    return None
