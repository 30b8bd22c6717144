"""Which sources a mode may ask, opened in the order of the settings and each behind the store.

A source without its credentials is left out and reported with every fetch. In `sim` only a simulator on loopback is asked, so that real
and simulated bars never meet.
"""

from ffe.clock import Clock
from ffe.errors import MissingCredentialsError, RefusedError
from ffe.market.models import AssetClass
from ffe.settings import Mode, Settings, is_loopback
from ffe.sources import alphavantage
from ffe.sources.alphavantage import AlphaVantageSource
from ffe.sources.alphavantage_http import Query
from ffe.sources.chain import SourceChain
from ffe.sources.coinbase import CoinbaseSource
from ffe.sources.health import Budget, SourceLog
from ffe.sources.incremental import Incremental
from ffe.sources.models import Outcome, SourceAnswer
from ffe.sources.oanda import OandaSource
from ffe.sources.protocol import BarSource
from ffe.sources.store import BarStore
from ffe.venues.factory import coinbase_client, oanda_client
from ffe.venues.wire import Limits

# Part of the chain's deadline that one read of a venue may take with its retries: the next source gets the rest.
SHARE_OF_ONE = 0.5


def open_chain(
    asset_class: AssetClass, settings: Settings, clock: Clock, ledger: SourceLog, store: BarStore
) -> SourceChain:
    """The sources of `asset_class` in the order of the settings. Nothing is sent yet.

    Raises:
        MissingCredentialsError, RefusedError: none of them is set up; the first one's reason.
    """
    sources: list[BarSource] = []
    missing: list[SourceAnswer] = []
    refusals: list[RefusedError] = []
    for name in getattr(settings.sources, asset_class.value):
        try:
            sources.append(Incremental(open_source(name, settings, clock, ledger), store, clock))
        except RefusedError as error:
            refusals.append(error)
            missing.append(_not_set_up(name, error, clock))
    if not sources:
        raise refusals[0]
    return SourceChain(sources, ledger, clock, settings.sources, missing=missing, feed=settings.mode.value)


def open_source(name: str, settings: Settings, clock: Clock, ledger: SourceLog) -> BarSource:
    """One source by its name, without the store before it.

    Raises:
        MissingCredentialsError, RefusedError: it is not set up, or this mode may not ask it.
    """
    limits = Limits(total=SHARE_OF_ONE * settings.sources.deadline_seconds)
    if name == CoinbaseSource.name:
        return CoinbaseSource(coinbase_client(settings, limits), clock)
    if name == OandaSource.name:
        return OandaSource(oanda_client(settings, limits), clock)
    return _alpha_vantage(settings, clock, ledger)


def budget_of(settings: Settings, source: str) -> Budget | None:
    """The request budget of a source; None for one that is not counted."""
    return _alpha_vantage_budget(settings) if source == alphavantage.NAME else None


def _alpha_vantage_budget(settings: Settings) -> Budget:
    knobs = settings.sources
    return Budget(per_day=knobs.alpha_vantage_per_day, per_second=knobs.alpha_vantage_per_second)


def _alpha_vantage(settings: Settings, clock: Clock, ledger: SourceLog) -> AlphaVantageSource:
    key, url = settings.alpha_vantage.api_key, settings.alpha_vantage.base_url or alphavantage.URL
    if key is None or key.get_secret_value() == "":
        raise MissingCredentialsError("alpha-vantage needs FFE_ALPHA_VANTAGE__API_KEY: set it and run again")
    if settings.mode is Mode.SIM and not is_loopback(url):
        raise RefusedError(f"mode sim talks to the simulator on loopback only; FFE_ALPHA_VANTAGE__BASE_URL is {url}")
    if settings.clock is not None and not is_loopback(url):
        raise RefusedError(f"FFE_CLOCK moves the time, which {url} does not follow; it is asked without FFE_CLOCK only")
    budget = _alpha_vantage_budget(settings)
    return AlphaVantageSource(Query(url, key), clock, ledger, budget, feed=settings.mode.value)


def _not_set_up(name: str, error: RefusedError, clock: Clock) -> SourceAnswer:
    return SourceAnswer(
        source=name, outcome=Outcome.SKIPPED, at=clock.now(), error=type(error).__name__, message=str(error)
    )
