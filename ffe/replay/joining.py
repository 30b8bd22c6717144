"""An instrument's pieces become one `Bars`: files one after the other, and the quotes of the same buckets beside the trades.

Trades keep their own times; a bucket without quotes gets the assumed spread. Quotes of buckets without a trade are met by whoever trades
right after the bar before them, as at the venue.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ffe.errors import ConfigurationError, CorruptFileError
from ffe.replay.bars import MOST_PLACES, SLACK, make_bars, middle, next_quotes
from ffe.replay.models import ASK, BID, OPEN, Bars, Floats, Ints
from ffe.replay.pieces import Piece, Sides


def joined(pieces: Sequence[Piece], half_spread_bps: float) -> Bars:
    """All pieces of one instrument.

    Raises:
        ConfigurationError: several timeframes, or exports beside other files.
        CorruptFileError: two files of a kind that overlap in time, a price that the assumed spread leaves no bid for.
    """
    _one_timeframe(pieces)
    exports = [piece.bars for piece in _in_order(pieces) if piece.bars is not None] if _exported(pieces) else []
    if exports:
        return exports[0] if len(exports) == 1 else _concatenated(exports)
    traded = [piece for piece in pieces if piece.mid is not None]
    quoted = [piece for piece in pieces if piece.mid is None]
    places = max(piece.places for piece in pieces)
    return _of_trades(traded, quoted, places, half_spread_bps) if traded else _of_quotes(_in_order(quoted), places)


def _one_timeframe(pieces: Sequence[Piece]) -> None:
    first = pieces[0]
    for other in pieces[1:]:
        if other.timeframe is not first.timeframe:
            names = f"{first.path} has {first.timeframe.value} and {other.path} {other.timeframe.value} bars"
            raise ConfigurationError(f"{first.instrument.symbol}: {names}; name files of one timeframe")


def _exported(pieces: Sequence[Piece]) -> bool:
    whole = sum(piece.bars is not None for piece in pieces)
    if 0 < whole < len(pieces):
        raise ConfigurationError(f"{pieces[0].instrument.symbol}: an export of bars beside files of another kind")
    return whole > 0


def _in_order(pieces: Sequence[Piece]) -> list[Piece]:
    """By time. Raises CorruptFileError where one begins before the other ends."""
    ordered = sorted(pieces, key=lambda piece: int(piece.times[0]))
    for earlier, later in pairwise(ordered):
        if later.times[0] <= earlier.times[-1]:
            raise CorruptFileError(f"{later.path}: begins before {earlier.path} ends")
    return ordered


def _concatenated(parts: Sequence[Bars]) -> Bars:
    times, mid, bid, ask, volume, after = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("times", "mid", "bid", "ask", "volume", "after")
    )
    return make_bars(
        parts[0].instrument,
        parts[0].timeframe,
        times,
        mid,
        bid,
        ask,
        volume=volume,
        after=after,
        places=max(part.places for part in parts),
        quoted=all(part.quoted for part in parts),
    )


def _of_quotes(pieces: Sequence[Piece], places: int) -> Bars:
    times, sides = _sides_of(pieces)
    mid = middle(sides.bid, sides.ask, places)
    instrument, timeframe = pieces[0].instrument, pieces[0].timeframe
    return make_bars(instrument, timeframe, times, mid, sides.bid, sides.ask, places=places, quoted=True)


def _sides_of(pieces: Sequence[Piece]) -> tuple[Ints, Sides]:
    sides = [piece.sides for piece in pieces if piece.sides is not None]
    times = np.concatenate([piece.times for piece in pieces])
    return times, Sides(np.concatenate([each.bid for each in sides]), np.concatenate([each.ask for each in sides]))


def _of_trades(traded: Sequence[Piece], quoted: Sequence[Piece], places: int, half_spread_bps: float) -> Bars:
    traded = _in_order(traded)
    times = np.concatenate([piece.times for piece in traded])
    mid = np.concatenate([piece.mid for piece in traded if piece.mid is not None])
    bare = any(piece.sides is None for piece in traded)
    finer = _grid(mid, places, half_spread_bps) if bare else places
    bid, ask, known = _with_own_sides(traded, assumed_sides(mid, half_spread_bps, finer))
    after = None
    if quoted:
        quote_times, sides = _sides_of(_in_order(quoted))
        _, here, there = np.intersect1d(times, quote_times, assume_unique=True, return_indices=True)
        bid[here], ask[here], known[here] = sides.bid[there], sides.ask[there], True
        seconds = traded[0].timeframe.seconds
        after = _met(times + seconds, next_quotes(times, bid, ask, seconds), quote_times, sides)
    _refuse_free(traded, times, bid, half_spread_bps)
    places = places if known.all() else finer
    volume = np.concatenate([_volume(piece) for piece in traded])
    instrument, timeframe = traded[0].instrument, traded[0].timeframe
    whole = bool(known.all())
    return make_bars(
        instrument, timeframe, times, mid, bid, ask, volume=volume, after=after, places=places, quoted=whole
    )


def _refuse_free(traded: Sequence[Piece], times: Ints, bid: Floats, half_spread_bps: float) -> None:
    """Recorded bids are above zero; an assumed one is not where the half spread, or a step of the grid, is as large as the price."""
    free = np.argwhere(bid <= 0)
    if free.size:
        row = int(free[0][0])
        path = next(piece.path for piece in traded if times[row] <= piece.times[-1])
        moment = f"{np.datetime_as_string(np.datetime64(int(times[row]), 's'))}Z"
        raise CorruptFileError(
            f"{path}, {moment}: {half_spread_bps:g} basis points below its price is a bid of {bid[row].min():g}; "
            "a price far below the others, or a half spread that is too wide"
        )


def _volume(piece: Piece) -> Floats:
    return piece.volume if piece.volume is not None else np.full(piece.times.size, np.nan)


def _with_own_sides(traded: Sequence[Piece], assumed: Sides) -> tuple[Floats, Floats, np.ndarray]:
    """The assumed sides with those of the pieces that have their own, and which rows these are."""
    bid, ask, known = assumed.bid, assumed.ask, np.zeros(len(assumed.bid), dtype=np.bool_)
    start = 0
    for piece in traded:
        rows = slice(start, start + piece.times.size)
        if piece.sides is not None:
            bid[rows], ask[rows], known[rows] = piece.sides.bid, piece.sides.ask, True
        start = rows.stop
    return bid, ask, known


def _grid(mid: Floats, places: int, half_spread_bps: float) -> int:
    """Decimals fine enough for the assumed half spread: whole prices of a cheap coin would round it to many times its size."""
    half = float(np.median(mid)) * half_spread_bps / 10_000
    while half > 0 and 10.0**-places > half and places < MOST_PLACES:
        places += 1
    return places


def assumed_sides(mid: Floats, half_spread_bps: float, places: int) -> Sides:
    """`half_spread_bps` basis points either way, rounded away from the middle to `places`: costs are never understated."""
    scale, half = 10.0**places, mid * half_spread_bps / 10_000
    return Sides(np.floor((mid - half) * scale + SLACK) / scale, np.ceil((mid + half) * scale - SLACK) / scale)


def _met(closes: Ints, after: Floats, quote_times: Ints, sides: Sides) -> Floats:
    """`after` with the open of quotes that begin at a bar's close where no trade made a bar of them."""
    _, here, there = np.intersect1d(closes, quote_times, assume_unique=True, return_indices=True)
    after[here, BID], after[here, ASK] = sides.bid[there, OPEN], sides.ask[there, OPEN]
    return after
