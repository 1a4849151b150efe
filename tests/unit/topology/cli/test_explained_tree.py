"""The tree of `pks explain` for people: what is shown of many children, and how many are said to be left out."""

from typing import Any

import pytest

from topology.cli.explaining import SHOWN_MAX, _tree
from topology.cli.output import console
from topology.documents.explained_money import node
from topology.documents.explained_positions import bounded


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (10, None),
        (250, "240 more: --all or --json shows them, 50 of them as their sum"),
        (200, "190 more: --all or --json shows them"),
    ],
)
def test_shown_and_left_out_are_all_that_there_are(
    count: int, said: str | None, capsys: pytest.CaptureFixture[str]
):
    lots = [{"id": number, "quantity": str(number)} for number in range(count)]

    def of_one(lot: Any) -> Any:
        return node(f"lot of {lot['id']}", lot["quantity"], "X", "")

    children = bounded(lots, of_one, "lots", "quantity", "X")
    console().print(_tree(node("position", "1", "X", f"{count} lots", children), False))
    lines = capsys.readouterr().out.splitlines()
    assert sum("lot of" in line for line in lines) == SHOWN_MAX
    assert [line.partition("── ")[2] for line in lines if "more:" in line] == ([] if said is None else [said])
