"""The market of a folder of recorded bars, moved so that a chosen moment is now.

Files are named like `BTC-USD_1m_trades_2018-04.csv`. A symbol's shape (which files make its bars) is `simulator.series`; the moment and the
moves are `simulator.retime`. Hour files serve only where there are no minutes: they are never split into minutes, they only fill
the hours without any in bars of an hour and more.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from ffe.clock import rfc3339
from ffe.errors import ConfigurationError, UnknownNameError
from ffe.market.models import INSTRUMENTS, AssetClass
from simulator.columns import Columns, concat, epoch, feed_end, moment_of, window
from simulator.csvfile import read_table
from simulator.hours import HOUR, forex_open
from simulator.market import SimBar, SimQuote
from simulator.retime import default_moment, shift_weeks
from simulator.series import Series, build_series


class RecordedMarket:
    """Implements `simulator.market.Market` over `*.csv` in `folder`. `at` is the moment to be now; by default the best covered one.

    With `stale_minutes` every feed ends that many minutes before `start()`.

    Raises:
        ConfigurationError: no such folder, or no CSV file in it.
        CorruptFileError: a file that is not whole and strictly right; nothing is loaded then.
        ValueError: a negative `stale_minutes`, or an `at` without an offset.
    """

    def __init__(self, folder: Path, at: datetime | None = None, stale_minutes: int = 0) -> None:
        if at is not None and at.tzinfo is None:
            raise ValueError(f"{at} has no UTC offset")
        paths = sorted(folder.glob("*.csv"))
        if not paths:
            raise ConfigurationError(f"{folder}: no bar files (*.csv) there")
        minutes, hours = build_series([read_table(path) for path in paths])
        self._key = _key(paths, at)
        self._symbols = tuple(sorted({*minutes, *hours}))
        self._start = at if at is not None else _default_start(minutes, hours)
        weeks = {symbol: _weeks(symbol, series, self._start) for symbol, series in minutes.items()}
        end = feed_end(self._start, stale_minutes)
        self._minutes = {symbol: _placed(series, weeks[symbol], end) for symbol, series in minutes.items()}
        self._hours = {symbol: _placed(series, weeks.get(symbol, 0), end) for symbol, series in hours.items()}

    @property
    def key(self) -> str:
        return self._key

    def symbols(self) -> Sequence[str]:
        return self._symbols

    def start(self) -> datetime:
        return self._start

    def bars(self, symbol: str, seconds: int, start: datetime, end: datetime) -> list[SimBar]:
        """See `Market.bars`. Raises UnknownNameError for a symbol that is not in `symbols()`."""
        self._check(symbol)
        first, last = window(seconds, start, end)
        parts = [self._minutes[symbol].bars.between(first, last)] if symbol in self._minutes else []
        if seconds % HOUR == 0 and symbol in self._hours:
            parts = _with_hours(parts, self._hours[symbol].bars.between(first, last))
        return concat(parts).bucket(seconds).records() if parts else []

    def quote(self, symbol: str, at: datetime) -> SimQuote | None:
        self._check(symbol)
        is_open = not _is_forex(symbol) or bool(forex_open(np.array([epoch(at)]))[0])
        series = self._minutes.get(symbol) or self._hours[symbol]
        return series.tops.quote(at, series.seconds, is_open=is_open)

    def _check(self, symbol: str) -> None:
        if symbol not in self._symbols:
            raise UnknownNameError("symbol", symbol, self._symbols)


def _is_forex(symbol: str) -> bool:
    return INSTRUMENTS[symbol].asset_class is AssetClass.FOREX


def _default_start(minutes: dict[str, Series], hours: dict[str, Series]) -> datetime:
    chosen = minutes or hours
    seconds = next(iter(chosen.values())).seconds
    return moment_of(default_moment({symbol: series.bars.times for symbol, series in chosen.items()}, seconds))


def _weeks(symbol: str, series: Series, at: datetime) -> int:
    return shift_weeks(series.bars.times, epoch(at), forex=_is_forex(symbol))


def _placed(series: Series, weeks: int, end: int | None) -> Series:
    moved = series.moved(weeks)
    return moved if end is None else moved.until(end)


def _with_hours(minutes: list[Columns], hours: Columns) -> list[Columns]:
    """Whole hours: those with minutes built from them, the others as recorded."""
    built = [part.bucket(HOUR) for part in minutes]
    taken = np.concatenate([part.times for part in built]) if built else np.array([], dtype=np.int64)
    joined = concat([*built, hours.rows(np.flatnonzero(~np.isin(hours.times, taken)))])
    return [joined.rows(np.argsort(joined.times, kind="stable"))]


def _key(paths: list[Path], at: datetime | None) -> str:
    digest = hashlib.sha256(b"" if at is None else rfc3339(at).encode())
    for path in paths:
        lines = path.read_bytes().rstrip(b"\n").split(b"\n")
        digest.update(b"\n".join((path.name.encode(), str(path.stat().st_size).encode(), lines[0], lines[-1])))
    return f"bars-{digest.hexdigest()[:8]}"
