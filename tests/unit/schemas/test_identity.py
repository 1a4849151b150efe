"""Identities are functions of content, and different content never runs together."""

from schemas.identity import content_id, derived_id, position_key, split_position_key


def test_content_id_is_the_same_for_ever():
    assert content_id("fill", "canonical", "t1") == "ff7d4971ae2fc7ad375e94c2128cdbb6"


def test_parts_never_run_together():
    assert len({content_id("ab", "c"), content_id("a", "bc"), content_id("abc"), content_id("abc", "")}) == 4


def test_derived_ids_differ_by_input_stage_and_index():
    assert (
        len(
            {
                derived_id("a", "c", 0),
                derived_id("a", "c", 1),
                derived_id("a", "p", 0),
                derived_id("b", "c", 0),
            }
        )
        == 4
    )


def test_position_keys_round_trip_in_any_script():
    for pair in (("B1", "X"), ("книга", "BTC/USD:PERP"), ("a b", "=x")):
        assert split_position_key(position_key(*pair)) == pair
