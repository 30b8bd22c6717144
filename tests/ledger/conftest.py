"""Both databases for the ledger's tests: a SQLite file, and a real PostgreSQL with a database of its own for each test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from builders import new_database, started_postgresql

from ffe.ledger.ledger import Ledger


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_postgresql(tmp_path_factory.mktemp("pg")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without a schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger/ledger.sqlite"
    return new_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def ledger(empty_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(empty_url)
    yield opened
    opened.close()
