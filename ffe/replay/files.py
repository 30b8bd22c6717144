"""Recorded bars from files or from the live store, as `Bars` by instrument.

A file is named like those of a recorder, `BTC-USD_1m_trades_2018-04.csv` (trades, quotes or bidask, any timeframe), or it is plain OHLCV
under any name while one instrument is named. A folder stands for all CSV and Parquet files in it.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from ffe.errors import ConfigurationError
from ffe.market.models import Instrument, Timeframe, parse_instrument, parse_timeframe
from ffe.replay.bar_csv import read_csv
from ffe.replay.bar_parquet import piece_of_table, read_parquet, write_parquet
from ffe.replay.bars import no_bars
from ffe.replay.joining import joined
from ffe.replay.models import Bars
from ffe.replay.pieces import Kind, Piece
from ffe.sources.alphavantage import NAME as ALPHA_VANTAGE
from ffe.sources.store import BarStore

__all__ = ["load_bars", "stored_bars", "write_parquet"]

_NAME = re.compile(r"(?P<pair>[A-Za-z]+[-_]?[A-Za-z]+)_(?P<step>[0-9]+[A-Za-z]+)_(?P<kind>trades|quotes|bidask)(_.*)?")


def load_bars(
    paths: Sequence[Path], instrument: Instrument | None = None, *, half_spread_bps: float
) -> dict[str, Bars]:
    """Bars by symbol, in the order in which the files name them; with `instrument` only its own.

    Files of one instrument are joined in the order of time, quotes stand beside trades. Where only trades are known the sides are
    `half_spread_bps` basis points from the middle.

    Raises:
        ConfigurationError: no file, a file that can't be opened or whose instrument nothing says, several timeframes of one instrument.
        UnknownNameError: a pair or a timeframe nobody knows.
        CorruptFileError: a file that is not whole and right; names file and line.
    """
    pieces: dict[str, list[Piece]] = {}
    for path in _files(paths):
        piece = _read(path, instrument)
        if piece is not None:
            pieces.setdefault(piece.instrument.symbol, []).append(piece)
    if not pieces:
        wanted = "bars" if instrument is None else f"bars of {instrument.symbol}"
        raise ConfigurationError(f"no {wanted} in {', '.join(map(str, paths)) or 'no file'}")
    return {symbol: joined(mine, half_spread_bps) for symbol, mine in pieces.items()}


def stored_bars(
    store: BarStore,
    instrument: Instrument,
    timeframe: Timeframe,
    start: datetime,
    end: datetime,
    *,
    half_spread_bps: float,
) -> Bars:
    """Bars that passed the suite and open in [start, end), from the first source that has any: the venue, then Alpha Vantage.

    Forex of the venue has the closes of both sides, and their spread is taken for the whole bar. Without any bar, an empty one.

    Raises:
        DataError: a file of the store can't be read, or a row in it is no bar.
    """
    for source in (instrument.venue, ALPHA_VANTAGE):
        table, _ = store.known(instrument, timeframe, source, start, end)
        if table.num_rows:
            name = Path(f"{store.feed} bars of {source}")
            return joined([piece_of_table(name, table, instrument, timeframe)], half_spread_bps)
    return no_bars(instrument, timeframe)


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = [each for each in sorted(path.iterdir()) if each.suffix in _READERS] if path.is_dir() else [path]
        found += inside
    return list(dict.fromkeys(found))


def _read(path: Path, instrument: Instrument | None) -> Piece | None:
    """The file's piece; None when it is of another instrument than the one that is wanted."""
    if path.suffix not in _READERS:
        raise ConfigurationError(f"{path}: not a .csv or .parquet file")
    piece = _READERS[path.suffix](path, instrument)
    return piece if piece is None or instrument is None or piece.instrument == instrument else None


def _csv(path: Path, instrument: Instrument | None) -> Piece | None:
    name = _NAME.fullmatch(path.stem)
    if name is not None:
        whose = parse_instrument(name["pair"])
        if instrument is not None and whose != instrument:
            return None
        return read_csv(path, whose, Kind(name["kind"]), parse_timeframe(name["step"]))
    if instrument is None:
        expected = "like BTC-USD_1m_trades_2018-04.csv (trades, quotes or bidask)"
        raise ConfigurationError(
            f"{path}: the name does not say whose bars these are; name the instrument, or the file {expected}"
        )
    return read_csv(path, instrument, None, None)


_READERS = {".csv": _csv, ".parquet": read_parquet}
