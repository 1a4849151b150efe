"""Protobuf messages of every version are still read, as what they were. `python -m tests.golden.test_protobuf_corpus`
records those of this version where they are not recorded yet: a line each, the event's class and its bytes."""

import sys

import pytest

from schemas.frames import to_wire
from schemas.protobuf import EVENT_CLASSES, decode_message, encode_message
from tests.golden.corpus_objects import FILES, FOLDER

RECORDED = {name: FOLDER.with_name("protobuf_corpus") / name.replace(".jsonl", ".txt") for name in FILES}


def published(name: str) -> list:
    return [item for item in FILES[name] if type(item).__name__ in EVENT_CLASSES]


def lines(name: str) -> list[tuple[str, bytes]]:
    recorded = [line.split() for line in RECORDED[name].read_text(encoding="ascii").splitlines()]
    return [(event_class, bytes.fromhex(digits)) for event_class, digits in recorded]


def test_every_recorded_file_has_its_objects():
    assert set(RECORDED.values()) == set(FOLDER.with_name("protobuf_corpus").iterdir())


@pytest.mark.parametrize("name", FILES)
def test_recorded_messages_are_read_as_what_they_were(name: str):
    for (event_class, payload), expected in zip(lines(name), published(name), strict=True):
        assert to_wire(decode_message(EVENT_CLASSES[event_class], payload)) == expected


def test_what_this_version_writes_is_what_was_recorded_last():
    """Of each class: a field that came later stands in the messages of earlier objects too, with its default."""
    newest = {event_class: name for name in FILES for event_class, _ in lines(name)}
    for name in FILES:
        for item, recorded in zip(published(name), lines(name), strict=True):
            if newest[recorded[0]] == name:
                assert (type(item).__name__, encode_message(item)) == recorded


def main() -> int:
    """Write the files that are missing; never touch one that is there."""
    for name, path in RECORDED.items():
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            recorded = [f"{type(item).__name__} {encode_message(item).hex()}\n" for item in published(name)]
            path.write_text("".join(recorded), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
