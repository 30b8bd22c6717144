"""How old the bars are, how their checks ended, how the sources do.

`data_staleness_seconds` is the age that the freshness gate judges: seconds of open market since the newest recorded bar closed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from prometheus_client.core import Metric

from ffe.ledger.freshness import NewestBars, QualityCount
from ffe.market.calendar import calendar_for
from ffe.market.freshness import check_freshness
from ffe.market.models import INSTRUMENTS
from ffe.market.quality import Freshness
from ffe.observe.metrics.families import measured
from ffe.settings import Settings
from ffe.sources.alphavantage import NAME as ALPHA_VANTAGE
from ffe.sources.health import Circuit, SourceState, Usage
from ffe.sources.models import Outcome


class Judged(NamedTuple):
    """Labels of a series, the freshness of its newest bars, and whether its market is open."""

    labels: tuple[str, str, str]
    freshness: Freshness
    market_open: bool


def judge(newest: NewestBars, now: datetime, settings: Settings) -> Judged:
    calendar = calendar_for(INSTRUMENTS[newest.instrument], settings.calendar.holidays)
    freshness = check_freshness(newest.bar_close, newest.timeframe, now, calendar, settings.freshness)
    labels = newest.instrument, newest.timeframe.value, newest.source
    return Judged(labels, freshness, calendar.is_open(now))


def staleness(judged: list[Judged]) -> Iterator[Metric]:
    yield measured("data_staleness_seconds", {each.labels: each.freshness.age_seconds for each in judged})
    limits = {each.labels: each.freshness.limit_seconds for each in judged}
    yield measured("data_staleness_limit_seconds", {key: limit for key, limit in limits.items() if limit is not None})
    yield measured("data_fresh", {each.labels: each.freshness.fresh for each in judged})
    yield measured("market_open", {(each.labels[0],): each.market_open for each in judged})


def quality(counts: list[QualityCount]) -> Metric:
    reports = {}
    for count in counts:
        outcome = "passed" if count.passed else "failed"
        reports[count.instrument, count.timeframe.value, outcome] = float(count.reports)
    return measured("quality_reports_24h", reports)


def fetches(days: Iterable[tuple[str, Usage]]) -> Metric:
    totals: Counter[tuple[str, str]] = Counter()
    for source, usage in days:
        for outcome in Outcome:
            totals[source, outcome.value] += getattr(usage, outcome.value)
    return measured("source_fetches_total", dict(sorted(totals.items())))


def sources(states: list[SourceState]) -> Iterator[Metric]:
    counted = [state for state in states if state.today.requests or state.source == ALPHA_VANTAGE]
    yield measured("source_requests_today", {(state.source,): state.today.requests for state in counted})
    yield measured("source_circuit_closed", {(state.source,): state.circuit is Circuit.CLOSED for state in states})
