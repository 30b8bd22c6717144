"""Bars made for the store, a client that answers from a list, and a bar source that holds its own."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ffe.clock import FixedClock
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import upgrade
from ffe.market.models import Instrument, Timeframe
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA

sys.path.insert(0, str(Path(__file__).parent))

START = datetime(2024, 1, 31, 22, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def make_bars() -> Callable[..., pa.Table]:
    """`make_bars(steps, price=..., quoted=...)`: 5m bars at the given numbers of bars after 2024-01-31 22:00 UTC."""

    def made(steps: list[int], price: str = "100.5", *, quoted: bool = False) -> pa.Table:
        schema = QUOTED_BAR_SCHEMA if quoted else BAR_SCHEMA
        rows = [
            {name: START + step * Timeframe.M5.duration if name == "time" else Decimal(price) for name in schema.names}
            for step in steps
        ]
        return pa.Table.from_pylist(rows, schema=schema)

    return made


@dataclass
class ScriptedClient:
    """Answers `read` from a function of the call's parameters and remembers every call."""

    answer: Callable[[dict[str, Any]], Any]
    calls: list[dict[str, Any]] = field(default_factory=list)

    def read(self, target: Any, **kwargs: Any) -> Any:
        call = dict(kwargs) if kwargs else dict(target.params)
        self.calls.append(call)
        reply = self.answer(call)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture
def scripted() -> type[ScriptedClient]:
    return ScriptedClient


@dataclass
class ScriptedVenue:
    """A bar source over 5m bars held by number after `START`; `calls` are the spans that were asked, by number."""

    clock: FixedClock
    prices: dict[int, int] = field(default_factory=dict)
    name: str = "coinbase"
    quoted: bool = False
    calls: list[tuple[float, float]] = field(default_factory=list)
    closed: bool = False

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        self.calls.append((number_of(start), number_of(end)))
        return self.direct(start, end)

    def direct(self, start: datetime, end: datetime) -> pa.Table:
        """The same without being counted."""
        schema, step = QUOTED_BAR_SCHEMA if self.quoted else BAR_SCHEMA, Timeframe.M5.duration
        rows = [
            {name: START + number * step if name == "time" else Decimal(price) for name in schema.names}
            for number, price in sorted(self.prices.items())
            if start <= START + number * step < end and START + (number + 1) * step <= self.clock.now()
        ]
        return pa.Table.from_pylist(rows, schema=schema)

    def close(self) -> None:
        self.closed = True


def number_of(moment: datetime) -> float:
    """How many 5m bars after `START`."""
    return (moment - START) / Timeframe.M5.duration


@pytest.fixture
def venue() -> ScriptedVenue:
    """Bars 0 to 99 at prices of their own; it is bar 40's close."""
    clock = FixedClock(START + 40 * Timeframe.M5.duration)
    return ScriptedVenue(clock, {number: 100 + number for number in range(100)})


@pytest.fixture(scope="session")
def upgraded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upgraded") / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def ledger(upgraded_file: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger, where the health of the sources is kept."""
    shutil.copy(upgraded_file, tmp_path / "ledger.sqlite")
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield opened
    opened.close()
