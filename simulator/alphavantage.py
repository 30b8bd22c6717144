"""Alpha Vantage's one URL, `/query`, over the simulated market: daily and intraday bars, and its six ways of saying no with HTTP 200.

The order of refusals is the service's own: key, function, plan, quota, symbol. A free key may not read intraday bars nor full history. Requests are
counted by the venue's clock: 25 a UTC day, one a second. The newest bucket is the running one, as in the real feed. Forex prices are mid prices,
the same as OANDA's candles print; crypto prices are trades, the same as Coinbase's.
"""

from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ffe.clock import Clock
from ffe.money import round_nearest
from simulator.market import Market, SimBar

COMPACT, FULL = 100, 1000  # bars in a reply; the real full history is some 20 years
DAILY_LIMIT, PER_SECOND = 25, 1
PLANS = ("free", "premium")
_DAY = 86400
_LOOK_BACK = 2  # a forex week and a short holiday leave fewer bars than the clock has room for
_INTERVALS = {"1min": 60, "5min": 300, "15min": 900, "30min": 1800, "60min": 3600}
_SITE = "https://www.alphavantage.co"
_NAMES = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "USD": "United States Dollar",
}


@dataclass(frozen=True, slots=True)
class Function:
    """`base` and `quote` name the two parameters of the pair; `series` and `information` are the reply's own words."""

    base: str
    quote: str
    series: str
    information: str
    intraday: bool

    @property
    def crypto(self) -> bool:
        return self.quote == "market"


FUNCTIONS = {
    "FX_INTRADAY": Function(
        "from_symbol", "to_symbol", "Time Series FX ({})", "FX Intraday ({}) Time Series", intraday=True
    ),
    "CRYPTO_INTRADAY": Function(
        "symbol", "market", "Time Series Crypto ({})", "Crypto Intraday ({}) Time Series", intraday=True
    ),
    "FX_DAILY": Function(
        "from_symbol",
        "to_symbol",
        "Time Series FX (Daily)",
        "Forex Daily Prices (open, high, low, close)",
        intraday=False,
    ),
    "DIGITAL_CURRENCY_DAILY": Function(
        "symbol",
        "market",
        "Time Series (Digital Currency Daily)",
        "Daily Prices and Volumes for Digital Currency",
        intraday=False,
    ),
}


class Quota:
    """Requests of one key, counted by the venue's clock. Premium plans have no limits here."""

    def __init__(self, plan: str) -> None:
        self._free = plan == "free"
        self._day: date | None = None
        self._today = 0
        self._recent: list[datetime] = []

    def refusal(self, now: datetime, api_key: str) -> str | None:
        """Counts one request; the text of the service when it is one too many."""
        if not self._free:
            return None
        if now.date() != self._day:
            self._day, self._today = now.date(), 0
        self._recent = [moment for moment in self._recent if timedelta(0) <= now - moment < timedelta(seconds=1)]
        if len(self._recent) >= PER_SECOND:
            return BURST
        if self._today >= DAILY_LIMIT:
            return _DAILY.format(key=api_key)
        self._today += 1
        self._recent.append(now)
        return None


def alphavantage_app(market: Market, clock: Clock, api_key: str, *, plan: str = "free") -> Starlette:
    """Answers GET /query. `plan` is `free` or `premium`.

    Raises:
        ValueError: another plan.
    """
    if plan not in PLANS:
        raise ValueError(f"plan {plan!r} is neither free nor premium")
    service = _Service(market, api_key, plan, Quota(plan))

    async def query(request: Request) -> JSONResponse:
        return JSONResponse(service.answer(dict(request.query_params), clock.now()))

    return Starlette(routes=[Route("/query", query, methods=["GET"])])


@dataclass(frozen=True, slots=True)
class _Service:
    market: Market
    api_key: str
    plan: str
    quota: Quota

    def answer(self, asked: dict[str, str], now: datetime) -> dict[str, Any]:
        """The whole body: a refusal, or the bars newest first, or an empty object when the market has none yet."""
        name = asked.get("function", "")
        refusal = self._key_refusal(asked.get("apikey")) or self._plan_refusal(name, asked)
        if refusal is not None:
            return refusal
        over = self.quota.refusal(now, self.api_key)
        return {"Information": over} if over is not None else self._bars(name, asked, now)

    def _key_refusal(self, key: str | None) -> dict[str, Any] | None:
        if key == self.api_key:
            return None
        return {"Information": _DEMO} if key == "demo" else {"Error Message": _BAD_KEY}

    def _plan_refusal(self, name: str, asked: dict[str, str]) -> dict[str, Any] | None:
        if name not in FUNCTIONS:
            return {"Error Message": f"This API function ({name}) does not exist."}
        if self.plan == "free" and FUNCTIONS[name].intraday:
            return {"Information": _PREMIUM_ENDPOINT}
        if self.plan == "free" and asked.get("outputsize") == "full":
            return {"Information": _PREMIUM_PARAMETER}
        return None

    def _bars(self, name: str, asked: dict[str, str], now: datetime) -> dict[str, Any]:
        function = FUNCTIONS[name]
        symbol = asked.get(function.base, "") + asked.get(function.quote, "")
        interval = asked.get("interval", "")
        seconds = _INTERVALS.get(interval) if function.intraday else _DAY
        if symbol not in self.market.symbols() or seconds is None:
            return {"Error Message": _BAD_CALL.format(function=name)}
        size = FULL if asked.get("outputsize") == "full" else COMPACT
        bars = self.market.bars(symbol, seconds, now - timedelta(seconds=_LOOK_BACK * size * seconds), now)[-size:]
        if not bars:
            return {}
        rows = {_time(bar.time, function): _row(bar, function) for bar in reversed(bars)}
        return {"Meta Data": _meta(function, asked, next(iter(rows))), function.series.format(interval): rows}


def _meta(function: Function, asked: dict[str, str], refreshed: str) -> dict[str, str]:
    """Numbered in the order of each function; only the suffixes are stable."""
    interval = asked.get("interval", "")
    size = {"Output Size": "Full size" if asked.get("outputsize") == "full" else "Compact"}
    times = {"Last Refreshed": refreshed}
    if function.intraday:
        times |= {"Interval": interval} | size
    elif not function.crypto:
        times = size | times
    titled = (
        {"Information": function.information.format(interval)} | _pair(function, asked) | times | {"Time Zone": "UTC"}
    )
    return {f"{number}. {title}": text for number, (title, text) in enumerate(titled.items(), start=1)}


def _pair(function: Function, asked: dict[str, str]) -> dict[str, str]:
    base, quote = asked[function.base], asked[function.quote]
    if not function.crypto:
        return {"From Symbol": base, "To Symbol": quote}
    return {
        "Digital Currency Code": base,
        "Digital Currency Name": _NAMES.get(base, base),
        "Market Code": quote,
        "Market Name": _NAMES.get(quote, quote),
    }


def _time(moment: datetime, function: Function) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S" if function.intraday else "%Y-%m-%d")


def _row(bar: SimBar, function: Function) -> dict[str, str]:
    step = Decimal("0.00000001") if function.crypto else Decimal("0.00001")
    prices = astuple(bar.trade if function.crypto else bar.mid)
    titles = ("1. open", "2. high", "3. low", "4. close")
    row = {title: _printed(price, step) for title, price in zip(titles, prices, strict=True)}
    return row | {"5. volume": _printed(bar.volume, step)} if function.crypto else row


def _printed(value: Decimal, step: Decimal) -> str:
    return format(round_nearest(value, step).quantize(step), "f")


_BAD_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    f"({_SITE}/support/#api-key). It should take less than 20 seconds."
)
_BAD_CALL = f"Invalid API call. Please retry or visit the documentation ({_SITE}/documentation/) for {{function}}."
_DEMO = (
    "The **demo** API key is for demo purposes only. Please claim your free API key at "
    f"({_SITE}/support/#api-key) to explore our full API offerings. It takes fewer than 20 seconds."
)
_PREMIUM_ENDPOINT = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at "
    f"{_SITE}/premium/ to instantly unlock all premium endpoints"
)
_PREMIUM_PARAMETER = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature. You may subscribe to any "
    f"of the premium plans at {_SITE}/premium/ to instantly unlock all premium features"
)
BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request per "
    f"second). You may subscribe to any of the premium plans at {_SITE}/premium/ to lift the free key rate limit (25 requests per "
    "day), raise the per-second burst limit, and instantly unlock all premium endpoints"
)
_DAILY = (
    "We have detected your API key as {key} and our standard API rate limit is 25 requests per day. Please subscribe to any of "
    f"the premium plans at {_SITE}/premium/ to instantly remove all daily rate limits."
)
