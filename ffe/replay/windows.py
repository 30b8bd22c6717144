"""The same result cut up: walk-forward windows, months, and the kinds of market it was made in.

Regimes are labels for a report, made with the volatility of all bars in hand; no decision ever sees them. A return belongs to the regime in
which the position was already held, that of the bar before: else the violent regime would collect the large moves by definition.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe.replay.models import Bars, Codes, Floats, Ints
from ffe.replay.returns import DAY, check

Mask = npt.NDArray[np.bool_]

VOLATILITIES = ("calm", "violent")
TRENDS = ("falling", "sideways", "rising")
# By code: 0 calm falling, 1 calm sideways ... 5 violent rising.
REGIMES = tuple(f"{volatility} {trend}" for volatility in VOLATILITIES for trend in TRENDS)
UNKNOWN = -1
# The sum of a window's returns is a trend from one standard deviation of a random walk on: two walks of three show none.
_TREND = 1.0
# Moves below this, a ten-thousandth of a basis point, are rounding of running sums.
_NOISE = 1e-8


@dataclass(frozen=True)
class Window:
    """Rows to choose on, and the rows right after them to judge by."""

    train: slice
    test: slice


@dataclass(frozen=True)
class RegimeStats:
    """What was made in one kind of market. `bars`: moments; `share` of all. `pnl` USD, `return_` compounded; `market`: of holding.

    `trades` by the bar of their entry; `win_rate` and `expectancy` (USD) are None without any.
    """

    regime: str
    bars: int
    share: float
    return_: float
    market: float
    pnl: float
    trades: int
    win_rate: float | None
    expectancy: float | None


def walk_forward(times: Ints, train_days: float, test_days: float, *, anchored: bool = False) -> tuple[Window, ...]:
    """Windows over `times` (n), ascending epoch seconds: choose on `train_days`, judge on the `test_days` after them, go on by `test_days`.

    No row is judged twice. `anchored`: choose on everything before. Only whole windows, and only such that have rows in both parts (Pardo
    2008, The Evaluation and Optimization of Trading Strategies, chapter 11).

    Raises:
        ValueError: a length that is not positive.
    """
    if not (train_days > 0 and test_days > 0):
        raise ValueError(f"walk-forward needs positive lengths, got {train_days} and {test_days} days")
    if times.size < 2:
        return ()
    end = int(times[-1]) + int(np.min(np.diff(times)))
    found = []
    edge = float(times[0]) + train_days * DAY
    while edge + test_days * DAY <= end:
        first = 0 if anchored else _row(times, edge - train_days * DAY)
        middle, last = _row(times, edge), _row(times, edge + test_days * DAY)
        if first < middle < last:
            found.append(Window(slice(first, middle), slice(middle, last)))
        edge += test_days * DAY
    return tuple(found)


def monthly_returns(times: Ints, equity: Floats, capital: float | None = None) -> tuple[tuple[int, int, float], ...]:
    """(year, month, return) of each UTC month from the first to the last that has a bar; see `returns.returns_of` for arguments and errors."""
    check(times, equity, capital)
    start = float(equity[0]) if capital is None else capital
    months = (times - 1).astype("datetime64[s]").astype("datetime64[M]")
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    ends = equity[last]
    begins = np.concatenate(([start], ends[:-1]))
    made = np.where(begins > 0, ends / np.where(begins > 0, begins, 1.0) - 1.0, 0.0)
    moments = [datetime.fromtimestamp(int(moment) - 1, UTC) for moment in times[last]]
    return tuple((at.year, at.month, float(each)) for at, each in zip(moments, made, strict=True))


def regimes(bars: Bars, window: int | None = None) -> Codes:
    """For each bar (n) the kind of market it closes: index into REGIMES, -1 before `window` returns are known.

    Volatility is the standard deviation of the window's log returns, violent above the median of all windows. The trend is rising or falling
    when the window's log return is at least one standard deviation of a random walk of that volatility. `window`: bars; None: a day's, at
    least 20. A close that is not positive repeats the one before.
    """
    size = max(20, DAY // bars.timeframe.seconds) if window is None else window
    codes: Codes = np.full(len(bars), UNKNOWN, dtype=np.int8)
    if len(bars) <= size:
        return codes
    returns = np.diff(np.log(_positive(bars.close)))
    move, deviation = _rolling(returns, size)
    violent = deviation > np.median(deviation)
    limit = _TREND * deviation * np.sqrt(size)
    trend = np.where(np.abs(move) >= np.maximum(limit, _NOISE), np.sign(move), 0.0)
    codes[size:] = (violent * len(TRENDS) + trend + 1).astype(np.int8)
    return codes


def by_regime(
    bars: Bars,
    times: Ints,
    equity: Floats,
    trades: pa.Table,
    *,
    capital: float | None = None,
    window: int | None = None,
) -> tuple[RegimeStats, ...]:
    """What was made in each regime of `bars` that occurs, in the order of REGIMES, what came before any is known last (`warm-up`).

    `times`, `equity` (T): as `statistics.describe`; the timeline may be shared with other instruments. `trades`: of these bars. The profits
    of all rows add up to that of the whole.

    Raises:
        ValueError: as `returns.returns_of`.
    """
    check(times, equity, capital)
    codes = regimes(bars, window)
    curve = np.concatenate(([float(equity[0]) if capital is None else capital], equity))
    closed = np.searchsorted(bars.closes_at, times, side="right") - 1
    before = np.concatenate(([-1], closed[:-1]))
    held = _at(codes, before)
    prices = _positive(bars.close)
    market = prices[np.maximum(closed, 0)] / prices[np.maximum(before, 0)]
    entries = np.asarray(trades.column("entry_bar").to_numpy(), dtype=np.int64)
    pnl = np.asarray(trades.column("pnl").to_numpy(), dtype=np.float64)
    at_entry = _at(codes, entries)
    return tuple(
        _regime(code, held == code, curve, market, pnl[at_entry == code])
        for code in (*range(len(REGIMES)), UNKNOWN)
        if bool((held == code).any()) or bool((at_entry == code).any())
    )


def _regime(code: int, mask: Mask, curve: Floats, market: Floats, pnl: Floats) -> RegimeStats:
    before, after = curve[:-1][mask], curve[1:][mask]
    growth = np.where(before > 0, after / np.where(before > 0, before, 1.0), 1.0)
    return RegimeStats(
        regime="warm-up" if code == UNKNOWN else REGIMES[code],
        bars=int(mask.sum()),
        share=float(mask.mean()),
        return_=float(np.prod(growth) - 1.0),
        market=float(np.prod(market[mask]) - 1.0),
        pnl=float(np.sum(after - before)),
        trades=int(pnl.size),
        win_rate=float(np.mean(pnl > 0)) if pnl.size else None,
        expectancy=float(np.mean(pnl)) if pnl.size else None,
    )


def _at(codes: Codes, rows: Ints) -> Codes:
    known = (rows >= 0) & (rows < codes.size)
    return np.where(known, codes[np.where(known, rows, 0)], UNKNOWN).astype(np.int8)


def _rolling(returns: Floats, size: int) -> tuple[Floats, Floats]:
    """Sum and standard deviation of each `size` returns in a row, from running sums."""
    total = np.concatenate(([0.0], np.cumsum(returns)))
    squares = np.concatenate(([0.0], np.cumsum(returns**2)))
    move = total[size:] - total[:-size]
    variance = (squares[size:] - squares[:-size] - move**2 / size) / (size - 1)
    return move, np.sqrt(np.maximum(variance, 0.0))


def _positive(closes: Floats) -> Floats:
    good = closes > 0
    if bool(good.all()):
        return closes
    newest = np.maximum.accumulate(np.where(good, np.arange(closes.size), 0))
    return np.where(good[newest], closes[newest], 1.0)


def _row(times: Ints, moment: float) -> int:
    return int(np.searchsorted(times, moment, side="left"))
