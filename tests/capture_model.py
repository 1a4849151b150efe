"""An independent model of capture: dictionaries and the rules in words, for one partition.

What a fill becomes is said once, in the order in which the rules apply; nothing is shared with `domain.capture`.
"""

from dataclasses import dataclass, field
from typing import Any

from schemas.units import Action, LotMethod, Side

DAY = 24 * 3600 * 10**9


@dataclass
class Known:
    """An id that was accepted: what it said, and (of a trade) where it is booked."""

    content: tuple[Any, ...]
    state: str
    book: str = ""
    sequence: int = 0


@dataclass
class CaptureModel:
    """What capture knows, has sent out, and has counted."""

    waiting_max: int
    waiting_ticks_max: int
    methods: dict[str, LotMethod] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    symbols: dict[tuple[str, str], str] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[int, Any]] = field(default_factory=list)
    ticks: int = 0
    sent: list[tuple[Any, ...]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, fill: Any, name: str, number: int = 1) -> None:
        of = self.counts.setdefault(
            fill.source, dict.fromkeys(("applied", "duplicates", "refused", "waiting"), 0)
        )
        of[name] += number

    def refuse(self, fill: Any, wrong: str) -> None:
        self.count(fill, "refused")
        self.rejected.append((fill.trade_id, wrong))

    def take(self, fill: Any) -> None:
        """A fill arrives."""
        content = content_of(fill)
        known = self.known.get(fill.trade_id)
        if fill.quantity <= 0:
            self.refuse(fill, "quantity")
        elif (known is not None and known.content == content) or abs(
            fill.recorded_at - self.hashes.get(fill.idempotency_hash or "", -DAY)
        ) < DAY:
            self.count(fill, "duplicates")
        elif known is not None:
            self.refuse(fill, "trade_id")
        elif fill.action is Action.NEW:
            self.take_new(fill)
        elif fill.original_trade_id in self.known:
            self.take_correction(fill)
        elif len(self.waiting) >= self.waiting_max:
            self.refuse(fill, "original_trade_id")
        else:
            self.waiting.append((self.ticks, fill))
            self.accept(fill, "waiting")
            self.count(fill, "waiting")

    def accept(self, fill: Any, state: str, book: str = "") -> None:
        self.known[fill.trade_id] = Known(content_of(fill), state, book, fill.source_sequence)
        if fill.idempotency_hash:
            self.hashes[fill.idempotency_hash] = fill.recorded_at

    def forget(self, fill: Any) -> None:
        del self.known[fill.trade_id]
        if self.hashes.get(fill.idempotency_hash or "") == fill.recorded_at:
            del self.hashes[fill.idempotency_hash]

    def take_new(self, fill: Any) -> None:
        trade, wrong = self.booked(fill, None)
        if wrong:
            self.refuse(fill, wrong)
            return
        self.accept(fill, "booked", trade[1])
        self.count(fill, "applied")
        self.sent.append(("trade", fill.trade_id, fill.source_sequence, *trade[1:]))
        waited = [late for _, late in self.waiting if late.original_trade_id == fill.trade_id]
        self.waiting = [item for item in self.waiting if item[1] not in waited]
        for late in waited:
            self.count(late, "waiting", -1)
            del self.known[late.trade_id]
            if not self.take_correction(late):
                self.known[late.trade_id] = Known((), "")
                self.forget(late)

    def take_correction(self, fill: Any) -> bool:
        """A correction meets what it names; says whether it was applied."""
        original = self.known[fill.original_trade_id]
        trade, wrong = (None, "") if fill.action is Action.CANCEL else self.booked(fill, original.book)
        if original.state != "booked":
            wrong = "original_trade_id"
        if wrong:
            self.refuse(fill, wrong)
            return False
        self.count(fill, "applied")
        self.accept(fill, "applied")
        before = original.book
        if trade is None:
            original.state = "cancelled"
        else:
            original.book = trade[1]
        out = ("correction", fill.trade_id, fill.original_trade_id, before, None)
        into = (*out[:3], original.book, (fill.original_trade_id, original.sequence, *(trade or ())[1:]))
        self.sent += [out] if trade is None else [into] if original.book == before else [out, into]
        return True

    def booked(self, fill: Any, book: str | None) -> tuple[tuple[Any, ...], str]:
        """What is booked (from the book on), or the field that is wrong."""
        instrument = fill.instrument
        if fill.instrument_scheme == "symbol":
            instrument = self.symbols.get((fill.venue, fill.instrument), "")
            if not instrument:
                return (), "instrument"
        book = fill.book or book or self.rules.get(fill.venue) or self.rules.get("*")
        if book is None:
            return (), "book"
        quantity = fill.quantity if fill.side is Side.BUY else -fill.quantity
        method = self.methods.get(book, LotMethod.FIFO)
        return ("", book, instrument, quantity, fill.price, method), ""

    def tick(self, now: int) -> None:
        """Time passes: what waited too long is refused, and may come again; old hashes are forgotten."""
        self.ticks += 1
        expired = [fill for since, fill in self.waiting if self.ticks - since >= self.waiting_ticks_max]
        self.waiting = [item for item in self.waiting if item[1] not in expired]
        for fill in expired:
            self.count(fill, "waiting", -1)
            self.forget(fill)
            self.refuse(fill, "original_trade_id")
        self.hashes = {name: when for name, when in self.hashes.items() if when >= now - DAY}


def content_of(fill: Any) -> tuple[Any, ...]:
    """The business content: what must be the same for a duplicate."""
    names = (
        "action",
        "original_trade_id",
        "book",
        "instrument_scheme",
        "instrument",
        "side",
        "quantity",
        "price",
    )
    return tuple(getattr(fill, name) for name in (*names, "venue"))
