"""The task of shadow mode: a strategy that never comes back is given up, and none is asked where none is configured."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prefect import flow

from ffe.clock import FixedClock
from ffe.cycle.engine import Engine
from ffe.cycle.steps import Cycle
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.settings import Settings
from ffe.settings_replay import ShadowSettings
from ffe.sources.models import BAR_SCHEMA, BarBatch
from ffe.sources.store import BarStore
from tasks import runtime
from tasks import shadow as tasks_shadow

NOW = datetime(2024, 5, 15, 12, 0, 25, tzinfo=UTC)
CYCLE = Cycle(id="c" * 32, timeframe=Timeframe.M5)
ENDLESS = "NAME, LOOKBACK = 'endless', 1\n\n\ndef actions(bars):\n    while True:\n        pass\n"


@pytest.fixture
def engine(tmp_path: Path, prefect_api: str) -> Iterator[Engine]:
    assert prefect_api
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    ledger.start_cycle(CYCLE.id, "sim", "5m", NOW)
    opened = Engine(Settings(data_dir=tmp_path), FixedClock(NOW), ledger, BarStore(tmp_path / "bars", "sim"))
    runtime.use(opened)
    yield opened
    runtime.use(None)
    opened.close()


def batch_of(engine: Engine) -> BarBatch:
    close = datetime(2024, 5, 15, 12, tzinfo=UTC)
    names = ("open", "high", "low", "close", "volume")
    rows = [
        {"time": close - (70 - number) * timedelta(minutes=5)} | dict.fromkeys(names, Decimal(5))
        for number in range(70)
    ]
    table = pa.Table.from_pylist(rows, schema=BAR_SCHEMA)
    batch = engine.store.write_batch(parse_instrument("BTCUSD"), Timeframe.M5, "coinbase", table, NOW)
    engine.ledger.record_batch(batch)
    return batch


def configured(engine: Engine, *strategies: str) -> None:
    engine.settings = engine.settings.model_copy(update={"shadow": ShadowSettings(strategies=strategies)})


@flow
def asking(batch: BarBatch) -> None:
    tasks_shadow.record_shadows(CYCLE, [batch])


def test_every_batch_is_asked_about(engine: Engine) -> None:
    configured(engine, "hold", "random")
    asking(batch_of(engine))
    assert [each.strategy for each in engine.ledger.shadows("sim", "5m")] == ["hold", "random"]


def test_without_a_strategy_no_task_is_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(*_: Any) -> None:
        raise AssertionError("no task is wanted")

    monkeypatch.setattr(tasks_shadow.shadow, "submit", submit)
    asking(batch_of(engine))
    assert engine.ledger.shadows("sim", "5m") == []


def test_a_strategy_that_never_comes_back_is_given_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "endless.py"
    path.write_text(ENDLESS)
    configured(engine, "hold", str(path), "random")
    monkeypatch.setattr(tasks_shadow, "shadow", tasks_shadow.shadow.with_options(timeout_seconds=3))
    began = time.monotonic()
    asking(batch_of(engine))
    assert time.monotonic() - began < 60
    (incident,) = engine.ledger.incidents()
    assert (incident.type, incident.name) == ("TaskRunTimeoutError", "shadow")
    assert [each.strategy for each in engine.ledger.shadows("sim", "5m")] == ["hold"]
