"""The compiled packing of slots against the plain code: the same bytes of every number, the same hash of every key."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import native
from connectors.shm import layout
from connectors.shm.exact import encode_exacts
from connectors.shm.packing import pack_plainly

twin = native.slots(layout, encode_exacts)
pytestmark = pytest.mark.skipif(twin is None, reason=native.description())

WORD_MAX = (1 << 64) - 1
NUMBERS = st.none() | st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(min_value=-(10**12), max_value=10**12, places=8),
    st.builds(lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent),
              st.integers(-(10**40), 10**40), st.integers(-70, 12)),
    st.builds(lambda power, off, places: Decimal((1 << power) + off).scaleb(-places),
              st.sampled_from([52, 53, 54, 63, 64, 126, 127, 128]), st.integers(-2, 2), st.integers(0, 40)),
)  # fmt: skip


@example([Decimal("-0"), Decimal("-0.00"), Decimal("0E-10"), Decimal("1E-7"), Decimal("1E+3"), None], 1, 0)
@example(
    [Decimal("0.1"), Decimal("0.3"), Decimal(2**53 + 1), Decimal("1E-22"), Decimal("9" * 38), None], 1, 0
)
@example(
    [Decimal("9" * 19), Decimal("1" + "0" * 19), Decimal("-1" + "0" * 19), *[Decimal("9" * 39)] * 3], 1, 0
)
@given(
    st.lists(NUMBERS, min_size=6, max_size=6),
    st.integers(0, WORD_MAX),
    st.integers(-(1 << 63), (1 << 63) - 1),
)
def test_a_slot_has_the_same_bytes(decimals: list[Decimal | None], word: int, time: int) -> None:
    place = word & 0xFFFFFFFF
    values = (word, decimals, word >> 1, (word >> 3, 7), (time, -time - 1), place, 1, 2, place >> 16)
    assert twin is not None
    assert twin.pack_slot(*values) == pack_plainly(*values)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_key_has_the_same_hash(book: str, instrument: str) -> None:
    assert twin is not None
    assert twin.key_hash(book, instrument) == layout.key_hash(book, instrument)


def test_another_layout_of_slots_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "COUNTS", (*layout.COUNTS, "another"))
    assert native.slots(layout, encode_exacts) is None


@pytest.mark.parametrize("wrong", [[Decimal(1)] * 7, [Decimal(1)] * 5])
def test_what_is_no_six_decimals_is_an_error(wrong: list[Decimal]) -> None:
    assert twin is not None
    with pytest.raises(ValueError, match="expected 6 decimals"):
        twin.pack_slot(1, wrong, 2, (3, 4), (5, 6), 7, 8, 9, 10)
