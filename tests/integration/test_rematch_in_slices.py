"""A long re-match on its way: what waits and what does not, what readers see, and what a log in the middle of one is good for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents import positions, trade_capture
from agents.booking_queue import QUEUE, waiting_by_position
from agents.journal import ASIDE, REWRITTEN, scan_journal
from agents.rematch_slices import SlicedRematch
from schemas.numbers import exact_arithmetic
from schemas.topics import BOOKING_DEAD_LETTERS, POSITIONS
from schemas.units import LifecycleKind, LotMethod
from tests.support import MONDAY, SECOND, Books, LifecycleEventApplied, booked
from topology.documents.views import view_of
from topology.history.checkpoints import opened_checkpoints, take_checkpoints
from topology.history.points import parse_point
from topology.log_reading import table_partition
from topology.rebuilding.rebuild import rebuild
from topology.replaying.outcome import Span
from topology.replaying.replay import replay_bookings
from topology.runtime import IDLE, PartitionRunner
from topology.verifying.verify import verify

TRADES = 2_000
SLICE = 100


def stage(**options: Any) -> Any:
    return positions.stage(rematch_min=500, slice_trades=SLICE, **options)


def sliced(folder: Path, **options: Any) -> Books:
    return Books(folder, stages=(trade_capture.stage(), stage(**options)))


def in_order(instrument: str = "X", number: int = TRADES) -> list[Any]:
    return [
        booked(
            f"{instrument}{count}",
            -3 if count % 3 == 2 else 2,
            100 + count % 7,
            at=count,
            instrument=instrument,
            source_sequence=count,
        )
        for count in range(number)
    ]


def late(name: str = "late", at: float = -1, **fields: Any) -> Any:
    return booked(name, 5, 90, at=at, **fields)


def runner_of(books: Books) -> PartitionRunner:
    return books.runners[-1]


def step(books: Books, *bookings: Any) -> None:
    """Append bookings, and step them; nothing that is left over is done."""
    books.bookings(*bookings)
    runner = runner_of(books)
    runner.step(books.log.read(runner.stage.input.name, 0, runner.next_offset, 1_000, 1 << 24))


def slices(books: Books, number: int) -> None:
    for _ in range(number):
        runner_of(books).step(IDLE)


def table_of(books: Books) -> dict[tuple[int, bytes], bytes]:
    """What the stage keeps; not how far its changelog has come, which counts commits."""
    return {key: value for key, value in books.table(positions.NAME).items() if key[1] >= b"\x01"}


def refused(books: Books) -> list[Any]:
    letters = books.dead_letters(BOOKING_DEAD_LETTERS)
    return [(letter.trade_id, letter.field, letter.found, letter.original) for letter in letters]


def contents(books: Books) -> dict[str, Any]:
    table = table_partition(books.log, positions.NAME, 0)
    with exact_arithmetic():
        return {
            "hash": books.hash(),
            "counts": books.counts(positions.NAME),
            "journal": list(scan_journal(table, b"B1\x00X")),
            "lots": list(books.position().lots),
            "updates": [update for update in books.events(POSITIONS) if update.instrument == "X"],
        }


def until_rewritten(books: Books) -> None:
    """Slices until a part of the journal is rewritten, and not all of it."""
    table = table_partition(books.log, positions.NAME, 0)
    for _ in range(TRADES):
        if len(list(table.scan_prefix(ASIDE))) > 5:
            return
        slices(books, 1)
    raise AssertionError("nothing was rewritten")


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with sliced(tmp_path / "sliced") as found:
        step(found, *in_order())
        yield found


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Books]:
    """The same, of which every re-match is one step."""
    with Books(tmp_path / "whole") as found:
        step(found, *in_order())
        yield found


def test_a_late_trade_in_slices_is_one_in_a_step_byte_for_byte(books: Books, whole: Books):
    for found in (books, whole):
        step(found, late())
    assert books.counts(positions.NAME).waiting == 1
    books.run()
    assert table_of(books) == table_of(whole)
    assert books.event_bytes(POSITIONS) == whole.event_bytes(POSITIONS)


@pytest.mark.parametrize("at", [-1, 3.5, 500.5])
@pytest.mark.parametrize("begun", [1, 8, 20, None])
def test_a_restart_begins_again_and_nothing_shows(books: Books, whole: Books, begun: int | None, at: float):
    step(books, late(at=at))
    if begun is None:
        until_rewritten(books)
    else:
        slices(books, begun)
    books.reopen()
    books.run()
    step(whole, late(at=at))
    assert table_of(books) == table_of(whole)
    assert books.event_bytes(POSITIONS) == whole.event_bytes(POSITIONS)


def test_what_concerns_the_position_waits_and_nothing_else_does(books: Books, whole: Books):
    cancel = LifecycleEventApplied(
        event_id="c1",
        kind=LifecycleKind.CANCEL,
        trade_id="c1",
        original_trade_id="X3",
        book="B1",
        executed_at=MONDAY,
    )
    moved = LifecycleEventApplied(
        event_id="c2",
        kind=LifecycleKind.AMEND,
        trade_id="c2",
        original_trade_id="X5",
        book="B1",
        executed_at=MONDAY,
        trade=booked("X5", 2, 105, at=5, instrument="Z", source_sequence=5),
    )
    coming = [
        booked("next", 1, 100, at=TRADES),
        late("later", at=-2),
        cancel,
        moved,
        booked("z", 1, 100, at=0, instrument="Z"),
        booked("y", 1, 100, at=0, instrument="Y"),
        booked("late", 1, 100, at=0, instrument="Y"),
        booked("X1", 9, 9, at=9),
    ]
    step(books, late())
    until_rewritten(books)
    for booking in coming:
        step(books, booking)
    # `Y` alone concerns nothing that waits; its second trade has the id of one that does.
    assert {opened.instrument: opened.revision for opened in books.positions().values()} == {
        "X": TRADES,
        "Y": 1,
    }
    assert waiting_by_position(table_partition(books.log, positions.NAME, 0)) == {
        ("B1", "X"): 7,
        ("B1", "Y"): 1,
        ("B1", "Z"): 2,
    }
    books.run()
    step(whole, late(), *coming)
    assert contents(books) == contents(whole)
    assert books.counts(positions.NAME).refused == 2
    assert refused(books) == refused(whole)


def test_readers_see_the_position_as_before_and_how_many_wait(books: Books):
    with exact_arithmetic(), view_of(books.log) as view:
        before = view.positions_documents(lots=True, matched=True)
    step(books, late(), booked("next", 1, 100, at=TRADES))
    until_rewritten(books)
    with exact_arithmetic(), view_of(books.log) as view:
        (found,) = view.positions_documents(lots=True, matched=True)
        assert found.pop("waiting_bookings") == 2 and before[0].pop("waiting_bookings") == 0
        assert [found] == before
        (trade,) = view.trades_documents(trade_id="X1500")
        assert trade["state"] == "live"
    with exact_arithmetic(), view_of(books.log, as_of=MONDAY + 700 * SECOND) as view:
        (past,) = view.positions_documents()
    books.reopen()
    with Books(books.folder.parent / "up to then") as short:
        step(short, *in_order()[:701])
        assert past["realised_pnl"] == str(short.position().realised_pnl)


def test_what_was_known_in_the_middle_of_a_rematch_is_what_the_log_says(books: Books, whole: Books):
    for found in (books, whole):
        step(found, late())
    until_rewritten(books)
    take_checkpoints(books.log, 1, 100, 1 << 30)
    step(books, booked("next", 1, 100, at=TRADES))
    books.run()
    with opened_checkpoints(books.log) as checkpoints:
        assert checkpoints is not None
        point = parse_point("backoffice.booking.v1:0=2")
        with exact_arithmetic(), view_of(books.log, known_at=point, checkpoints=checkpoints) as view:
            (found,) = view.positions_documents(lots=True, matched=True)
    with exact_arithmetic(), view_of(whole.log) as view:
        assert [found] == view.positions_documents(lots=True, matched=True)


def test_a_replay_of_a_log_in_the_middle_comes_to_its_end(books: Books, whole: Books):
    for found in (books, whole):
        step(found, late())
    until_rewritten(books)
    outcome, _ = replay_bookings(books.log, 1, [Span(0, 0, 2)])
    assert outcome.book_hash.hexadecimal == whole.hash()
    assert (outcome.applied, outcome.waiting) == (TRADES + 1, 0)


def test_every_identity_holds_in_the_middle(books: Books):
    step(books, late(), booked("next", 1, 100, at=TRADES))
    until_rewritten(books)
    assert [(check.name, check.findings) for check in verify(books.log) if not check.ok] == []


def test_a_rebuild_does_what_waits_first(books: Books, whole: Books):
    for found in (books, whole):
        step(found, late())
    until_rewritten(books)
    done = rebuild(books.log, books.stages[1:])
    books.reopen()
    assert done.book_hash == books.hash() == whole.hash()
    assert books.event_bytes(POSITIONS) == whole.event_bytes(POSITIONS)
    assert [check.name for check in verify(books.log) if not check.ok] == []


def test_a_partition_that_is_full_takes_in_no_more(tmp_path: Path):
    with sliced(tmp_path, waiting_bookings_max=3) as books:
        step(books, *in_order())
        step(books, late(), late("later", at=-2))
        assert not runner_of(books).is_full
        step(books, booked("next", 1, 100, at=TRADES))
        assert runner_of(books).is_full
        books.bookings(booked("other", 1, 100, at=0, instrument="Y"))
        books.run()
        assert books.counts(positions.NAME).applied == TRADES + 4


def test_terms_that_do_not_fit_are_refused_and_the_journal_is_as_it_was(tmp_path: Path):
    """A position that was flat in the middle and went on under other terms: it must be flat there still."""
    flat = [booked("a", 1, 100, at=0), *in_order("X", TRADES)]
    closing = booked("close", -1 - sum(trade.quantity for trade in flat[1:]), 100, at=TRADES)
    other = [
        booked(f"n{count}", 1, 100, at=TRADES + 1 + count, lot_method=LotMethod.LIFO)
        for count in range(TRADES)
    ]
    with sliced(tmp_path) as books:
        step(books, *flat, closing, *other)
        kept = table_of(books)
        cancel = LifecycleEventApplied(
            event_id="c1",
            kind=LifecycleKind.CANCEL,
            trade_id="c1",
            original_trade_id="a",
            book="B1",
            executed_at=MONDAY,
        )
        step(books, cancel)
        until_rewritten(books)
        books.run()
        (letter,) = books.dead_letters(BOOKING_DEAD_LETTERS)
        assert (letter.field, letter.kind) == ("lot_method", "rejected")
        counts = (0, b"c")
        assert {**table_of(books), counts: b""} == {**kept, counts: b""}


def test_a_booking_on_which_the_code_fails_is_put_back_and_becomes_a_dead_letter(
    books: Books, monkeypatch: pytest.MonkeyPatch
):
    kept = {key: value for key, value in table_of(books).items() if key[1][:1] == b"j"}
    real = SlicedRematch.finish

    def fails(self: SlicedRematch) -> bool:
        if self._change.added is not None and self._change.added.trade_id == "late":
            raise ZeroDivisionError("planted")
        return real(self)

    monkeypatch.setattr(SlicedRematch, "finish", fails)
    step(books, late(), booked("next", 1, 100, at=TRADES))
    books.run()
    (letter,) = books.dead_letters(BOOKING_DEAD_LETTERS)
    assert (letter.kind, letter.reason) == ("failed", "ZeroDivisionError: planted")
    counts = books.counts(positions.NAME)
    assert (counts.applied, counts.refused, counts.waiting) == (TRADES + 1, 1, 0)
    found = table_of(books)
    assert {key: found.get(key) for key in kept} == kept
    assert not [key for _, key in found if key[:1] in (QUEUE, ASIDE, REWRITTEN)]


def test_a_flood_of_ever_earlier_batches_is_cut_into_slices(books: Books):
    """However many late trades come in one step, none of it matches more than a slice, or what a step may."""
    trades: list[int] = []
    stage_now = runner_of(books).stage
    assert stage_now.idle_work is not None
    do_slice = stage_now.idle_work.do_slice

    def counted(state: Any, one: Any, failed: Any) -> None:
        do_slice(state, one, failed)
        trades.append(state.rematched)

    runner_of(books).stage = replace(stage_now, idle_work=replace(stage_now.idle_work, do_slice=counted))
    for batch in range(3):
        step(books, *(late(f"early{batch}.{number}", at=-2 - batch - number / 10) for number in range(5)))
        # The step itself came to an end with all of them waiting.
        assert books.counts(positions.NAME).waiting == 5 * (batch + 1)
    books.run()
    assert books.counts(positions.NAME).applied == TRADES + 15
    assert len(trades) > 15 * TRADES / SLICE
    assert max(trades) < 500


def test_late_trades_of_a_step_are_matched_at_once_up_to_what_a_step_may(books: Books):
    step(books, *(late(f"l{number}", at=TRADES - 200.5) for number in range(5)))
    counts = books.counts(positions.NAME)
    assert (counts.applied, counts.waiting) == (TRADES + 2, 3)
    books.run()
    assert books.counts(positions.NAME).applied == TRADES + 5
