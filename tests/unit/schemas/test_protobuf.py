"""Messages and event classes are the same, field by field; what is sent is read back, and what is no message is named."""

import dataclasses
import typing
from decimal import Decimal
from enum import StrEnum

import pytest
from google.protobuf.descriptor import FieldDescriptor

from schemas import accruals, currency_position, events, pnl, reference, topics
from schemas.fields import FIELDS
from schemas.proto.pks.v1 import events_pb2
from schemas.protobuf import (
    EVENT_CLASSES,
    MessageError,
    decode_message,
    encode_message,
    enum_prefix,
)
from tests.protobuf_code import FOLDERS, generated
from tests.support import booked, fill

MESSAGES = events_pb2.DESCRIPTOR.message_types_by_name
CLASSES = {
    **EVENT_CLASSES,
    "AccrualPeriod": accruals.AccrualPeriod,
    "CurrencyExposure": currency_position.CurrencyExposure,
    "Fee": events.Fee,
    "PnLBuckets": pnl.PnLBuckets,
    "RealisedMove": events.RealisedMove,
    "RematchedTrade": events.RematchedTrade,
}
HEADER = {"event_id": 101, "correlation_id": 102, "causation_id": 103, "schema_version": 104, "source": 105}
SCALARS = {
    str: FieldDescriptor.TYPE_STRING,
    Decimal: FieldDescriptor.TYPE_STRING,
    int: FieldDescriptor.TYPE_INT64,
    bool: FieldDescriptor.TYPE_BOOL,
    bytes: FieldDescriptor.TYPE_BYTES,
    float: FieldDescriptor.TYPE_DOUBLE,
}
ZEROS = {str: "", int: 0, bool: False, bytes: b""}


def parts(annotation):
    """How many values, whether None may stand, and of which type."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return "many", False, arguments[0]
    if isinstance(origin, type) and issubclass(origin, typing.Mapping):
        return "map", False, arguments[1]
    if origin is not None:
        kind = next(argument for argument in arguments if argument is not type(None))
        return "one", True, getattr(kind, "__supertype__", kind)
    return "one", False, getattr(annotation, "__supertype__", annotation)


def type_fault(field, kind):
    if dataclasses.is_dataclass(kind):
        return field.message_type is None or field.message_type.name != kind.__name__
    if issubclass(kind, StrEnum):
        return field.enum_type is None or field.enum_type.name != kind.__name__
    return field.type != SCALARS[kind]


def test_every_event_has_a_message_and_every_message_its_class():
    published = {
        found.__name__ for topic in topics.TOPICS for found in (*topic.event_classes, *topic.told_as)
    }
    # Ticks are PKS's own; columns are told as the events of their rows.
    assert set(EVENT_CLASSES) == published - {"ClockTick", "PositionsValuated"}
    assert set(MESSAGES) == set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_fields_are_equal(name: str):
    hints = typing.get_type_hints(CLASSES[name])
    fields = {field.name: field for field in MESSAGES[name].fields}
    assert set(fields) == {field.name for field in dataclasses.fields(CLASSES[name])}
    for of_class in dataclasses.fields(CLASSES[name]):
        field = fields[of_class.name]
        number, nullable, kind = parts(hints[of_class.name])
        value = field.message_type.fields_by_name["value"] if number == "map" else field
        assert not type_fault(value, kind), field.full_name
        assert field.is_repeated == (number != "one"), field.full_name
        # What can be absent, and what has another default than a message's, is told apart from it.
        told_apart = nullable or (
            kind in ZEROS and of_class.default not in (dataclasses.MISSING, ZEROS[kind]) and number == "one"
        )
        assert field.has_presence == told_apart, field.full_name


@pytest.mark.parametrize("name", EVENT_CLASSES)
def test_what_every_event_carries_has_one_number_everywhere(name: str):
    numbers = {field.name: field.number for field in MESSAGES[name].fields}
    assert {field: numbers[field] for field in HEADER} == HEADER


def test_positions_use_the_numbers_of_the_catalogue():
    numbers = {field.name: field.number for field in MESSAGES["PositionUpdated"].fields}
    catalogue = {field.name: field.number for field in FIELDS}
    shared = numbers.keys() & catalogue.keys()
    assert shared == catalogue.keys() - {"updated_at"}
    assert {name: numbers[name] for name in shared} == {name: catalogue[name] for name in shared}
    others = {number for name, number in numbers.items() if name not in shared}
    assert min(others) > 100


@pytest.mark.parametrize(
    "descriptor", events_pb2.DESCRIPTOR.enum_types_by_name.values(), ids=lambda e: e.name
)
def test_enumerations_are_equal(descriptor):
    from schemas import units

    enum = getattr(units, descriptor.name)
    prefix = enum_prefix(enum)
    names = {value.name: value.number for value in descriptor.values}
    assert names.pop(prefix + "UNSPECIFIED") == 0
    assert set(names) == {prefix + member.name for member in enum}


def test_generated_code_is_current():
    found = generated()
    assert len(found) == 2 * sum(map(len, FOLDERS.values()))
    for path, content in found.items():
        assert path.read_bytes() == content, f"{path}: run make proto"


def test_decimals_go_in_plain_notation_and_keep_all_their_digits():
    wide = Decimal("1000." + "0" * 29 + "1")
    event = fill(quantity="1E+3", price=wide)
    message = events_pb2.FillEvent.FromString(encode_message(event))
    assert (message.quantity, message.price) == ("1000", "1000.000000000000000000000000000001")
    assert decode_message(events.FillEvent, encode_message(event)).price == wide


def test_a_position_may_have_more_digits_than_a_fill():
    event = events.PositionUpdated(
        event_id="p", book="B", instrument="X", trade_id="t", revision=1, executed_at=0,
        quantity=Decimal(1), cost_basis=Decimal(f"{'7' * 70}.{'3' * 60}"),
    )  # fmt: skip
    assert decode_message(events.PositionUpdated, encode_message(event)) == event


def test_what_is_left_out_has_the_default_of_its_class():
    given = events_pb2.FillEvent(trade_id="t", instrument="X", side=1, quantity="1", price="2", executed_at=3)
    found = decode_message(events.FillEvent, given.SerializeToString())
    assert (found.action, found.regime, found.instrument_scheme, found.book) == (
        "NEW",
        "exchange",
        "id",
        None,
    )
    rule = decode_message(
        reference.RoutingRule, events_pb2.RoutingRule(rule="r", book="B").SerializeToString()
    )
    assert (rule.priority, rule.active) == (100, True)
    zero = events_pb2.RoutingRule(rule="r", book="B", priority=0, active=False)
    rule = decode_message(reference.RoutingRule, zero.SerializeToString())
    assert (rule.priority, rule.active) == (0, False)


def test_fields_of_a_later_version_are_passed_over():
    later = encode_message(fill()) + b"\xfa\x7f\x03new"  # field 2047
    assert decode_message(events.FillEvent, later) == decode_message(events.FillEvent, encode_message(fill()))


GOOD = {"trade_id": "t", "instrument": "X", "side": 1, "quantity": "1", "price": "2", "executed_at": 3}


@pytest.mark.parametrize(
    ("changed", "field", "expected"),
    [
        ({"trade_id": ""}, "trade_id", "1 to 128 characters"),
        ({"side": 0}, "side", "a value"),
        ({"side": 9}, "side", "a Side of events.proto"),
        ({"quantity": ""}, "quantity", "a value"),
        ({"quantity": "-1"}, "quantity", "greater than 0"),
        ({"quantity": "1e3"}, "quantity", "a plain decimal number"),
        ({"quantity": "NaN"}, "quantity", "a plain decimal number"),
        ({"price": "9" * 61}, "price", "at most 60 digits"),
        ({"price": "9" * 5_000}, "price", "characters"),
        ({"fees": [events_pb2.Fee(amount="x")]}, "fees.amount", "a plain decimal number"),
    ],
)
def test_what_is_not_valid_is_named(changed: dict, field: str, expected: str):
    payload = events_pb2.FillEvent(**{**GOOD, **changed}).SerializeToString()
    with pytest.raises(MessageError) as raised:
        decode_message(events.FillEvent, payload)
    assert raised.value.field == field
    assert expected in raised.value.expected


@pytest.mark.parametrize("payload", [b"\xff", b"[{}]", encode_message(fill())[:-1]])
def test_what_is_no_message_is_said_to_be_none(payload: bytes):
    with pytest.raises(MessageError, match=r"a FillEvent message of pks\.v1"):
        decode_message(events.FillEvent, payload)


def test_a_number_beyond_64_bits_has_no_message():
    with pytest.raises(ValueError, match="out of range"):
        encode_message(booked(source_sequence=2**63))
