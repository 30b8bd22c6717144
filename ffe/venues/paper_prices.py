"""Reads the prices that one look at a paper account needs, and the conversions to its home currency that follow from them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from ffe.errors import VenueReadError
from ffe.market.models import INSTRUMENTS, Instrument
from ffe.venues.models import Conversion, Quote
from ffe.venues.paper_data import MarketData
from ffe.venues.paper_models import HOME, Prices, Sheet

_PLACES = Decimal("1E-10")
_ONE = Conversion(gain=Decimal(1), loss=Decimal(1), position=Decimal(1))


def read_prices(
    data: MarketData, symbols: Iterable[str], valued: Sequence[Instrument], now: datetime, *, margin: bool
) -> Prices:
    """Sheets of `symbols`; on margin also conversions of both currencies of each of them and of `valued`.

    Raises:
        VenueReadError: one of them has no price.
    """
    traded = [INSTRUMENTS[symbol] for symbol in sorted(symbols)]
    sheets = {item.symbol: Sheet(quote=data.quote(item), spec=data.spec(item)) for item in traded}
    conversions: dict[str, Conversion] = {}
    if margin:
        quotes = {symbol: sheet.quote for symbol, sheet in sheets.items()}
        currencies = sorted({code for item in (*traded, *valued) for code in (item.base, item.quote)} | {HOME})
        conversions = {code: _conversion(data, quotes, code) for code in currencies}
    return Prices(sheets=sheets, conversions=conversions, now=now)


def _conversion(data: MarketData, quotes: dict[str, Quote], currency: str) -> Conversion:
    """A gain is sold at the bid of the pair with the home currency, a loss is bought at its ask; a position counts at the mid."""
    if currency == HOME:
        return _ONE
    direct = f"{currency}{HOME}"
    name = direct if direct in INSTRUMENTS else f"{HOME}{currency}"
    if name not in INSTRUMENTS:
        raise VenueReadError(f"no pair converts {currency} to {HOME}", transient=False)
    if name not in quotes:
        quotes[name] = data.quote(INSTRUMENTS[name])
    quote = quotes[name]
    if name == direct:
        return Conversion(gain=quote.bid, loss=quote.ask, position=quote.mid)
    return Conversion(gain=_inverse(quote.ask), loss=_inverse(quote.bid), position=_inverse(quote.mid))


def _inverse(price: Decimal) -> Decimal:
    return (1 / price).quantize(_PLACES)
