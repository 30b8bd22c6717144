"""Everything a cycle works with, opened once per process from the settings: clock, ledger, bars, sources and brokers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from ffe.clock import Clock, OffsetClock, SystemClock, parse_time
from ffe.errors import MissingCredentialsError, VenueError
from ffe.ledger.ledger import Ledger
from ffe.llm.factory import open_model
from ffe.llm.protocol import LanguageModel
from ffe.market.calendar import Calendar, calendar_for
from ffe.market.models import AssetClass, Instrument
from ffe.observe.usage import METER, ApiMeter
from ffe.settings import Mode, Settings
from ffe.sources.chain import SourceChain
from ffe.sources.factory import open_chain
from ffe.sources.store import BarStore
from ffe.venues.factory import coinbase_client, oanda_client, open_broker
from ffe.venues.protocol import Broker


@dataclass
class Engine:
    """Parts are opened on first use, so that a forex-only cycle needs no Coinbase key. Safe to share between threads."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    store: BarStore
    meter: ApiMeter = METER
    _chains: dict[AssetClass, SourceChain] = field(default_factory=dict)
    _brokers: dict[str, Broker] = field(default_factory=dict)
    _models: dict[str | None, LanguageModel] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Creates the data folder and the ledger where they are missing.

        Raises:
            MissingCredentialsError: sim mode without the simulator's addresses.
        """
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return cls(
            settings=settings,
            clock=open_clock(settings),
            ledger=Ledger.open(settings.resolved_ledger_url),
            store=BarStore(settings.data_dir / "bars", settings.mode.value),
        )

    def chain(self, asset_class: AssetClass) -> SourceChain:
        """The sources of an asset class, in the order in which they are asked."""
        with self._lock:
            if asset_class not in self._chains:
                self._chains[asset_class] = open_chain(asset_class, self.settings, self.clock, self.ledger, self.store)
            return self._chains[asset_class]

    def calendar(self, instrument: Instrument) -> Calendar:
        """When its market is open, with the days that the settings add."""
        return calendar_for(instrument, self.settings.calendar.holidays)

    def broker(self, venue: str) -> Broker:
        """Raises RefusedError and its children when the mode may not trade there."""
        with self._lock:
            if venue not in self._brokers:
                self._brokers[venue] = open_broker(venue, self.settings, self.clock)
            return self._brokers[venue]

    @property
    def model(self) -> LanguageModel:
        """The language model of the settings, with its own chain of fallbacks."""
        return self.model_named(None)

    def model_named(self, name: str | None) -> LanguageModel:
        """The model of that name alone, without a fallback: a member of an ensemble answers for itself. None: `model`."""
        with self._lock:
            if name not in self._models:
                self._models[name] = open_model(self.settings, name)
            return self._models[name]

    def record_usage(self) -> None:
        """Hands the process's counts of API calls to the ledger. Never raises: what it can't take now is kept for the next time."""
        self.meter.flush(self.ledger, self.clock.now())

    def close(self) -> None:
        connected: list[LanguageModel | SourceChain | Broker] = [
            *self._models.values(),
            *self._chains.values(),
            *self._brokers.values(),
        ]
        for each in connected:
            each.close()
        self.record_usage()
        self.ledger.close()


def open_clock(settings: Settings) -> Clock:
    """The simulator's clock in `sim`, the asked-for one with `FFE_CLOCK`, else the machine's."""
    if settings.clock is not None:
        return OffsetClock(settings.clock)
    if settings.mode is Mode.SIM:
        return OffsetClock(_venue_time(settings))
    return SystemClock()


def _venue_time(settings: Settings) -> datetime:
    """The simulator's time: as its Coinbase side tells it, or its OANDA side when that one does not answer."""
    try:
        return _coinbase_time(settings)
    except (VenueError, MissingCredentialsError):
        if settings.oanda.base_url is None:
            raise
        return _oanda_time(settings)


def _coinbase_time(settings: Settings) -> datetime:
    client = coinbase_client(settings)
    try:
        reply = client.read("get_unix_time")
    finally:
        client.close()
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(reply["epoch_millis"]))


def _oanda_time(settings: Settings) -> datetime:
    from oandapyV20.endpoints.pricing import PricingInfo

    client = oanda_client(settings)
    try:
        reply = client.read(PricingInfo(client.account_id, {"instruments": "EUR_USD"}))
    finally:
        client.close()
    return parse_time(reply["time"])


def check_ready(settings: Settings) -> None:
    """Opens a broker for every venue that the instruments need, without any network.

    Raises:
        RefusedError: credentials missing, live not armed, a mode that may not trade there.
    """
    for venue in settings.venues:
        open_broker(venue, settings, SystemClock())
