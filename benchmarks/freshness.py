"""How long one freshness check takes, for every timeframe, at its ordinary and at its worst moment: `python -m benchmarks.freshness`.

The worst moment of forex is one that has to look back over a weekend, and over one with a holiday beside it; crypto has none. Trading
days are remembered, so the first check of a process, which works them out, is measured by itself. Prints microseconds beside the goal
of one millisecond, of wall time and of CPU time: on a shared machine the tail of the wall time is the neighbours'. Asserts nothing.
"""

import argparse
import os
import statistics
import sys
import time
from datetime import datetime, timedelta

from ffe.clock import parse_time
from ffe.market.calendar import AlwaysOpen, Calendar, ForexWeek
from ffe.market.freshness import check_freshness
from ffe.market.models import Timeframe
from ffe.settings import FreshnessSettings

LIMITS = FreshnessSettings()
GOAL_MICROSECONDS = 1000
# Name, calendar and the moment of the check. The bar is the newest one that the calendar expects by then.
MOMENTS: tuple[tuple[str, type[AlwaysOpen] | type[ForexWeek], datetime], ...] = (
    ("crypto, midweek", AlwaysOpen, parse_time("2026-07-08T12:07:00Z")),
    ("forex, midweek", ForexWeek, parse_time("2026-07-08T12:07:00Z")),
    ("forex, Sunday open", ForexWeek, parse_time("2026-07-05T21:03:00Z")),
    ("forex, after New Year", ForexWeek, parse_time("2027-01-03T22:03:00Z")),
)
# A feed that died a month ago: the longest stretch of market time that is counted in practice.
DEAD = timedelta(days=30)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2000, help="of each row")
    rounds = parser.parse_args().rounds
    print(
        f"{rounds} rounds a row; {os.cpu_count()} cores, Python {sys.version.split()[0]}; us, goal {GOAL_MICROSECONDS}"
    )
    print(f"{'moment':<26}{'timeframe':>10}{'first':>9}{'median':>9}{'p99':>9}{'cpu p99':>9}")
    for name, kind, now in MOMENTS:
        for timeframe in Timeframe:
            close = kind().last_expected_close(timeframe, now)
            _measure(name, timeframe, kind(), close, now=now, rounds=rounds)
    for timeframe in Timeframe:
        name, _, now = "forex, a month old", ForexWeek, MOMENTS[2][2]
        _measure(name, timeframe, ForexWeek(), now - DEAD, now=now, rounds=rounds)


def _measure(
    name: str, timeframe: Timeframe, calendar: Calendar, close: datetime, *, now: datetime, rounds: int
) -> None:
    """`calendar` is new, so its first check works out the trading days."""
    first, _ = _microseconds(close, timeframe, now, calendar)
    seen = [_microseconds(close, timeframe, now, calendar) for _ in range(rounds)]
    wall, cpu = ([spent[clock] for spent in seen] for clock in (0, 1))
    middle = statistics.median(wall)
    print(f"{name:<26}{timeframe.value:>10}{first:>9.0f}{middle:>9.0f}{_p99(wall):>9.0f}{_p99(cpu):>9.0f}")


def _p99(seen: list[float]) -> float:
    return statistics.quantiles(seen, n=100, method="inclusive")[98]


def _microseconds(close: datetime, timeframe: Timeframe, now: datetime, calendar: Calendar) -> tuple[float, float]:
    """Of the wall and of this thread's CPU."""
    started, used = time.perf_counter(), time.thread_time()
    check_freshness(close, timeframe, now, calendar, LIMITS)
    return (time.perf_counter() - started) * 1_000_000, (time.thread_time() - used) * 1_000_000


if __name__ == "__main__":
    main()
