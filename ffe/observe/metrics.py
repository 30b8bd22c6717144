"""Metrics for Prometheus, read from the ledger at every scrape: how old the bars are, how their checks ended, how the sources do.

Nothing is counted in memory, so any process can serve them, a restart loses nothing, and the age of the bars grows while nothing
runs. A scrape that can't read the ledger fails (500) and never shows old numbers. `data_staleness_seconds` is the age that the
freshness gate judges: seconds of open market since the newest recorded bar closed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ffe.clock import Clock
from ffe.errors import ConfigurationError
from ffe.ledger.freshness import NewestBars, QualityCount, newest_bars, quality_counts
from ffe.ledger.ledger import Ledger
from ffe.market.calendar import calendar_for
from ffe.market.freshness import check_freshness
from ffe.market.models import INSTRUMENTS
from ffe.market.quality import Freshness
from ffe.settings import Settings
from ffe.sources.alphavantage import NAME as ALPHA_VANTAGE
from ffe.sources.health import Circuit, SourceState, Usage
from ffe.sources.models import Outcome

HOST = "127.0.0.1"
DAY = timedelta(days=1)
_SERIES = ("instrument", "timeframe", "source")


class Judged(NamedTuple):
    """Labels of a series, the freshness of its newest bars, and whether its market is open."""

    labels: tuple[str, str, str]
    freshness: Freshness
    market_open: bool


class LedgerMetrics(Collector):
    """What `ledger` says at `clock`'s time, under the limits and calendar days of `settings`."""

    def __init__(self, ledger: Ledger, clock: Clock, settings: Settings) -> None:
        self._ledger, self._clock, self._settings = ledger, clock, settings

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the ledger."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Raises LedgerError when the ledger can't be read."""
        now = self._clock.now()
        with self._ledger.database.read() as session:
            bars, counts = newest_bars(session), quality_counts(session, now - DAY)
        feed = self._settings.mode.value
        days, states = self._ledger.source_usage("", feed), self._ledger.source_states(feed, now)
        judged = [self._judge(newest, now) for newest in bars]
        yield from _staleness(judged)
        yield _quality(counts)
        yield _fetches((source, usage) for _, source, usage in days)
        yield from _sources(states)

    def _judge(self, newest: NewestBars, now: datetime) -> Judged:
        calendar = calendar_for(INSTRUMENTS[newest.instrument], self._settings.calendar.holidays)
        freshness = check_freshness(newest.bar_close, newest.timeframe, now, calendar, self._settings.freshness)
        labels = newest.instrument, newest.timeframe.value, newest.source
        return Judged(labels, freshness, calendar.is_open(now))


def _staleness(judged: list[Judged]) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "data_staleness_seconds", "Open-market seconds since the newest recorded bar closed.", labels=_SERIES
    )
    limit = GaugeMetricFamily(
        "data_staleness_limit_seconds", "Above this age nothing is traded; 1d has no such limit.", labels=_SERIES
    )
    fresh = GaugeMetricFamily(
        "data_fresh", "1 when the freshness gate would let the newest recorded bar pass.", labels=_SERIES
    )
    is_open = GaugeMetricFamily("market_open", "1 while the instrument's market is open.", labels=("instrument",))
    for series in judged:
        age.add_metric(series.labels, series.freshness.age_seconds)
        if series.freshness.limit_seconds is not None:
            limit.add_metric(series.labels, series.freshness.limit_seconds)
        fresh.add_metric(series.labels, series.freshness.fresh)
    for instrument, market_open in {series.labels[0]: series.market_open for series in judged}.items():
        is_open.add_metric((instrument,), market_open)
    yield from (age, limit, fresh, is_open)


def _quality(counts: list[QualityCount]) -> Metric:
    family = GaugeMetricFamily(
        "quality_reports_24h",
        "Batches of bars checked in the last 24 hours by outcome.",
        labels=("instrument", "timeframe", "outcome"),
    )
    for count in counts:
        outcome = "passed" if count.passed else "failed"
        family.add_metric((count.instrument, count.timeframe.value, outcome), count.reports)
    return family


def _fetches(days: Iterable[tuple[str, Usage]]) -> Metric:
    family = CounterMetricFamily("source_fetches", "Fetches of a bar source by outcome.", labels=("source", "outcome"))
    totals: Counter[tuple[str, str]] = Counter()
    for source, usage in days:
        for outcome in Outcome:
            totals[source, outcome.value] += getattr(usage, outcome.value)
    for labels, fetches in sorted(totals.items()):
        family.add_metric(labels, fetches)
    return family


def _sources(states: list[SourceState]) -> Iterator[Metric]:
    requests = GaugeMetricFamily(
        "source_requests_today", "Requests against a source's daily budget, this UTC day.", labels=("source",)
    )
    circuit = GaugeMetricFamily("source_circuit_closed", "0 while a source is left alone.", labels=("source",))
    for state in states:
        if state.today.requests or state.source == ALPHA_VANTAGE:
            requests.add_metric((state.source,), state.today.requests)
        circuit.add_metric((state.source,), state.circuit is Circuit.CLOSED)
    yield from (requests, circuit)


class MetricsServer:
    """Serves `/metrics` on loopback from its own thread until `close`. Port 0 takes a free one; `url` has the one that it got."""

    def __init__(self, collector: Collector, port: int) -> None:
        """Raises ConfigurationError when the port is taken."""
        registry = CollectorRegistry()
        registry.register(collector)
        try:
            self._server, self._thread = start_http_server(port, addr=HOST, registry=registry)
        except OSError as error:
            raise ConfigurationError(
                f"port {port} can't be served: {error.strerror}; choose another with --port"
            ) from error
        self.url = f"http://{HOST}:{self._server.server_port}/metrics"

    def wait(self) -> None:
        """Until the server is closed, or the process is interrupted."""
        self._thread.join()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
