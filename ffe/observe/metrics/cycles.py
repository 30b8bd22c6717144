"""Cycles: how they ended, how long their stages took, and whether the next one is due.

`cycle_stage_seconds` is a histogram over all finished cycles, from their own timings in the ledger: it only grows, so `rate()` and
`histogram_quantile()` are valid over it, across restarts of whoever serves it too.

A timeframe is scheduled when at least `IN_RHYTHM` of the gaps between its newest cycles are about one period: a single `ffe run` by hand
starts no alarm when no other follows. The wait for the next one is counted in open-market time of what the newest cycle traded.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from prometheus_client.core import Metric

from ffe.ledger.monitoring_totals import COMPLETED, FAILED, CycleTotals, Ran
from ffe.market.calendar import calendar_for
from ffe.market.models import INSTRUMENTS, Timeframe
from ffe.observe.metrics.families import distributed, measured
from ffe.settings import Settings

IN_RHYTHM = 3
OUTCOMES = (COMPLETED, FAILED)
# A cycle that still runs is not one that died.
RUNNING = timedelta(minutes=15)


def cycles(
    totals: CycleTotals, unfinished: Counter[tuple[str, str]], now: datetime, settings: Settings
) -> Iterator[Metric]:
    yield measured("cycles_total", _both_outcomes(totals))
    yield measured("cycles_unfinished_24h", unfinished)
    yield distributed("cycle_stage_seconds", totals.stages)
    ours = {Timeframe(frame): ran for (mode, frame), ran in totals.newest.items() if mode == settings.mode.value}
    last = {frame: max(ran, key=lambda each: each.finished_at) for frame, ran in ours.items()}
    yield measured(
        "cycle_last_finished_timestamp_seconds",
        {(frame.value,): cycle.finished_at.timestamp() for frame, cycle in last.items()},
    )
    yield measured(
        "cycle_idle_seconds", {(frame.value,): _open_seconds(cycle, now, settings) for frame, cycle in last.items()}
    )
    yield measured("cycle_period_seconds", {(frame.value,): frame.duration.total_seconds() for frame in ours})
    scheduled = {frame: _in_rhythm(frame, ran) for frame, ran in ours.items()}
    yield measured("cycle_scheduled", {(frame.value,): due for frame, due in scheduled.items()})
    covered = {(frame.value, name) for frame, ran in ours.items() if scheduled[frame] for name in _covered(ran)}
    yield measured("cycle_instrument", dict.fromkeys(sorted(covered), 1))


def _both_outcomes(totals: CycleTotals) -> dict[tuple[str, str, str], int]:
    """A counter that begins at its first failure hides that one from `rate()`: it has to be there with 0 before."""
    ended = {(mode, frame) for mode, frame, _ in totals.outcomes}
    return {(*key, outcome): totals.outcomes[*key, outcome] for key in sorted(ended) for outcome in OUTCOMES}


def _in_rhythm(timeframe: Timeframe, ran: tuple[Ran, ...]) -> bool:
    gaps = [(later.started_at - earlier.started_at) / timeframe.duration for earlier, later in pairwise(ran)]
    return sum(0.5 <= gap <= 2 for gap in gaps) >= IN_RHYTHM


def _covered(ran: tuple[Ran, ...]) -> list[str]:
    """Instruments of several of the newest cycles; what was run once by hand is not among them."""
    counts = Counter(name for cycle in ran for name in cycle.instruments)
    return [name for name, count in counts.items() if count >= IN_RHYTHM]


def _open_seconds(cycle: Ran, now: datetime, settings: Settings) -> float:
    """Since the cycle finished, in the market that was open longest; by the clock when it traded nothing that is known."""
    known = [INSTRUMENTS[name] for name in cycle.instruments if name in INSTRUMENTS]
    calendars = [calendar_for(instrument, settings.calendar.holidays) for instrument in known]
    waits = [calendar.open_seconds(cycle.finished_at, now) for calendar in calendars]
    return max(waits, default=(now - cycle.finished_at).total_seconds())
