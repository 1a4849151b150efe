"""What the simulated senders send: fills with amends, cancels, late trades, flips, book moves, and what is wrong.

All of it follows from the random numbers that are handed in.
"""

from decimal import Decimal
from random import Random
from typing import Any

from schemas import events, reference
from schemas.frames import encode_event, wire
from schemas.identity import content_id
from schemas.units import Action, FeePolicy, LotMethod, Side

FillEvent = wire(events.FillEvent)
Fee = wire(events.Fee)

ORIGIN = 1_767_571_200_000_000_000
SECOND = 1_000_000_000
BOOKS = {
    # Names that two and three partitions share out.
    "B2": (LotMethod.FIFO, FeePolicy.EXCLUDED),
    "B3": (LotMethod.LIFO, FeePolicy.CAPITALISED),
    "B5": (LotMethod.AVERAGE, FeePolicy.EXPENSED),
    "B9": (LotMethod.FIFO, FeePolicy.CAPITALISED),
}
INSTRUMENTS = {
    "X": (Decimal(1), False),
    "Y": (Decimal(10), False),
    "Z": (Decimal(100), True),
    "W": (Decimal(2), False),
}
LATE_INSTRUMENT = "W"
"""Fills name it by its symbol, so that they are refused until it is defined, which happens in the run."""

FAILS_BEFORE, FAILS_AFTER = "fails before", "fails after"
"""Traders whose fills meet a defect in capture's handler: before it has done anything, or after it has done all."""

POISON = (b"garbage", b'[{"type":"FillEvent"}]', b"[1, 2", b"\xff\x00")

_VENUE = "V"
_ACTIONS = ("new", "amend", "cancel", "again", "conflict", "invalid")
_WEIGHTS = (60, 15, 10, 8, 4, 3)


def definitions() -> list[tuple[str, Any]]:
    """Reference data, each with the name of its topic; that of the late instrument is the last."""
    from schemas.topics import BOOKS as BOOKS_TOPIC
    from schemas.topics import INSTRUMENTS as INSTRUMENTS_TOPIC

    book_class, instrument_class = wire(reference.Book), wire(reference.Instrument)
    found: list[tuple[str, Any]] = [
        (
            BOOKS_TOPIC.name,
            book_class(event_id=f"book-{name}", book=name, lot_methods={"*": method}, fee_policy=policy),
        )
        for name, (method, policy) in BOOKS.items()
    ]
    found += [
        (
            INSTRUMENTS_TOPIC.name,
            instrument_class(
                event_id=f"instrument-{name}",
                instrument=name,
                currency="USD",
                multiplier=multiplier,
                inverse=inverse,
                identifiers={f"symbol:{_VENUE}": name},
            ),
        )
        for name, (multiplier, inverse) in INSTRUMENTS.items()
    ]
    return found


def make_fills(random: Random, number: int) -> list[Any]:
    """Fills in the order in which the business made them; the network may bring them in another."""
    made: list[Any] = []
    trades: list[Any] = []
    for index in range(number):
        action = random.choices(_ACTIONS, _WEIGHTS)[0]
        if action == "again" and made:
            made.append(random.choice(made))
        elif action in ("amend", "cancel", "conflict") and trades:
            made.append(_correction(random, index, action, random.choice(trades)))
        else:
            trade = _trade(random, f"t{index}", index)
            if action == "invalid":
                trade = _identified(trade, executed_at=-(1 << 62))
            else:
                trades.append(trade)
            made.append(trade)
    return made


def _trade(random: Random, trade_id: str, index: int) -> Any:
    # Few books and instruments, few prices, equal times: positions flip, go flat, and ties must be broken.
    return _identified(
        None,
        trade_id=trade_id,
        **_instrument(random.choice("XXXYYZZW")),
        venue=_VENUE,
        trader=random.choice((FAILS_BEFORE, FAILS_AFTER)) if random.random() < 0.02 else "",
        side=random.choice((Side.BUY, Side.SELL)),
        quantity=Decimal(random.choice((1, 2, 3, 5))),
        price=Decimal(random.choice((80, 90, 100, 125))),
        executed_at=ORIGIN + (index - random.choice((0, 0, 0, 0, 1, 3, 20))) // 2 * SECOND,
        source_sequence=index if random.random() < 0.5 else 0,
        book=random.choice(list(BOOKS)),
        fees=(Fee(amount=Decimal(random.choice((1, 3)))),) if random.random() < 0.6 else (),
        idempotency_hash=random.choice("hijk") if random.random() < 0.1 else None,
        source=f"sender{index % 2}",
    )


def _instrument(name: str) -> dict[str, str]:
    return {"instrument": name, "instrument_scheme": "symbol" if name == LATE_INSTRUMENT else "id"}


def _identified(base: Any, **fields: Any) -> Any:
    """A fill whose event id follows from its content."""
    values = {name: getattr(base, name) for name in base.__struct_fields__} if base is not None else {}
    values.update(fields)
    values["event_id"] = ""
    content = encode_event(FillEvent(**values)).decode()
    values["event_id"] = content_id("fill", content)
    return FillEvent(**values)


def _correction(random: Random, index: int, action: str, trade: Any) -> Any:
    if action == "conflict":
        return _identified(trade, price=trade.price + 1)
    if action == "cancel":
        return _identified(
            trade,
            trade_id=f"c{index}",
            action=Action.CANCEL,
            original_trade_id=trade.trade_id,
            idempotency_hash=None,
        )
    changed: dict[str, Any] = {"quantity": trade.quantity + random.choice((0, 1, 2))}
    if random.random() < 0.3:
        changed["book"] = random.choice(list(BOOKS))
    if random.random() < 0.15:
        changed.update(_instrument(random.choice("XYZW")))
    if random.random() < 0.3:
        changed["executed_at"] = trade.executed_at - random.choice((0, 5)) * SECOND
    if random.random() < 0.2:
        changed["side"] = Side.SELL if trade.side is Side.BUY else Side.BUY
    return _identified(
        trade,
        trade_id=f"a{index}",
        action=Action.AMEND,
        original_trade_id=trade.trade_id,
        # A correction's own number must not give its trade another place.
        source_sequence=1_000 + index,
        idempotency_hash=random.choice("hijk") if random.random() < 0.1 else None,
        **changed,
    )
