"""Every indicator against an independent library, talipp (pure Python, incremental), bar by bar on real bars, to 1e-9.

The two libraries start their recursive averages differently: TA-Lib begins MACD's fast average where the slow one can begin, ADX with
sums of thirteen values and ATR at the second bar; talipp begins each as early as it can. The difference fades by 13/14 (Wilder) or
25/27 (MACD) a bar and was below 1e-9 within 375 bars on every recorded file, so these are compared from bar 400 on; whatever starts
alike is compared from its first value. Where a window has no range talipp gives a number and ours is undefined: not compared.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from talipp.indicators import ADX, ATR, BB, EMA, MACD, RSI, Stoch
from talipp.ohlcv import OHLCV

from ffe.market import indicators
from ffe.market.indicators import Series

FADED = 400
TOLERANCE = 1e-9
Bars = tuple[Series, Series, Series]


def read(path: Path) -> Bars:
    """High, low and close; the mid of bid and ask where there is no trade."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    sides = ("",) if "open" in rows[0] else ("bid_", "ask_")
    high, low, close = (
        np.array([sum(float(row[side + name]) for side in sides) / len(sides) for row in rows])
        for name in ("high", "low", "close")
    )
    return high, low, close


def series(values: Iterable[float | None]) -> Series:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def candles(bars: Bars) -> list[OHLCV]:
    return [
        OHLCV(close, high, low, close, 0.0) for high, low, close in zip(*(each.tolist() for each in bars), strict=True)
    ]


def position(close: float, band: object) -> float | None:
    if band is None or band.ub == band.lb:
        return None
    return (close - band.lb) / (band.ub - band.lb)


def bands(bars: Bars) -> Series:
    closes = bars[2].tolist()
    return series(position(*pair) for pair in zip(closes, BB(20, 2, closes), strict=True))


def part(values: Sequence[object], name: str) -> Series:
    return series(None if value is None else getattr(value, name) for value in values)


# name: ours, theirs, the first bar that is compared
PAIRS: dict[str, tuple[Callable[[Bars], Series], Callable[[Bars], Series], int]] = {
    "RSI": (lambda bars: indicators.rsi_series(bars[2]), lambda bars: series(RSI(14, bars[2].tolist())), 14),
    "EMA": (lambda bars: indicators.ema_series(bars[2], 9), lambda bars: series(EMA(9, bars[2].tolist())), 8),
    "Bollinger": (lambda bars: indicators.bollinger_position_series(bars[2]), bands, 19),
    "stochastic": (
        lambda bars: indicators.stochastic_series(*bars),
        lambda bars: part(list(Stoch(14, 3, candles(bars))), "d"),
        17,
    ),
    "MACD": (
        lambda bars: indicators.macd_histogram_series(bars[2]),
        lambda bars: part(list(MACD(12, 26, 9, bars[2].tolist())), "histogram"),
        FADED,
    ),
    "ADX": (
        lambda bars: indicators.adx_series(*bars),
        lambda bars: part(list(ADX(14, 14, candles(bars))), "adx"),
        FADED,
    ),
    "ATR": (lambda bars: indicators.atr_series(*bars), lambda bars: series(ATR(14, candles(bars))), FADED),
}


@pytest.fixture(scope="module")
def long_bars(recorded_bars: Path) -> Bars:
    (path,) = (recorded_bars / "long").glob("*.csv")
    return read(path)


@pytest.mark.parametrize("name", PAIRS)
def test_an_indicator_agrees_with_an_independent_library_bar_by_bar(name: str, long_bars: Bars) -> None:
    ours, theirs, first = PAIRS[name]
    mine, other = ours(long_bars), theirs(long_bars)
    assert mine.size == other.size == 3000
    compared = np.isfinite(mine) & (np.arange(3000) >= first)
    assert compared.sum() >= 3000 - FADED - 50
    np.testing.assert_allclose(mine[compared], other[compared], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", [name for name, (_, _, first) in PAIRS.items() if first != FADED])
def test_an_indicator_whose_start_is_agreed_on_is_the_same_from_its_first_bar(name: str, recorded_bars: Path) -> None:
    ours, theirs, first = PAIRS[name]
    for path in sorted(recorded_bars.glob("*_1m_*_2018-04-04.csv")):
        bars = tuple(each[:400] for each in read(path))
        mine, other = ours(bars), theirs(bars)
        assert np.isnan(mine[:first]).all(), path.name
        compared = np.isfinite(mine)
        assert compared.sum() > 300, path.name
        np.testing.assert_allclose(mine[compared], other[compared], rtol=0, atol=TOLERANCE, err_msg=path.name)
