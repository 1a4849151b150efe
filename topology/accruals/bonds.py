"""An exchange's accrued interest beside what its coupons give, as a document."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from domain.accruals.stated import Outcome, compare, implied_rates
from schemas.accruals import StatedBond
from schemas.numbers import exact_arithmetic, plain


def bonds_document(
    bonds: Sequence[StatedBond], given: Mapping[str, Decimal], *, each: bool = False
) -> dict[str, Any]:
    """How many figures are reproduced by which convention, and why the others are not; `given` rates of exchange go before
    those that the bonds imply. `each` names every bond that is not reproduced."""
    with exact_arithmetic():
        implied = {
            currency: found for currency, found in implied_rates(bonds).items() if currency not in given
        }
        rates = {**{currency: rate for currency, (rate, _) in implied.items()}, **given}
        outcomes = list(compare(bonds, rates))
    by_convention: Counter[str] = Counter()
    for found in outcomes:
        if found.convention is not None:
            by_convention[_named(found.convention.value, found)] += 1
    reasons = Counter(_named(found.reason.value, found) for found in outcomes if found.reason is not None)
    document: dict[str, Any] = {
        "bonds": len(outcomes),
        "reproduced": sum(by_convention.values()),
        "by_convention": dict(by_convention.most_common()),
        "not_reproduced": dict(reasons.most_common()),
        "implied_rates": {
            currency: {"rate": plain(rate), "bonds": count} for currency, (rate, count) in implied.items()
        },
    }
    if each:
        document["others"] = [_other(found) for found in outcomes if found.reason is not None]
    return document


def _named(name: str, found: Outcome) -> str:
    return f"{name}, converted" if found.converted else name


def _other(found: Outcome) -> dict[str, Any]:
    bond = found.bond
    return {
        "instrument": bond.instrument,
        "board": bond.board,
        "reason": "" if found.reason is None else found.reason.value,
        "stated": None if bond.accrued is None else plain(bond.accrued),
        "nearest": None if found.nearest is None else plain(found.nearest),
    }
