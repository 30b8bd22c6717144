"""Alpha Vantage's one URL: bars as it prints them, and its six ways of saying no, all with HTTP 200."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from ffe.clock import FixedClock
from ffe.money import round_nearest
from simulator.alphavantage import DAILY_LIMIT, alphavantage_app
from simulator.generated import GeneratedMarket
from simulator.recorded import RecordedMarket

START = datetime(2026, 11, 18, 14, 30, 20, tzinfo=UTC)
KEY = "SIMKEY123456"
FX_DAILY = {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD"}
CRYPTO_DAILY = {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"}
FX_INTRADAY = {"function": "FX_INTRADAY", "from_symbol": "EUR", "to_symbol": "USD", "interval": "5min"}
CRYPTO_INTRADAY = {"function": "CRYPTO_INTRADAY", "symbol": "ETH", "market": "USD", "interval": "60min"}


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return GeneratedMarket(7, START)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def ask(market, clock):
    """Asks one app; each request a simulated second apart unless told otherwise."""
    apps = {plan: alphavantage_app(market, clock, KEY, plan=plan) for plan in ("free", "premium")}

    async def send(parameters, *, plan="free", apikey=KEY, wait=1.0):
        clock.advance(timedelta(seconds=wait))
        transport = httpx.ASGITransport(app=apps[plan])
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            reply = await client.get("/query", params={**parameters, "apikey": apikey, "datatype": "json"})
        assert reply.status_code == 200
        return reply.json()

    return send


async def test_daily_forex_is_newest_first_without_volume(ask):
    body = await ask(FX_DAILY)
    assert body["Meta Data"] == {
        "1. Information": "Forex Daily Prices (open, high, low, close)",
        "2. From Symbol": "EUR",
        "3. To Symbol": "USD",
        "4. Output Size": "Compact",
        "5. Last Refreshed": "2026-11-18",
        "6. Time Zone": "UTC",
    }
    rows = body["Time Series FX (Daily)"]
    assert len(rows) == 100
    assert list(rows) == sorted(rows, reverse=True)
    assert list(rows["2026-11-17"]) == ["1. open", "2. high", "3. low", "4. close"]
    assert len(rows["2026-11-17"]["4. close"].partition(".")[2]) == 5


async def test_daily_crypto_has_volume_and_the_prices_of_the_market(ask, market):
    body = await ask(CRYPTO_DAILY)
    assert body["Meta Data"]["3. Digital Currency Name"] == "Bitcoin"
    assert body["Meta Data"]["7. Time Zone"] == "UTC"
    bar = market.bars("BTCUSD", 86400, datetime(2026, 11, 17, tzinfo=UTC), datetime(2026, 11, 18, tzinfo=UTC))[0]
    row = body["Time Series (Digital Currency Daily)"]["2026-11-17"]
    assert row["4. close"] == f"{bar.trade.close}000000"
    assert row["5. volume"] == str(bar.volume)


async def test_intraday_bars_on_a_premium_plan(ask):
    body = await ask(FX_INTRADAY, plan="premium")
    assert body["Meta Data"] == {
        "1. Information": "FX Intraday (5min) Time Series",
        "2. From Symbol": "EUR",
        "3. To Symbol": "USD",
        "4. Last Refreshed": "2026-11-18 14:30:00",
        "5. Interval": "5min",
        "6. Output Size": "Compact",
        "7. Time Zone": "UTC",
    }
    assert len(body["Time Series FX (5min)"]) == 100
    crypto = await ask(CRYPTO_INTRADAY, plan="premium")
    assert crypto["Meta Data"]["7. Interval"] == "60min"
    assert next(iter(crypto["Time Series Crypto (60min)"])) == "2026-11-18 14:00:00"


@pytest.mark.parametrize(("symbol", "step"), [("EURUSD", "0.00001"), ("GBPUSD", "0.00001"), ("USDJPY", "0.001")])
async def test_forex_bars_are_the_mid_prices_of_oandas_candles(symbol, step, ask, market):
    pair = {"from_symbol": symbol[:3], "to_symbol": symbol[3:]}
    rows = (await ask(FX_INTRADAY | pair, plan="premium"))["Time Series FX (5min)"]
    for time, row in rows.items():
        opened = datetime.fromisoformat(time).replace(tzinfo=UTC)
        # Asked for up to now, as OANDA's side asks: the newest bucket is still growing.
        end = min(opened + timedelta(minutes=5), START + timedelta(seconds=1))
        mids = [bar.mid for bar in market.bars(symbol, 60, opened, end)]
        middles = (mids[0].open, max(mid.high for mid in mids), min(mid.low for mid in mids), mids[-1].close)
        for title, middle in zip(("1. open", "2. high", "3. low", "4. close"), middles, strict=True):
            assert abs(Decimal(row[title]) - middle) <= Decimal("0.000005")
            assert round_nearest(middle, Decimal(step)) == round_nearest(Decimal(row[title]), Decimal(step))


async def test_full_history_is_longer_on_a_premium_plan(ask):
    body = await ask({**FX_INTRADAY, "outputsize": "full"}, plan="premium")
    assert body["Meta Data"]["6. Output Size"] == "Full size"
    assert len(body["Time Series FX (5min)"]) == 1000


@pytest.mark.parametrize("parameters", [FX_INTRADAY, CRYPTO_INTRADAY, {**FX_DAILY, "outputsize": "full"}])
async def test_a_free_key_is_told_that_this_is_premium(parameters, ask):
    body = await ask(parameters)
    assert list(body) == ["Information"]
    assert "premium endpoint" in body["Information"] or "parameter value" in body["Information"]
    assert "per day" not in body["Information"]


@pytest.mark.parametrize(
    ("parameters", "plan", "text"),
    [
        ({"function": "FX_HOURLY"}, "free", r"function \(FX_HOURLY\) does not exist"),
        ({}, "free", "does not exist"),
        ({**FX_DAILY, "to_symbol": "XXX"}, "free", "Invalid API call.*for FX_DAILY"),
        ({"function": "FX_DAILY"}, "free", "Invalid API call"),
        ({**FX_INTRADAY, "interval": "7min"}, "premium", "Invalid API call.*for FX_INTRADAY"),
    ],
)
async def test_wrong_calls_are_error_messages(parameters, plan, text, ask):
    body = await ask(parameters, plan=plan)
    assert list(body) == ["Error Message"]
    assert re.search(text, body["Error Message"])


async def test_a_bad_key_is_an_error_message(ask):
    body = await ask(FX_DAILY, apikey="wrong")
    assert "apikey is invalid or missing" in body["Error Message"]


async def test_the_demo_key_is_told_apart(ask):
    body = await ask(FX_DAILY, apikey="demo")
    assert "**demo**" in body["Information"]


async def test_two_requests_in_one_second_are_a_burst(ask):
    await ask(FX_DAILY)
    body = await ask(FX_DAILY, wait=0.5)
    assert "1 request per second" in body["Information"]
    assert "spreading out" in body["Information"]
    assert "Time Series FX (Daily)" in await ask(FX_DAILY)


async def test_the_twenty_sixth_request_of_a_day_repeats_the_key_until_midnight(ask, clock):
    for _ in range(DAILY_LIMIT):
        assert "Meta Data" in await ask(CRYPTO_DAILY)
    body = await ask(CRYPTO_DAILY)
    assert f"detected your API key as {KEY}" in body["Information"]
    assert "25 requests per day" in body["Information"]
    assert "per second" not in body["Information"]
    clock.at = datetime(2026, 11, 19, 0, 0, 1, tzinfo=UTC)
    assert "Meta Data" in await ask(CRYPTO_DAILY)


async def test_a_premium_plan_has_no_quota(ask):
    bodies = [await ask(CRYPTO_INTRADAY, plan="premium", wait=0) for _ in range(30)]
    assert all("Meta Data" in body for body in bodies)


async def test_a_market_without_bars_yet_answers_an_empty_object(recorded_bars):
    before = FixedClock(datetime(2010, 1, 6, tzinfo=UTC))
    app = alphavantage_app(RecordedMarket(recorded_bars), before, KEY)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        reply = await client.get("/query", params={**FX_DAILY, "apikey": KEY})
    assert (reply.status_code, reply.json()) == (200, {})


def test_an_unknown_plan_is_refused(market, clock):
    with pytest.raises(ValueError, match="plan 'gold'"):
        alphavantage_app(market, clock, KEY, plan="gold")
