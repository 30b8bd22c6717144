"""Recorded bars of a folder of CSV files as tables: trades as they are, quotes and bid/ask bars as mids with both closes.

A file is `<BASE>-<QUOTE>_<timeframe>_<kind>_<period>.csv`; times are RFC 3339, bar start.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffe.clock import parse_time
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA, BarBatch

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Recording:
    name: str
    instrument: Instrument
    timeframe: Timeframe
    table: pa.Table


def recordings(folder: Path) -> Iterator[Recording]:
    for path in sorted(folder.glob("*.csv")):
        symbol, timeframe, *_ = path.stem.split("_")
        with path.open() as file:
            rows = [_row(row) for row in csv.DictReader(file)]
        schema = QUOTED_BAR_SCHEMA if "bid_close" in rows[0] else BAR_SCHEMA
        table = pa.Table.from_pylist(rows, schema=schema)
        yield Recording(path.stem, parse_instrument(symbol), Timeframe(timeframe), table)


def batch_of(instrument: Instrument, timeframe: Timeframe, table: pa.Table) -> BarBatch:
    first, last = (table.column("time")[index].as_py() for index in (0, -1))
    return BarBatch(
        id="recorded",
        instrument=instrument,
        timeframe=timeframe,
        source="recorded",
        path="",
        rows=table.num_rows,
        first_open=_utc(first),
        last_open=_utc(last),
        fetched_at=_utc(last) + timeframe.duration,
    )


def _utc(moment: datetime) -> datetime:
    return parse_time(moment.isoformat())


def _row(row: dict[str, str]) -> dict[str, Any]:
    time = {"time": parse_time(row["time"])}
    if "open" in row:
        return {**time, **{name: Decimal(row[name]) for name in (*PRICES, "volume")}}
    mids = {name: (Decimal(row[f"bid_{name}"]) + Decimal(row[f"ask_{name}"])) / 2 for name in PRICES}
    # A file of quotes tells no volume; the number says that there was one.
    closes = {name: Decimal(row[name]) for name in ("bid_close", "ask_close")}
    return {**time, **mids, "volume": Decimal(1), **closes}
