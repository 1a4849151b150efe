"""What stands behind an open currency position and a balance of cash: rates, balances, transfers, trades, as a tree.

A node is `figure`, `value` and `unit`, `how` the value follows from its `children`, and those.
Guarantees: the value of a node that is a sum is the sum of its children, of which none is left out; numbers are text in plain
notation.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from agents import cash
from agents.cash import read_balance
from agents.currency_position import CurrencyState
from domain.ledger.rules import CASH, REALISED
from schemas import topics
from schemas.murmur2 import partition_of_key
from schemas.numbers import ONE, ZERO, exact_arithmetic, parse_exact, plain
from schemas.times import format_time
from topology.documents.currency_positions import open_state
from topology.log_reading import WholeLog, partition_count, read_events, table_partition
from topology.money.rules import latest_rules

Node = dict[str, Any]


def node(figure: str, value: str | None, unit: str, how: str, children: Sequence[Node] = ()) -> Node:
    """A node of the tree."""
    return {"figure": figure, "value": value, "unit": unit, "how": how, "children": list(children)}


def counted(count: int, one: str, many: str = "") -> str:
    """How many there are, in words: `many` where the plural is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def explain_currency_position(
    log: WholeLog,
    entity: str,
    reporting_currency: str,
    currency: str | None = None,
    *,
    with_transfers: bool = True,
) -> Node:
    """The net open position of an entity, or its exposure in one currency, down to transfers or down to sums of cash."""
    partition = partition_of_key(entity.encode(), partition_count(log))
    with exact_arithmetic():
        state = open_state(log, partition, reporting_currency)
        found = state.measured(entity)
        unit = state.policy(entity).reporting_currency
        exposures = [
            _exposure(log, state, entity, each, unit, with_transfers=with_transfers)
            for each in found.exposures
            if currency in (None, each.currency)
        ]
    if currency is not None:
        if exposures:
            return exposures[0]
        return node(f"exposure of {_name(entity)} in {currency}", "0", currency, "nothing is held in it")
    position = found.position
    return node(
        f"net open position of {_name(entity)}",
        plain(position.net_open_position) if found.known else None,
        unit,
        f"the greater of what is long, {plain(position.sum_long)}, and short, {plain(position.sum_short)}, by currency; "
        f"{unit} bears no risk"
        + (f"; without a rate, and in no sum: {', '.join(found.unrated)}" if found.unrated else ""),
        exposures,
    )


def _exposure(
    log: WholeLog, state: CurrencyState, entity: str, each: Any, unit: str, *, with_transfers: bool
) -> Node:
    held = node(
        f"cash of {_name(entity)} in {each.currency}, with what is pending",
        plain(each.with_pending),
        each.currency,
        "the sum of its accounts",
        [
            explain_cash(log, entity, account, each.currency)
            for (who, currency, account) in sorted(state.balances)
            if with_transfers and (who, currency) == (entity, each.currency)
        ],
    )
    figure = f"exposure of {_name(entity)} in {each.currency}"
    if each.rate is None:
        return node(figure, None, unit, f"no rate of {each.currency} in {unit}", [held])
    when = "" if each.rate_time is None else f" of {format_time(each.rate_time)}"
    path = f", from {each.rate_path}" if each.rate_path else ""
    rate = node(f"{unit} for one {each.currency}", plain(each.rate), unit, f"{each.rate_quality}{when}{path}")
    return node(figure, plain(each.reported_with_pending), unit, "cash x rate", [held, rate])


def explain_cash(log: WholeLog, entity: str, account: str, currency: str) -> Node:
    """A balance of cash by trade date, as the sum of its transfers."""
    with exact_arithmetic():
        total = ZERO
        children = []
        for entry, change in _transfers(log, entity, account, currency):
            total += change
            children.append(
                node(
                    f"{entry.trade_id} {entry.leg}",
                    plain(change),
                    currency,
                    f"{plain(entry.amount)} from {entry.credit_account} to {entry.debit_account}, {entry.status}; traded "
                    f"{entry.trade_date}, settles {entry.settlement_date}; transfer {entry.event_id}"
                    + (f"; takes back {entry.reverses}" if entry.reverses else "")
                    + (f"; {entry.instrument}" if entry.instrument else ""),
                )
            )
    return node(
        f"balance of {_name(entity)} {account or '-'} {currency}".replace("  ", " "),
        plain(total),
        currency,
        f"the sum of {counted(len(children), 'transfer')} of cash",
        children,
    )


def explain_postings(
    log: WholeLog, reporting_currency: str, trade_id: str, realised: str | None = None
) -> list[Node]:
    """What a trade moved: its transfers, and each balance of cash that they changed with the exposure that it is part of.

    Where it `realised` something else than its transfers moved, a node says so.
    """
    if topics.LEDGER_ENTRIES.name not in log.topics():
        return []
    entries = [
        entry
        for partition in range(partition_count(log))
        for _, entry in read_events(log, topics.LEDGER_ENTRIES, partition)
        if entry.trade_id == trade_id and not entry.pending_id
    ]
    found = [
        node(
            f"transfer {entry.leg}",
            plain(entry.amount),
            entry.currency,
            f"from {entry.credit_account} to {entry.debit_account}, {entry.status}; settles {entry.settlement_date}"
            + (f"; takes back {entry.reverses}" if entry.reverses else ""),
        )
        for entry in entries
    ]
    found += _posted_elsewhere(log, entries, realised)
    places = {(entry.entity, entry.account, entry.currency) for entry in entries if _change_of(CASH, entry)}
    for entity, account, currency in sorted(places):
        with exact_arithmetic():
            moved = sum(
                (
                    _change_of(CASH, entry) * entry.amount
                    for entry in entries
                    if (entry.entity, entry.account, entry.currency) == (entity, account, currency)
                ),
                ZERO,
            )
        names = (entity, account, currency)
        partition = partition_of_key("/".join(names).encode(), partition_count(log))
        balance = read_balance(table_partition(log, cash.NAME, partition), names)
        exposure = explain_currency_position(log, entity, reporting_currency, currency, with_transfers=False)
        found.append(
            node(
                f"cash that it moved: {_name(entity)} {account or '-'} {currency}",
                plain(moved),
                currency,
                f"of the balance, {plain(balance.total)} {currency}: {counted(balance.entries, 'entry', 'entries')} "
                f"(pks explain cash:{'/'.join(names)})",
                [exposure],
            )
        )
    return found


def _posted_elsewhere(log: WholeLog, entries: Sequence[Any], realised: str | None) -> list[Node]:
    """A node where the transfers of a trade moved other realised P&L than it has now, by more than what rounding can make."""
    currencies = {entry.currency for entry in entries if _change_of(REALISED, entry)}
    if realised is None or not entries or len(currencies) > 1:
        return []
    currency = "".join(currencies) or entries[0].currency
    minor_unit = ONE.scaleb(-latest_rules(log)[0].scale(currency))
    with exact_arithmetic():
        posted = sum((-_change_of(REALISED, entry) * entry.amount for entry in entries), ZERO)
        elsewhere = parse_exact(realised) - posted
    if abs(elsewhere) <= minor_unit:
        return []
    return [
        node(
            "realised P&L posted elsewhere",
            plain(elsewhere),
            currency,
            f"it realised {realised}, and its transfers moved {plain(posted)}: what a re-match changes is posted under the "
            "trade or the correction that caused it",
        )
    ]


def _change_of(account: str, entry: Any) -> int:
    """Whether a transfer debits an account (1: it brings cash in), credits it (-1), or moves none."""
    return int(entry.debit_account == account) - int(entry.credit_account == account)


def _transfers(log: WholeLog, entity: str, account: str, currency: str) -> Iterator[tuple[Any, Any]]:
    for partition in range(partition_count(log)):
        for _, entry in read_events(log, topics.LEDGER_ENTRIES, partition):
            # The second entry of a transfer only says that the first has settled.
            if (entry.entity, entry.account, entry.currency) != (
                entity,
                account,
                currency,
            ) or entry.pending_id:
                continue
            change = _change_of(CASH, entry)
            if change:
                yield entry, change * entry.amount


def _name(entity: str) -> str:
    return entity or "-"
