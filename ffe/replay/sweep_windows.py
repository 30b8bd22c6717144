"""Which bars a sweep learns from and which it is judged on. The two never share a bar.

A window is three moments: a bar belongs in sample when it closes by the split, and out of sample when it opens at the split or later; one
that lies across it belongs to neither. What an indicator or the sizing needs of the bars before a window is given to it as warm-up: seen,
marked as not asked, and never traded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ffe.errors import ConfigurationError
from ffe.replay.bars import truncated, window
from ffe.replay.document import epoch
from ffe.replay.models import CLOSE, OPEN, Bars, Feed, Floats, Gate, Ints, Signals
from ffe.replay.windows import walk_forward

# Fewer decision moments say nothing about anything.
FEWEST = 30
NOT_ASKED = 2


@dataclass(frozen=True, slots=True)
class Span:
    """Bars that open at `start` or later and close at `end` or earlier, epoch seconds."""

    start: int
    end: int

    def text(self) -> str:
        return f"{epoch(self.start)} to {epoch(self.end)}"


@dataclass(frozen=True, slots=True)
class Window:
    """`inside` is what is chosen by, `outside` what the choice is judged on; it begins where the other ends, or later."""

    number: int
    inside: Span
    outside: Span


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Bars of a span with the `warm` bars before them that are seen and not traded."""

    feed: Feed
    warm: int

    @property
    def traded(self) -> Bars:
        """Without the warm-up."""
        return window(self.feed.bars, self.warm, len(self.feed.bars))


def moments(feeds: Sequence[Feed]) -> Ints:
    """Every moment at which a bar of any feed closes, ascending."""
    return np.unique(np.concatenate([feed.bars.closes_at for feed in feeds]))


def split(feeds: Sequence[Feed], share: float) -> tuple[Window, ...]:
    """One window: the last `share` of all moments is out of sample.

    Raises:
        ConfigurationError: fewer than FEWEST moments on either side.
    """
    closes = moments(feeds)
    cut = len(closes) - round(len(closes) * share)
    if min(cut, len(closes) - cut) < FEWEST:
        raise ConfigurationError(
            f"{len(closes)} bars split into {cut} in sample and {len(closes) - cut} out of sample; at least {FEWEST} are needed in each"
        )
    at = int(closes[cut - 1])
    return (Window(0, Span(_begins(feeds), at), Span(at, int(closes[-1]))),)


def walk(feeds: Sequence[Feed], train_days: float, test_days: float) -> tuple[Window, ...]:
    """Windows that walk through time: so many days in sample, then so many out of sample, the next one later by those.

    Raises:
        ConfigurationError: the bars don't reach for one.
    """
    closes = moments(feeds)
    found = tuple(
        Window(number, _rows(feeds, closes, each.train), _rows(feeds, closes, each.test))
        for number, each in enumerate(walk_forward(closes, train_days, test_days))
    )
    if not found:
        days = (closes[-1] - closes[0]) / 86_400
        raise ConfigurationError(
            f"{days:.1f} days of bars do not hold a window of {train_days:g} days in sample and {test_days:g} out of sample"
        )
    return found


def _rows(feeds: Sequence[Feed], closes: Ints, rows: slice) -> Span:
    """From the close before the first of these moments, where its bar opens or later, to the last of them."""
    begins = int(closes[rows.start - 1]) if rows.start > 0 else _begins(feeds)
    return Span(begins, int(closes[rows.stop - 1]))


def _begins(feeds: Sequence[Feed]) -> int:
    return min(int(feed.bars.times[0]) for feed in feeds)


def part(feed: Feed, span: Span, warm_up: int) -> Part:
    """The span's bars after at most `warm_up` that closed before it. Nothing of what comes after the span can be seen.

    Raises:
        ConfigurationError: the instrument has no bar in the span.
    """
    start, stop = _within(feed, span)
    first = max(0, start - warm_up)
    # Of the last bar, what can be traded after it is the next span's first open: not to be seen.
    bars = window(truncated(feed.bars, stop), first, stop)
    gates = feed.gates[first:stop].copy()
    gates[: start - first] = Gate.PASSED
    starts = None if feed.starts is None else np.maximum(feed.starts[first:stop] - first, 0)
    return Part(replace(feed, bars=bars, gates=gates, starts=starts), start - first)


def check(feeds: Sequence[Feed], windows: Sequence[Window]) -> None:
    """Raises ConfigurationError when an instrument has no bar on one side of a window: nothing could be said of it there."""
    for window_of in windows:
        for span in (window_of.inside, window_of.outside):
            for feed in feeds:
                _within(feed, span)


def _within(feed: Feed, span: Span) -> tuple[int, int]:
    """Rows of the span's bars, the last one excluded."""
    times, closes = feed.bars.times, feed.bars.closes_at
    start, stop = int(np.searchsorted(times, span.start)), int(np.searchsorted(closes, span.end, side="right"))
    if start >= stop:
        raise ConfigurationError(f"{feed.bars.instrument.symbol} has no bar from {span.text()}")
    return start, stop


def silenced(signals: Signals, warm: int) -> Signals:
    """Without what it said during the warm-up: nobody was asked there, and it counts as no decision."""
    actions, authors = signals.actions.copy(), np.zeros(len(signals.actions), dtype=np.int8)
    if signals.authors is not None:
        authors[:] = signals.authors
    actions[:warm], authors[:warm] = 0, NOT_ASKED
    return Signals(actions, signals.confidence, authors)


def price_return(part_of: Part) -> float:
    """What the price did over the span, before costs: from the first open to the last close of it."""
    mid: Floats = part_of.feed.bars.mid
    return float(mid[-1, CLOSE] / mid[part_of.warm, OPEN] - 1)
