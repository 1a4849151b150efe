"""What stands behind a position, its realised and unrealised P&L: lots, matches, trades, marks, as a tree.

Guarantees: the value of a node that is a sum is the sum of its children, those in the node `others` included; where a
division was rounded, the node says at which decimal.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import islice
from typing import Any

from agents.capture_state import waiting_corrections
from schemas import topics
from schemas.murmur2 import partition_of_key
from schemas.numbers import MONEY_DECIMALS, PRICE_DECIMALS, ZERO, exact_arithmetic, parse_exact, plain
from schemas.times import format_time
from topology.documents.explained_money import Node, counted, node
from topology.documents.queries import position_document, trade_document
from topology.documents.refused_trades import refused_documents
from topology.documents.valuations import valuation_documents
from topology.log_reading import CAPTURE_TABLE, WholeLog, partition_count, read_events, table_partition
from topology.settings import Settings

CHILDREN_MAX = 200
"""Most lots, matches or trades that are told one by one; the others are one node, with their sum."""


def explain_position(log: WholeLog, settings: Settings, book: str, instrument: str) -> Node:
    """The quantity of a position, as the sum of its lots, each with its trade."""
    fields = _fields(log, book, instrument)

    def lot_node(lot: Any) -> Node:
        trade = explain_trade(log, lot["trade_id"], book)
        return node(
            f"lot of {lot['trade_id']}",
            lot["quantity"],
            instrument,
            f"what is left of it, at {lot['price']}, opened {lot['opened_at']}",
            [] if trade is None else [trade],
        )

    lots = fields["lots"]
    return node(
        f"position {book}/{instrument}",
        fields["quantity"],
        instrument,
        f"the sum of {counted(len(lots), 'open lot')}, matched {fields['lot_method']}, "
        f"after {counted(fields['revision'], 'booking')}",
        bounded(lots, lot_node, "lots", "quantity", instrument),
    )


def explain_cost(log: WholeLog, book: str, instrument: str) -> Node:
    """The cost basis of a position."""
    fields = _fields(log, book, instrument)
    unit = (
        "the sum of quantity / price x multiplier"
        if fields["inverse"]
        else "the sum of quantity x price x multiplier"
    )
    price = fields["average_price"]
    average = (
        ""
        if price is None
        else f"; average price {price}, rounded at {PRICE_DECIMALS} decimals where it does not end"
    )
    return node(
        f"cost basis of {book}/{instrument}",
        fields["cost_basis"],
        fields["currency"],
        f"{unit} over its lots (multiplier {fields['multiplier']}){average}",
        [explain_position_lots(fields)],
    )


def explain_position_lots(fields: Any) -> Node:
    """The quantity of a position with its lots, and no trades."""
    instrument = fields["instrument"]
    return node(
        f"position {fields['book']}/{instrument}",
        fields["quantity"],
        instrument,
        f"the sum of {counted(len(fields['lots']), 'open lot')}",
        bounded(
            fields["lots"],
            lambda lot: node(f"lot of {lot['trade_id']}", lot["quantity"], instrument, f"at {lot['price']}"),
            "lots",
            "quantity",
            instrument,
        ),
    )


def explain_realised(log: WholeLog, settings: Settings, book: str, instrument: str) -> Node:
    """The realised P&L of a position since it was first opened, as the sum of its matches."""
    fields = _fields(log, book, instrument, matched=True)
    currency = fields["currency"]

    def match_node(match: Any) -> Node:
        quantity = match["quantity"]
        how = f"{quantity} opened at {match['open_price']}, closed at {match['close_price']}"
        return node(
            f"{match['opening_trade_id']} closed by {match['closing_trade_id']}",
            match["realised_pnl"],
            currency,
            how,
        )

    matches = fields["matches"]
    return node(
        f"realised P&L of {book}/{instrument}",
        fields["realised_pnl"],
        currency,
        f"the sum of {counted(len(matches), 'match', 'matches')}, before fees of {fields['fees']}; "
        f"multiplier {fields['multiplier']}; rounded at {MONEY_DECIMALS} decimals where a quotient does not end",
        bounded(matches, match_node, "matches", "realised_pnl", currency),
    )


def explain_unrealised(log: WholeLog, settings: Settings, book: str, instrument: str) -> Node:
    """The unrealised P&L of a position: what it is worth less what it cost."""
    cost = explain_cost(log, book, instrument)
    found = valuation_documents(log, settings.fx_pivot, book, instrument)
    if not found:
        return node(
            f"unrealised P&L of {book}/{instrument}",
            None,
            cost["unit"],
            "not valued yet: pks valuations",
            [cost],
        )
    (row,) = found
    how = "cost basis - market value" if row["inverse"] else "market value - cost basis"
    if row["held_fees"] != "0":
        how += f", without the fees of {row['held_fees']} that are held in the cost"
    return node(
        f"unrealised P&L of {book}/{instrument}",
        row["unrealised_pnl"],
        row["currency"],
        how if row["unrealised_pnl"] is not None else row["reason"],
        [_market_value(log, row), cost],
    )


def _market_value(log: WholeLog, row: Any) -> Node:
    greeks = ", ".join(
        f"{name} {row[name]:.6g}"
        for name in ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga")
        if row[name] is not None
    )
    mark = node(
        f"price of {row['instrument']}",
        row["mark"],
        row["currency"],
        f"{row['valued_by']}, {row['mark_quality']}, of {row['mark_time'] or 'no time'}"
        + (f"; Greeks of the position: {greeks}" if greeks else "")
        + (f"; {row['reason']}" if row["reason"] else ""),
        [explain_mark(log, row["instrument"])],
    )
    children = [mark]
    if row["accrued_interest"] != "0":
        children.append(
            node(
                "accrued interest",
                row["accrued_interest"],
                row["currency"],
                "no part of unrealised P&L, which is clean",
            )
        )
    if row["book_currency"] and row["book_currency"] != row["currency"]:
        children.append(explain_rate(row["currency"], row["book_currency"], row["fx_rate"], row))
    operation = "/" if row["inverse"] else "x"
    return node(
        f"market value of {row['book']}/{row['instrument']}",
        row["market_value"],
        row["currency"],
        f"quantity {row['quantity']} x multiplier {row['multiplier']} {operation} price"
        + (" + accrued interest" if len(children) > 1 and row["accrued_interest"] != "0" else ""),
        children,
    )


def explain_rate(currency: str, book_currency: str, rate: str | None, row: Any) -> Node:
    """The rate of a currency in the book's."""
    how = f"{row['fx_quality']}, of {row['fx_time'] or 'no time'}" if rate is not None else row["reason"]
    return node(f"{book_currency} for one {currency}", rate, book_currency, how)


def explain_mark(log: WholeLog, instrument: str) -> Node:
    """The newest mark of an instrument that is still in the log."""
    newest: Any = None
    partition = partition_of_key(instrument.encode(), partition_count(log))
    for _, mark in read_events(log, topics.MARKS, partition, log.start_offset(topics.MARKS.name, partition)):
        if mark.instrument == instrument and (
            newest is None
            or (mark.event_time, mark.source_sequence) >= (newest.event_time, newest.source_sequence)
        ):
            newest = mark
    if newest is None:
        return node(f"mark of {instrument}", None, "", "no mark of it is in the log")
    sides = [
        f"{name} {plain(side)}" for name in ("bid", "ask") if (side := getattr(newest, name)) is not None
    ]
    return node(
        f"mark of {instrument}",
        None if newest.price is None else plain(newest.price),
        newest.currency,
        ", ".join(
            [
                f"{newest.quality} from {newest.source}",
                f"of {format_time(newest.event_time)}",
                *sides,
                newest.event_id,
            ]
        ),
    )


def explain_trade(log: WholeLog, trade_id: str, book: str | None = None) -> Node | None:
    """A trade: what it is, and what it did to its position; None where the log has none of that id."""
    found = trade_document(log, partition_count(log), trade_id)
    if found is None or (book is not None and found.get("book") != book):
        return None
    if "quantity" not in found:
        return node(f"correction {trade_id}", None, "", f"it is {found['state']}" + _waits_for(log, trade_id))
    closed = found.get("lots_closed", [])
    return node(
        f"trade {trade_id}",
        found["quantity"],
        found["instrument"],
        f"{found['state']} in {found['book']} at {found['price']}, fee {found['fee']}, executed {found['executed_at']}"
        + (f"; it realised {found['realised_pnl']}, and closed of {', '.join(closed[:5])}" if closed else ""),
    )


def _waits_for(log: WholeLog, trade_id: str) -> str:
    """Of a correction that waits: what it is, and for which trade."""
    for partition in range(partition_count(log)):
        for waiting in waiting_corrections(table_partition(log, CAPTURE_TABLE, partition)):
            fill = waiting.fill
            if fill.trade_id == trade_id:
                return (
                    f": {fill.action} of trade {fill.original_trade_id}, which has not come "
                    "(docs/operating/waiting-corrections.md)"
                )
    return ""


def explain_refused(log: WholeLog, trade_id: str) -> Node | None:
    """A trade that capture booked and positions refused; None where no book refused one of that id."""
    for refused in refused_documents(log, partition_count(log), trade_id):
        return node(
            f"trade {trade_id}",
            None,
            refused["instrument"],
            f"refused in {refused['book']}, {refused['quantity']} at {refused['price']}, so it is in no position: "
            f"{refused['reason']}: {refused['field']}: expected {refused['expected']}, found {refused['found']}; send an "
            f"amend of it (docs/operating/dead-letters.md); pks dlq show {refused['dead_letter_id']}",
        )
    return None


def bounded(
    items: Iterable[Any], of_one: Callable[[Any], Node], name: str, summed: str, unit: str
) -> list[Node]:
    """A node for each of the first items, and one with the sum of the others."""
    remaining = iter(items)
    found = [of_one(each) for each in islice(remaining, CHILDREN_MAX)]
    with exact_arithmetic():
        total, count = ZERO, 0
        for each in remaining:
            total += number(each[summed])
            count += 1
    if count:
        others = node(f"{count:,} other {name}", plain(total), unit, "their sum")
        found.append({**others, "stands_for": count})
    return found


def number(text: str) -> Decimal:
    """A figure of a document."""
    return parse_exact(text)


def _fields(log: WholeLog, book: str, instrument: str, *, matched: bool = False) -> Any:
    found = position_document(log, partition_count(log), book, instrument, matched=matched)
    assert found is not None, "the position was found before"
    return found
