"""Bars from Coinbase Advanced Trade candles: at most 300 buckets a call, newest first, no `complete` flag.

The forming bucket is known only by its end, `start` + granularity, against the clock; the venue prints it like the others. A page is
turned round when it came newest first and otherwise left alone, so that a disordered feed is seen as one.
"""

from datetime import datetime
from typing import Any

import pyarrow as pa

from ffe.clock import Clock
from ffe.errors import PermanentSourceError
from ffe.market.models import Instrument, Timeframe
from ffe.sources.faults import source_errors
from ffe.sources.models import BAR_SCHEMA
from ffe.sources.rows import Row, bar_table, complete, epoch, field, number
from ffe.venues.clients import CoinbaseClient

# The specification says 350 and others met 300: the smaller one is right under both.
PAGE = 300
GRANULARITY = {
    Timeframe.M1: "ONE_MINUTE",
    Timeframe.M5: "FIVE_MINUTE",
    Timeframe.M15: "FIFTEEN_MINUTE",
    Timeframe.M30: "THIRTY_MINUTE",
    Timeframe.H1: "ONE_HOUR",
    Timeframe.H4: "FOUR_HOUR",
    Timeframe.D1: "ONE_DAY",
}


class CoinbaseSource:
    name = "coinbase"

    def __init__(self, client: CoinbaseClient, clock: Clock) -> None:
        self._client, self._clock = client, clock

    def close(self) -> None:
        self._client.close()

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        """Bars of `BAR_SCHEMA`; volume in base units. See `BarSource.fetch`."""
        now = self._clock.now()
        end = min(end, now)
        rows: list[Row] = []
        while start < end:
            until = min(end, timeframe.floor(start) + PAGE * timeframe.duration)
            page = self._page(instrument, timeframe, start, until)
            page = complete(self.name, page, timeframe, now, self._clock.now())
            rows += [row for row in page if start <= row["time"] < until]
            start = until
        return bar_table(rows, BAR_SCHEMA)

    def _page(self, instrument: Instrument, timeframe: Timeframe, start: datetime, until: datetime) -> list[Row]:
        """Buckets of [start, until), oldest first. One second is left off, so that an inclusive `end` does not add a bucket."""
        with source_errors(self.name, instrument, timeframe):
            reply = self._client.read(
                "get_candles",
                product_id=instrument.venue_symbol,
                start=str(int(start.timestamp())),
                end=str(int(until.timestamp()) - 1),
                granularity=GRANULARITY[timeframe],
            )
        candles = field(reply, "candles")
        if not isinstance(candles, list):
            raise PermanentSourceError(f"field 'candles' is {candles!r}, not a list")
        rows = [_row(candle) for candle in candles]
        newest_first = len(rows) > 1 and rows[0]["time"] > rows[-1]["time"]
        return rows[::-1] if newest_first else rows


def _row(candle: Any) -> Row:
    prices = {name: number(candle, name) for name in ("open", "high", "low", "close", "volume")}
    return {"time": epoch(candle, "start"), **prices}
