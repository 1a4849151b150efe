"""What the demonstration's positions are worth, what they have gained, what they have cost, and in which currencies.

Each is asked for by the command that users have. Rates of currencies are SIMULATED, as all of the tape.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from schemas import market_data
from schemas.frames import wire
from schemas.quotes import FX_CLASS
from schemas.units import MarkQuality
from topology.demo import tape

_RATES = (("EUR", "USD", "1.0850"), ("BTC", "USD", "61250"))
_Mark: Any = wire(market_data.Mark)

Row = tuple[str, str, str]
"""What it is, the command that shows it, and what that says."""


def rates() -> Iterator[Any]:
    """Marks of the currency pairs that the tape's books need, before its first fill."""
    for base, quote, price in _RATES:
        yield _Mark(
            event_id=f"demo-rate.{base}{quote}",
            source=tape.SOURCE,
            instrument=f"{base}{quote}",
            event_time=tape.START,
            quality=MarkQuality.INDICATIVE,
            price=Decimal(price),
            instrument_class=FX_CLASS,
            underlying=base,
            currency=quote,
        )


def ask(command: Callable[..., Any]) -> list[Row]:
    """Ask for each; `command` gives the JSON document of a command of `pks`."""
    return [
        ("value", "pks valuations", _said(map(_value, command("valuations")["valuations"]))),
        ("P&L of the day", "pks pnl", _said(map(_gained, command("pnl")["pnl"]))),
        ("cash", "pks cash", _said(map(_cash, command("cash")["cash"]))),
        ("currency position", "pks ocp-live", _said(_open(command("ocp-live")["ocp-live"]))),
    ]


def _said(lines: Iterator[str]) -> str:
    return "\n".join(lines) or "none"


def _place(found: Any) -> str:
    return f"{found['book']} {found['instrument']}:"


def _value(found: Any) -> str:
    if found["market_value"] is None:
        return f"{_place(found)} none ({found['reason']})"
    unrealised = _money(found["unrealised_pnl"], found["currency"])
    return f"{_place(found)} {_money(found['market_value'], found['currency'])}, unrealised {unrealised}"


def _gained(found: Any) -> str:
    if found["total"] is None:
        return f"{_place(found)} none ({found.get('reason', '')})"
    return f"{_place(found)} {_money(found['total'], found['currency'])}"


def _cash(found: Any) -> str:
    currency = found["currency"]
    return (
        f"{found['entity']}: {_money(found['trade_date_balance'], currency)}, of it settled "
        f"{_money(found['settled_balance'], currency)}"
    )


def _open(entities: Sequence[Any]) -> Iterator[str]:
    for found in entities:
        if found["exposures"]:
            reporting = found["reporting_currency"]
            unrated = f", without a rate {', '.join(found['unrated'])}" if found["unrated"] else ""
            net = found["net_open_position"]
            yield f"{found['entity']}: {'-' if net is None else _money(net, reporting)}{unrated}"


def _money(amount: str, currency: str) -> str:
    places = Decimal("0.00000001") if currency == "BTC" else Decimal("0.01")
    return f"{Decimal(amount).quantize(places):,f} {currency}".rstrip()
