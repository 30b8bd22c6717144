"""Shadow strategies on a checked batch: what they say is on record, they see what a replay would, and nothing they do stops a cycle."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ffe.clock import FixedClock
from ffe.cycle.engine import Engine
from ffe.cycle.shadowing import check_shadows, decide_beside
from ffe.decision.models import Action
from ffe.errors import ConfigurationError, DataError, UnknownNameError
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.files import stored_bars
from ffe.replay.strategies import find_strategy
from ffe.settings import Settings
from ffe.settings_replay import ShadowSettings
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA, BarBatch
from ffe.sources.store import BarStore

BARS = 80
CLOSE = datetime(2024, 5, 15, 12, tzinfo=UTC)
NOW = CLOSE + timedelta(seconds=25)
CYCLE = "c" * 32
STEP = Timeframe.M5.duration

Shadowing = Callable[..., Engine]


@pytest.fixture
def shadowing(tmp_path: Path) -> Iterator[Shadowing]:
    """An engine whose settings name these strategies, with a cycle under way."""
    opened: list[Engine] = []

    def make(*strategies: str, **changes: Any) -> Engine:
        settings = Settings(data_dir=tmp_path, shadow=ShadowSettings(strategies=strategies), **changes)
        ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
        ledger.start_cycle(CYCLE, "sim", "5m", NOW)
        engine = Engine(settings, FixedClock(NOW), ledger, BarStore(tmp_path / "bars", "sim"))
        opened.append(engine)
        return engine

    yield make
    for engine in opened:
        engine.close()


def table(symbol: str, n: int = BARS) -> pa.Table:
    """A wave that has just turned up: the fast average crosses the slow one now and then."""
    quoted = symbol == "EURUSD"
    level, tick = (Decimal("1.1"), Decimal("0.00001")) if quoted else (Decimal(43000), Decimal("0.01"))
    rows = []
    for number in range(n):
        price = (level * (1 + Decimal(abs(number % 40 - 20)) / 2000)).quantize(tick)
        row = {"time": CLOSE - (n - number) * STEP, "volume": Decimal(5)}
        row |= dict.fromkeys(("open", "high", "low", "close"), price)
        if quoted:
            row |= {"bid_close": price - tick, "ask_close": price + tick}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=QUOTED_BAR_SCHEMA if quoted else BAR_SCHEMA)


def batch_of(engine: Engine, symbol: str = "BTCUSD", n: int = BARS) -> BarBatch:
    """As a cycle leaves it: written, on record, and in the store."""
    instrument, rows = parse_instrument(symbol), table(symbol, n)
    batch = engine.store.write_batch(instrument, Timeframe.M5, instrument.venue, rows, NOW)
    engine.ledger.record_batch(batch)
    assert engine.store.keep(batch, rows)
    return batch


def strategy_file(folder: Path, name: str, body: str) -> str:
    path = folder / f"{name}.py"
    path.write_text(f"NAME, LOOKBACK = {name!r}, 1\n\n\ndef actions(bars):\n    {body}\n")
    return str(path)


def test_every_strategy_is_on_record_with_its_parameters_and_what_it_saw(shadowing: Shadowing) -> None:
    engine = shadowing("sma-cross", "buy-and-hold")
    batch = batch_of(engine, "EURUSD")
    said = decide_beside(engine, CYCLE, batch)
    kept = engine.ledger.shadows("sim", "5m")
    assert sorted(kept, key=lambda each: each.strategy) == sorted(said, key=lambda each: each.strategy)
    cross, held = said
    assert (cross.strategy, cross.params) == ("sma-cross", {"fast": 20, "slow": 50})
    assert (held.action, held.confidence, held.params) == (Action.BUY, 100, {})
    last = table("EURUSD").to_pylist()[-1]
    for each in said:
        assert (each.batch_id, each.bar_close, each.decided_at) == (batch.id, CLOSE, NOW)
        assert (each.bid, each.ask) == (last["bid_close"], last["ask_close"])
        assert each.decided_at < each.bar_close + STEP


def test_bars_of_trades_alone_have_no_sides_to_write_down(shadowing: Shadowing) -> None:
    engine = shadowing("hold")
    (said,) = decide_beside(engine, CYCLE, batch_of(engine))
    assert (said.action, said.bid, said.ask) == (Action.HOLD, None, None)


@pytest.mark.parametrize("symbol", ["BTCUSD", "EURUSD"])
@pytest.mark.parametrize("bars", [61, 70])
def test_a_live_word_is_that_of_a_replay_on_the_stored_bars(shadowing: Shadowing, symbol: str, bars: int) -> None:
    names = ("sma-cross", "momentum", "mean-reversion", "random")
    engine = shadowing(*names)
    said = decide_beside(engine, CYCLE, batch_of(engine, symbol, bars))
    stored = stored_bars(
        engine.store, parse_instrument(symbol), Timeframe.M5, CLOSE - 99 * STEP, CLOSE, half_spread_bps=1.0
    )
    assert len(stored) == bars
    replayed = [int(find_strategy(name).signals(stored).actions[-1]) for name in names]
    assert [{"BUY": 1, "SELL": -1, "HOLD": 0}[str(each.action)] for each in said] == replayed


def test_a_strategy_that_raises_is_on_record_as_an_error_and_stops_nobody(
    shadowing: Shadowing, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = strategy_file(tmp_path, "broken", "raise ValueError('no idea')")
    absent = str(tmp_path / "absent.py")
    engine = shadowing(broken, absent, "hold")
    with caplog.at_level(logging.WARNING, "ffe.cycle.shadowing"):
        first, second, third = decide_beside(engine, CYCLE, batch_of(engine))
    assert (first.strategy, first.action, first.confidence) == ("broken", None, None)
    assert "ValueError: no idea" in str(first.error)
    assert (second.strategy, second.params) == (absent, {})
    assert "no strategy file" in str(second.error)
    assert (third.error, third.action) == (None, Action.HOLD)
    assert len(engine.ledger.shadows("sim", "5m")) == 3
    assert engine.ledger.incidents() == []
    assert "shadow strategy" in caplog.text
    assert "on BTCUSD failed" in caplog.text


def test_too_few_bars_are_an_error_and_no_hold(shadowing: Shadowing) -> None:
    engine = shadowing("sma-cross")
    (said,) = decide_beside(engine, CYCLE, batch_of(engine, n=50))
    assert said.action is None
    assert "sma-cross looks back 51 bars, there are 50" in str(said.error)


def test_a_strategy_cannot_write_into_what_another_one_sees(shadowing: Shadowing, tmp_path: Path) -> None:
    vandal = strategy_file(tmp_path, "vandal", "bars.mid[:] = 1.0")
    engine = shadowing(vandal, "momentum")
    batch = batch_of(engine)
    first, second = decide_beside(engine, CYCLE, batch)
    assert "read-only" in str(first.error)
    alone = find_strategy("momentum").signals(
        stored_bars(engine.store, batch.instrument, Timeframe.M5, CLOSE - 99 * STEP, CLOSE, half_spread_bps=1.0)
    )
    assert np.sign({"BUY": 1, "SELL": -1, "HOLD": 0}[str(second.action)]) == alone.actions[-1]


def test_without_a_strategy_nothing_is_read_or_written(shadowing: Shadowing) -> None:
    engine = shadowing()
    batch = batch_of(engine)
    (engine.store.root.parent / batch.path).unlink()
    assert decide_beside(engine, CYCLE, batch) == []
    assert engine.ledger.shadows("sim", "5m") == []


def test_a_batch_that_is_gone_is_an_error_of_the_data_and_records_nothing(shadowing: Shadowing) -> None:
    engine = shadowing("hold")
    batch = batch_of(engine)
    (engine.store.root.parent / batch.path).unlink()
    with pytest.raises(DataError):
        decide_beside(engine, CYCLE, batch)
    assert engine.ledger.shadows("sim", "5m") == []


def test_an_unknown_strategy_is_refused_with_the_nearest_names(shadowing: Shadowing) -> None:
    check_shadows(shadowing("sma-cross", "hold").settings)
    with pytest.raises(UnknownNameError, match="'sma-cros'; nearest known: sma-cross"):
        check_shadows(shadowing("hold", "sma-cros").settings)


def test_what_could_never_decide_live_is_refused(shadowing: Shadowing, tmp_path: Path) -> None:
    twin = strategy_file(tmp_path, "hold", "return [0] * len(bars)")
    with pytest.raises(ConfigurationError, match="are both hold"):
        check_shadows(shadowing("hold", twin).settings)
    far = tmp_path / "far.py"
    far.write_text("NAME, LOOKBACK = 'far', 201\n\n\ndef actions(bars):\n    return [0] * len(bars)\n")
    with pytest.raises(ConfigurationError, match="far looks back 201 bars, a live cycle sees 200"):
        check_shadows(shadowing(str(far)).settings)
    check_shadows(shadowing(str(far), lookback_bars=201).settings)


def test_a_cycle_with_shadow_strategies_does_not_import_the_compiler() -> None:
    code = (
        "import sys, ffe.cycle.shadowing, tasks.shadow; assert not [m for m in sys.modules if m.startswith('ffe.replay')];"
        "from ffe.cycle.shadowing import check_shadows; from ffe.settings import Settings;"
        "from ffe.settings_replay import ShadowSettings;"
        "check_shadows(Settings(shadow=ShadowSettings(strategies=('sma-cross',))));"
        "import ffe.replay.bar_parquet, ffe.replay.joining;"
        "sys.exit(bool({'numba', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
