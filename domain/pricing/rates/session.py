"""One request at a time with QuantLib's global state: its evaluation date, its settings and its index fixings.

Guarantees: a model sees the evaluation date of its own request and no fixing of another; both are taken back
afterwards, whatever happens; nothing that QuantLib raises gets out as such.
"""

from collections.abc import Callable
from datetime import date
from threading import RLock
from typing import Any

import QuantLib as ql

from domain.pricing.fields import Fields, Unpriceable, shown
from domain.pricing.rates.conventions import to_date

_lock = RLock()


def run(
    model: Callable[[Fields], dict[str, Any]], fields: Fields, evaluation_date: date | None = None
) -> dict[str, Any]:
    """The answer of a model, with QuantLib's evaluation date as the request's `evaluation_date`, or the one given."""
    today = to_date(evaluation_date or fields.date("evaluation_date"))
    with _lock, ql.SavedSettings():
        ql.Settings.instance().evaluationDate = today
        try:
            return model(fields)
        except RuntimeError as error:
            # Terms that are sound one by one, and that the library finds no figure for together.
            field, expected = "model", "terms that have a price together"
            if "calendar for the year" in str(error):
                field, expected = "calendar", "a calendar that knows the years of the dates"
            raise Unpriceable(field, expected, shown(str(error))) from error
        finally:
            ql.IndexManager.instance().clearHistories()
