"""Alpha Vantage over real HTTP: against the simulator's own service, and against every word that the service is known to say."""

import gzip
import io
import json
import logging
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any

import pyarrow as pa
import pytest
from alpha_vantage_server import Scripted, cut_short, drip_body, drip_headers, endless, hang_up, scripted_server, served
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount

from ffe.clock import FixedClock
from ffe.errors import (
    NotOfferedError,
    PermanentSourceError,
    SourceError,
    SourceSkippedError,
    TransientSourceError,
)
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.sources.allowance import Allowance, allowed
from ffe.sources.alphavantage import AlphaVantageSource
from ffe.sources.alphavantage_http import Query, _proxy
from ffe.sources.alphavantage_reply import BurstError, PlanError, QuotaSpentError
from ffe.sources.health import Budget
from ffe.sources.models import BAR_SCHEMA, PRICE_BAR_SCHEMA
from simulator.alphavantage import alphavantage_app
from simulator.generated import GeneratedMarket

NOW = datetime(2026, 11, 18, 14, 30, 20, tzinfo=UTC)
KEY = "CANARYKEY77XQ"
MONTH = timedelta(days=30)
BURST = "Thank you! Please consider spreading out your free API requests more sparingly (1 request per second). 25 requests per day, premium endpoints"
QUOTA = f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day."
PREMIUM = "Thank you for using Alpha Vantage! This is a premium endpoint."
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
FULL = "The outputsize=full parameter value is a premium feature."


def daily(*days: str, zone: str = "UTC", **changes: Any) -> dict[str, Any]:
    """A reply of FX_DAILY, newest first as the service prints it."""
    bar = {"1. open": "1.1", "2. high": "1.3", "3. low": "1.0", "4. close": "1.2"} | changes
    rows = dict.fromkeys(sorted(days, reverse=True), bar)
    return {"Meta Data": {"5. Last Refreshed": "x", "6. Time Zone": zone}, "Time Series FX (Daily)": rows}


class Bench:
    """A source whose pauses are noted down and pass on its clock at once."""

    def __init__(self, url: str, ledger: Ledger, clock: FixedClock) -> None:
        self.clock, self.ledger, self.pauses = clock, ledger, list[float]()
        budget = Budget(per_day=25, per_second=1)
        self.source = AlphaVantageSource(Query(url, SecretStr(KEY)), self.clock, ledger, budget, sleep=self.pause)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))

    def fetch(self, symbol: str = "EURUSD", timeframe: Timeframe = Timeframe.D1, back: timedelta = MONTH) -> pa.Table:
        return self.source.fetch(parse_instrument(symbol), timeframe, NOW - back, self.clock.now())

    @property
    def requests(self) -> int:
        return sum(state.today.requests for state in self.ledger.source_states("sim", self.clock.now()))


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def bench(server: Scripted, ledger: Ledger) -> Bench:
    return Bench(server.url, ledger, FixedClock(NOW))


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return GeneratedMarket(7, NOW)


@pytest.fixture(params=["free", "premium"])
def plan(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def simulated(plan: str, market: GeneratedMarket, ledger: Ledger) -> Iterator[Bench]:
    """A bench on the simulator's own service, both on one clock."""
    clock = FixedClock(NOW)
    app = Starlette(routes=[Mount("/", app=alphavantage_app(market, clock, KEY, plan=plan))])
    with served(app) as base:
        yield Bench(f"{base}/query", ledger, clock)


# against the simulator's service


@pytest.mark.parametrize("symbol", ["EURUSD", "BTCUSD"])
def test_daily_bars_are_the_markets_own_complete_and_oldest_first(
    simulated: Bench, market: GeneratedMarket, symbol: str
) -> None:
    table = simulated.fetch(symbol)
    opens = table.column("time").to_pylist()
    assert table.schema == (PRICE_BAR_SCHEMA if symbol == "EURUSD" else BAR_SCHEMA)
    assert opens == sorted(opens)
    assert opens[-1] == datetime(2026, 11, 17, tzinfo=UTC), "the running day is left out"
    bar = market.bars(symbol, 86400, opens[-1], NOW)[0]
    prices = bar.mid if symbol == "EURUSD" else bar.trade
    assert abs(table.column("close").to_pylist()[-1] - prices.close) <= Decimal("0.00001")
    assert simulated.requests == 1


@pytest.mark.parametrize("plan", ["premium"])
@pytest.mark.parametrize("timeframe", [Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1])
def test_a_premium_key_reads_intraday_bars(simulated: Bench, timeframe: Timeframe) -> None:
    table = simulated.fetch("BTCUSD", timeframe, back=50 * timeframe.duration)
    opens = table.column("time").to_pylist()
    assert table.num_rows in {49, 50}
    assert opens[-1] + timeframe.duration <= NOW < opens[-1] + 2 * timeframe.duration


@pytest.mark.parametrize("plan", ["premium"])
def test_more_than_a_compact_reply_is_asked_for_in_full(simulated: Bench) -> None:
    assert simulated.fetch("BTCUSD", Timeframe.M5, back=timedelta(minutes=1500)).num_rows == 299


@pytest.mark.parametrize("plan", ["free"])
def test_a_free_key_has_no_intraday_bars_and_that_is_asked_once_a_day(simulated: Bench) -> None:
    for _ in range(3):
        with pytest.raises(NotOfferedError, match="premium endpoint"):
            simulated.fetch("BTCUSD", Timeframe.M5)
    assert simulated.requests == 1


@pytest.mark.parametrize("plan", ["free"])
def test_a_free_key_gets_the_newest_hundred_days_where_more_is_refused(simulated: Bench) -> None:
    first = simulated.fetch(back=timedelta(days=300))
    again = simulated.fetch(back=timedelta(days=300))
    assert first.num_rows == again.num_rows == 99
    assert simulated.requests == 3, "the refusal of the full history is remembered"


@pytest.mark.parametrize("plan", ["free"])
def test_the_twenty_sixth_request_of_a_day_is_not_sent(simulated: Bench) -> None:
    for _ in range(25):
        simulated.fetch("BTCUSD")
    with pytest.raises(SourceSkippedError, match="25 of 25 used on 2026-11-18"):
        simulated.fetch("BTCUSD")
    assert simulated.pauses == pytest.approx([1.1] * 24)


@pytest.mark.parametrize("plan", ["free"])
def test_an_unknown_symbol_is_not_offered(simulated: Bench) -> None:
    with pytest.raises(NotOfferedError, match="Invalid API call"):
        simulated.fetch("NZDCHF")
    with pytest.raises(NotOfferedError, match="does not offer FX_DAILY NZDCHF"):
        simulated.fetch("NZDCHF")
    assert simulated.fetch("EURUSD").num_rows > 15


@pytest.mark.parametrize("plan", ["free"])
def test_another_key_may_be_offered_what_the_first_was_refused(simulated: Bench) -> None:
    for _ in range(2):
        with pytest.raises(NotOfferedError, match="premium"):
            simulated.fetch("BTCUSD", Timeframe.M5)
    other = Query(simulated.source.url, SecretStr("ANOTHERKEY42ZZ"))
    budget = Budget(per_day=25, per_second=1)
    asked = AlphaVantageSource(other, simulated.clock, simulated.ledger, budget, sleep=simulated.pause)
    with pytest.raises(PermanentSourceError, match="apikey is invalid"):
        asked.fetch(parse_instrument("BTCUSD"), Timeframe.M5, NOW - MONTH, NOW)
    assert simulated.requests == 2


def test_four_hours_are_not_offered_and_nothing_is_sent(bench: Bench) -> None:
    with pytest.raises(NotOfferedError, match="alpha-vantage has no 4h bars of EURUSD"):
        bench.fetch(timeframe=Timeframe.H4)
    assert bench.requests == 0


# every word that the service is known to say


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"Error Message": "the parameter apikey is invalid or missing."}, PermanentSourceError),
        ({"Error Message": "Invalid API call. Please retry."}, NotOfferedError),
        ({"Information": PREMIUM}, PlanError),
        ({"Note": FULL}, PlanError),
        ({"Information": QUOTA}, QuotaSpentError),
        ({"Information": BURST}, BurstError),
        ({"Note": "Our standard API call frequency is 5 calls per minute and 500 calls per day."}, BurstError),
        ({"Information": "Burst pattern detected."}, BurstError),
        ({"Information": "The **demo** API key is for demo purposes only."}, PermanentSourceError),
        ({"Information": "We are closed today."}, TransientSourceError),
        ({}, TransientSourceError),
        ({"Meta Data": {"6. Time Zone": "UTC"}}, TransientSourceError),
        (daily() | {"Time Series FX (Daily)": []}, TransientSourceError),
        (daily(), TransientSourceError),
        ("<html>maintenance</html>", TransientSourceError),
        ('["a list"]', TransientSourceError),
        ('{"half": ', TransientSourceError),
        ('{"a": 1, "a": 2}', PermanentSourceError),
        ('{"a": NaN}', PermanentSourceError),
        ((503, "<html>"), TransientSourceError),
        ((429, "slow down"), TransientSourceError),
        ((302, ""), PermanentSourceError),
        ((404, "nothing here"), PermanentSourceError),
    ],
)
def test_every_failure_is_told_apart(bench: Bench, server: Scripted, reply: Any, kind: type[SourceError]) -> None:
    server.script(reply)
    with pytest.raises(SourceError) as caught:
        bench.fetch()
    assert type(caught.value) is kind


@pytest.mark.parametrize("wire", [cut_short, hang_up, endless])
def test_a_broken_wire_is_transient(bench: Bench, server: Scripted, wire: Any) -> None:
    server.script(wire)
    with pytest.raises(TransientSourceError):
        bench.fetch()


def test_a_closed_port_is_transient_and_names_the_trouble(ledger: Ledger) -> None:
    with pytest.raises(TransientSourceError, match="ConnectError"):
        Bench("http://127.0.0.1:1/query", ledger, FixedClock(NOW)).fetch()


@pytest.mark.parametrize("slow", [drip_headers, drip_body])
def test_no_trickle_outlasts_the_total_deadline(bench: Bench, server: Scripted, slow: Any) -> None:
    server.script(slow)
    started = time.monotonic()
    with allowed(Allowance(started + 0.4)), pytest.raises(TransientSourceError, match="no whole reply within"):
        bench.fetch()
    assert time.monotonic() - started < 1.5


def test_a_request_that_cannot_even_be_cancelled_is_let_go(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    """A name lookup blocks its thread whatever the event loop says."""
    ended = threading.Event()
    monkeypatch.setattr("ffe.sources.alphavantage_http._GRACE", 0.05)
    monkeypatch.setattr("ffe.sources.alphavantage_http.asyncio.run", lambda work: (work.close(), ended.wait(5)))
    with allowed(Allowance(time.monotonic() + 0.1)), pytest.raises(TransientSourceError, match="did not end within"):
        bench.fetch()
    ended.set()


def test_without_time_left_nothing_is_sent(bench: Bench, server: Scripted) -> None:
    with allowed(Allowance(time.monotonic() - 1)), pytest.raises(TransientSourceError, match="no time left"):
        bench.fetch()
    assert server.asked == []


# a body that nobody asked to be encoded


def encoded(status: int, encoding: str, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert handler.headers["Accept-Encoding"] == "identity"
        handler.send_response(status)
        handler.send_header("Content-Encoding", encoding)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_an_encoded_reply_is_refused_and_never_unpacked(bench: Bench, server: Scripted) -> None:
    bomb = gzip.compress(gzip.compress(b" " * (64 * 2**20)))
    server.script(encoded(200, "gzip, gzip", bomb))
    tracemalloc.start()
    try:
        with pytest.raises(PermanentSourceError, match="encoded as 'gzip, gzip'"):
            bench.fetch()
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_an_encoded_error_is_still_told_by_its_status(bench: Bench, server: Scripted) -> None:
    server.script(encoded(503, "gzip", gzip.compress(b"maintenance")))
    with pytest.raises(TransientSourceError, match="HTTP 503"):
        bench.fetch()


def test_a_reply_that_says_it_is_not_encoded_is_read(bench: Bench, server: Scripted) -> None:
    server.script(encoded(200, "Identity", json.dumps(daily("2026-11-16")).encode()))
    assert bench.fetch().num_rows == 1


@pytest.mark.parametrize("value", ["[" * 5000 + "]" * 5000, "1e99999999999999999999", "9" * 5000])
def test_json_that_cannot_be_held_is_transient(bench: Bench, server: Scripted, value: str) -> None:
    server.script(f'{{"a": {value}}}')
    with pytest.raises(TransientSourceError):
        bench.fetch()


@pytest.mark.parametrize("shape", ['{"Information": "%s"}', "<html>%s"])
@pytest.mark.parametrize("part", ["-----BEGIN PRIVATE KEY-----", ESCAPED])
def test_a_huge_message_is_masked_in_no_time(bench: Bench, server: Scripted, shape: str, part: str) -> None:
    server.script(shape % (part * 20_000))
    started = time.monotonic()
    with pytest.raises(TransientSourceError) as caught:
        bench.fetch()
    assert time.monotonic() - started < 5
    assert KEY not in str(caught.value)


# bursts and quota


def test_a_burst_is_waited_out(bench: Bench, server: Scripted) -> None:
    server.script({"Information": BURST}, daily("2026-11-16"))
    assert bench.fetch().num_rows == 1
    assert bench.pauses == [2.0]
    assert bench.requests == 2, "a refused request is one too"


def test_a_burst_that_does_not_end_is_given_up_after_three_tries(bench: Bench, server: Scripted) -> None:
    server.script({"Information": BURST})
    with pytest.raises(BurstError):
        bench.fetch()
    assert (len(server.asked), bench.pauses) == (3, [2.0, 2.0])


def test_a_burst_is_not_waited_out_beyond_the_deadline(bench: Bench, server: Scripted) -> None:
    server.script({"Information": BURST})
    with allowed(Allowance(time.monotonic() + 1.9)), pytest.raises(BurstError):
        bench.fetch()
    assert (len(server.asked), bench.pauses) == (1, [])


def test_a_spent_quota_stops_every_process_until_the_next_utc_day(bench: Bench, server: Scripted) -> None:
    server.script({"Information": QUOTA}, daily("2026-11-16"))
    with pytest.raises(QuotaSpentError):
        bench.fetch()
    with pytest.raises(SourceSkippedError, match="quota spent, not asked before 2026-11-19T00:00:00Z"):
        bench.fetch()
    bench.clock.at = datetime(2026, 11, 19, tzinfo=UTC)
    assert bench.fetch().num_rows == 1


# what is read


def test_what_is_asked_says_the_instrument_and_nothing_is_taken_from_the_reply(bench: Bench, server: Scripted) -> None:
    reply = daily("2026-11-16")
    server.script(reply | {"Meta Data": reply["Meta Data"] | {"2. From Symbol": "GBP"}})
    bench.fetch()
    crypto = daily("2026-11-16", **{"5. volume": "7"})
    server.script(crypto)
    bench.fetch("BTCUSD", Timeframe.M5)
    assert server.asked == [
        {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "datatype": "json", "apikey": KEY},
        {
            "function": "CRYPTO_INTRADAY",
            "symbol": "BTC",
            "market": "USD",
            "interval": "5min",
            "outputsize": "full",
            "datatype": "json",
            "apikey": KEY,
        },
    ]


def test_both_spellings_of_a_price_are_read_exactly(bench: Bench, server: Scripted) -> None:
    old = {
        "1a. open (USD)": "1",
        "2a. high (USD)": "3",
        "3a. low (USD)": "0.5",
        "4a. close (USD)": "2.000000000000000001",
    }
    series = {"2026-11-16": old | {"5. volume": 12.5}}
    server.script({"Meta Data": {"9. Time Zone": "UTC"}, "Time Series (Digital Currency Daily)": series})
    (row,) = bench.fetch("BTCUSD").to_pylist()
    assert row["close"] == Decimal("2.000000000000000001")
    assert row["volume"] == Decimal("12.5")


@pytest.mark.parametrize(
    ("zone", "printed", "utc"),
    [
        ("UTC", "2026-11-16 13:35:00", "2026-11-16T13:35:00+00:00"),
        ("US/Eastern", "2026-11-16 08:35:00", "2026-11-16T13:35:00+00:00"),
        ("US/Eastern", "2026-10-30 09:35:00", "2026-10-30T13:35:00+00:00"),
    ],
)
def test_times_are_converted_from_the_zone_that_the_reply_names(
    bench: Bench, server: Scripted, zone: str, printed: str, utc: str
) -> None:
    server.script(daily(printed, zone=zone))
    assert bench.fetch(timeframe=Timeframe.M5).column("time").to_pylist() == [datetime.fromisoformat(utc)]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (daily("2026-11-16", zone="Mars/Olympus"), "unknown time zone 'Mars/Olympus'"),
        (daily("2026-11-16", zone=""), "unknown time zone"),
        (daily("2026-11-16") | {"Meta Data": {"1. Information": "x"}}, "without its time zone"),
        (daily("2026-11-16") | {"Meta Data": None}, "without its time zone"),
        (daily("2026-11-01 01:30:00", zone="US/Eastern"), "is not one moment"),
        (daily("2026-03-08 02:30:00", zone="US/Eastern"), "is not one moment"),
        (daily("2026-11-16T00:00:00+02:00"), "has an offset"),
        (daily("yesterday"), "'yesterday' is not a time"),
        (daily("2026-11-16", **{"4. close": "n/a"}), "'4. close' is 'n/a'"),
        (daily("2026-11-16", **{"4. close": None}), "'4. close' is None"),
    ],
)
def test_what_would_be_a_guess_is_refused(bench: Bench, server: Scripted, reply: Any, words: str) -> None:
    server.script(reply)
    with pytest.raises(PermanentSourceError, match=words):
        bench.fetch(timeframe=Timeframe.M5)


def test_a_missing_price_names_its_field(bench: Bench, server: Scripted) -> None:
    reply = daily("2026-11-16")
    del reply["Time Series FX (Daily)"]["2026-11-16"]["2. high"]
    server.script(reply)
    with pytest.raises(PermanentSourceError, match=r"without field '2\. high'"):
        bench.fetch()


# the key


def bogus_status(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(f"BOGUS {handler.path}\r\n\r\n".encode())
    handler.close_connection = True


def bogus_reason(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(f"HTTP/1.1 500 {KEY}\r\nContent-Length: 0\r\n\r\n".encode())
    handler.close_connection = True


def bogus_header(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n".encode())
    handler.close_connection = True


def odd_encoding(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Encoding: {KEY}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    handler.close_connection = True


@pytest.mark.parametrize(
    "reply",
    [
        {"Information": QUOTA},
        {"Information": f"your key {KEY} is odd"},
        {"Error Message": f"apikey={KEY} is wrong"},
        {KEY: KEY},
        f"<html>{KEY}</html>",
        (500, f"no luck with {KEY}"),
        (403, f"no luck with {KEY}"),
        cut_short,
        hang_up,
        drip_body,
        daily("2026-11-16"),
        daily("2026-11-16", zone=KEY),
        daily(KEY),
        daily("2026-11-16", **{"4. close": KEY}),
        '{"key": 1, "key": 2}'.replace("key", KEY),
        daily("2026-11-16") | {"Meta Data": {"x": KEY}},
        '{"Information": "sorry, ESC"}',
        '{"ESC": "ESC"}',
        '{"ESC": ["ESC", ["ESC"]]}',
        '{"ESC": 1, "ESC": 2}',
        '{"Meta Data": {"6. Time Zone": "ESC"}, "Time Series (5min)": {"2026-11-16": {}}}',
        '{"Meta Data": {"6. Time Zone": "UTC"}, "Time Series (5min)": {"ESC": {}}}',
        '{"Meta Data": {"6. Time Zone": "UTC"}, "Time Series (5min)": {"2026-11-16": {"1. open": "ESC"}}}',
        json.dumps({"Information": f"escaped twice {ESCAPED}"}),
        "<html>ESC</html>",
        (500, f"no luck with {ESCAPED}"),
        bogus_status,
        bogus_reason,
        bogus_header,
        odd_encoding,
    ],
)
def test_the_key_is_in_no_log_line_no_error_and_not_in_the_ledger(
    bench: Bench, server: Scripted, caplog: pytest.LogCaptureFixture, reply: Any
) -> None:
    server.script(reply.replace("ESC", ESCAPED) if isinstance(reply, str) else reply)
    text = io.StringIO()
    with caplog.at_level(logging.DEBUG), allowed(Allowance(time.monotonic() + 0.6)):
        try:
            bench.fetch()
        except SourceError as error:
            for link in _links(error):
                text.write("".join(traceback.format_exception(link)) + repr(link) + repr(vars(link)))
                text.write(repr(getattr(link, "request", None)))
    assert server.asked[0]["apikey"] == KEY
    assert "HTTP Request" in caplog.text or text.getvalue()
    assert KEY not in caplog.text
    assert KEY not in text.getvalue()
    assert ESCAPED not in text.getvalue().replace("\\\\", "\\")
    with bench.ledger.database.engine.connect() as connection:
        assert KEY not in "".join(connection.connection.driver_connection.iterdump())


def _links(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_neither_source_nor_query_show_the_key() -> None:
    query = Query("http://127.0.0.1:1/query", SecretStr(KEY))
    assert KEY not in repr(vars(query)) + repr(query)


def test_a_proxy_of_the_environment_is_used_but_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert _proxy("https://www.alphavantage.co/query") == "http://127.0.0.1:3128"
    assert _proxy("https://inside.example/query") is None
    assert _proxy("http://127.0.0.1:9/query") is None


def test_no_thread_is_left_behind(bench: Bench, server: Scripted) -> None:
    server.script(daily("2026-11-16"))
    bench.fetch()
    bench.source.close()
    assert [thread for thread in threading.enumerate() if thread.name == "alpha-vantage"] == []
