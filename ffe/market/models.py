"""What is traded and in which rhythm: instruments and timeframes.

An instrument is a name, not a specification: increments and minimums come from the venue (`ffe.venues`), never from a table here.
"""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ffe.errors import UnknownNameError

FOREX = ("EUR", "GBP", "USD", "JPY", "CHF", "AUD", "CAD", "NZD")
CRYPTO = ("BTC", "ETH", "SOL", "LTC", "XRP", "ADA", "DOGE", "AVAX", "LINK", "DOT", "BCH")
CRYPTO_QUOTES = ("USD", "USDC", "USDT", "EUR", "GBP")
# Market convention: the earlier currency of this order is the base (EURUSD, USDJPY, never USDEUR).
_FOREX_RANK = {code: rank for rank, code in enumerate(("EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF", "JPY"))}


class AssetClass(StrEnum):
    CRYPTO = "crypto"
    FOREX = "forex"


class Instrument(BaseModel):
    """A spot pair. `symbol` is canonical (`BTCUSD`); `venue` is the one that trades it."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    base: str
    quote: str
    asset_class: AssetClass

    @property
    def venue(self) -> str:
        return "coinbase" if self.asset_class is AssetClass.CRYPTO else "oanda"

    @property
    def venue_symbol(self) -> str:
        """`BTC-USD` at Coinbase, `EUR_USD` at OANDA."""
        return f"{self.base}{'-' if self.asset_class is AssetClass.CRYPTO else '_'}{self.quote}"


def _known() -> dict[str, Instrument]:
    pairs = [(base, quote, AssetClass.CRYPTO) for base in CRYPTO for quote in CRYPTO_QUOTES]
    pairs += [
        (base, quote, AssetClass.FOREX) for base in FOREX for quote in FOREX if _FOREX_RANK[base] < _FOREX_RANK[quote]
    ]
    return {b + q: Instrument(symbol=b + q, base=b, quote=q, asset_class=kind) for b, q, kind in pairs}


INSTRUMENTS = _known()


def parse_instrument(text: str) -> Instrument:
    """Instrument of `BTCUSD`, `BTC-USD`, `BTC/USD`, `btc_usd`, padded or not. A perpetual (`BTC-PERP`) is never cut down to spot.

    Raises:
        UnknownNameError: not a pair that any venue here trades; carries the nearest known names.
    """
    symbol = re.sub(r"^([A-Z]+)[-/_]([A-Z]+)$", r"\1\2", text.strip().upper())
    if symbol not in INSTRUMENTS:
        raise UnknownNameError("instrument", text, INSTRUMENTS)
    return INSTRUMENTS[symbol]


class Timeframe(StrEnum):
    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @property
    def duration(self) -> timedelta:
        return _DURATIONS[self]

    @property
    def seconds(self) -> int:
        return int(self.duration.total_seconds())

    def floor(self, moment: datetime) -> datetime:
        """Open time of the UTC-aligned bar that `moment` falls in."""
        seconds = int(moment.timestamp()) // self.seconds * self.seconds
        return datetime.fromtimestamp(seconds, UTC)


_DURATIONS = {
    Timeframe.M1: timedelta(minutes=1),
    Timeframe.M5: timedelta(minutes=5),
    Timeframe.M15: timedelta(minutes=15),
    Timeframe.M30: timedelta(minutes=30),
    Timeframe.H1: timedelta(hours=1),
    Timeframe.H4: timedelta(hours=4),
    Timeframe.D1: timedelta(days=1),
}


def parse_timeframe(text: str) -> Timeframe:
    """Raises UnknownNameError with the nearest known names."""
    try:
        return Timeframe(text.strip().lower())
    except ValueError:
        raise UnknownNameError("timeframe", text, [frame.value for frame in Timeframe]) from None
