"""The live gates over a whole history at once: what they would say at each bar's close, on the bars that a cycle would have seen.

Great Expectations takes milliseconds for one window, and a replay has a million. So every critical rule of the suite is counted here with
running sums over all bars, and each window reads its share; a test holds this against the real suite. Warnings stop no trade and are
not looked for. Other sources do not exist in replay, so nothing is cross-checked. A bar without a printed volume counts as traded (as in
`ffe.replay.bars.to_table`), and quotes are judged where the live bars carry them: forex bars of both sides.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

from expectations import activity, families, history_gaps, history_series, rules, schedule
from expectations.history_windows import Mask, Windows
from ffe.market.calendar import Calendar
from ffe.market.freshness import check_freshness
from ffe.market.models import AssetClass, Timeframe
from ffe.replay.bars import window_starts
from ffe.replay.models import CLOSE, HIGH, LOW, OPEN, Bars, Codes, Floats, Gate
from ffe.settings import Settings

# How long after a bar's close a live cycle looks at it.
LAG_SECONDS = 20.0
_MINUTE = 60


def gates(
    bars: Bars, calendar: Calendar, lookback: int, settings: Settings, *, lag_seconds: float = LAG_SECONDS
) -> Codes:
    """A `Gate` for each bar: closed market, stale, then fewer than 60 bars so far, then any critical rule broken. (n)

    `lookback` as the live `lookback_bars`: where bars are missing the window holds fewer (`ffe.replay.bars.window_starts`).
    """
    codes = np.full(len(bars), Gate.PASSED, dtype=np.int8)
    if not len(bars):
        return codes
    windows = Windows(window_starts(bars, calendar, lookback, lag_seconds), np.arange(len(bars)))
    codes[broken(bars, calendar, windows)] = Gate.CONTRACT
    codes[: rules.ENOUGH_BARS - 1] = Gate.WARM_UP
    codes[_stale(bars, calendar, settings, lag_seconds)] = Gate.STALE
    codes[~_open_at(bars, calendar, lag_seconds)] = Gate.MARKET_HOURS
    return codes


def broken(bars: Bars, calendar: Calendar, windows: Windows) -> Mask:
    """Windows in which a critical rule of the suite does not hold. (k)"""
    bad = (windows.sizes < rules.ENOUGH_BARS) | windows.any(_wrong_rows(bars))
    bad |= _crossed(bars, windows) | _dead(bars, windows) | _out_of_hours(bars, calendar, windows)
    bad |= history_gaps.serious(bars, calendar, windows)
    bad |= history_series.frozen(bars, windows) | history_series.invented(bars, windows)
    # The last two want windows of enough bars with nothing but prices in them.
    limits = families.LIMITS[families.family_of(bars.timeframe).name, bars.instrument.asset_class]
    for rule in (history_series.coarse, history_series.bad_ticks):
        left = np.flatnonzero(~bad)
        bad[left] = rule(bars, windows.chosen(left), limits)
    return np.asarray(bad)


def _open_at(bars: Bars, calendar: Calendar, lag_seconds: float) -> Mask:
    """Whether the market is open when each bar is decided on: sessions begin and end on whole minutes."""
    minutes = ((bars.closes_at + lag_seconds) // _MINUTE * _MINUTE).astype(np.int64)
    return calendar.opened(Timeframe.M1, (minutes * 1_000_000).astype("datetime64[us]"))


def _stale(bars: Bars, calendar: Calendar, settings: Settings, lag_seconds: float) -> Mask:
    """The newest bar closed `lag_seconds` ago: only a limit below that can make it stale."""
    limit = settings.freshness.limit_seconds(bars.timeframe)
    if limit is None or lag_seconds <= limit:
        return np.zeros(len(bars), dtype=np.bool_)
    lag = timedelta(seconds=lag_seconds)
    closes = [datetime.fromtimestamp(moment, UTC) for moment in bars.closes_at.tolist()]
    return np.array(
        [not check_freshness(at, bars.timeframe, at + lag, calendar, settings.freshness).fresh for at in closes]
    )


def _quoted(bars: Bars) -> bool:
    return bars.quoted and bars.instrument.asset_class is AssetClass.FOREX


def _wrong_rows(bars: Bars) -> Mask:
    """Rows that break `whole`, `aligned`, `positive`, `consistent` or `quoted` by themselves."""
    first, high, low, last = (bars.mid[:, part] for part in (OPEN, HIGH, LOW, CLOSE))
    good = (low <= np.minimum(first, last)) & (np.maximum(first, last) <= high)
    good &= (bars.mid > 0).all(axis=1) & np.isfinite(bars.mid).all(axis=1)
    good &= bars.times % bars.timeframe.seconds == 0
    good &= ~np.isinf(bars.volume) & ~(bars.volume < 0)
    if _quoted(bars):
        good &= _good_quotes(bars.bid[:, CLOSE], bars.ask[:, CLOSE], last)
    return np.asarray(~good)


def _good_quotes(bid: Floats, ask: Floats, close: Floats) -> Mask:
    """`rules.positive`, `rules.whole` and `rules.quoted` of the closes."""
    room = rules.QUOTE_SLACK * np.abs(close)
    between = (close >= np.minimum(bid, ask) - room) & (close <= np.maximum(bid, ask) + room)
    near = np.abs(ask - bid) <= rules.WIDEST_SPREAD * np.abs(close)
    return np.asarray((bid > 0) & (ask > 0) & np.isfinite(bid) & np.isfinite(ask) & between & near)


def _crossed(bars: Bars, windows: Windows) -> Mask:
    """`rules.tradable`."""
    if not _quoted(bars):
        return np.zeros(windows.last.size, dtype=np.bool_)
    crossed = bars.bid[:, CLOSE] > bars.ask[:, CLOSE]
    return np.asarray(crossed[windows.last] | (windows.count(crossed) > rules.CROSSED_SHARE * windows.sizes))


def _dead(bars: Bars, windows: Windows) -> Mask:
    """`activity.traded` with its critical limit."""
    return np.asarray(windows.count(bars.volume == 0) / windows.sizes > activity.DEAD_SHARE)


def _out_of_hours(bars: Bars, calendar: Calendar, windows: Windows) -> Mask:
    """`schedule.in_hours` with its critical limit."""
    closed = ~calendar.opened(bars.timeframe, (bars.times * 1_000_000).astype("datetime64[us]"))
    return np.asarray(windows.count(closed) * bars.timeframe.seconds > schedule.CLOSED_MINUTES * 60)
