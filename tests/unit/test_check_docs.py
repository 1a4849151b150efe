"""The check of the documents finds what it is there to find."""

from pathlib import Path

from tests import check_docs


def test_the_documents_of_this_repository_are_sound():
    assert check_docs.faults() == []


def test_a_link_to_no_file_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](other.md) [b](#one) [c](#two) [d](https://example.org/x.md)\n")
    found = list(check_docs.link_faults(page, page.read_text()))
    assert [fault.split(":")[0] for fault in found] == ["link to other.md", "link to #two"]


def test_an_anchor_of_another_page_is_checked(tmp_path: Path):
    (tmp_path / "other.md").write_text("## Two words, `code`\n## Two words, `code`\n")
    page = tmp_path / "page.md"
    text = "[a](other.md#two-words-code) [b](other.md#two-words-code-1) [c](other.md#three)"
    page.write_text(text)
    assert len(list(check_docs.link_faults(page, text))) == 1


def test_a_command_that_does_not_exist_is_found():
    text = (
        "Run `make test`, `make nothing-of-this`, then:\n```\n$ make check MINUTES=3\n$ pks nonsense x\n```\n"
    )
    found = list(check_docs.command_faults(text))
    assert len(found) == 2
    assert all("nothing-of-this" in fault or "nonsense" in fault for fault in found)


def test_prose_about_making_is_no_command():
    assert list(check_docs.command_faults("We make nothing up. `remake it`")) == []
