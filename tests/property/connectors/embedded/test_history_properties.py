"""The history of a table against every state that the table went through, kept whole."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.embedded.history import CheckpointNote, TableHistory

_KEYS = st.one_of(
    st.binary(min_size=1, max_size=3).filter(lambda key: key[:1] != b"l"),
    st.builds(
        lambda page, order: b"l" + page + b"\x00" + order,
        st.sampled_from([b"A", b"B"]),
        st.binary(max_size=2),
    ),
    st.sampled_from([b"l", b"m", b"\x00", b"\x00\x00", b"\x00\x01", b"\x00\xff", b"\xff\xff"]),
)
_CHANGES = st.dictionaries(_KEYS, st.one_of(st.none(), st.binary(max_size=4)), max_size=12)
_LAYERS = st.lists(_CHANGES, min_size=1, max_size=8)
_BOUND = st.one_of(st.none(), _KEYS)


def _page(key: bytes) -> bytes | None:
    end = key.find(b"\x00") if key[:1] == b"l" else -1
    return None if end < 0 else key[:end]


def _note(number: int) -> CheckpointNote:
    return CheckpointNote(10 * number, number, number, 0)


@settings(max_examples=20)
@given(_LAYERS, st.lists(st.tuples(_KEYS, _BOUND, st.booleans()), max_size=6), st.data())
def test_every_checkpoint_holds_what_the_table_held(layers: list, ranges: list, data: st.DataObject):
    states: list[dict[bytes, bytes]] = [{}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history"
        reopened = data.draw(st.integers(0, len(layers)))
        history = TableHistory.writer(path, _page)
        for number, changes in enumerate(layers, 1):
            if number == reopened:
                history.close()
                history = TableHistory.writer(path, _page)
            history.add(3, _note(number), changes)
            history.add(4, _note(number), {b"other": b"partition"})
            held = {**states[-1], **changes}
            states.append({key: value for key, value in held.items() if value is not None})
        for number, state in enumerate(states):
            past = history.at(3, 10 * number)
            everything = sorted(state.items())
            assert list(past.scan(b"")) == everything
            assert list(past.scan(b"", reverse=True)) == everything[::-1]
            for key in {key for changes in layers for key in changes}:
                assert past.get(key) == state.get(key)
            for start, end, reverse in ranges:
                found = [
                    (key, value) for key, value in everything if key >= start and (end is None or key < end)
                ]
                assert list(past.scan(start, end, reverse=reverse)) == (found[::-1] if reverse else found)
        history.close()


def test_what_comes_and_goes_in_a_page_costs_no_later_reader(tmp_path: Path):
    with TableHistory.writer(tmp_path / "history", _page) as history:
        for number in range(1, 200):
            gone = {b"lA\x00" + (number - 3).to_bytes(2, "big"): None} if number > 3 else {}
            history.add(0, _note(number), {b"lA\x00" + number.to_bytes(2, "big"): b"value", **gone})
        assert [key[-1] for key, _ in history.at(0, 1990).scan(b"lA\x00")] == [197, 198, 199]
        assert [key[-1] for key, _ in history.at(0, 1000).scan(b"lA\x00")] == [98, 99, 100]
        # Of the 199 entries few are read: the page is written whole again and again.
        assert len(list(history._page_chain(0, b"lA", 1990))) <= 5
