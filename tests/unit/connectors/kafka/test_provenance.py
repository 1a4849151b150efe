"""Notes of which topic a table was made of."""

import pytest

from connectors.kafka.errors import ChangelogError
from connectors.kafka.provenance import made_key, missing_notes


def test_a_table_notes_what_it_has_not_noted_and_refuses_another() -> None:
    table: dict[bytes, bytes] = {}
    notes = missing_notes(table.get, {"fills": "first", "books": "second"}, "here", "do this")
    assert notes == {made_key("fills"): b"first", made_key("books"): b"second"}
    table |= notes
    assert missing_notes(table.get, {"fills": "first", "books": "second"}, "here", "do this") == {}
    with pytest.raises(
        ChangelogError, match=r"here: expected fills to be the topic first.*found third.*do this"
    ):
        missing_notes(table.get, {"fills": "third", "books": "second"}, "here", "do this")
