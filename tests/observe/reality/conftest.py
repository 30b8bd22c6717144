"""A ledger with one trade in it as the real parts make it, on both databases, beside a scripted venue that says the same."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "orders"))
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "ledger"))

from builders import new_database, started_postgresql
from scripted_venue import State
from world import World, again, traded

from ffe.ledger.database import ledger_url
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import upgrade


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_postgresql(tmp_path_factory.mktemp("pg")) as url:
        yield url


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


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Template:
    """A ledger that was traded on once, and the venue as it was left: a copy of both saves each test the making."""

    place: str
    venue: State


@pytest.fixture(scope="session")
def on_sqlite(upgraded_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    path = tmp_path_factory.mktemp("traded") / "ledger.sqlite"
    shutil.copy(upgraded_file, path)
    return Template(str(path), made(f"sqlite:///{path}", path.parent))


@pytest.fixture(scope="session")
def on_postgresql(postgresql: str, upgraded_database: str, tmp_path_factory: pytest.TempPathFactory) -> Template:
    url = new_database(postgresql, upgraded_database)
    return Template(str(ledger_url(url).database), made(url, tmp_path_factory.mktemp("traded")))


def made(url: str, folder: Path) -> State:
    ledger = Ledger.open(url)
    state = traded(ledger, folder).account.venue.state
    ledger.close()
    return state


@pytest.fixture
def world(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A minute after an entry that filled; its stop and target work at the venue; a HOLD by the model and one by a gate beside it."""
    template: Template = request.getfixturevalue(f"on_{kind}")
    if kind == "sqlite":
        shutil.copy(template.place, tmp_path / "ledger.sqlite")
        url = f"sqlite:///{tmp_path}/ledger.sqlite"
    else:
        url = new_database(request.getfixturevalue("postgresql"), template.place)
    ledger = Ledger.open(url)
    yield again(ledger, tmp_path, template.venue)
    ledger.close()
