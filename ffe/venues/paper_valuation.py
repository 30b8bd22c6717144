"""What a paper margin account is worth, in home money.

Formulas are OANDA's: margin = |units| x (base -> home) x rate; profit x its gain factor, loss x its loss factor; equity = balance +
unrealised profit at the closing side of the spread. Amounts are booked at four decimals, as the venue does.
"""

from decimal import ROUND_HALF_EVEN, Decimal

from ffe.market.models import parse_instrument
from ffe.money import ZERO
from ffe.orders.models import Side
from ffe.venues.paper_desk import closing_price
from ffe.venues.paper_models import HOME, PaperAccount, Prices, Terms, Trade

CENT = Decimal("0.0001")


def home(currency: str, amount: Decimal, prices: Prices) -> Decimal:
    """Profit or loss in `currency` as home money."""
    factors = prices.conversions[currency]
    return _money(amount * (factors.gain if amount > 0 else factors.loss))


def fee_of(units: Decimal, terms: Terms, prices: Prices) -> Decimal:
    """The taker fee in home money; nothing where the venue lives off its spread."""
    rate = prices.sheets[terms.instrument].spec.taker_fee_rate
    quote = parse_instrument(terms.instrument).quote
    return _money(abs(units) * terms.price * rate * prices.conversions[quote].position)


def margin(instrument: str, units: Decimal, prices: Prices) -> Decimal:
    """A spec without a margin rate takes the whole value."""
    rate = prices.sheets[instrument].spec.margin_rate
    value = abs(units) * prices.conversions[parse_instrument(instrument).base].position
    return _money(value * (Decimal(1) if rate is None else rate))


def margin_used(account: PaperAccount, prices: Prices) -> Decimal:
    return sum((margin(trade.instrument, trade.units, prices) for trade in account.trades), ZERO)


def equity(account: PaperAccount, prices: Prices) -> Decimal:
    return account.cash[HOME] + sum((_unrealised(trade, prices) for trade in account.trades), ZERO)


def _unrealised(trade: Trade, prices: Prices) -> Decimal:
    side = Side.SELL if trade.units > 0 else Side.BUY
    price = closing_price(side, prices.sheets[trade.instrument].quote)
    return home(parse_instrument(trade.instrument).quote, (price - trade.price) * trade.units, prices)


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)
