"""A real broker for tests: skipped with the reason where none can be started, a failure in CI."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.local_broker import BrokerUnavailable, LocalBroker


@contextmanager
def running_broker(folder: Path, **options: Any) -> Iterator[LocalBroker]:
    """A broker with its data in `folder`."""
    try:
        broker = LocalBroker(folder, **options)
        broker.start()
    except BrokerUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    try:
        yield broker
    finally:
        broker.stop()
