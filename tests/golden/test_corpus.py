"""Messages recorded by every version are still read, as what they were."""

import dataclasses
import inspect
from types import ModuleType

import msgspec
import pytest

from schemas import (
    accruals,
    currency_position,
    events,
    market_data,
    money,
    pnl,
    reference,
    reported,
    valuation,
)
from schemas.frames import wire
from schemas.topics import TOPICS
from tests.golden.corpus_objects import FILES, FOLDER

MODULES: tuple[ModuleType, ...] = (
    accruals,
    currency_position,
    events,
    market_data,
    money,
    pnl,
    reference,
    reported,
    valuation,
)
CLASSES = {
    name: found
    for module in MODULES
    for name, found in inspect.getmembers(module, inspect.isclass)
    if found.__module__ == module.__name__ and issubclass(found, events.Event) and found is not events.Event
}


def lines(name: str) -> list[bytes]:
    return (FOLDER / name).read_bytes().splitlines()


def test_every_recorded_file_has_its_objects():
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_recorded_messages_are_read_as_what_they_were(name: str):
    recorded = lines(name)
    assert len(recorded) == len(FILES[name])
    for line, expected in zip(recorded, FILES[name], strict=True):
        found = msgspec.json.decode(line, type=type(expected))
        assert type(found) is type(expected)
        assert found == expected


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_topic_reads_its_recorded_messages(topic):
    classes = {wire(event_class) for event_class in topic.event_classes}
    read = 0
    for name, objects in FILES.items():
        for line, expected in zip(lines(name), objects, strict=True):
            if type(expected) in classes:
                assert topic.codec.decode(b"[" + line + b"]") == [expected]
                read += 1
    assert read >= len(classes)


def test_every_event_class_is_recorded():
    recorded = {type(item).__name__ for objects in FILES.values() for item in objects}
    assert set(CLASSES) - recorded == set(), (
        "record a message of each new class: tests/golden/corpus_objects.py"
    )


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_is_recorded_with_a_value_of_its_own(name: str):
    of_class = [item for objects in FILES.values() for item in objects if type(item).__name__ == name]
    silent = {
        field.name
        for field in dataclasses.fields(CLASSES[name])
        if field.default is not dataclasses.MISSING
        and all(getattr(item, field.name) == field.default for item in of_class)
    }
    assert silent == set(), "record each new field with a value that is not its default"


def test_every_event_class_has_a_topic():
    assert {found for topic in TOPICS for found in (*topic.event_classes, *topic.told_as)} == set(
        CLASSES.values()
    )


def test_what_this_version_writes_is_what_is_recorded():
    from schemas.frames import encode_event

    for name, objects in FILES.items():
        assert [encode_event(item) for item in objects] == lines(name)
