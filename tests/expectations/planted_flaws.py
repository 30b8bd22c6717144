"""Flaws that are planted into sound bars, each at a bar and of a size, around the limits of the suite."""

import numpy as np

from expectations import families
from ffe.market.models import parse_instrument
from ffe.replay.bars import make_bars
from ffe.replay.models import CLOSE, HIGH, LOW, OPEN, Bars

EURUSD = parse_instrument("EURUSD")


def spoilt(bars: Bars, *prices: np.ndarray, keep: np.ndarray | None = None, **more: np.ndarray) -> Bars:
    """The bars with other prices, fewer rows or other columns."""
    mid, bid, ask = prices or (bars.mid, bars.bid, bars.ask)
    rows = np.arange(len(bars)) if keep is None else keep
    times, volume = more.get("times", bars.times), more.get("volume", bars.volume)
    return make_bars(
        bars.instrument,
        bars.timeframe,
        times[rows],
        mid[rows],
        bid[rows],
        ask[rows],
        volume=volume[rows],
        after=bars.after[rows],
        places=bars.places,
        quoted=bars.quoted,
    )


def scaled(bars: Bars, rows: slice, factor: float, parts: list[int]) -> Bars:
    """Some prices of some rows, on both sides, times a factor, on the grid."""
    changed = []
    for prices, places in ((bars.mid, bars.places + 1), (bars.bid, bars.places), (bars.ask, bars.places)):
        copy = prices.copy()
        copy[rows, parts] = np.round(copy[rows, parts] * factor, places) if len(parts) == 1 else copy[rows, parts]
        if len(parts) > 1:
            copy[rows] = np.round(copy[rows] * factor, places)
        changed.append(copy)
    return spoilt(bars, *changed)


def plant_tick(bars: Bars, at: int, size: int) -> Bars:
    """A spike of one to three bars, between a tenth and six times the limit."""
    limits = families.LIMITS[families.family_of(bars.timeframe).name, bars.instrument.asset_class]
    return scaled(bars, slice(at, at + 1 + size % 3), float(np.exp(limits.excursion * (size + 1) / 8)), [0, 1, 2, 3])


def plant_wick(bars: Bars, at: int, size: int) -> Bars:
    """A low far under its bar."""
    limits = families.LIMITS[families.family_of(bars.timeframe).name, bars.instrument.asset_class]
    return scaled(bars, slice(at, at + 1), float(np.exp(-limits.excursion * (size + 1) / 16)), [LOW])


def plant_jump(bars: Bars, at: int, size: int) -> Bars:
    """A new level for good, around the limit of a jump."""
    limits = families.LIMITS[families.family_of(bars.timeframe).name, bars.instrument.asset_class]
    return scaled(bars, slice(at, None), float(np.exp(limits.jump * (size + 30) / 50)), [0, 1, 2, 3])


def plant_frozen(bars: Bars, at: int, size: int) -> Bars:
    """The same bar again and again, flat or with a range."""
    rows = slice(at, at + size)
    changed = []
    for prices in (bars.mid, bars.bid, bars.ask):
        copy = prices.copy()
        copy[rows] = copy[at, CLOSE] if size % 2 else copy[at]
        changed.append(copy)
    return spoilt(bars, *changed)


def plant_line(bars: Bars, at: int, size: int) -> Bars:
    """Closes on a straight line, of eight to thirteen bars."""
    count = 8 + size % 6
    changed = []
    for prices in (bars.mid, bars.bid, bars.ask):
        copy = prices.copy()
        line = copy[at, CLOSE] * (1 + np.arange(len(copy[at : at + count])) * 1e-4)
        copy[at : at + count] = np.round(line, bars.places)[:, None]
        changed.append(copy)
    return spoilt(bars, *changed)


def plant_hole(bars: Bars, at: int, size: int) -> Bars:
    """A run of bars is missing."""
    return spoilt(bars, keep=np.delete(np.arange(len(bars)), slice(at, at + size)))


def plant_holes(bars: Bars, at: int, size: int) -> Bars:
    """Single bars are missing, at every second to ninth place."""
    return spoilt(bars, keep=np.delete(np.arange(len(bars)), slice(at % 5, None, 2 + size % 8)))


def plant_silence(bars: Bars, at: int, size: int) -> Bars:
    """No volume in about half of the bars, or nowhere."""
    volume = bars.volume.copy()
    volume[at % 7 :: 1 + size % 3] = 0.0
    return spoilt(bars, volume=volume)


def plant_crossed(bars: Bars, at: int, size: int) -> Bars:
    """Sides exchanged, in a run of bars."""
    bid, ask = bars.bid.copy(), bars.ask.copy()
    rows = slice(at, at + 3 * size)
    bid[rows], ask[rows] = bars.ask[rows], bars.bid[rows]
    return spoilt(bars, bars.mid, bid, ask)


def plant_wide(bars: Bars, at: int, size: int) -> Bars:
    """Quotes around two percent apart."""
    bid, ask, width = bars.bid.copy(), bars.ask.copy(), 0.008 + size * 1e-4
    bid[at], ask[at] = (np.round(bars.mid[at] * factor, bars.places) for factor in (1 - width, 1 + width))
    return spoilt(bars, bars.mid, bid, ask)


def plant_moved(bars: Bars, at: int, size: int) -> Bars:
    """Trades beside their quotes, around the slack of a thousandth."""
    mid = bars.mid.copy()
    mid[at] = np.round(mid[at] * (1 + size * 5e-5), bars.places)
    return spoilt(bars, mid, bars.bid, bars.ask)


def plant_coarse(bars: Bars, at: int, size: int) -> Bars:
    """All prices on a coarse grid from a bar on, or all but one."""
    changed = []
    for prices in (bars.mid, bars.bid, bars.ask):
        copy, places = prices.copy(), (2 if bars.instrument == EURUSD else -2 - size % 2)
        copy[at // 4 :] = np.maximum(np.round(copy[at // 4 :], places), 10.0**-places)
        changed.append(copy)
    if size % 5 == 0:
        changed[0][-30] = bars.mid[-30]
    return spoilt(bars, *changed)


def plant_upside_down(bars: Bars, at: int, size: int) -> Bars:
    """High and low exchanged, or a price below zero."""
    mid = bars.mid.copy()
    if size % 2:
        mid[at, [HIGH, LOW]] = mid[at, [LOW, HIGH]]
    else:
        mid[at, OPEN] = -mid[at, OPEN]
    return spoilt(bars, mid, bars.bid, bars.ask)


def plant_off_grid(bars: Bars, at: int, size: int) -> Bars:
    times = bars.times.copy()
    times[at] += 1 + size
    return spoilt(bars, times=times)


def plant_weekend(bars: Bars, at: int, size: int) -> Bars:
    """Times moved by days, so that some bars lie in a closed market; nothing else about them changes."""
    return spoilt(bars, times=bars.times + 86_400 * (at % 7) + 3600 * (size % 24))


def plant_nothing(bars: Bars, at: int, size: int) -> Bars:
    del at, size
    return bars


PLANTS = {name.removeprefix("plant_"): plant for name, plant in list(globals().items()) if name.startswith("plant_")}
