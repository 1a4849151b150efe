"""What every test gets: the exact arithmetic of the books, tapes where they are, soak tests only when asked for."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings

from connectors.servers.postgres import LocalPostgres
from connectors.shm.writer import remove
from schemas.numbers import exact_arithmetic
from tests.postgres_support import make_database, make_template, running_postgres
from tests.support import Books

# The same examples on every machine: a run that fails can be run again. `PKS_HYPOTHESIS=explore` looks further.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "explore", settings.get_profile("repeatable"), derandomize=False, max_examples=2_000
)
# Enough examples to see a mutant: thousands are run, each against the tests that meet it.
# Which example fails, and whether a smaller one would, does not matter.
settings.register_profile(
    "mutants",
    settings.get_profile("repeatable"),
    max_examples=100,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(os.environ.get("PKS_HYPOTHESIS", "repeatable"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave soak tests out unless the marker expression speaks of them."""
    if "soak" in (config.option.markexpr or ""):
        return
    kept = [item for item in items if item.get_closest_marker("soak") is None]
    left = [item for item in items if item.get_closest_marker("soak") is not None]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.fixture
def tapes() -> Path:
    """The folder of real tapes that `PKS_TAPES` names."""
    named = os.environ.get("PKS_TAPES")
    if not named:
        pytest.skip("PKS_TAPES names no folder of tapes")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"PKS_TAPES names {folder}, which is no folder")
    return folder


@pytest.fixture
def exact() -> Iterator[None]:
    """Exact decimals, as the stages run with."""
    with exact_arithmetic():
        yield


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """Both stages over a log in a folder of its own."""
    with Books(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def shared_memory_name() -> Iterator[str]:
    """A name in shared memory that nobody else has; what stands under it afterwards is removed."""
    name = f"/pks-test-{os.getpid()}-{uuid4().hex[:12]}"
    yield name
    remove(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[LocalPostgres]:
    """One PostgreSQL for all tests of this process that leave it running."""
    with running_postgres() as server:
        make_template(server)
        yield server


@pytest.fixture
def postgres(postgres_server: LocalPostgres) -> str:
    """The address of a database of its own, migrated; as its owner."""
    return make_database(postgres_server)
