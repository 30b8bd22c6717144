"""What the venues trade of the symbols a market has: OANDA's forex pairs and Coinbase's spot products, with their rules.

Margin rates and product rules are the venues' published ones for a small account (majors 3.33 %, crosses 5 %); one home for both,
because a symbol is listed by exactly one of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

CURRENCIES = frozenset({"EUR", "GBP", "USD", "JPY", "CHF", "AUD", "CAD", "NZD"})
HOME = "USD"


@dataclass(frozen=True, slots=True)
class ForexPair:
    symbol: str
    base: str
    quote: str

    @property
    def name(self) -> str:
        return f"{self.base}_{self.quote}"

    @property
    def pip_location(self) -> int:
        return -2 if self.quote == "JPY" else -4

    @property
    def precision(self) -> int:
        """Decimals of a price: one more than the pip."""
        return 1 - self.pip_location

    @property
    def tick(self) -> Decimal:
        return Decimal(1).scaleb(-self.precision)

    @property
    def margin_rate(self) -> Decimal:
        return Decimal("0.0333") if HOME in (self.base, self.quote) else Decimal("0.05")

    @property
    def min_trailing(self) -> Decimal:
        """Least distance of a trailing stop: five pips."""
        return (5 * Decimal(1).scaleb(self.pip_location)).quantize(self.tick)

    @property
    def max_trailing(self) -> Decimal:
        return Decimal(1).scaleb(self.pip_location + 4).quantize(self.tick)

    max_units = Decimal(100_000_000)


@dataclass(frozen=True, slots=True)
class Product:
    symbol: str
    base: str
    quote: str
    base_increment: Decimal
    base_min: Decimal
    base_max: Decimal

    quote_increment = Decimal("0.01")
    price_increment = Decimal("0.01")
    quote_min = Decimal(1)
    quote_max = Decimal(150_000_000)

    @property
    def product_id(self) -> str:
        return f"{self.base}-{self.quote}"


_PRODUCT_RULES = {
    "BTC": (Decimal("0.00000001"), Decimal("0.00000001"), Decimal(3400)),
    "ETH": (Decimal("0.00000001"), Decimal("0.00000001"), Decimal(49000)),
}


def forex_pairs(symbols: Iterable[str]) -> dict[str, ForexPair]:
    """Forex pairs among `symbols`, by OANDA name (`EUR_USD`)."""
    pairs = [ForexPair(symbol, symbol[:3], symbol[3:]) for symbol in symbols if len(symbol) == 6]
    return {pair.name: pair for pair in pairs if pair.base in CURRENCIES and pair.quote in CURRENCIES}


def products(symbols: Iterable[str]) -> dict[str, Product]:
    """Spot products among `symbols`, by product id (`BTC-USD`)."""
    found = [
        Product(symbol, symbol[:-3], symbol[-3:], *_PRODUCT_RULES[symbol[:-3]])
        for symbol in symbols
        if symbol[:-3] in _PRODUCT_RULES
    ]
    return {product.product_id: product for product in found}
