"""As of a time, and as it was known: each against a run from nothing of what was executed, or known, by then."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import positions, trade_capture
from domain.book_hash import position_digest
from schemas import topics
from schemas.frames import encode_frames
from schemas.numbers import exact_arithmetic
from schemas.units import Action, FeePolicy, LotMethod
from tests.support import MONDAY, SECOND, Book, Books, Fee, fill
from topology.documents.views import View, view_of
from topology.history.checkpoints import FOLDER, Checkpoints, opened_checkpoints, take_checkpoints
from topology.history.points import Point
from topology.replaying.outcome import Span
from topology.replaying.replay import replay_bookings
from topology.replaying.scratch import ScratchLog
from topology.runtime import PartitionRunner

DEFINITIONS = (
    Book(event_id="d1", book="B1", lot_methods={"*": LotMethod.FIFO}, fee_policy=FeePolicy.CAPITALISED),
    Book(event_id="d2", book="B2", lot_methods={"*": LotMethod.LIFO}, fee_policy=FeePolicy.EXPENSED),
    Book(event_id="d3", book="B3", lot_methods={"*": LotMethod.AVERAGE}, fee_policy=FeePolicy.CAPITALISED),
)
SECONDS = 12

_CONTENT = st.fixed_dictionaries(
    {
        "quantity": st.integers(-9, 9).filter(bool),
        "price": st.integers(1, 9),
        "at": st.integers(0, SECONDS),
        "book": st.sampled_from(["B1", "B2", "B3"]),
        "instrument": st.sampled_from(["X", "Y"]),
        "fees": st.integers(0, 3).map(lambda fee: (Fee(amount=fee),) if fee else ()),
    }
)
_ACTION = st.sampled_from([Action.NEW, Action.NEW, Action.NEW, Action.AMEND, Action.CANCEL])
_ROWS = st.lists(st.tuples(_ACTION, _CONTENT, st.integers(0, 99)), min_size=1, max_size=25)


def _fills(rows: list) -> list[Any]:
    """Fills of rows; a correction names one of the trades before it, by number."""
    found: list[Any] = []
    trades: list[str] = []
    for number, (action, content, chosen) in enumerate(rows):
        if action is Action.NEW or not trades:
            trades.append(f"t{number}")
            found.append(fill(f"t{number}", source_sequence=number, **content))
        else:
            original = trades[chosen % len(trades)]
            found.append(
                fill(
                    f"c{number}", source_sequence=number, action=action, original_trade_id=original, **content
                )
            )
    return found


def _holding(fills: list[Any]) -> list[Any]:
    """What the trades say in the end, as new fills in their own places."""
    holding = {one.trade_id: one for one in fills if one.action is Action.NEW}
    places = {trade_id: one.source_sequence for trade_id, one in holding.items()}
    cancelled = set()
    for one in fills:
        if one.action is Action.CANCEL:
            cancelled.add(one.original_trade_id)
        elif one.action is Action.AMEND and one.original_trade_id not in cancelled:
            holding[one.original_trade_id] = one
    return [
        msgspec.structs.replace(
            one,
            trade_id=trade_id,
            action=Action.NEW,
            original_trade_id=None,
            source_sequence=places[trade_id],
        )
        for trade_id, one in holding.items()
        if trade_id not in cancelled
    ]


def _from_nothing(fills: list[Any]) -> dict[tuple[str, str], int]:
    """The digests of the positions that a run of `fills` in a scratch state makes."""
    names = {topics.FILLS.name, topics.BOOKINGS.name, topics.BOOKS.name}
    scratch = ScratchLog(None, kept=frozenset(names))
    transaction = scratch.transaction()
    transaction.append(topics.BOOKS.name, 0, None, encode_frames(DEFINITIONS)[0])
    for frame in encode_frames(fills):
        transaction.append(topics.FILLS.name, 0, None, frame)
    transaction.commit()
    for stage in (trade_capture.stage(), positions.stage()):
        runner = PartitionRunner(stage, 0, scratch, 1)
        while records := scratch.read(stage.input.name, 0, runner.next_offset, 99, 1 << 20):
            runner.step(records)
    return _digests(View(scratch, 1, 0))


def _digests(view: View) -> dict[tuple[str, str], int]:
    with exact_arithmetic():
        return {
            (opened.book, opened.instrument): position_digest(opened.book, opened.instrument, opened.position)
            for opened in view.positions()
        }


def _seen(books: Books, **options: Any) -> dict[tuple[str, str], int]:
    with view_of(books.log, **options) as view:
        return _digests(view)


@settings(max_examples=40)
@given(_ROWS)
def test_as_of_equals_a_run_of_what_was_executed_by_then(rows: list):
    fills = _fills(rows)
    with tempfile.TemporaryDirectory() as folder, Books(Path(folder) / "data", partitions=2) as books:
        books.define(*DEFINITIONS)
        for one in fills:
            books.fills(one)
        books.run(max_events=3)
        for second in range(-1, SECONDS + 1):
            instant = MONDAY + second * SECOND
            expected = _from_nothing([one for one in _holding(fills) if one.executed_at <= instant])
            with view_of(books.log, as_of=instant) as view:
                found = _digests(view)
                documents = view.positions_documents()
            assert {place: found.get(place) for place in expected} == expected
            # Others are there only where every trade of theirs was cancelled or moved away.
            flat = [one for one in documents if (one["book"], one["instrument"]) not in expected]
            assert all(one["quantity"] == one["realised_pnl"] == "0" for one in flat)
        assert _seen(books, as_of=instant) == _seen(books)


@settings(max_examples=15)
@given(_ROWS, st.integers(1, 6))
def test_known_at_equals_what_was_there_then(rows: list, size: int):
    now = iter(range(MONDAY, MONDAY + 10**6 * SECOND, SECOND))
    fills = _fills(rows)
    moments: list[tuple[Point, dict, dict]] = []
    middle = MONDAY + SECONDS // 2 * SECOND
    with (
        tempfile.TemporaryDirectory() as folder,
        Books(Path(folder) / "data", partitions=2, clock=lambda: next(now)) as books,
    ):
        books.define(*DEFINITIONS)
        for start in range(0, len(fills), size):
            books.book(*fills[start : start + size])
            ends = {
                (topics.BOOKINGS.name, partition): books.log.end_offset(topics.BOOKINGS.name, partition)
                for partition in range(2)
            }
            known = _seen(books)
            known_as_of = _seen(books, as_of=middle)
            for point in (
                Point(sequence=books.log.sequence),
                Point(time_ns=books.log.appended_at),
                Point(offsets=ends),
            ):
                moments.append((point, known, known_as_of))
        for point, known, known_as_of in moments:
            assert _seen(books, known_at=point) == known
            assert _seen(books, known_at=point, as_of=middle) == known_as_of
        assert _seen(books, known_at=Point(sequence=0)) == {}


@settings(max_examples=25)
@given(_ROWS, st.integers(1, 4), st.integers(1, 2_000), st.data())
def test_checkpoints_change_nothing_that_is_shown(rows: list, size: int, spacing: int, data: st.DataObject):
    fills = _fills(rows)
    middle = MONDAY + SECONDS // 2 * SECOND
    moments: list[tuple[Point, dict, dict]] = []
    chunks = range(0, len(fills), size)
    taken_after = data.draw(st.sets(st.sampled_from(chunks), max_size=3))
    lost_after = data.draw(st.sampled_from(chunks))
    with (
        tempfile.TemporaryDirectory() as folder,
        Books(Path(folder) / "data", partitions=2) as books,
    ):
        books.define(*DEFINITIONS)
        for start in chunks:
            books.book(*fills[start : start + size])
            moments.append((Point(sequence=books.log.sequence), _seen(books), _seen(books, as_of=middle)))
            if start in taken_after:
                take_checkpoints(books.log, spacing, 1_000, 1 << 30)
            if start == lost_after:
                shutil.rmtree(books.folder / FOLDER, ignore_errors=True)
        with opened_checkpoints(books.log) as checkpoints:
            for point, known, known_as_of in moments:
                assert _seen(books, known_at=point, checkpoints=checkpoints) == known
                assert _seen(books, known_at=point, as_of=middle, checkpoints=checkpoints) == known_as_of
                of_book = {place: digest for place, digest in known.items() if place[0] == "B2"}
                with view_of(books.log, known_at=point, book="B2", checkpoints=checkpoints) as view:
                    assert {
                        place: digest for place, digest in _digests(view).items() if place[0] == "B2"
                    } == of_book
            for partition in range(2):
                _hold_against_replay(books, checkpoints, partition)
            for options in ({}, {"known_at": data.draw(st.sampled_from(moments))[0]}):
                with view_of(books.log, checkpoints=checkpoints, **options) as view:
                    _hold_trades(view)


def _hold_trades(view: View) -> None:
    """One trade, looked for by the index and the checkpoints, is the same as among all trades."""
    everything = list(view.trades_documents())
    for trade_id in {one["trade_id"] for one in everything} | {"unknown"}:
        found = list(view.trades_documents(trade_id=trade_id))
        assert found == [one for one in everything if one["trade_id"] == trade_id]


def _hold_against_replay(books: Books, checkpoints: Checkpoints | None, partition: int) -> None:
    """The whole table of the newest checkpoint, key by key, is that of a replay up to there."""
    end = books.log.end_offset(topics.BOOKINGS.name, partition)
    offset = 0 if checkpoints is None else checkpoints.before(partition, end)
    if checkpoints is not None and offset:
        _, scratch = replay_bookings(books.log, 2, [Span(partition, 0, offset)])
        kept = list(checkpoints.table(partition, offset).scan(b"\x01"))
        assert {key: value for key, value in kept if key[:1] != b"j"} == {
            key: value for key, value in scratch.scan(positions.NAME, partition, b"\x01") if key[:1] != b"j"
        }
