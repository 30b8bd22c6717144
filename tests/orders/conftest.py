"""A ledger on SQLite, and a clock that only moves when somebody sleeps."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))
sys.path.insert(0, str(Path(__file__).parent))

from account import Account
from builders import AT
from scripted import SleepingClock, Venue

from ffe.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> SleepingClock:
    return SleepingClock(AT)


@pytest.fixture
def margin(ledger: Ledger, clock: SleepingClock) -> Account:
    return Account(ledger, clock, Venue(dedupes=False))


@pytest.fixture
def spot(ledger: Ledger, clock: SleepingClock) -> Account:
    return Account(ledger, clock, Venue(dedupes=True))
