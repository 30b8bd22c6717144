"""One timeline of several feeds: all bar closes, who closes when, and the moments at which somebody wants an order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffe.decision.models import Author
from ffe.errors import ConfigurationError
from ffe.replay.models import GATE_AUTHORS, Feed, Gate, Ints, Signals

Flags = npt.NDArray[np.bool_]
MODEL, FALLBACK = 0, 1


@dataclass(frozen=True, eq=False)
class Timeline:
    """`times` (T): decision moments. `rows` (T, K): newest closed bar of each feed, -1 before its first. `closes` (T, K): whether that
    bar closes at this very moment. `asked` (K): the bars of each feed at which an order is wanted. `wanted`: moments with any of them.
    """

    times: Ints
    rows: Ints
    closes: Flags
    asked: tuple[Flags, ...]
    wanted: Ints

    def next_wanted(self, after: int) -> int | None:
        """The first moment behind `after` at which an order is wanted."""
        place = int(np.searchsorted(self.wanted, after, side="right"))
        return int(self.wanted[place]) if place < self.wanted.size else None


def timeline(feeds: Sequence[Feed], signals: Sequence[Signals]) -> Timeline:
    """Raises ConfigurationError for signals that don't belong to the feeds."""
    if len(feeds) != len(signals):
        raise ConfigurationError(f"{len(feeds)} feeds and {len(signals)} strategies' signals")
    for feed, signal in zip(feeds, signals, strict=True):
        check_lengths(feed, signal)
    closes = [feed.bars.closes_at for feed in feeds]
    times = np.unique(np.concatenate(closes)) if closes else np.empty(0, dtype=np.int64)
    rows = np.stack([np.searchsorted(each, times, side="right") - 1 for each in closes], axis=1)
    now = np.stack([np.isin(times, each) for each in closes], axis=1)
    asked = tuple(wants(feed, signal) for feed, signal in zip(feeds, signals, strict=True))
    wanted = np.unique(
        np.concatenate([np.searchsorted(times, each[mask]) for each, mask in zip(closes, asked, strict=True)])
    )
    return Timeline(times=times, rows=rows.astype(np.int64), closes=now, asked=asked, wanted=wanted.astype(np.int64))


def check_lengths(feed: Feed, signal: Signals) -> None:
    """Raises ConfigurationError unless there is one gate and one signal for each bar."""
    bars = len(feed.bars)
    found = (feed.gates.size, signal.actions.size, signal.confidence.size)
    if any(size != bars for size in found):
        name = feed.bars.instrument.symbol
        raise ConfigurationError(f"{name}: {bars} bars, {found[0]} gates, {found[1]} actions, {found[2]} confidences")


def wants(feed: Feed, signal: Signals) -> Flags:
    """Bars at which the model may decide and says BUY or SELL."""
    mask: Flags = (feed.gates == Gate.PASSED) & (signal.actions != 0)
    return mask if signal.authors is None else mask & (signal.authors == MODEL)


def held_by(feed: Feed, signal: Signals) -> Counter[str]:
    """Bars that end in HOLD before anybody thinks of an order, by author. A bar at which nobody was asked counts for nobody."""
    counts: Counter[str] = Counter()
    for gate, author in GATE_AUTHORS.items():
        counts[author.value] += int(np.count_nonzero(feed.gates == gate))
    passed = feed.gates == Gate.PASSED
    authors = np.zeros(passed.size, dtype=np.int8) if signal.authors is None else signal.authors
    counts[Author.MODEL.value] = int(np.count_nonzero(passed & (authors == MODEL) & (signal.actions == 0)))
    counts[Author.FALLBACK.value] = int(np.count_nonzero(passed & (authors == FALLBACK)))
    return +counts
