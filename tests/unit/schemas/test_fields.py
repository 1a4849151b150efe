"""The field catalogue: numbers and names are unique and kept, and events have what it names."""

from schemas import events
from schemas.fields import CATALOGUE_VERSION, FIELD_BY_NAME, FIELDS, Kind, Tier, fields_of


def test_numbers_and_names_are_unique_and_rise_within_the_tiers():
    assert len({field.name for field in FIELDS}) == len({field.number for field in FIELDS}) == len(FIELDS)
    order = [(field.tier, field.number) for field in FIELDS]
    assert order == sorted(order)


def test_numbers_given_once_keep_their_meaning():
    assert {field.number: (field.name, field.kind.value) for field in FIELDS} == {
        1: ("book", "text"),
        2: ("instrument", "text"),
        3: ("currency", "text"),
        10: ("quantity", "decimal"),
        11: ("average_price", "decimal"),
        12: ("cost_basis", "decimal"),
        13: ("realised_pnl", "decimal"),
        14: ("net_realised_pnl", "decimal"),
        15: ("fees", "decimal"),
        16: ("lots_open", "count"),
        17: ("revision", "count"),
        18: ("executed_at", "time"),
        19: ("updated_at", "time"),
    }


def test_no_field_is_newer_than_the_catalogue_and_each_says_what_it_is():
    assert max(field.since for field in FIELDS) == CATALOGUE_VERSION
    assert all(field.unit and field.description for field in FIELDS)


def test_position_updated_has_every_field_but_the_time_of_the_copy():
    names = set(events.PositionUpdated.__dataclass_fields__)
    assert set(FIELD_BY_NAME) - names == {"updated_at"}


def test_identity_is_text_and_only_the_average_price_may_have_no_value():
    assert {field.kind for field in FIELDS if field.tier is Tier.IDENTITY} == {Kind.TEXT}
    assert [field.name for field in FIELDS if field.nullable] == ["average_price"]
    assert fields_of(Kind.TIME, Kind.COUNT) == tuple(
        field for field in FIELDS if field.name in ("lots_open", "revision", "executed_at", "updated_at")
    )
