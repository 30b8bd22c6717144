"""Alpha Vantage's part of a preflight. It is the second source of bars, so without it trading goes on, unless it is the only one.

It gives 25 requests a day and a preflight runs every hour: an answer that the ledger has seen within six hours is proof enough. Otherwise
one request for daily bars is spent, which every plan may read, and only while half of the day's requests are left.
"""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Self

from ffe.clock import rfc3339
from ffe.cycle.engine import Engine
from ffe.errors import FfeError, PermanentSourceError, SourceError, SourceSkippedError
from ffe.market.models import Instrument, Timeframe
from ffe.sources import alphavantage
from ffe.sources.allowance import Allowance, allowed
from ffe.sources.factory import budget_of, open_source
from ffe.sources.health import Breaker
from ffe.sources.models import Outcome
from ffe.venues.probe import Answer, Answers, ProviderAnswers, hear, no, not_needed, unknown, yes

PROOF = timedelta(hours=6)
SHARE = 0.5
WITHOUT = "Alpha Vantage can't be asked: where the first source fails there is no second one"
_BARS = timedelta(days=10)


class AlphaVantageProbe:
    """Of the engine's settings, its ledger's memory of the source and its clock."""

    name = alphavantage.NAME

    def __init__(self, engine: Engine, instrument: Instrument) -> None:
        self._engine, self._instrument = engine, instrument

    @classmethod
    def of(cls, engine: Engine) -> Self | None:
        """None where it has no key, or no instrument of the settings would be read from it."""
        sources = engine.settings.sources
        read = [each for each in engine.settings.instruments if cls.name in getattr(sources, each.asset_class.value)]
        key = engine.settings.alpha_vantage.api_key
        return cls(engine, read[0]) if read and key is not None and key.get_secret_value() != "" else None

    def reads(self) -> Mapping[str, Callable[[], Any]]:
        return {"bars": self._proof}

    def judge(self, heard: Answers) -> ProviderAnswers:
        error, spared = heard["bars"].error, not_needed("it only gives bars")
        if error is None:
            said = yes(heard["bars"].value)
            authenticated, readable = said, said
        else:
            authenticated, readable = _without_answer(error)
        return ProviderAnswers(
            provider=self.name,
            needed=self._alone,
            authenticated=authenticated,
            account_active=spared,
            can_trade=spared,
            balance_readable=spared,
            market_data_readable=readable,
        )

    def notes(self, heard: Answers) -> tuple[str, ...]:
        error = heard["bars"].error
        return () if error is None or self._alone else (f"{WITHOUT}: {no(str(error)).detail}",)

    @property
    def _alone(self) -> bool:
        sources = self._engine.settings.sources
        return any(
            getattr(sources, each.asset_class.value) == (self.name,) for each in self._engine.settings.instruments
        )

    def _proof(self) -> str:
        """Raises SourceError when there is neither an answer on record nor one now."""
        engine, feed, now = self._engine, self._engine.settings.mode.value, self._engine.clock.now()
        known = [
            each.health.last_success_at for each in engine.ledger.source_states(feed, now) if each.source == self.name
        ]
        if known and known[0] is not None and timedelta(0) <= now - known[0] < PROOF:
            return f"it answered at {rfc3339(known[0])}, which is on record"
        self._request(feed)
        return f"daily bars of {self._instrument.symbol} were answered, for one request of the day's"

    def _request(self, feed: str) -> None:
        """One request, admitted, counted and settled like those of a cycle."""
        engine, knobs = self._engine, self._engine.settings.sources
        source = open_source(self.name, engine.settings, engine.clock, engine.ledger)
        now = engine.clock.now()
        admission = engine.ledger.admit_source(feed, self.name, now, budget_of(engine.settings, self.name))
        breaker = Breaker(failures=knobs.breaker_failures, seconds=knobs.breaker_seconds)
        until = time.monotonic() + engine.settings.preflight.timeout_seconds
        with allowed(Allowance(until, SHARE)):
            told = hear(lambda: source.fetch(self._instrument, Timeframe.D1, now - _BARS, now), engine.clock)
        outcome = Outcome.ANSWERED if told.error is None else Outcome.FAILED
        if isinstance(told.error, SourceSkippedError):
            outcome = Outcome.SKIPPED
        at, said = engine.clock.now(), None if told.error is None else str(told.error)
        engine.ledger.settle_source(admission, at, breaker, outcome, error=said)
        if told.error is not None:
            raise told.error


def _without_answer(error: FfeError) -> tuple[Answer, Answer]:
    """A spent budget says nothing about the key; a permanent refusal does."""
    if isinstance(error, SourceSkippedError) or not isinstance(error, SourceError):
        said = unknown(str(error))
        return said, said
    refused = isinstance(error, PermanentSourceError)
    return no(str(error)) if refused else unknown(str(error)), no(str(error))
