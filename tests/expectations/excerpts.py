"""Recorded bars as rows that a test may spoil, by the kind of file they come from."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffe.clock import parse_time
from ffe.market.models import AssetClass, Timeframe, parse_instrument
from ffe.market.resample import resample_table
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA, BarBatch

Rows = list[dict[str, Any]]
Spoil = Callable[[Rows], Rows]
FOLDER = Path(__file__).parents[1] / "data" / "bars"
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Excerpt:
    """`summed_to` makes longer bars of a file's."""

    symbol: str
    file: str
    timeframe: Timeframe = Timeframe.M1
    summed_to: Timeframe | None = None

    @property
    def bars(self) -> Timeframe:
        return self.summed_to or self.timeframe

    @property
    def forex(self) -> bool:
        return parse_instrument(self.symbol).asset_class is AssetClass.FOREX

    @property
    def quoted(self) -> bool:
        return "trades" not in self.file

    def rows(self) -> Rows:
        """Fresh dicts at every call."""
        return [dict(row) for row in _read(self)]


KINDS = {
    "Coinbase trades": Excerpt("BTCUSD", "BTC-USD_1m_trades_2018-04-04"),
    "Coinbase quotes": Excerpt("BTCUSD", "BTC-USD_1m_quotes_2018-04-04"),
    "OANDA": Excerpt("EURUSD", "EUR-USD_1m_bidask_2018-04-04"),
    "FXCM": Excerpt("GBPUSD", "GBP-USD_1m_bidask_2012-02-29"),
    "OANDA 5m": Excerpt("EURUSD", "EUR-USD_1m_bidask_2018-04-04", summed_to=Timeframe.M5),
    "Coinbase 5m": Excerpt("BTCUSD", "BTC-USD_1m_trades_2018-04-04", summed_to=Timeframe.M5),
    "Coinbase 15m": Excerpt("BTCUSD", "cases/BTC-USD_15m_trades_2017-09-03", Timeframe.M15),
    "FXCM 1h": Excerpt("GBPUSD", "cases/GBP-USD_1h_bidask_2012-02", Timeframe.H1),
    "OANDA 1h": Excerpt("EURUSD", "cases/EUR-USD_1h_bidask_referendum_2016-06-24", Timeframe.H1),
}
WEEKEND = Excerpt("EURUSD", "cases/EUR-USD_1m_bidask_weekend_2014-05-02")
CROSSED = Excerpt("GBPUSD", "cases/GBP-USD_1m_bidask_crossed_2012-02-14")
FRANC = Excerpt("EURUSD", "cases/EUR-USD_1h_bidask_franc_2015-01-15", Timeframe.H1)
HOLE = Excerpt("BTCUSD", "cases/BTC-USD_1m_trades_hole_2018-04-04")
LOST_WEEK = Excerpt("EURUSD", "cases/EUR-USD_1h_bidask_lost-week_2016-12", Timeframe.H1)
OF_OTHERS = {
    "BTCUSD": Excerpt("ETHUSD", "ETH-USD_1m_trades_2018-04-04"),
    "EURUSD": KINDS["FXCM"],
    "GBPUSD": KINDS["OANDA"],
}


@cache
def _read(excerpt: Excerpt) -> tuple[dict[str, Any], ...]:
    with (FOLDER / f"{excerpt.file}.csv").open() as file:
        rows = [_trade(row) if "open" in row else _quote(row) for row in csv.DictReader(file)]
    if excerpt.summed_to is not None:
        rows = resample_table(as_table(rows), excerpt.timeframe, excerpt.summed_to).to_pylist()
    return tuple(rows)


def _trade(row: dict[str, str]) -> dict[str, Any]:
    return {"time": parse_time(row["time"]), **{name: Decimal(row[name]) for name in (*PRICES, "volume")}}


def _quote(row: dict[str, str]) -> dict[str, Any]:
    mid = {name: (Decimal(row[f"bid_{name}"]) + Decimal(row[f"ask_{name}"])) / 2 for name in PRICES}
    closes = {name: Decimal(row[name]) for name in ("bid_close", "ask_close")}
    return {"time": parse_time(row["time"]), **mid, "volume": Decimal(1), **closes}


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


def closes_at(rows: Rows, timeframe: Timeframe) -> datetime:
    """Close of the newest bar."""
    newest: datetime = max(row["time"] for row in rows)
    return newest + timedelta(seconds=timeframe.seconds)
