"""The market that paper trades against: the venue's own quotes and rules, through something that can't send.

Two walls, either of which would do: the paper broker is typed against `MarketData`, which has no method to order anything, and the
clients of `paper` mode refuse `send`, so the venue's broker behind it can't either.
"""

from typing import Any, NoReturn, Protocol

from ffe.errors import NotSentError
from ffe.market.models import Instrument
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.models import InstrumentSpec, Quote


class MarketData(Protocol):
    """What paper may ask. Raises VenueReadError and its relatives as `Broker` does; no price is an error, never an old price."""

    venue: str

    def spec(self, instrument: Instrument) -> InstrumentSpec: ...

    def quote(self, instrument: Instrument) -> Quote: ...

    def close(self) -> None: ...


class ReadingOandaClient(OandaClient):
    """OANDA without any POST or PUT."""

    def send(self, endpoint: Any) -> NoReturn:
        raise NotSentError(f"mode paper never sends: {type(endpoint).__name__} was not sent to oanda")


class ReadingCoinbaseClient(CoinbaseClient):
    """Coinbase without any POST."""

    def send(self, method_name: str, **kwargs: Any) -> NoReturn:
        del kwargs
        raise NotSentError(f"mode paper never sends: {method_name} was not sent to coinbase")
