"""Is a backtest possible at all? A strategy is run again on less than it had, and has to say the same.

Look-ahead: on bars that end earlier, as if nothing had come since, no action up to there may differ. Warm-up: with only its `lookback`
bars, and with another past before them, the newest action may not differ, because a live cycle sees a window and no more. Both compare
actions and confidence, and look hardest where they can differ: at signals, one bar beside them, and at random bars.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from ffe.clock import rfc3339
from ffe.market.models import Instrument
from ffe.replay.models import CLOSE, Bars, Ints, Signals
from ffe.replay.strategies.protocol import Strategy

SAMPLES, FEWEST = 50, 12
# Bars that all reruns on truncated bars may have together, at half of the series each: many bars are rerun fewer times.
RERUN_BARS = 25_000_000
# Windows of a warm-up check are short, so there can be many of them.
WINDOWS = 400
# What comes before a window in the other past: so many bars, at so many times their price. Far enough off that a memory shows.
BEFORE, OTHER_PRICE = 300, 1000.0
SHOWN = 10
ACTIONS = {1: "BUY", -1: "SELL", 0: "HOLD"}


class Difference(NamedTuple):
    """What was said of the bar that opens at `time` (epoch seconds) with everything known, and with less: +1, -1 or 0, and how sure."""

    time: int
    full: int
    less: int
    known_to: int
    full_confidence: int
    less_confidence: int

    def __str__(self) -> str:
        full, less = ACTIONS[self.full], ACTIONS[self.less]
        if self.full == self.less:
            full, less = f"{full} at {self.full_confidence}", f"{less} at {self.less_confidence}"
        return f"{rfc3339(datetime.fromtimestamp(self.time, UTC))}: {full} with all bars, {less} without"


@dataclass(frozen=True)
class LookaheadReport:
    """`checked` reruns, `differing` of them said something else; `first` differences, oldest first, one of each rerun."""

    strategy: str
    instrument: str
    ok: bool
    checked: int
    differing: int
    first: tuple[Difference, ...]

    def __str__(self) -> str:
        if self.ok:
            return f"{self.strategy} on {self.instrument}: no look-ahead in {self.checked} reruns on truncated bars."
        found = f"{self.differing} of {self.checked} reruns on truncated bars decided otherwise"
        return f"{self.strategy} on {self.instrument}: LOOK-AHEAD, {found}. {self.first[0]}."


@dataclass(frozen=True)
class WarmUpReport:
    """`checked` windows of `lookback` bars, `differing` of them ended in another action; `first` differences, oldest first."""

    strategy: str
    instrument: str
    ok: bool
    lookback: int
    checked: int
    differing: int
    first: tuple[Difference, ...]

    def __str__(self) -> str:
        if self.checked == 0:
            return f"{self.strategy} on {self.instrument}: nothing to check, there are fewer bars than its lookback of {self.lookback}."
        if self.ok:
            return f"{self.strategy} on {self.instrument}: {self.checked} windows of {self.lookback} bars decided as the whole history."
        found = f"{self.differing} of {self.checked} windows of {self.lookback} bars decided otherwise than the whole history"
        return f"{self.strategy} on {self.instrument}: WARM-UP, {found}. {self.first[0]}."


def reruns(bars: int) -> int:
    """How many places of so many bars are looked at."""
    return max(FEWEST, min(SAMPLES, 2 * RERUN_BARS // max(bars, 1)))


def lookahead(strategy: Strategy, bars: Bars, *, samples: int | None = None, seed: int = 0) -> LookaheadReport:
    """Runs the strategy again on the bars up to `samples` places (None: `reruns`) and compares all that it said up to there.

    Half of the places are right at signals. The whole series is among them: a strategy that says two things of the same bars can't be
    checked, and can't be trusted.
    """
    full = strategy.signals(bars)
    places = reruns(len(bars)) if samples is None else samples
    cuts = np.unique(np.append(_rows(full, len(bars), places, seed) + 1, len(bars)))
    cuts = cuts[cuts > 0]
    found = list(_differing(cuts, lambda cut: _until(strategy, bars, full, int(cut))))
    shown = tuple(sorted(found)[:SHOWN])
    return LookaheadReport(strategy.name, bars.instrument.symbol, not found, cuts.size, len(found), shown)


def warm_up(strategy: Strategy, bars: Bars, *, samples: int = WINDOWS, seed: int = 0) -> WarmUpReport:
    """Runs the strategy on windows of just its `lookback` bars, alone and after another past, and compares what it says at their end.

    `checked` is 0 when there are fewer bars than that.
    """
    full, lookback = strategy.signals(bars), strategy.lookback
    rows = _rows(full, len(bars), samples, seed)
    rows = rows[rows >= lookback - 1]
    found = list(_differing(rows, lambda row: _alone(strategy, bars, full, int(row))))
    shown = tuple(sorted(found)[:SHOWN])
    return WarmUpReport(strategy.name, bars.instrument.symbol, not found, lookback, rows.size, len(found), shown)


def survivorship_note(instruments: Sequence[Instrument]) -> str:
    """What no replay of today's instruments can show."""
    names = ", ".join(each.symbol for each in instruments)
    return (
        f"Survivorship: these instruments ({names}) were chosen knowing that they still trade. What was delisted, halted for good or fell out of "
        "use in the meantime is not here, so results are better than an honest choice made at the start would have been."
    )


def _rows(full: Signals, n: int, samples: int, seed: int) -> Ints:
    """Rows to look at: half of them signals and their neighbours, the others anywhere. Sorted, each once; all where there are few."""
    generator = np.random.default_rng(seed)
    spoken = full.actions != 0
    beside = spoken.copy()
    beside[:-1] |= spoken[1:]
    beside[1:] |= spoken[:-1]
    near = _some(np.flatnonzero(beside), samples // 2, generator)
    return np.union1d(near, _some(np.arange(n), samples - near.size, generator))


def _some(rows: Ints, most: int, generator: np.random.Generator) -> Ints:
    return rows if rows.size <= most else generator.choice(rows, most, replace=False)


def _differing(rows: Ints, compare: Callable[[np.int64], Difference | None]) -> Iterator[Difference]:
    return (found for found in map(compare, rows) if found is not None)


def _until(strategy: Strategy, bars: Bars, full: Signals, cut: int) -> Difference | None:
    """The first action that is another one on the first `cut` bars."""
    less = strategy.signals(_known_to(bars, cut))
    apart = np.flatnonzero((less.actions != full.actions[:cut]) | (less.confidence != full.confidence[:cut]))
    if not apart.size:
        return None
    row = int(apart[0])
    return _difference(bars, row, cut - 1, _said(full, row), _said(less, row))


def _alone(strategy: Strategy, bars: Bars, full: Signals, row: int) -> Difference | None:
    """The action at `row` where it is another one without what came before its lookback, or with something else there."""
    start = row + 1 - strategy.lookback
    for pasts in (_part(bars, start, row + 1), _other_past(bars, start, row + 1)):
        less = _said(strategy.signals(pasts), -1)
        if less != _said(full, row):
            return _difference(bars, row, row, _said(full, row), less)
    return None


def _said(signals: Signals, row: int) -> tuple[int, int]:
    return int(signals.actions[row]), int(signals.confidence[row])


def _difference(bars: Bars, row: int, known: int, full: tuple[int, int], less: tuple[int, int]) -> Difference:
    return Difference(int(bars.times[row]), full[0], less[0], int(bars.closes_at[known]), full[1], less[1])


def _part(bars: Bars, start: int, stop: int) -> Bars:
    """Rows without a digest, which nobody asks for here and which would take longer than the strategy."""
    rows = slice(start, stop)
    cut = {name: getattr(bars, name)[rows] for name in ("times", "mid", "bid", "ask", "volume", "after")}
    return replace(bars, **cut, sha256="")


def _known_to(bars: Bars, cut: int) -> Bars:
    """The first `cut` bars as if nothing had come since: what is met after the last one is its own close."""
    kept = _part(bars, 0, cut)
    after = kept.after.copy()
    after[-1] = kept.bid[-1, CLOSE], kept.ask[-1, CLOSE]
    return replace(kept, after=after)


def _other_past(bars: Bars, start: int, stop: int) -> Bars:
    """The rows with up to `BEFORE` bars before them at another level of price."""
    begin = max(start - BEFORE, 0)
    kept, past = _part(bars, begin, stop), start - begin
    scale = np.where(np.arange(len(kept)) < past, OTHER_PRICE, 1.0)[:, np.newaxis]
    return replace(kept, mid=kept.mid * scale, bid=kept.bid * scale, ask=kept.ask * scale, after=kept.after * scale)


def findings(reports: Iterable[LookaheadReport | WarmUpReport]) -> tuple[str, ...]:
    """The sentences of those that are not in order."""
    return tuple(str(report) for report in reports if not report.ok)
