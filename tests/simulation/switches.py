"""Switching a defect on for the time of a `with`."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from tests.support import plain_code


@contextmanager
def instead(owner: Any, name: str, make: Callable[[Any], Any]):
    """What `make` makes of it takes the place of an attribute."""
    with plain_code(), patch.object(owner, name, make(getattr(owner, name))):
        yield
