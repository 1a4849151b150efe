"""The P&L of a day in the book's currency: each cause at the rate of its moment, and what the rates made of the rest.

Owns: the translation. A position is taken to be financed in its own currency: what is held in foreign currency is all
P&L that it has made so far, realised or not, net of fees. Its revaluation between two rates is the `fx` bucket; every
other bucket is translated at the rate at which it is known (docs/decisions/0029).
Guarantees: at a moment with a rate the buckets add up to `total x rate` less the same at the start of the day, exactly;
while a rate is missing nothing is translated and nothing is lost.
"""

from decimal import Decimal

import msgspec

from domain.pnl.attribution import FX, Buckets, add, no_buckets
from domain.pnl.observation import Observation
from schemas.numbers import ZERO


class BookDay(msgspec.Struct, array_like=True):
    """The day in the book's currency. `waiting` has the causes, in the instrument's currency, since the last rate.

    `rate` and `total` are those of the last moment that was translated.
    """

    buckets: Buckets = msgspec.field(default_factory=no_buckets)
    waiting: Buckets = msgspec.field(default_factory=no_buckets)
    rate: Decimal | None = None
    total: Decimal = ZERO
    known: bool = True

    @classmethod
    def opened(cls, opening: Observation) -> "BookDay":
        """The day begins; without a rate nothing but nothing can be translated."""
        if not opening.priced:
            return cls(known=False)
        return cls(rate=opening.fx, total=opening.total, known=opening.fx is not None or not opening.total)

    def step(self, step: Buckets, now: Observation) -> None:
        """Add the causes of a step that ends at `now`, which is priced."""
        if not self.known:
            return
        rate = now.fx
        if rate is None:
            add(self.waiting, step)
            return
        for place, amount in enumerate(step):
            waiting = self.waiting[place]
            if waiting:
                amount += waiting
                self.waiting[place] = ZERO
            if amount:
                self.buckets[place] += amount * rate
        if self.rate is not None and self.rate != rate:
            self.buckets[FX] += self.total * (rate - self.rate)
        self.rate, self.total = rate, now.total

    def restated(self, opening: Observation, by: Decimal, step: Buckets) -> None:
        """The start of the day has another total, by `by`; `step` is what that made of the day so far."""
        if not self.known:
            return
        if by:
            if opening.fx is None or self.rate is None:
                self.known = False
                return
            self.buckets[FX] += by * (self.rate - opening.fx)
            self.total += by
        add(self.waiting, step)

    def begun_at(self, before: Observation, opening: Observation, step: Buckets) -> None:
        """The day begins at another price: `step` is from `before`, where it began, to `opening`."""
        if not self.known:
            return
        if opening.fx is None:
            self.known = not opening.total and not before.total
            return
        for place, amount in enumerate(step):
            self.buckets[place] -= amount * opening.fx

    def settle(self, now: Observation) -> None:
        """Translate what waits, where `now` has a rate."""
        if now.priced and now.fx is not None:
            self.step(no_buckets(), now)


def translated_shift(
    step: Buckets, by: Decimal, opening: Observation, closing: Observation
) -> Buckets | None:
    """What a restatement adds to the buckets of a closed day: `step` at the closing rate, and the rates' own part."""
    if closing.fx is None or (opening.fx is None and by):
        return None
    buckets = [amount * closing.fx for amount in step]
    if by and opening.fx is not None:
        buckets[FX] += by * (closing.fx - opening.fx)
    return buckets
