"""A disagreement between sources lasts until another source agrees: on a real ledger, store, chain and suite, with two scripted feeds."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations.validate import validate_bars
from ffe.clock import FixedClock
from ffe.cycle import bars
from ffe.cycle.engine import Engine
from ffe.errors import TransientSourceError
from ffe.ledger.ledger import Ledger
from ffe.market.models import AssetClass, Instrument, Timeframe, parse_instrument
from ffe.settings import Settings
from ffe.sources.chain import SourceChain
from ffe.sources.incremental import Incremental
from ffe.sources.models import BAR_SCHEMA
from ffe.sources.store import BarStore

BTC, M5 = parse_instrument("BTCUSD"), Timeframe.M5
NOW = datetime(2024, 5, 15, 12, 0, 20, tzinfo=UTC)


@dataclass
class Feed:
    """A market drawn from each bar's number, at `level` times the price that the others print."""

    name: str
    clock: FixedClock
    level: Decimal = Decimal(1)
    down: bool = False
    asked: int = 0

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        self.asked += 1
        if self.down:
            raise TransientSourceError(f"{self.name} is down")
        rows, at, now = [], timeframe.floor(start), self.clock.now()
        while at < min(end, now):
            if at >= start and at + timeframe.duration <= now:
                rows.append(self._bar(at, int(at.timestamp()) // timeframe.seconds))
            at += timeframe.duration
        return pa.Table.from_pylist(rows, schema=BAR_SCHEMA)

    def close(self) -> None:
        pass

    def _bar(self, at: datetime, number: int) -> dict[str, Any]:
        first, last = self._price(number), self._price(number + 1)
        high, low = max(first, last) + 1, min(first, last) - 1
        volume = Decimal(5 + number % 7)
        return {"time": at, "open": first, "high": high, "low": low, "close": last, "volume": volume}

    def _price(self, number: int) -> Decimal:
        drawn = int(hashlib.sha256(str(number).encode()).hexdigest(), 16) % 10007
        wave = Decimal(abs(number % 80 - 40)) / 20000
        return (43000 * self.level * (1 + wave + Decimal(drawn) / 20_000_000)).quantize(Decimal("0.01"))


@dataclass
class World:
    engine: Engine
    first: Feed
    second: Feed
    clock: FixedClock

    def judge(self) -> bars.Gated:
        batch = bars.fetch_batch(self.engine, BTC, M5)
        return bars.gate(self.engine, batch, self.clock.now(), validate_bars)

    def as_frame(self) -> bars.Gated:
        batch = bars.fetch_batch(self.engine, BTC, M5)
        return bars.gate_frame(self.engine, batch, batch, validate_bars)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock, store = FixedClock(NOW), BarStore(tmp_path / "bars")
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    first, second = Feed("coinbase", clock), Feed("alpha-vantage", clock)
    settings = Settings(data_dir=tmp_path)
    chain = SourceChain(
        [Incremental(first, store, clock), Incremental(second, store, clock)], ledger, clock, settings.sources
    )
    engine = Engine(settings, clock, ledger, store, _chains={AssetClass.CRYPTO: chain})
    yield World(engine, first, second, clock)
    engine.close()


def test_sources_that_agree_let_the_bars_pass(world: World) -> None:
    assert world.judge().table is not None


def test_the_same_bars_do_not_pass_once_the_hourly_question_is_spent(world: World) -> None:
    world.second.level = Decimal("1.03")
    assert world.judge().table is None
    again = world.judge()
    assert again.table is None
    assert "cross-check" in again.why


def test_the_next_bars_are_held_too_and_the_other_source_is_asked_before_its_hour_is_over(world: World) -> None:
    world.second.level = Decimal("1.03")
    world.judge()
    world.clock.advance(timedelta(minutes=5))
    before = world.second.asked
    assert world.judge().table is None
    assert world.second.asked == before + 1


def test_a_source_that_has_gone_silent_has_not_changed_its_mind(world: World) -> None:
    world.second.level = Decimal("1.03")
    world.judge()
    world.second.down = True
    for _ in range(3):
        world.clock.advance(timedelta(minutes=5))
        held = world.judge()
        assert held.table is None
        assert held.why.count("no other one has agreed since") == 1


def test_agreement_ends_it(world: World) -> None:
    world.second.level = Decimal("1.03")
    world.judge()
    world.second.level = Decimal(1)
    world.clock.advance(timedelta(minutes=5))
    assert world.judge().table is not None
    world.clock.advance(timedelta(minutes=5))
    assert world.judge().table is not None


@pytest.mark.parametrize("way", [World.judge, World.as_frame], ids=["base", "frame of a pulse"])
def test_bars_in_dispute_do_not_come_back_as_a_frame(world: World, way: Callable[[World], bars.Gated]) -> None:
    world.second.level = Decimal("1.03")
    world.judge()
    assert way(world).table is None
    assert way(world).table is None


def test_bars_that_passed_and_failed_later_are_no_frame_that_passed(world: World) -> None:
    assert world.judge().table is not None
    world.second.level = Decimal("1.03")
    world.clock.advance(timedelta(hours=1, minutes=5))
    assert world.judge().table is None
    assert world.as_frame().table is None


def test_without_cross_checks_nobody_is_in_dispute(world: World) -> None:
    world.second.level = Decimal("1.03")
    assert world.judge().table is None
    off = world.engine.settings.sources.model_copy(update={"cross_check": False})
    world.engine.settings = world.engine.settings.model_copy(update={"sources": off})
    assert world.judge().table is not None
