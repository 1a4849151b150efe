"""Identities that are pure functions of content: event ids at the edge, ids of derived events, keys.

Guarantees: the same input gives the same id on every machine and in every version of the format.
"""

from hashlib import blake2b

_DIGEST_BYTES = 16


def content_id(*parts: str) -> str:
    """A 32-character id of some content; equal for equal parts, and different parts never run together."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return digest.hexdigest()


def derived_id(input_event_id: str, stage: str, index: int) -> str:
    """The id of the `index`-th event that `stage` derives from an input: readable, and a pure function."""
    return f"{input_event_id}.{stage}{index}"


def position_key(book: str, instrument: str) -> bytes:
    """The key of a position in tables; no printable identifier holds the separator."""
    return f"{book}\x00{instrument}".encode()


def split_position_key(key: bytes) -> tuple[str, str]:
    """Book and instrument of `position_key`."""
    book, _, instrument = key.decode().partition("\x00")
    return book, instrument
