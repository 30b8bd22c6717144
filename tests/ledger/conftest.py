"""Both databases for the ledger's tests: a SQLite file, and a real PostgreSQL with a database of its own for each test."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from builders import new_database, started_postgresql

from ffe.ledger.database import ledger_url
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import upgrade


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    # Not under pytest's own temporary folder: a third pytest of the same user would delete it there.
    with (
        TemporaryDirectory(prefix="ffe-pg-", ignore_cleanup_errors=True) as folder,
        started_postgresql(Path(folder)) as url,
    ):
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without a schema."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/ledger/ledger.sqlite"
    return new_database(request.getfixturevalue("postgresql"))


@pytest.fixture(scope="session")
def upgraded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upgraded") / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def upgraded_database(postgresql: str) -> str:
    url = new_database(postgresql)
    upgrade(url)
    return str(ledger_url(url).database)


@pytest.fixture
def ledger(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger: a copy of one that was upgraded once, which saves each test the migrations."""
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("upgraded_file"), tmp_path / "ledger.sqlite")
        url = f"sqlite:///{tmp_path}/ledger.sqlite"
    else:
        url = new_database(request.getfixturevalue("postgresql"), request.getfixturevalue("upgraded_database"))
    opened = Ledger.open(url)
    yield opened
    opened.close()
