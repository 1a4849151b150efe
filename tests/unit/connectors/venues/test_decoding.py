"""The account that a decoder gives of its input: counts that tie, faults that stop everything, books by option."""

from decimal import Decimal

import pytest

from connectors.files.faults import InputFaults, refuse
from connectors.venues.decoding import (
    KINDS_MAX,
    REJECTIONS_KEPT,
    Counts,
    Decoded,
    DecodeOptions,
    Known,
    KnownTrades,
    Numbers,
    shifted,
    source_of,
)
from tests.support import fill


@pytest.mark.parametrize(
    ("options", "book"),
    [
        (DecodeOptions(), "DEFAULT"),
        (DecodeOptions(book="ONE"), "ONE"),
        (DecodeOptions(book="ONE", books={"OTHER": "B"}), "ONE"),
        (DecodeOptions(books={"*": "REST"}), "REST"),
        (DecodeOptions(book="ONE", books={"*": "REST"}), "REST"),
        (DecodeOptions(books={"*": "REST", "U1": "ACCOUNT"}), "ACCOUNT"),
        (DecodeOptions(books={"*": "REST", "U1": "ACCOUNT", "X": "INSTRUMENT"}), "INSTRUMENT"),
    ],
)
def test_the_nearest_word_decides_the_book(options: DecodeOptions, book: str):
    assert options.book_of("X", "U1", "DEFAULT") == book


def test_counts_tie_and_print_every_kind():
    counts = Counts(read=7, fills=2, duplicates=1, rejected=1)
    assert not counts.ties()
    counts.skip("bookTicker", 2)
    counts.skip("depth")
    assert counts.ties()
    assert counts.document() == {
        "read": 7, "fills": 2, "duplicates": 1, "rejected": 1, "skipped": {"bookTicker": 2, "depth": 1},
    }  # fmt: skip


def test_kinds_that_an_input_invents_are_bounded():
    counts = Counts()
    for number in range(KINDS_MAX + 50):
        counts.skip(f"kind{number}")
    counts.skip("line\nbreak")
    counts.skip("x" * 500)
    assert len(counts.skipped) == KINDS_MAX + 1
    assert counts.skipped["other"] == 52
    assert sum(counts.skipped.values()) == KINDS_MAX + 52


def test_fills_are_counted_as_their_batches_go_out():
    def decode(decoded: Decoded):
        decoded.counts.read += 3
        yield [fill("t1"), fill("t2")]
        yield [fill("t3")]

    decoded = Decoded(decode)
    seen = []
    for batch in decoded:
        seen.append((len(batch), decoded.counts.fills))
    assert seen == [(2, 2), (1, 3)]


def test_no_batch_follows_a_fault_and_every_file_has_its_say():
    def decode(decoded: Decoded):
        decoded.counts.read += 1
        yield [fill("t1")]
        with decoded.reading("a.csv") as faults:
            faults.add("line 2", "price", "a number", "x")
        yield [fill("t2")]
        with decoded.reading("b.csv"):
            refuse("b.csv", "a file that exists", "none of this name")
        yield [fill("t3")]

    decoded = Decoded(decode)
    batches = iter(decoded)
    assert next(batches)[0].trade_id == "t1"
    with pytest.raises(InputFaults) as raised:
        next(batches)
    assert [str(fault) for fault in raised.value.faults] == [
        "a.csv: line 2: price: expected a number, found x",
        "b.csv: expected a file that exists, found none of this name",
    ]


def test_records_that_are_not_accounted_for_are_a_broken_invariant():
    def decode(decoded: Decoded):
        decoded.counts.read += 2
        yield [fill("t1")]

    with pytest.raises(AssertionError, match="accounted for"):
        Decoded(decode).fills()


def test_refusals_are_all_counted_and_the_first_are_kept():
    def decode(decoded: Decoded):
        for number in range(REJECTIONS_KEPT + 5):
            decoded.counts.read += 1
            decoded.reject("f", f"line {number}", "t", "one", "another")
        yield []

    decoded = Decoded(decode)
    assert decoded.fills() == []
    assert decoded.counts.rejected == REJECTIONS_KEPT + 5
    assert len(decoded.rejections) == REJECTIONS_KEPT


def test_known_trades():
    known = KnownTrades()
    assert known.see("t1", "content") is Known.NEW
    assert known.see("t1", "content") is Known.SAME
    assert known.see("t1", "other") is Known.OTHER
    assert known.see("t2", "content") is Known.NEW


def test_numbers_are_plain_and_bounded():
    numbers = Numbers()
    assert str(numbers["2683.80000000"]) == "2683.8"
    assert str(numbers["170.0"]) == "170"
    assert numbers["170.0"] is numbers["170.0"]
    for text in ("", "1e5", "NaN", "1_000", "1,5", "١٢", "9" * 61):
        with pytest.raises(ValueError, match="number"):
            numbers[text]


def test_shifting_is_exact_beyond_the_default_precision():
    digits = "1234567890" * 5
    assert shifted(Decimal(digits), -4) == Decimal(f"{digits[:-4]}.{digits[-4:]}")


@pytest.mark.parametrize(
    ("path", "source"), [("/data/2025/x.xml.gz", "ibkr-flex:x.xml.gz"), ("-", "ibkr-flex:-")]
)
def test_a_source_says_format_and_file_without_its_folder(path: str, source: str):
    assert source_of("ibkr-flex", path) == source
