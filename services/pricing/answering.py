"""One request as text, its answer as text: what a pricing process does for each.

Guarantees: never an exception, whatever the text is; the answer is what `pks price` prints for that request.
"""

from typing import NamedTuple

import msgspec

from connectors.files.rows import NotAnObject, parse_object
from domain.pricing.calculate import MODELS, price
from domain.pricing.fields import shown

DOCUMENT_CHARACTERS_MAX = 4 * 1024 * 1024
NO_MODEL = "none"

_encode = msgspec.json.Encoder().encode


class Answer(NamedTuple):
    """The text of an answer, the model that was asked for (`none` where there is no such), whether there is a price."""

    document: str
    model: str
    priced: bool


def answer(document: str) -> Answer:
    """The answer to one request."""
    if len(document) > DOCUMENT_CHARACTERS_MAX:
        return refusal(f"a request of at most {DOCUMENT_CHARACTERS_MAX} characters", str(len(document)))
    try:
        request = parse_object(document)
    except NotAnObject as fault:
        return refusal(fault.expected, fault.found, fault.field)
    found = price(request)
    name = request.get("model")
    model = str(name) if isinstance(name, str) and name in MODELS else NO_MODEL
    return Answer(_encode(found).decode(), model, "error" not in found)


def refusal(expected: str, found: str, field: str = "") -> Answer:
    """The answer to what is no request, or has no answer of its own."""
    error = {"field": shown(field or "request"), "expected": expected, "found": shown(found)}
    return Answer(_encode({"id": None, "error": error}).decode(), NO_MODEL, False)
