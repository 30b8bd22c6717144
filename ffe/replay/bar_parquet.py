"""Bars of Parquet files: our own exports, the live store's tables, and plain OHLC columns.

An export carries its own sha256 and everything else of `Bars`. A stored table of forex has only the closes of both sides: the spread at
the close is taken for the whole bar. Decimals are read as whole counts, never through Arrow's cast to float, which may be one bit off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ffe.errors import ConfigurationError, CorruptFileError
from ffe.market.models import Instrument, Timeframe, parse_instrument, parse_timeframe
from ffe.replay.bars import EXACT, MOST_PLACES, SLACK, digest
from ffe.replay.models import CLOSE, Bars, Floats, Ints
from ffe.replay.pieces import ASK, BID, OHLC, Kind, Piece, Sides, checked, piece_of_kind
from ffe.sources import files

_MID = tuple(f"mid_{part}" for part in OHLC)
_AFTER = ("after_bid", "after_ask")
_CLOSES = ("bid_close", "ask_close")
_TIME = pa.timestamp("us", tz="UTC")


def write_parquet(bars: Bars, path: Path) -> None:
    """Everything of `bars`, so that reading gives the same digest; written whole or not at all."""
    columns = {
        "time": pa.array(bars.times * 1_000_000).cast(_TIME),
        **{
            name: pa.array(np.ascontiguousarray(values[:, column]))
            for names, values in ((_MID, bars.mid), (BID, bars.bid), (ASK, bars.ask), (_AFTER, bars.after))
            for column, name in enumerate(names)
        },
        "volume": pa.array(bars.volume),
    }
    about = {
        "instrument": bars.instrument.symbol,
        "timeframe": bars.timeframe.value,
        "places": str(bars.places),
        "quoted": str(bars.quoted),
        "sha256": bars.sha256,
    }
    files.replace(path, files.parquet_bytes(pa.table(columns), about))


def read_parquet(path: Path, instrument: Instrument | None) -> Piece:
    """One file; what it does not say of itself is told by the folders of the live store, `instrument` and the gaps between bars.

    Raises:
        ConfigurationError: the file can't be opened, or nothing says whose bars these are.
        CorruptFileError: no Parquet file, columns missing, a row that is no bar, or an export that was changed.
    """
    table = _table(path)
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        raise CorruptFileError(f"{path}: column {', '.join(repeated)} more than once")
    about = {**_folders(path), **_said(table)}
    if "instrument" in about:
        whose = parse_instrument(about["instrument"])
    elif instrument is not None:
        whose = instrument
    else:
        raise ConfigurationError(f"{path}: nothing says whose bars these are; name the instrument")
    if {*_MID, *_AFTER} <= set(table.column_names):
        return _export(path, table, whose, about)
    return piece_of_table(path, table, whose, parse_timeframe(about["timeframe"]) if "timeframe" in about else None)


def _said(table: pa.Table) -> dict[str, str]:
    """The file's own words, without what Arrow and pandas add to them."""
    known = {"instrument", "timeframe", "places", "quoted", "sha256"}
    metadata = table.schema.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items() if key.decode() in known}


def piece_of_table(path: Path, table: pa.Table, instrument: Instrument, timeframe: Timeframe | None) -> Piece:
    """A table of the live store, or plain OHLC columns. `path` is what messages name.

    Raises:
        CorruptFileError: columns missing, or a row that is no bar.
    """
    times, names = _seconds(path, table), set(table.column_names)
    kind = Kind.BIDASK if {*BID, *ASK} <= names else Kind.TRADES
    volume = _column(path, table, "volume") if "volume" in names else None
    prices = _columns(path, table, kind.prices)
    piece = piece_of_kind(path, instrument, timeframe, times, kind=kind, prices=prices, volume=volume, place=_row)
    if piece.mid is None or not set(_CLOSES) <= names:
        return piece
    closes = _columns(path, table, _CLOSES)
    places = max(checked(path, times, closes, None, _row), piece.places - 1)
    return replace(piece, places=places, sides=_sides(piece.mid, closes, places))


def _sides(mid: Floats, closes: Floats, places: int) -> Sides:
    """Both sides at each bar's closing spread, never narrower than that, on the grid of the closes; these as they were printed."""
    scale, half = 10.0**places, (closes[:, 1:] - closes[:, :1]) / 2
    bid, ask = np.floor((mid - half) * scale + SLACK) / scale, np.ceil((mid + half) * scale - SLACK) / scale
    bid[:, CLOSE], ask[:, CLOSE] = closes.T
    return Sides(bid, ask)


def _export(path: Path, table: pa.Table, instrument: Instrument, about: Mapping[str, str]) -> Piece:
    """An export; its digest says whether anything was changed since."""
    mid, bid, ask, after = (_columns(path, table, names) for names in (_MID, BID, ASK, _AFTER))
    times, volume = _seconds(path, table), _column(path, table, "volume")
    try:
        timeframe, places = Timeframe(about["timeframe"]), int(about["places"])
        bars = Bars(
            instrument,
            timeframe,
            times,
            mid,
            bid,
            ask,
            volume,
            after,
            places,
            about["quoted"] == "True",
            about["sha256"],
        )
    except (KeyError, ValueError) as error:
        raise CorruptFileError(f"{path}: an export of bars without a sound {error}") from error
    if digest(bars) != bars.sha256:
        raise CorruptFileError(f"{path}: sha256 of its bars is {digest(bars)}, the file says {bars.sha256}")
    return Piece(path, instrument, timeframe, times, mid, Sides(bid, ask), places, volume, bars)


def _table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} can't be read: no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise CorruptFileError(f"{path}: no readable Parquet file: {error}") from error


def _folders(path: Path) -> dict[str, str]:
    """What the folders of the live store say: `instrument=EURUSD/timeframe=5m`."""
    parts = dict(part.split("=", 1) for part in path.resolve().parts if "=" in part)
    return {name: parts[name] for name in ("instrument", "timeframe") if name in parts}


def _seconds(path: Path, table: pa.Table) -> Ints:
    if "time" not in table.column_names:
        raise CorruptFileError(f"{path}: no column time")
    column = table.column("time")
    if not pa.types.is_timestamp(column.type) or column.type.tz is None or column.null_count:
        raise CorruptFileError(f"{path}: time is {column.type}, must be a timestamp with a time zone and no nulls")
    micros = column.cast(_TIME, safe=False).cast(pa.int64()).to_numpy()
    return np.asarray(micros // 1_000_000)


def _columns(path: Path, table: pa.Table, names: Sequence[str]) -> Floats:
    return np.column_stack([_column(path, table, name) for name in names])


def _column(path: Path, table: pa.Table, name: str) -> Floats:
    """float64 nearest to each number of the column."""
    if name not in table.column_names:
        raise CorruptFileError(f"{path}: no column {name}")
    column = table.column(name)
    if column.null_count:
        raise CorruptFileError(f"{path}: {name} has {column.null_count} nulls")
    if pa.types.is_decimal(column.type) and name != "volume":
        return _of_decimals(path, column, name)
    if not any(is_type(column.type) for is_type in (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)):
        raise CorruptFileError(f"{path}: {name} is {column.type}, must be numbers")
    return np.asarray(column.cast(pa.float64()).to_numpy())


def _of_decimals(path: Path, column: pa.ChunkedArray, name: str) -> Floats:
    for places in range(MOST_PLACES + 1):
        try:
            whole = column.cast(pa.decimal128(38, places)).combine_chunks()
        except pa.ArrowInvalid:
            continue
        words = np.frombuffer(whole.buffers()[1], np.int64).reshape(-1, 2)[whole.offset : whole.offset + len(whole)]
        if (words[:, 0] >> 63 == words[:, 1]).all() and (np.abs(words[:, 0]) < EXACT).all():
            return np.asarray(words[:, 0] / 10.0**places)
        break
    raise CorruptFileError(f"{path}: {name} has more than {MOST_PLACES} decimals, or more digits than a float64 holds")


def _row(row: int) -> str:
    return f"row {row + 1}"
