"""The field catalogue of positions: every figure's name, number, version, tier, type, unit and meaning.

Owns: what a field of a position is called and how it is told apart, on every way out of PKS.
Guarantees: a number and a name, once given, keep their meaning for ever; a new field gets a new number and
raises `CATALOGUE_VERSION`. Shared memory takes the places of its figures from the order of this catalogue
(`connectors.shm.layout`), so new fields stand at the end of their tier.

Tiers: 0 identity, 1 position. Valuation (2) and analytics (3) follow when there are stages that compute them;
their numbers are kept free (2: 30 to 59, 3: 60 to 99).
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

CATALOGUE_VERSION = 1
"""Raised by every change of the catalogue."""


class Tier(IntEnum):
    """How far from the bare identity of a position a field is."""

    IDENTITY = 0
    POSITION = 1


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    DECIMAL = "decimal"
    COUNT = "count"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a position; `since` is the catalogue version that brought it, `nullable` may have no value."""

    name: str
    number: int
    since: int
    tier: Tier
    kind: Kind
    unit: str
    description: str
    nullable: bool = False


FIELDS: tuple[Field, ...] = (
    Field("book", 1, 1, Tier.IDENTITY, Kind.TEXT, "id", "the book that holds the position"),
    Field("instrument", 2, 1, Tier.IDENTITY, Kind.TEXT, "id", "what is held"),
    Field(
        "currency",
        3,
        1,
        Tier.IDENTITY,
        Kind.TEXT,
        "currency or coin",
        "the settlement currency, in which all money of the position stands; empty where no trade named one",
    ),
    Field(
        "quantity",
        10,
        1,
        Tier.POSITION,
        Kind.DECIMAL,
        "units or contracts",
        "what is held: positive is long, negative is short",
    ),
    Field(
        "average_price",
        11,
        1,
        Tier.POSITION,
        Kind.DECIMAL,
        "price",
        "the price at which the open quantity was opened, without fees; no value when flat",
        nullable=True,
    ),
    Field(
        "cost_basis",
        12,
        1,
        Tier.POSITION,
        Kind.DECIMAL,
        "settlement currency",
        "signed cost of the open quantity, multiplier included; with held fees when fees are capitalised",
    ),
    Field(
        "realised_pnl",
        13,
        1,
        Tier.POSITION,
        Kind.DECIMAL,
        "settlement currency",
        "P&L of what was closed, without fees",
    ),
    Field(
        "net_realised_pnl",
        14,
        1,
        Tier.POSITION,
        Kind.DECIMAL,
        "settlement currency",
        "P&L of what was closed, with fees by the book's policy",
    ),
    Field(
        "fees", 15, 1, Tier.POSITION, Kind.DECIMAL, "settlement currency", "all fees so far; rebates negative"
    ),
    Field("lots_open", 16, 1, Tier.POSITION, Kind.COUNT, "lots", "how many lots are open"),
    Field("revision", 17, 1, Tier.POSITION, Kind.COUNT, "events", "how many events were applied"),
    Field(
        "executed_at",
        18,
        1,
        Tier.POSITION,
        Kind.TIME,
        "ns since 1970 UTC",
        "when the latest trade in the order of matching was executed",
    ),
    Field(
        "updated_at", 19, 1, Tier.POSITION, Kind.TIME, "ns since 1970 UTC", "when this copy was written here"
    ),
)

FIELD_BY_NAME = {field.name: field for field in FIELDS}


def fields_of(*kinds: Kind) -> tuple[Field, ...]:
    """The fields of some kinds, in the order of the catalogue."""
    return tuple(field for field in FIELDS if field.kind in kinds)
