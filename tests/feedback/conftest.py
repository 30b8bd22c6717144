"""A ledger on SQLite, and the ready-made records of the ledger's own tests."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import upgrade


@pytest.fixture(scope="session")
def upgraded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upgraded") / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def ledger(upgraded_file: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger: a copy of one that was upgraded once."""
    shutil.copy(upgraded_file, tmp_path / "ledger.sqlite")
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield opened
    opened.close()
