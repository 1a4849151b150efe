"""The simulated tape: every kind of fill that a book must survive, from a fixed seed.

SIMULATED: no such trades happened, and no such instruments exist. Prices walk by ticks; books differ in lot
method and fee policy; some fills come late, twice, amended, cancelled, or cancelled before they are there.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from schemas import events, reference
from schemas.frames import to_wire, wire
from schemas.identity import content_id
from schemas.units import Action, FeePolicy, LotMethod, Side

SEED = 20_260_105
START = 1_767_603_600_000_000_000
"""2026-01-05T09:00:00Z in nanoseconds."""

SOURCE = "simulated"

_FillEvent = wire(events.FillEvent)
_Fee = wire(events.Fee)
_STEP_NANOSECONDS = 2_000_000
_LATE_SHARE, _TWICE_SHARE, _AMENDED_SHARE, _CANCELLED_SHARE, _EARLY_CANCEL_SHARE = (
    0.02,
    0.01,
    0.01,
    0.01,
    0.002,
)
_LATE_BY_MAX = 300


@dataclass(frozen=True, slots=True)
class Market:
    """A simulated instrument: where its price starts, its tick, and the sizes in which it trades."""

    instrument: str
    price: Decimal
    tick: Decimal
    quantity_unit: Decimal
    fee_rate: Decimal


BOOKS = (
    reference.Book(
        event_id="book.EQUITY-FIFO", book="EQUITY-FIFO", entity="SIM", lot_methods={"*": LotMethod.FIFO}
    ),
    reference.Book(
        event_id="book.EQUITY-LIFO",
        book="EQUITY-LIFO",
        entity="SIM",
        lot_methods={"*": LotMethod.LIFO},
        fee_policy=FeePolicy.EXPENSED,
    ),
    reference.Book(
        event_id="book.DERIVATIVES-AVERAGE",
        book="DERIVATIVES-AVERAGE",
        entity="SIM",
        lot_methods={"*": LotMethod.AVERAGE, "option": LotMethod.FIFO},
        fee_policy=FeePolicy.CAPITALISED,
    ),
    reference.Book(
        event_id="book.CRYPTO",
        book="CRYPTO",
        entity="SIM",
        fee_policy=FeePolicy.EXPENSED,
        base_currency="BTC",
    ),
)
INSTRUMENTS = (
    reference.Instrument(
        event_id="i.SHARE-A", instrument="SHARE-A", instrument_class="equity", currency="USD"
    ),
    reference.Instrument(
        event_id="i.SHARE-B", instrument="SHARE-B", instrument_class="equity", currency="EUR"
    ),
    reference.Instrument(
        event_id="i.FUTURE-X",
        instrument="FUTURE-X",
        instrument_class="future",
        currency="USD",
        multiplier=Decimal(50),
    ),
    reference.Instrument(
        event_id="i.SHARE-A-C100",
        instrument="SHARE-A-C100",
        instrument_class="option",
        currency="USD",
        multiplier=Decimal(100),
        underlying="SHARE-A",
    ),
    reference.Instrument(
        event_id="i.BTCUSD-PERP",
        instrument="BTCUSD-PERP",
        instrument_class="perpetual",
        currency="BTC",
        multiplier=Decimal(100),
        inverse=True,
    ),
)
_MARKETS = {
    market.instrument: market
    for market in (
        Market("SHARE-A", Decimal("101.50"), Decimal("0.01"), Decimal(10), Decimal("0.005")),
        Market("SHARE-B", Decimal("48.20"), Decimal("0.005"), Decimal("0.25"), Decimal("0.01")),
        Market("FUTURE-X", Decimal("4210.25"), Decimal("0.25"), Decimal(1), Decimal("0.85")),
        Market("SHARE-A-C100", Decimal("3.15"), Decimal("0.05"), Decimal(1), Decimal("0.65")),
        Market("BTCUSD-PERP", Decimal("61250.0"), Decimal("0.5"), Decimal(1), Decimal("0.0000004")),
    )
}
_TRADED = {
    "EQUITY-FIFO": ("SHARE-A", "SHARE-B"),
    "EQUITY-LIFO": ("SHARE-A", "SHARE-B"),
    "DERIVATIVES-AVERAGE": ("FUTURE-X", "SHARE-A-C100"),
    "CRYPTO": ("BTCUSD-PERP",),
}


def definitions() -> tuple[list[Any], list[Any]]:
    """Books and instruments, as the topics take them."""
    return [to_wire(book) for book in BOOKS], [to_wire(instrument) for instrument in INSTRUMENTS]


@dataclass(slots=True)
class _Tape:
    """The tape in the making: what comes next, and what comes later, by place."""

    random: random.Random
    later: dict[int, list[Any]] = field(default_factory=dict)

    def put_off(self, place: int, fill: Any) -> None:
        self.later.setdefault(place, []).append(fill)


def fills(number: int, seed: int = SEED) -> Iterator[Any]:
    """About `number` new trades in the order of their arrival, with what is late, repeated and corrected."""
    tape = _Tape(random.Random(seed))  # noqa: S311 - the same tape each time is what is wanted
    prices = {name: market.price for name, market in _MARKETS.items()}
    for place in range(number):
        fill = _trade(tape, place, prices)
        chance = tape.random.random()
        if chance < _LATE_SHARE:
            tape.put_off(place + tape.random.randrange(1, _LATE_BY_MAX), fill)
        else:
            if chance > 1 - _EARLY_CANCEL_SHARE:
                yield _correction(fill, Action.CANCEL, place)
            yield fill
        _correct(tape, place, fill)
        yield from tape.later.pop(place, ())
    for place in sorted(tape.later):
        yield from tape.later[place]


def _trade(tape: _Tape, place: int, prices: dict[str, Decimal]) -> Any:
    book = tape.random.choice(list(_TRADED))
    instrument = tape.random.choice(_TRADED[book])
    market = _MARKETS[instrument]
    price = prices[instrument] + market.tick * tape.random.randrange(-3, 4)
    prices[instrument] = price = max(price, market.tick)
    quantity = market.quantity_unit * tape.random.randrange(1, 40)
    return _fill(
        trade_id=f"SIM-{place:07d}",
        book=book,
        instrument=instrument,
        side=tape.random.choice((Side.BUY, Side.SELL)),
        quantity=quantity,
        price=price,
        fees=(_Fee(amount=quantity * market.fee_rate),),
        executed_at=START + place * _STEP_NANOSECONDS,
        source_sequence=place,
    )


def _correct(tape: _Tape, place: int, fill: Any) -> None:
    """Put off what comes after a fill: the same again, an amend, a cancel."""
    chance = tape.random.random()
    when = place + tape.random.randrange(1, 2 * _LATE_BY_MAX)
    if chance < _TWICE_SHARE:
        tape.put_off(when, fill)
    elif chance < _TWICE_SHARE + _AMENDED_SHARE:
        tape.put_off(
            when, _correction(fill, Action.AMEND, place, price=fill.price + _MARKETS[fill.instrument].tick)
        )
    elif chance < _TWICE_SHARE + _AMENDED_SHARE + _CANCELLED_SHARE:
        tape.put_off(when, _correction(fill, Action.CANCEL, place))


def _correction(fill: Any, action: Action, place: int, **changed: Any) -> Any:
    content = {
        name: getattr(fill, name)
        for name in ("book", "instrument", "side", "quantity", "price", "fees", "executed_at")
    }
    return _fill(
        trade_id=f"SIM-{place:07d}-{action.value}",
        original_trade_id=fill.trade_id,
        action=action,
        source_sequence=place,
        **{**content, **changed},
    )


def _fill(**content: Any) -> Any:
    identity = content_id("fill", SOURCE, *(str(value) for value in content.values()))
    return _FillEvent(event_id=identity, source=SOURCE, venue="SIMULATED", **content)
