"""What others say our positions are: the exchange's view, beside which ours is held."""

from pydantic.dataclasses import dataclass

from schemas.events import Event, Identifier, Number
from schemas.times import Nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReported(Event):
    """A position as an exchange, a clearer or a broker states it; topic `pd.position.v1`, event time `reported_at`.

    `quantity` is signed, positive is long. What the same venue states of the same account, instrument and time later
    replaces it.
    """

    venue: Identifier
    instrument: Identifier
    reported_at: Nanoseconds
    quantity: Number
    account: str = ""
    average_price: Number | None = None
    currency: str = ""
