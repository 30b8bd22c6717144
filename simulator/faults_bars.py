"""Flaws in bars, put into a candle reply of any of the three feeds: what a quality gate must catch before a model sees it.

A feed's reply becomes a list of bars, oldest first, gets its flaw, and goes back in that feed's own shape and order. A flaw of one bar sits
in the middle of the reply, because the newest bar may be the running one, which readers drop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ffe.clock import parse_time
from simulator.faults_exchange import Options, Request
from simulator.oanda_log import stamp

Row = dict[str, Any]
SIDES = ("mid", "bid", "ask")


@dataclass(frozen=True)
class Bar:
    """`row` is the bar in the feed's own words; its time stands beside it and is written in on the way back."""

    time: datetime
    row: Row


Bars = list[Bar]


@dataclass(frozen=True)
class Feed:
    """The shape of one feed: how to take bars out of a body and put them back, and its two flaws inside a row."""

    read: Callable[[Row], Bars]
    write: Callable[[Row, Sequence[Bar]], Row]
    crossed: Callable[[Row], Row]
    nan: Callable[[Row], Row]


Flaw = Callable[[Bars, Options, Feed], Bars]


def flawed(flaw: Flaw) -> Callable[[Any, Request, Options], Any]:
    """The change of a whole reply that puts `flaw` into its bars; a reply without bars stays as it is."""

    def change(body: Any, request: Request, options: Options) -> Any:
        feed = FEEDS[request.venue]
        bars = feed.read(body)
        return feed.write(body, flaw(bars, options, feed)) if bars else body

    return change


def stale(bars: Bars, options: Options, _feed: Feed) -> Bars:
    """The newest `minutes` are not there."""
    newest = bars[-1].time - timedelta(minutes=options["minutes"])
    return [bar for bar in bars if bar.time <= newest]


def missing(bars: Bars, options: Options, _feed: Feed) -> Bars:
    middle = len(bars) // 2
    return bars[:middle] + bars[middle + options["bars"] :]


def duplicate(bars: Bars, _options: Options, _feed: Feed) -> Bars:
    """One bar twice. Alpha Vantage's reply is an object by time and cannot hold one."""
    middle = len(bars) // 2
    return bars[: middle + 1] + bars[middle:]


def unordered(bars: Bars, _options: Options, _feed: Feed) -> Bars:
    """Two neighbours change places."""
    middle = len(bars) // 2
    return [*bars[: middle - 1], *reversed(bars[middle - 1 : middle + 1]), *bars[middle + 1 :]] if middle else bars


def crossed(bars: Bars, _options: Options, feed: Feed) -> Bars:
    return _with_middle(bars, feed.crossed)


def nan(bars: Bars, _options: Options, feed: Feed) -> Bars:
    return _with_middle(bars, feed.nan)


def future(bars: Bars, options: Options, _feed: Feed) -> Bars:
    """A complete bar that opens `minutes` after the newest one."""
    ahead = bars[-1].time + timedelta(minutes=options["minutes"])
    return [*bars, replace(bars[len(bars) // 2], time=ahead)]


def _with_middle(bars: Bars, change: Callable[[Row], Row]) -> Bars:
    middle = len(bars) // 2
    return [*bars[:middle], replace(bars[middle], row=change(bars[middle].row)), *bars[middle + 1 :]]


def _swapped(row: Row, one: str, other: str) -> Row:
    return {**row, one: row[other], other: row[one]}


def _oanda_read(body: Row) -> Bars:
    return [Bar(_oanda_time(row["time"]), row) for row in body.get("candles", [])]


def _oanda_time(text: str) -> datetime:
    return parse_time(text) if "T" in text else datetime.fromtimestamp(float(text), UTC)


def _oanda_write(body: Row, bars: Sequence[Bar]) -> Row:
    def row(bar: Bar) -> Row:
        unix = "T" not in bar.row["time"]
        return {**bar.row, "time": f"{int(bar.time.timestamp())}.000000000" if unix else stamp(bar.time)}

    return {**body, "candles": [row(bar) for bar in bars]}


def _oanda_crossed(row: Row) -> Row:
    """Bid above ask where the reply has both; else a high below its low."""
    if "bid" in row and "ask" in row:
        return _swapped(row, "bid", "ask")
    return {**row, **{side: _swapped(row[side], "h", "l") for side in SIDES if side in row}}


def _oanda_nan(row: Row) -> Row:
    return {**row, **{side: {**row[side], "c": "NaN"} for side in SIDES if side in row}}


def _coinbase_read(body: Row) -> Bars:
    rows = body.get("candles", [])
    return [Bar(datetime.fromtimestamp(int(row["start"]), UTC), row) for row in reversed(rows)]


def _coinbase_write(body: Row, bars: Sequence[Bar]) -> Row:
    rows = [{**bar.row, "start": str(int(bar.time.timestamp()))} for bar in reversed(bars)]
    return {**body, "candles": rows}


def _series(body: Row) -> str:
    return next((name for name in body if name.startswith("Time Series")), "")


def _alpha_read(body: Row) -> Bars:
    """Times are the keys, newest first."""
    rows = body.get(_series(body), {})
    return [Bar(datetime.fromisoformat(text).replace(tzinfo=UTC), row) for text, row in reversed(rows.items())]


def _alpha_write(body: Row, bars: Sequence[Bar]) -> Row:
    name = _series(body)
    shape = "%Y-%m-%d %H:%M:%S" if all(" " in text for text in body[name]) else "%Y-%m-%d"
    return {**body, name: {bar.time.strftime(shape): bar.row for bar in reversed(bars)}}


FEEDS = {
    "oanda": Feed(_oanda_read, _oanda_write, _oanda_crossed, _oanda_nan),
    "coinbase": Feed(
        _coinbase_read,
        _coinbase_write,
        lambda row: _swapped(row, "high", "low"),
        lambda row: {**row, "close": "NaN"},
    ),
    "alpha_vantage": Feed(
        _alpha_read,
        _alpha_write,
        lambda row: _swapped(row, "2. high", "3. low"),
        lambda row: {**row, "4. close": "NaN"},
    ),
}
