"""Bars of CSV files, fast: Arrow parses the columns, and only a file that it refuses is read again to name the line.

Times are RFC 3339 with an offset, bar open. Columns may come in any order, and others may stand between them; a byte order mark is
skipped, here as by Arrow.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from ffe.clock import parse_time
from ffe.errors import ConfigurationError, CorruptFileError
from ffe.market.models import Instrument, Timeframe
from ffe.replay.models import Floats, Ints
from ffe.replay.pieces import Kind, Piece, piece_of_kind

_MICROSECONDS = 1_000_000
_TIME = pa.timestamp("us", tz="UTC")


def read_csv(path: Path, instrument: Instrument, kind: Kind | None, timeframe: Timeframe | None) -> Piece:
    """One file. `kind` None: told by its header. `timeframe` None: the smallest gap between two bars.

    Raises:
        ConfigurationError: the file can't be opened, or columns are missing.
        CorruptFileError: a line that is no bar; names file, line and what is wrong.
    """
    header = _header(path)
    known = kind or (Kind.TRADES if set(Kind.TRADES.prices) <= set(header) else Kind.BIDASK)
    wanted = ("time", *known.prices)
    missing = [name for name in wanted if name not in header]
    if missing:
        raise CorruptFileError(f"{path}, line 1: no column {', '.join(missing)} in {','.join(header)!r}")
    sized = known is Kind.TRADES and "volume" in header
    read = (*wanted, "volume") if sized else wanted
    repeated = [name for name in read if header.count(name) > 1]
    if repeated:
        raise CorruptFileError(f"{path}, line 1: column {', '.join(repeated)} more than once in {','.join(header)!r}")
    table = _parsed(path, header, read)
    times = _seconds(path, table)
    prices = np.column_stack([_floats(table, name) for name in known.prices])
    volume = _floats(table, "volume") if sized else None
    return piece_of_kind(path, instrument, timeframe, times, kind=known, prices=prices, volume=volume, place=_line)


def _header(path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return tuple(next(csv.reader(file), ()))
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"{path}: not UTF-8 text ({error.reason})") from error


def _parsed(path: Path, header: Sequence[str], columns: Sequence[str]) -> pa.Table:
    types: Mapping[str, Any] = {name: _TIME if name == "time" else pa.float64() for name in columns}
    convert = arrow_csv.ConvertOptions(column_types=types, include_columns=list(columns), null_values=[])
    try:
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(block_size=1 << 24),
            parse_options=arrow_csv.ParseOptions(ignore_empty_lines=False),
            convert_options=convert,
        )
    except pa.ArrowException as error:
        raise CorruptFileError(_fault(path, header, columns) or f"{path}: {error}") from error


def _fault(path: Path, header: Sequence[str], columns: Sequence[str]) -> str | None:
    """The first line that is no bar, and why."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for cells in rows:
            where = f"{path}, line {rows.line_num}"
            if len(cells) != len(header):
                return f"{where}: {len(cells)} columns, expected {len(header)}: {','.join(cells)[:120]!r}"
            for name, cell in zip(header, cells, strict=True):
                if name in columns and not _fits(name, cell):
                    wanted = "an RFC 3339 time with an offset" if name == "time" else "a number"
                    return f"{where}: {name} {cell[:60]!r} is not {wanted}"
    return None


def _fits(name: str, cell: str) -> bool:
    try:
        return parse_time(cell) is not None if name == "time" else not math.isnan(float(cell))
    except ValueError:
        return False


def _seconds(path: Path, table: pa.Table) -> Ints:
    stamps = table.column("time").cast(pa.int64()).to_numpy()
    part = np.flatnonzero(stamps % _MICROSECONDS)
    if part.size:
        raise CorruptFileError(f"{path}, {_line(int(part[0]))}: time has parts of a second")
    return np.asarray(stamps // _MICROSECONDS)


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy())


def _line(row: int) -> str:
    return f"line {row + 2}"
