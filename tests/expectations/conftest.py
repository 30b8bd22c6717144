"""Real recorded bars as tables, and the validation of rows that a test has spoilt."""

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations.validate import validate_bars, warm
from ffe.clock import parse_time
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import QualityReport
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA, BarBatch

Rows = list[dict[str, Any]]
FILES = {
    "BTCUSD": "BTC-USD_1m_trades_2018-04-04.csv",
    "ETHUSD": "ETH-USD_1m_trades_2018-04-04.csv",
    "EURUSD": "EUR-USD_1m_bidask_2018-04-04.csv",
    "GBPUSD": "GBP-USD_1m_bidask_2012-02-29.csv",
}
PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="session", autouse=True)
def warmed() -> None:
    warm()


def _trade(row: dict[str, str]) -> dict[str, Any]:
    return {"time": parse_time(row["time"]), **{name: Decimal(row[name]) for name in (*PRICES, "volume")}}


def _quote(row: dict[str, str]) -> dict[str, Any]:
    mid = {name: (Decimal(row[f"bid_{name}"]) + Decimal(row[f"ask_{name}"])) / 2 for name in PRICES}
    closes = {name: Decimal(row[name]) for name in ("bid_close", "ask_close")}
    return {"time": parse_time(row["time"]), **mid, "volume": Decimal(1), **closes}


@pytest.fixture(scope="session")
def real_rows(recorded_bars: Path) -> Callable[[str], Rows]:
    """`real_rows("EURUSD")`: the recorded 1m bars, fresh dicts at every call."""
    loaded = {}
    for symbol, name in FILES.items():
        with (recorded_bars / name).open() as file:
            loaded[symbol] = [_trade(row) if "open" in row else _quote(row) for row in csv.DictReader(file)]
    return lambda symbol: [dict(row) for row in loaded[symbol]]


def as_table(rows: Rows) -> pa.Table:
    schema = QUOTED_BAR_SCHEMA if rows and "bid_close" in rows[0] else BAR_SCHEMA
    return pa.Table.from_pylist(rows, schema=schema)


def batch_of(symbol: str, timeframe: Timeframe, first: datetime, last: datetime, rows: int) -> BarBatch:
    return BarBatch(
        id="0" * 64,
        instrument=parse_instrument(symbol),
        timeframe=timeframe,
        source="recorded",
        path="bars/batches/00/0.parquet",
        rows=rows,
        first_open=first,
        last_open=last,
        fetched_at=last + timeframe.duration,
    )


@pytest.fixture(scope="session")
def validate() -> Callable[..., QualityReport]:
    """`validate(symbol, rows_or_table, timeframe=1m, now=close of the newest clean bar)`."""

    def run(
        symbol: str, bars: Rows | pa.Table, now: datetime | None = None, timeframe: Timeframe = Timeframe.M1
    ) -> QualityReport:
        table = as_table(bars) if isinstance(bars, list) else bars
        moment = now if now is not None else max(row["time"] for row in bars) + timeframe.duration
        batch = batch_of(symbol, timeframe, moment - timedelta(days=1), moment - timeframe.duration, table.num_rows)
        return validate_bars(table, batch, moment)

    return run
