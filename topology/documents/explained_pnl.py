"""What stands behind the P&L of a day: realised and unrealised, positional and trading, causes, rates, as a tree."""

from typing import Any

from schemas.numbers import ZERO, exact_arithmetic, plain
from schemas.pnl import BUCKETS
from topology.documents.explained_money import Node, counted, node
from topology.documents.explained_positions import explain_realised, explain_unrealised, number
from topology.documents.explained_revaluation import revaluation_node
from topology.documents.pnl import pnl_documents
from topology.documents.valuations import valuation_documents
from topology.log_reading import WholeLog
from topology.settings import Settings

_CAUSES = {
    "delta": "the former delta x the move of the spot",
    "gamma": "half of the former gamma x the move of the spot, squared",
    "vega": "the former vega x the move of the volatility",
    "theta": "the former theta x the time that passed",
    "rho": "the former rho x the move of the rate",
    "vanna": "the former vanna x both moves",
    "volga": "half of the former volga x the move of the volatility, squared",
    "carry": "what came for holding it (coupons, dividends, interest, costs of borrowing), and interest that accrued",
    "funding": "what longs and shorts paid each other",
    "fx": "what the rates made of the P&L so far",
    "new_trades": "what the bookings made against the price after them",
    "fees": "fees, with a minus",
    "corporate_actions": "what corporate actions made against the price after them",
    "unexplained": "what the Greeks left of the moves, exactly",
}


def explain_days_of_book(log: WholeLog, settings: Settings, book: str) -> Node:
    """The running day of a book, as the sum of its positions' in the book's currency."""
    documents = pnl_documents(log, book)
    children = [_summed(each) for each in documents]
    units = {each["unit"] for each in children}
    known = [each["value"] for each in children if each["value"] is not None]
    how = f"the sum of {counted(len(children), 'position')}, each in the book's currency where it has one"
    if len(known) < len(children):
        how += f"; not known, and in no sum: {len(children) - len(known):,} of them"
    if len(units) > 1:
        return node(
            f"P&L of the day of {book}",
            None,
            "",
            "positions in several currencies and no one of the book",
            children,
        )
    with exact_arithmetic():
        total = sum(map(number, known), ZERO)
    return node(f"P&L of the day of {book}", plain(total), "".join(units), how, children)


def _summed(day: Any) -> Node:
    if not day["book_currency"]:
        return _of_sum(day, day["total"], day["currency"], day["buckets"], "by causes")
    how = f"{day['total']} {day['currency']} by causes, each at the rate of its moment"
    return _of_sum(day, day["book_total"], day["book_currency"], day["book_buckets"], how)


def _of_sum(day: Any, value: str | None, unit: str, buckets: Any, how: str) -> Node:
    figure = f"P&L of the day of {day['book']}/{day['instrument']}"
    return node(figure, value, unit, how if value is not None else day["reason"], _causes(buckets, unit))


def explain_day(
    log: WholeLog, settings: Settings, book: str, instrument: str, date: str | None
) -> Node | None:
    """The running day of a position, or the closed one of a date; None where there is none."""
    found = pnl_documents(log, book, instrument, days=date is not None)
    if not found:
        return None
    (day,) = found
    if date is not None:
        closed = [each for each in day["days"] if each["day"]["business_date"] == date]
        if not closed:
            return None
        (day,) = closed
    return _day(log, settings, day)


def _day(log: WholeLog, settings: Settings, day: Any) -> Node:
    book, instrument, currency = day["book"], day["instrument"], day["currency"]
    when = day["day"]["business_date"] or "the running day"
    children = [
        _realised(log, settings, day),
        _unrealised(log, settings, day),
        node(
            "by what was held and what was traded",
            day["total"],
            currency,
            "positional + trading",
            [
                node(
                    "positional",
                    day["positional"],
                    currency,
                    f"what {day['opening_quantity']} held at the start made, at the price of now, {day['mark']}; carry and funding",
                ),
                node(
                    "trading",
                    day["trading"],
                    currency,
                    "what the day's trades made against that price, less fees",
                ),
            ],
        ),
        node(
            "by cause",
            day["total"],
            currency,
            "the sum of the causes over the valuations of the day" + _greeks(log, settings, day),
            _causes(day["buckets"], currency),
        ),
    ]
    if day["book_currency"] and day["book_currency"] != currency:
        children.append(_in_book_currency(day))
    revalued = revaluation_node(log, day)
    if revalued is not None:
        children.append(revalued)
    times = day["day"]["restatement"]
    restated = f"; restated {'once' if times == 1 else f'{times} times'}" if times else ""
    return node(
        f"P&L of {book}/{instrument}, {when}",
        day["total"],
        currency,
        (day["reason"] if day["total"] is None else "realised + unrealised, net of fees") + restated,
        children,
    )


def _realised(log: WholeLog, settings: Settings, day: Any) -> Node:
    children = [node("fees of the day", day["fees"], day["currency"], "taken off")]
    if not day["day"]["closed"]:
        so_far = explain_realised(log, settings, day["book"], day["instrument"])
        children += [so_far, _start(so_far, day["gross_realised"])]
    if day["income"] != "0":
        children.append(
            node("carry and funding", day["income"], day["currency"], "movements of cash of the day")
        )
    return node(
        "realised in the day",
        day["realised"],
        day["currency"],
        "realised P&L so far, less that at the start of the day, less the fees of the day, and what came for holding it",
        children,
    )


def _unrealised(log: WholeLog, settings: Settings, day: Any) -> Node:
    children = []
    if not day["day"]["closed"]:
        now = explain_unrealised(log, settings, day["book"], day["instrument"])
        of_the_day = day["unrealised"]
        if of_the_day is not None and day["accrued_interest"] != "0":
            with exact_arithmetic():
                of_the_day = plain(number(of_the_day) - number(day["accrued_interest"]))
        children += [now, _start(now, of_the_day)]
    if day["accrued_interest"] != "0":
        children.append(
            node(
                "change of accrued interest",
                day["accrued_interest"],
                day["currency"],
                "quantity x what has accrued on a unit, less the same at the start of the day",
            )
        )
    return node(
        "change of unrealised P&L",
        day["unrealised"],
        day["currency"],
        "unrealised P&L now, less that at the start of the day",
        children,
    )


def _start(now: Node, of_the_day: str | None) -> Node:
    """What a figure was when the day began: what it is, less what the day made."""
    value = None
    if now["value"] is not None and of_the_day is not None:
        with exact_arithmetic():
            value = plain(number(now["value"]) - number(of_the_day))
    return node("at the start of the day", value, now["unit"], "taken off")


def _in_book_currency(day: Any) -> Node:
    rate = node(
        f"{day['book_currency']} for one {day['currency']}",
        day["fx"],
        day["book_currency"],
        "the rate of now",
    )
    return node(
        "in the book's currency",
        day["book_total"],
        day["book_currency"],
        "P&L to date x the rate of now, less the same at the start of the day; by cause",
        [rate, *_causes(day["book_buckets"], day["book_currency"])],
    )


def _greeks(log: WholeLog, settings: Settings, day: Any) -> str:
    if day["day"]["closed"]:
        return ""
    for row in valuation_documents(log, settings.fx_pivot, day["book"], day["instrument"]):
        found = [f"{name} {row[name]:.6g}" for name in BUCKETS[:7] if row[name] is not None]
        return f"; Greeks now: {', '.join(found)}" if found else ""
    return ""


def _causes(buckets: Any, unit: str) -> list[Node]:
    if buckets is None:
        return []
    return [
        node(name, buckets[name], unit, _CAUSES.get(name, ""))
        for name in BUCKETS
        if buckets[name] != "0" or name == "unexplained"
    ]
