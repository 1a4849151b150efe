"""What waits of a web socket between two looks: the newest of each symbol, whatever came, and every message accounted for."""

import json

from hypothesis import given
from hypothesis import strategies as st

from connectors.marks.binance_source import NOT_ASKED_FOR, _Arrived

ASKED = ("A", "B")
MESSAGES = st.tuples(st.sampled_from("ABC"), st.integers(0, 9))


@given(st.lists(st.lists(MESSAGES, max_size=12), max_size=6))
def test_the_newest_of_each_symbol_is_left_at_each_look(looks: list[list[tuple[str, int]]]):
    arrived = _Arrived({("spot", symbol) for symbol in ASKED})
    newest: dict[str, int] = {}
    for look in looks:
        before = dict(newest)
        for symbol, update in look:
            message = json.dumps({"data": {"s": symbol, "u": update}}).encode()
            arrived.put("spot", message, update)
            if symbol in ASKED:
                newest[symbol] = max(update, newest.get(symbol, -1))
        found, counts = arrived.take()
        left = {symbol: update for symbol, update in newest.items() if before.get(symbol) != update}
        taken = {(data["s"], data["u"]) for data in (json.loads(message)["data"] for _, message in found)}
        assert taken == set(left.items()) and len(found) == len(left)
        assert counts[NOT_ASKED_FOR] == sum(symbol not in ASKED for symbol, _ in look)
        passed_over = counts["conflated"] + counts["late"] + counts[NOT_ASKED_FOR]
        assert counts["read"] == len(look) == len(found) + passed_over
    assert arrived.take() == ([], {})
