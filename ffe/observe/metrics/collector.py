"""All metrics, read from the ledger at every scrape.

Nothing is counted in memory, so any process can serve them, a flow that ends at once loses nothing, a restart changes nothing, and the
age of the bars grows while nothing runs. A scrape that can't read the ledger fails (500) and never shows old numbers.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from operator import add

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlmodel import Session

from ffe.clock import Clock
from ffe.ledger.freshness import newest_bars, quality_counts
from ffe.ledger.ledger import Ledger
from ffe.ledger.monitoring import Peak, peaks
from ffe.ledger.monitoring_recent import model_calls_since
from ffe.ledger.monitoring_totals import cycles_between, decisions_between, unfinished_cycles
from ffe.observe.metrics import bars, cycles, model, operations, trading
from ffe.observe.metrics.families import alone
from ffe.observe.metrics.settled import Settled
from ffe.settings import Settings

DAY = timedelta(days=1)


class LedgerMetrics(Collector):
    """What `ledger` says at `clock`'s time, under the limits and calendar days of `settings`."""

    def __init__(self, ledger: Ledger, clock: Clock, settings: Settings) -> None:
        self._ledger, self._clock, self._settings = ledger, clock, settings
        self._cycles = Settled(cycles_between, add)
        self._decisions = Settled(decisions_between, add)
        self._peaks = Settled(peaks, _higher)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the ledger."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Raises LedgerError when the ledger can't be read."""
        now, feed = self._clock.now(), self._settings.mode.value
        yield alone("clock_timestamp_seconds", now.timestamp())
        with self._ledger.database.read() as session:
            yield from self._of_bars(session)
            yield from self._of_trading(session)
            yield from self._of_operations(session)
        yield bars.fetches((source, usage) for _, source, usage in self._ledger.source_usage("", feed))
        yield from bars.sources(self._ledger.source_states(feed, now))

    def _of_bars(self, session: Session) -> Iterator[Metric]:
        now = self._clock.now()
        yield from bars.staleness([bars.judge(newest, now, self._settings) for newest in newest_bars(session)])
        yield bars.quality(quality_counts(session, now - DAY))

    def _of_trading(self, session: Session) -> Iterator[Metric]:
        now = self._clock.now()
        yield from trading.decisions(self._decisions.total(session, now))
        yield from trading.orders(session, now)
        yield from trading.exposure(session, now)
        yield from trading.equity(session, self._peaks.total(session, now), self._settings)
        yield trading.kill_switch(session)
        yield from model.model(model_calls_since(session, now - model.WINDOW))
        yield from model.feedback(session)

    def _of_operations(self, session: Session) -> Iterator[Metric]:
        now = self._clock.now()
        unfinished = unfinished_cycles(session, now - DAY, now - cycles.RUNNING)
        yield from cycles.cycles(self._cycles.total(session, now), unfinished, now, self._settings)
        yield from operations.incidents(session, now)
        yield from operations.api_calls(session, now)
        yield operations.differences(session)
        yield from operations.standing_checks(session, now, self._settings.mode.value)
        yield from operations.health(session, self._settings, now)


def _higher(earlier: dict[Peak, Decimal], later: dict[Peak, Decimal]) -> dict[Peak, Decimal]:
    return earlier | {peak: max(equity, earlier.get(peak, equity)) for peak, equity in later.items()}
