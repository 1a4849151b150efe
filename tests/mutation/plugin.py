"""What makes mutmut and pytest meet: mutmut 3.7 asks a test for `_nodeid`, which pytest 9 calls `nodeid`."""

from collections.abc import Sequence

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Give every test the name under which it is looked up."""
    for item in items:
        item._nodeid = item.nodeid
