"""The generated tables of the reference say what the code says."""

import re

import pytest

from tests import reference_tables
from tests.reference_tables import TABLES, blocks, commands, documents, renewed


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_blocks_are_up_to_date(path):
    text = path.read_text(encoding="utf-8")
    assert renewed(text) == text, "run: .venv/bin/python -m tests.reference_tables"


def test_every_table_and_every_command_has_its_block():
    found = {name for path in documents() for name in blocks(path.read_text(encoding="utf-8"))}
    available = {f"command {name}" for name, command in commands().items() if not _is_later(command)}
    assert found == TABLES.keys() | available


def _is_later(command):
    return (command.help or "").startswith("Not in this version")


def test_an_outdated_block_is_renewed_and_the_rest_of_the_page_is_kept():
    page = "before\n<!-- generated: formats -->\nold\n<!-- end -->\nafter\n"
    new = renewed(page)
    assert new.startswith("before\n<!-- generated: formats -->\n| format |")
    assert new.endswith("<!-- end -->\nafter\n")
    assert renewed(new) == new


def test_a_cell_cannot_break_its_table():
    lines = reference_tables.table(("a", "b"), [("x|y", "two\nlines")]).splitlines()
    assert lines[2] == "| x\\|y | two lines |"
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)


def test_a_name_that_is_no_table_is_an_error():
    with pytest.raises(KeyError):
        renewed("<!-- generated: nonsense -->\n<!-- end -->")


def test_pages_that_the_source_refers_to_exist():
    packages = (
        "agents",
        "clients",
        "connectors",
        "domain",
        "schemas",
        "services",
        "tables",
        "topology",
        "bench",
    )
    referred = {
        page
        for package in packages
        for path in (reference_tables.ROOT / package).rglob("*.py")
        for page in re.findall(r"docs/[a-z0-9/-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert referred, "errors name the page that helps"
    assert {page for page in referred if not (reference_tables.ROOT / page).is_file()} == set()
