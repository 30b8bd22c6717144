"""Bars from OANDA's candles endpoint: mid OHLC with the bid and ask closes, complete candles only.

Pages go by `from` and `count`: OANDA refuses `from`, `to` and `count` together and a `to` in the future. Daily and 4-hour candles are
asked for aligned to midnight UTC; OANDA's own default is 17:00 New York. A period without a tick has no candle.
"""

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from oandapyV20.endpoints.instruments import InstrumentsCandles

from ffe.clock import Clock, rfc3339
from ffe.errors import PermanentSourceError
from ffe.market.models import Instrument, Timeframe
from ffe.sources.faults import source_errors
from ffe.sources.models import QUOTED_BAR_SCHEMA
from ffe.sources.rows import Row, bar_table, complete, field, moment, number
from ffe.venues.clients import OandaClient

PAGE = 5000
GRANULARITY = {
    Timeframe.M1: "M1",
    Timeframe.M5: "M5",
    Timeframe.M15: "M15",
    Timeframe.M30: "M30",
    Timeframe.H1: "H1",
    Timeframe.H4: "H4",
    Timeframe.D1: "D",
}


class OandaSource:
    name = "oanda"

    def __init__(self, client: OandaClient, clock: Clock) -> None:
        self._client, self._clock = client, clock

    def close(self) -> None:
        self._client.close()

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        """Bars of `QUOTED_BAR_SCHEMA`; `volume` is OANDA's number of ticks. See `BarSource.fetch`."""
        now = self._clock.now()
        begin, end = start, min(end, now)
        rows: list[Row] = []
        while begin < end:
            count = min(PAGE, (end - begin) // timeframe.duration + 1)
            candles = self._page(instrument, timeframe, begin, count)
            rows += [_row(candle) for candle in candles if field(candle, "complete") is True]
            if len(candles) < count:
                break
            begin = _after(candles, begin, timeframe.duration)
        rows = complete(self.name, rows, timeframe, now, self._clock.now())
        return bar_table([row for row in rows if start <= row["time"] < end], QUOTED_BAR_SCHEMA)

    def _page(self, instrument: Instrument, timeframe: Timeframe, start: datetime, count: int) -> list[Any]:
        params = {
            "granularity": GRANULARITY[timeframe],
            "price": "MBA",
            "from": rfc3339(start),
            "count": str(count),
            "dailyAlignment": "0",
            "alignmentTimezone": "UTC",
        }
        with source_errors(self.name, instrument, timeframe):
            reply = self._client.read(InstrumentsCandles(instrument=instrument.venue_symbol, params=params))
        candles = field(reply, "candles")
        if not isinstance(candles, list):
            raise PermanentSourceError(f"field 'candles' is {candles!r}, not a list")
        return candles


def _row(candle: Any) -> Row:
    return {
        "time": moment(candle, "time"),
        "open": number(candle, "mid", "o"),
        "high": number(candle, "mid", "h"),
        "low": number(candle, "mid", "l"),
        "close": number(candle, "mid", "c"),
        "volume": number(candle, "volume"),
        "bid_close": number(candle, "bid", "c"),
        "ask_close": number(candle, "ask", "c"),
    }


def _after(candles: list[Any], start: datetime, step: timedelta) -> datetime:
    """Where the next page begins; a page that does not get past `start` would be asked for without end."""
    newest = moment(candles[-1], "time")
    if newest < start:
        raise PermanentSourceError(f"a page of candles from {rfc3339(start)} ends before that, at {rfc3339(newest)}")
    return newest + step
