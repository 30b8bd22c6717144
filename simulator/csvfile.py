"""One recorded bar file, read strictly: a row that is not exactly what the header promises is refused by file and line.

The whole file is checked with one regular expression a line and converted to integer columns, so a wrong row is found before anything
is used and prices stay exact. What a row says is not judged here: a crossed or inconsistent bar is the data's own flaw, for the engine to meet.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ffe.errors import CorruptFileError, UnknownNameError
from ffe.market.models import parse_instrument
from simulator.hours import Ints

VOLUME_PLACES = 8  # further digits of a volume are float noise and are cut
_OHLC = ("open", "high", "low", "close")
_BID, _ASK = (tuple(f"{side}_{part}" for part in _OHLC) for side in ("bid", "ask"))
_COLUMNS = {
    "trades": ("time", *_OHLC, "volume"),
    "quotes": ("time", *_BID, "bid_size", *_ASK, "ask_size"),
    "bidask": ("time", *_BID, *_ASK),
}
_QUANTITIES = frozenset({"volume", "bid_size", "ask_size"})
_SECONDS = {"1m": 60, "1h": 3600}

_NAME = re.compile(r"(?P<pair>[A-Z]+-[A-Z]+)_(?P<step>1m|1h)_(?P<kind>trades|quotes|bidask)(_[^/]*)?\.csv")
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|\+00:00)"
_PRICE = r"[0-9]{1,9}(?:\.[0-9]{1,8})?"
_QUANTITY = r"[0-9]{1,9}(?:\.[0-9]{1,20})?"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A file's rows. `prices` has shape (n, 4) for trades (open, high, low, close), (n, 8) otherwise (bid, then ask), in 10**-places.
    `volume` counts 10**-VOLUME_PLACES and is None where the file has none."""

    path: Path
    symbol: str
    kind: str
    seconds: int
    times: Ints
    prices: Ints
    places: int
    volume: Ints | None


def read_table(path: Path) -> Table:
    """Raises CorruptFileError: a name, header or row that does not fit, with file, line and what is wrong."""
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise CorruptFileError(
            f"{path}: not a bar file name; expected like BTC-USD_1m_trades_2018-04.csv (trades, quotes or bidask; 1m or 1h)"
        )
    columns, seconds = _COLUMNS[name["kind"]], _SECONDS[name["step"]]
    rows = _rows(path, columns)
    times = _times(path, rows[0], seconds)
    cells = [column for title, column in zip(columns[1:], rows[1:], strict=True) if title not in _QUANTITIES]
    places = max(_places(column) for column in cells)
    prices = np.column_stack([_counts(column, places) for column in cells])
    for row, column in np.argwhere(prices <= 0).tolist():
        raise _corrupt(path, row, f"a price is zero: {cells[column][row]}")
    volume = _counts(rows[-1], VOLUME_PLACES) if "volume" in columns else None
    return Table(path, _symbol(path, name["pair"]), name["kind"], seconds, times, prices, places, volume)


def _symbol(path: Path, pair: str) -> str:
    try:
        return parse_instrument(pair).symbol
    except UnknownNameError as error:
        raise CorruptFileError(f"{path}: {error}") from error


def _rows(path: Path, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The columns of the file as text, after every line was checked."""
    header, *lines = _lines(path)
    if header != ",".join(columns):
        raise CorruptFileError(f"{path}, line 1: header is {header!r}, expected {','.join(columns)!r}")
    fits = re.compile(",".join(_pattern(title) for title in columns)).fullmatch
    for row, line in enumerate(lines):
        if fits(line) is None:
            raise _corrupt(path, row, _fault(line, columns))
    if not lines:
        raise CorruptFileError(f"{path}: no rows after the header")
    return list(zip(*(line.split(",") for line in lines), strict=True))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CorruptFileError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from error
    return text.removesuffix("\n").split("\n")


def _pattern(title: str) -> str:
    if title == "time":
        return _TIME
    return _QUANTITY if title in _QUANTITIES else _PRICE


def _fault(line: str, columns: tuple[str, ...]) -> str:
    cells = line.split(",")
    if len(cells) != len(columns):
        return f"{len(cells)} columns, expected {len(columns)}: {line[:120]!r}"
    title, cell = next(
        (title, cell) for title, cell in zip(columns, cells, strict=True) if not re.fullmatch(_pattern(title), cell)
    )
    wanted = "an RFC 3339 time in UTC" if title == "time" else "a plain decimal number in range"
    return f"{title} {cell[:60]!r} is not {wanted}"


def _times(path: Path, cells: Sequence[str], seconds: int) -> Ints:
    """Epoch seconds; every one a real date, on the file's own grid, later than the one before."""
    texts = [cell[:19] for cell in cells]
    try:
        times: Ints = np.array(texts, dtype="datetime64[s]").astype(np.int64)
    except ValueError:
        row = next(row for row, text in enumerate(texts) if not _is_date(text))
        raise _corrupt(path, row, f"time {cells[row]!r} is not a date") from None
    for late in np.flatnonzero(times % seconds).tolist():
        raise _corrupt(path, late, f"time {cells[late]} is not on a whole {seconds} s")
    for early in (np.flatnonzero(np.diff(times) <= 0) + 1).tolist():
        raise _corrupt(path, early, f"time {cells[early]} is not later than {cells[early - 1]}")
    return times


def _is_date(text: str) -> bool:
    try:
        np.datetime64(text, "s")
    except ValueError:
        return False
    return True


def _places(cells: Sequence[str]) -> int:
    return max(len(cell.partition(".")[2]) for cell in cells)


def _counts(cells: Sequence[str], places: int) -> Ints:
    """Plain decimal texts as whole numbers of 10**-places."""
    parts = (cell.partition(".") for cell in cells)
    return np.array([int(whole + rest.ljust(places, "0")[:places]) for whole, _, rest in parts], dtype=np.int64)


def _corrupt(path: Path, row: int, what: str) -> CorruptFileError:
    return CorruptFileError(f"{path}, line {row + 2}: {what}")
