"""Bars from Alpha Vantage: the second source of every instrument, 25 requests a day on a free key.

Every failure comes with HTTP 200, so a reply is judged by its keys (`alphavantage_reply`). A request is counted in the ledger before it
is sent, and what the service refuses (a premium function, an unknown symbol) is remembered there for a day: asking again costs budget
and gets the same answer. Instrument and times are ours, never the reply's. The newest bucket is the running one: the clock drops it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from ffe.clock import Clock
from ffe.errors import NotOfferedError
from ffe.market.models import AssetClass, Instrument, Timeframe
from ffe.sources.allowance import Allowance, current
from ffe.sources.alphavantage_http import Query
from ffe.sources.alphavantage_reply import BurstError, PlanError, QuotaSpentError, read_rows
from ffe.sources.health import Budget, SourceLog
from ffe.sources.models import BAR_SCHEMA, PRICE_BAR_SCHEMA
from ffe.sources.rows import Row, bar_table, complete

NAME = "alpha-vantage"
URL = "https://www.alphavantage.co/query"
# Bars of a compact reply; more is `full`, which some plans refuse.
COMPACT = 100
INTERVALS = {
    Timeframe.M1: "1min",
    Timeframe.M5: "5min",
    Timeframe.M15: "15min",
    Timeframe.M30: "30min",
    Timeframe.H1: "60min",
}
# After "spreading out your requests": at least two seconds, and only so often.
BURST_SECONDS, BURST_TRIES = 2.0, 3


@dataclass(frozen=True)
class _Ask:
    """One function with its parameters. `what` are the names under which a refusal is remembered, the widest first."""

    parameters: dict[str, str]
    what: tuple[str, ...]
    full: bool


class AlphaVantageSource:
    """Safe to share between threads: every request has its own connection."""

    name = NAME

    def __init__(
        self,
        query: Query,
        clock: Clock,
        log: SourceLog,
        budget: Budget,
        *,
        feed: str = "sim",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._query, self._clock, self._log, self._budget = query, clock, log, budget
        self._feed, self._sleep, self.url = feed, sleep, query.url

    def close(self) -> None:
        """Nothing is kept open between requests."""

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        """Bars of `BAR_SCHEMA` for crypto and of `PRICE_BAR_SCHEMA` for forex, which has no volume here. See `BarSource.fetch`.

        Raises:
            NotOfferedError: 4h, a function outside the key's plan, an unknown symbol.
            SourceSkippedError: no request left today, or no turn within the allowance.
        """
        now = self._clock.now()
        rows = self._rows(instrument, timeframe, more=(now - start) // timeframe.duration >= COMPACT)
        rows = complete(self.name, rows, timeframe, now, self._clock.now())
        kept = [row for row in rows if start <= row["time"] < end]
        return bar_table(kept, BAR_SCHEMA if instrument.asset_class is AssetClass.CRYPTO else PRICE_BAR_SCHEMA)

    def _rows(self, instrument: Instrument, timeframe: Timeframe, *, more: bool) -> list[Row]:
        """`more` than a compact reply holds is asked for in full; a plan without that gives the newest bars at least."""
        ask = _ask(instrument, timeframe, full=more)
        volume = instrument.asset_class is AssetClass.CRYPTO
        try:
            return self._answer(ask, volume=volume)
        except NotOfferedError:
            if not ask.full:
                raise
        return self._answer(_ask(instrument, timeframe, full=False), volume=volume)

    def _answer(self, ask: _Ask, *, volume: bool) -> list[Row]:
        """Rows of one question. A burst is waited out while tries and time last; other refusals go into the ledger."""
        allowance = current()
        for _ in range(BURST_TRIES - 1):
            try:
                return self._request(ask, allowance, volume=volume)
            except BurstError:
                if allowance.seconds <= BURST_SECONDS:
                    raise
            self._sleep(BURST_SECONDS)
        return self._request(ask, allowance, volume=volume)

    def _request(self, ask: _Ask, allowance: Allowance, *, volume: bool) -> list[Row]:
        now = self._clock.now()
        budget = self._budget.model_copy(update={"share": allowance.share})
        latest = now + timedelta(seconds=max(0.0, allowance.seconds))
        when = self._log.spend_request(
            self._feed, self.name, now, budget, latest=latest, what=tuple(map(self._named, ask.what))
        )
        if when > now:
            self._sleep((when - now).total_seconds())
        reply = self._query.get(ask.parameters, allowance.seconds)
        try:
            return read_rows(reply, volume=volume)
        except QuotaSpentError as error:
            self._log.stop_source(self._feed, self.name, self._clock.now(), str(error))
            raise
        except NotOfferedError as error:
            what = self._named(_refused(ask, error))
            self._log.refuse_source(self._feed, self.name, what, self._clock.now(), str(error))
            raise

    def _named(self, what: str) -> str:
        return f"{what} to key {self._query.key_name}"


def _ask(instrument: Instrument, timeframe: Timeframe, *, full: bool) -> _Ask:
    """Raises NotOfferedError for a timeframe that the service does not have."""
    if timeframe not in INTERVALS and timeframe is not Timeframe.D1:
        raise NotOfferedError(f"alpha-vantage has no {timeframe.value} bars of {instrument.symbol}")
    daily, crypto = timeframe is Timeframe.D1, instrument.asset_class is AssetClass.CRYPTO
    if crypto:
        function = "DIGITAL_CURRENCY_DAILY" if daily else "CRYPTO_INTRADAY"
        parameters = {"function": function, "symbol": instrument.base, "market": instrument.quote}
    else:
        function = "FX_DAILY" if daily else "FX_INTRADAY"
        parameters = {"function": function, "from_symbol": instrument.base, "to_symbol": instrument.quote}
    if not daily:
        parameters["interval"] = INTERVALS[timeframe]
    # Daily crypto has no such parameter: it is always the whole history.
    full = full and not (daily and crypto)
    if full:
        parameters["outputsize"] = "full"
    what = (function, f"{function} {instrument.symbol}", *((f"{function} full",) if full else ()))
    return _Ask(parameters, what, full)


def _refused(ask: _Ask, error: NotOfferedError) -> str:
    """The name of what was refused: the plan's parameter, the plan's function, or else the symbol."""
    function, symbol, *full = ask.what
    if not isinstance(error, PlanError):
        return symbol
    return full[0] if full and "parameter value" in str(error).lower() else function
