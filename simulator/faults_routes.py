"""Names for the venues' routes, so that a fault can say `oanda.orders.create` instead of a method and a path.

`*` in a path stands for one segment. The first line that matches names the request.
"""

import re
from dataclasses import dataclass
from functools import cache

_OANDA, _COINBASE = "/v3/accounts/*", "/api/v3/brokerage"
PREFIXES = {"oanda": "/oanda", "coinbase": "/coinbase", "alpha_vantage": "/alphavantage"}


@dataclass(frozen=True)
class NamedRoute:
    name: str
    method: str
    path: str

    @property
    def venue(self) -> str:
        return self.name.partition(".")[0]


ROUTES = tuple(
    NamedRoute(*line)
    for line in (
        ("oanda.accounts.list", "GET", "/v3/accounts"),
        ("oanda.accounts.get", "GET", _OANDA),
        ("oanda.accounts.summary", "GET", f"{_OANDA}/summary"),
        ("oanda.accounts.instruments", "GET", f"{_OANDA}/instruments"),
        ("oanda.accounts.changes", "GET", f"{_OANDA}/changes"),
        ("oanda.pricing", "GET", f"{_OANDA}/pricing"),
        ("oanda.candles", "GET", "/v3/instruments/*/candles"),
        ("oanda.candles", "GET", f"{_OANDA}/instruments/*/candles"),
        ("oanda.transactions.since", "GET", f"{_OANDA}/transactions/sinceid"),
        ("oanda.transactions.get", "GET", f"{_OANDA}/transactions/*"),
        ("oanda.orders.create", "POST", f"{_OANDA}/orders"),
        ("oanda.orders.list", "GET", f"{_OANDA}/orders"),
        ("oanda.orders.pending", "GET", f"{_OANDA}/pendingOrders"),
        ("oanda.orders.get", "GET", f"{_OANDA}/orders/*"),
        ("oanda.orders.cancel", "PUT", f"{_OANDA}/orders/*/cancel"),
        ("oanda.trades.list", "GET", f"{_OANDA}/trades"),
        ("oanda.trades.open", "GET", f"{_OANDA}/openTrades"),
        ("oanda.trades.get", "GET", f"{_OANDA}/trades/*"),
        ("oanda.trades.close", "PUT", f"{_OANDA}/trades/*/close"),
        ("oanda.trades.protect", "PUT", f"{_OANDA}/trades/*/orders"),
        ("oanda.positions.list", "GET", f"{_OANDA}/positions"),
        ("oanda.positions.open", "GET", f"{_OANDA}/openPositions"),
        ("oanda.positions.get", "GET", f"{_OANDA}/positions/*"),
        ("oanda.positions.close", "PUT", f"{_OANDA}/positions/*/close"),
        ("coinbase.accounts", "GET", f"{_COINBASE}/accounts"),
        ("coinbase.best_bid_ask", "GET", f"{_COINBASE}/best_bid_ask"),
        ("coinbase.candles", "GET", f"{_COINBASE}/products/*/candles"),
        ("coinbase.candles", "GET", f"{_COINBASE}/market/products/*/candles"),
        ("coinbase.key_permissions", "GET", f"{_COINBASE}/key_permissions"),
        ("coinbase.orders.create", "POST", f"{_COINBASE}/orders"),
        ("coinbase.orders.preview", "POST", f"{_COINBASE}/orders/preview"),
        ("coinbase.orders.cancel", "POST", f"{_COINBASE}/orders/batch_cancel"),
        ("coinbase.orders.list", "GET", f"{_COINBASE}/orders/historical/batch"),
        ("coinbase.orders.fills", "GET", f"{_COINBASE}/orders/historical/fills"),
        ("coinbase.orders.get", "GET", f"{_COINBASE}/orders/historical/*"),
        ("coinbase.portfolios", "GET", f"{_COINBASE}/portfolios"),
        ("coinbase.products.list", "GET", f"{_COINBASE}/products"),
        ("coinbase.products.list", "GET", f"{_COINBASE}/market/products"),
        ("coinbase.products.get", "GET", f"{_COINBASE}/products/*"),
        ("coinbase.products.get", "GET", f"{_COINBASE}/market/products/*"),
        ("coinbase.time", "GET", f"{_COINBASE}/time"),
        ("coinbase.transaction_summary", "GET", f"{_COINBASE}/transaction_summary"),
        ("alpha_vantage.candles", "GET", "/query"),
    )
)
NAMES = tuple(dict.fromkeys(route.name for route in ROUTES))


@cache
def path_pattern(path: str) -> re.Pattern[str]:
    """`*` is one segment, `**` any number of them."""
    parts = re.split(r"(\*\*|\*)", path)
    return re.compile("".join({"**": ".+", "*": "[^/]+"}.get(part) or re.escape(part) for part in parts))


def place(path: str) -> tuple[str, str] | None:
    """Venue and path below its prefix; None for what belongs to no venue."""
    for venue, prefix in PREFIXES.items():
        if path.startswith(f"{prefix}/"):
            return venue, path[len(prefix) :]
    return None


def route_name(venue: str, method: str, path: str) -> str:
    """Empty for a request without a name."""
    for route in ROUTES:
        if route.venue == venue and route.method == method and path_pattern(route.path).fullmatch(path):
            return route.name
    return ""
