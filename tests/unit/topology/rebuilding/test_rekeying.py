"""Where the events of a record go when keyed topics get another number of partitions."""

import msgspec

from schemas.frames import encode_event, encode_frames
from schemas.murmur2 import partition_of_key
from schemas.topics import BOOKINGS, FILL_DEAD_LETTERS, FILLS
from schemas.units import Action
from tests.support import MONDAY, ClockTick, booked, fill
from topology.rebuilding.rekeying import rekeyed


def home(key: str, partitions: int) -> int:
    return partition_of_key(key.encode(), partitions)


def tick(name: str) -> bytes:
    return encode_frames([ClockTick(event_id=name, event_time=MONDAY, source="clock")])[0]


def test_a_frame_is_taken_apart_by_key_and_its_events_keep_bytes_and_order():
    items = [encode_event(booked(f"t{number}", book=f"B{number % 3}")) for number in range(9)]
    value = b"[ " + b" ,".join(items) + b"]"
    found = rekeyed(BOOKINGS, [(0, value)], 1, 5)
    for place, frame in found.items():
        kept = [item for number, item in enumerate(items) if home(f"B{number % 3}", 5) == place]
        assert frame == b"[" + b",".join(kept) + b"]"
    assert sorted(found) == sorted({home(f"B{number}", 5) for number in range(3)})


def test_a_frame_of_one_partition_keeps_its_bytes():
    value = b" [" + encode_event(booked("t1")) + b" , " + encode_event(booked("t2")) + b"] "
    assert rekeyed(BOOKINGS, [(1, value)], 2, 7) == {home("B1", 7): value}


def test_what_an_earlier_move_has_taken_apart_is_one_record_again():
    frame = encode_frames([booked(f"t{number}", book=f"B{number}") for number in range(6)])[0]
    pieces = list(rekeyed(BOOKINGS, [(0, frame)], 1, 4).items())
    assert len(pieces) > 1
    ((place, again),) = rekeyed(BOOKINGS, pieces, 4, 1).items()
    assert place == 0 and again is not None
    assert sorted(BOOKINGS.codec.items(again)) == sorted(BOOKINGS.codec.items(frame))


def test_a_correction_goes_where_its_trade_goes():
    trade, change = fill("t1"), fill("c1", action=Action.CANCEL, original_trade_id="t1")
    frame = encode_frames([trade, change])[0]
    assert rekeyed(FILLS, [(0, frame)], 1, 64) == {home("t1", 64): frame}


def test_every_new_partition_gets_each_tick_once():
    for before, after in ((2, 5), (5, 2), (3, 3), (1, 4), (4, 1)):
        places: list[int] = []
        identities: set[str] = set()
        for partition in range(before):
            for place, frame in rekeyed(FILLS, [(partition, tick(f"k{partition}"))], before, after).items():
                places.append(place)
                (found,) = msgspec.json.decode(frame or b"")
                assert found["event_time"] == MONDAY
                identities.add(found["event_id"])
        assert sorted(places) == list(range(after))
        assert len(identities) == after


def test_what_cannot_be_read_stays_whole_and_is_in_one_partition():
    for value in (b"[not json", b"\xff", b"[]", b"", None):
        assert rekeyed(FILLS, [(3, value)], 4, 3) == {0: value}
        assert rekeyed(FILLS, [(3, value)], 4, 8) == {3: value}


def test_an_event_that_cannot_be_read_does_not_hold_its_frame_back():
    good = fill("t1")
    frame = b"[" + encode_event(good) + b',{"type":"FillEvent","trade_id":"\xff"}]'
    found = rekeyed(FILLS, [(2, frame)], 3, 64)
    assert found == {
        home("t1", 64): b"[" + encode_event(good) + b"]",
        2: b'[{"type":"FillEvent","trade_id":"\xff"}]',
    }


def test_a_letter_and_what_was_done_with_it_go_together():
    letter = {
        "type": "DeadLetter",
        "event_id": "d1",
        "reason": "r",
        "kind": "rejected",
        "stage": "trade_capture",
        "topic": FILLS.name,
        "partition": 0,
        "offset": 1,
        "index": 0,
        "original": "",
    }
    resolved = {"type": "DeadLetterResolved", "event_id": "d1.r", "dead_letter_id": "d1", "action": "dropped"}
    for event in (letter, resolved):
        frame = msgspec.json.encode([event])
        assert rekeyed(FILL_DEAD_LETTERS, [(0, frame)], 1, 16) == {home("d1", 16): frame}
