"""The generated market: the same from the same seed wherever it is asked, and shaped like real pairs."""

import hashlib
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe.errors import ConfigurationError, UnknownNameError
from simulator.generated import DEMO_START, SPECS, GeneratedMarket
from simulator.hours import forex_open
from simulator.paths import REGIMES, regimes, trading_days

START = datetime(2026, 11, 18, 14, 30, 20, tzinfo=UTC)
SYMBOLS = list(SPECS)
FOREX = [symbol for symbol, spec in SPECS.items() if spec.forex]
DAYS = st.integers(0, 30_000)

FINGERPRINT = """
import hashlib, sys
from datetime import UTC, datetime, timedelta
from simulator.generated import DEMO_START, SPECS, GeneratedMarket
start = datetime(2026, 11, 18, 14, 30, 20, tzinfo=UTC)
market = GeneratedMarket(7, start)
for symbol in reversed(market.symbols()):
    bars = market.bars(symbol, 300, start - timedelta(hours=30), start)
    print(symbol, hashlib.sha256(repr(bars).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return GeneratedMarket(7, START)


def day_start(day: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)


def test_bars_are_identical_in_a_second_process(market):
    output = subprocess.run([sys.executable, "-c", FINGERPRINT], capture_output=True, text=True, check=True).stdout
    printed = dict(line.split() for line in output.splitlines())
    here = {
        symbol: hashlib.sha256(repr(market.bars(symbol, 300, START - timedelta(hours=30), START)).encode()).hexdigest()
        for symbol in SYMBOLS
    }
    assert printed == here


@settings(max_examples=15)
@given(st.lists(DAYS, min_size=2, max_size=4, unique=True), st.sampled_from(SYMBOLS))
def test_the_order_of_access_does_not_matter(days, symbol):
    def read(order):
        fresh = GeneratedMarket(3, START)
        return {day: fresh.bars(symbol, 3600, day_start(day), day_start(day + 1)) for day in order}

    assert read(days) == read(reversed(days))


def test_another_seed_is_another_market(market):
    other = GeneratedMarket(8, START)
    assert other.key == "generated-8"
    assert other.quote("BTCUSD", START) != market.quote("BTCUSD", START)


@settings(max_examples=25)
@given(DAYS, st.sampled_from(SYMBOLS))
def test_every_minute_is_well_formed(market, day, symbol):
    for bar in market.bars(symbol, 60, day_start(day), day_start(day + 1)):
        for side in (bar.trade, bar.bid, bar.ask):
            assert 0 < side.low <= min(side.open, side.close) <= max(side.open, side.close) <= side.high
        assert bar.bid.open < bar.ask.open
        assert bar.bid.close < bar.ask.close
        assert bar.bid.close <= bar.trade.close <= bar.ask.close
        assert bar.volume > 0
        assert -bar.bid.close.as_tuple().exponent == SPECS[symbol].places


@settings(max_examples=25)
@given(DAYS, st.sampled_from(FOREX))
def test_forex_prints_only_in_its_week(market, day, symbol):
    times = [int(bar.time.timestamp()) for bar in market.bars(symbol, 60, day_start(day), day_start(day + 1))]
    assert forex_open(np.array(times, dtype=np.int64)).all()


@settings(max_examples=20)
@given(DAYS, st.sampled_from(SYMBOLS))
def test_the_first_minute_of_every_open_five_minutes_is_there(market, day, symbol):
    opens = {int(bar.time.timestamp()) for bar in market.bars(symbol, 60, day_start(day), day_start(day + 1))}
    firsts = day * 86400 + np.arange(0, 86400, 300)
    expected = firsts[forex_open(firsts)] if symbol in FOREX else firsts
    assert {time for time in opens if time % 300 == 0} == set(expected.tolist())


def test_some_minutes_are_missing_as_in_real_feeds(market):
    week = [
        market.bars(symbol, 60, START - timedelta(days=8), START - timedelta(days=1)) for symbol in ("BTCUSD", "EURUSD")
    ]
    open_minutes = 5 * 1440 - 5 * 5
    assert 0.0005 < 1 - len(week[0]) / (7 * 1440) < 0.005
    assert 0.001 < 1 - len(week[1]) / open_minutes < 0.01


@pytest.mark.parametrize("symbol", ["BTCUSD", "EURUSD"])
def test_prices_go_on_across_midnight(symbol, market):
    midnight = datetime(2026, 11, 18, tzinfo=UTC)
    bars = market.bars(symbol, 300, midnight - timedelta(minutes=5), midnight + timedelta(minutes=5))
    middles = [(bar.bid.close + bar.ask.close) / 2 for bar in bars[:1]] + [(bars[1].bid.open + bars[1].ask.open) / 2]
    assert abs(middles[0] - middles[1]) <= 3 * Decimal(1).scaleb(-SPECS[symbol].places)


@pytest.mark.parametrize(
    ("symbol", "low", "high"), [("BTCUSD", 3e-4, 1.2e-3), ("ETHUSD", 3e-4, 1.4e-3), ("EURUSD", 3e-5, 1.5e-4)]
)
def test_a_minute_moves_as_much_as_in_the_real_pair(symbol, low, high, market):
    closes = [float(bar.trade.close) for bar in market.bars(symbol, 60, START - timedelta(days=8), START)]
    assert low < np.diff(np.log(closes)).std() < high


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_prices_wander_and_stay_near_their_level_for_decades(symbol, market):
    quotes = [market.quote(symbol, datetime(year, 6, 15, 12, tzinfo=UTC)) for year in range(1990, 2060, 5)]
    ratios = [float(quote.bid) / SPECS[symbol].level for quote in quotes]
    assert all(0.2 < ratio < 5 for ratio in ratios)
    assert len({quote.bid for quote in quotes}) > 10


def test_the_cross_is_the_ratio_of_its_two_pairs(market):
    euro, pound, cross = (market.quote(symbol, START) for symbol in ("EURUSD", "GBPUSD", "EURGBP"))
    ratio = float((euro.bid + euro.ask) / (pound.bid + pound.ask))
    assert float((cross.bid + cross.ask) / 2) == pytest.approx(ratio, abs=2e-5)


def test_minutes_add_up_to_days_and_weeks(market):
    start, end = START - timedelta(days=21), START
    by_week = market.bars("BTCUSD", 7 * 86400, start, end)
    by_day = market.bars("BTCUSD", 86400, by_week[0].time, by_week[0].time + timedelta(days=7))
    assert by_week[0].trade.high == max(bar.trade.high for bar in by_day)
    assert by_week[0].volume == sum(bar.volume for bar in by_day)


def test_an_empty_window_has_no_bars(market):
    assert market.bars("BTCUSD", 300, START, START) == []


def test_on_saturday_forex_shows_fridays_last_quote_and_is_closed(market):
    quote = market.quote("EURUSD", datetime(2026, 11, 21, 4, tzinfo=UTC))
    assert not quote.open
    assert quote.time == datetime(2026, 11, 20, 22, tzinfo=UTC)
    assert market.quote("BTCUSD", datetime(2026, 11, 21, 4, tzinfo=UTC)).open


def test_the_running_minute_shows_its_open(market):
    moment = START.replace(second=20)
    bar = market.bars("BTCUSD", 60, START.replace(second=0), START)[0]
    assert market.quote("BTCUSD", moment).bid == bar.bid.open


@pytest.mark.parametrize("stale", [1, 15, 52, 600])
def test_a_stale_feed_stops_and_its_quote_stays_open(stale):
    market = GeneratedMarket(7, START, stale)
    for symbol in market.symbols():
        newest = market.bars(symbol, 300, START - timedelta(hours=20), START)[-1]
        age = START - (newest.time + timedelta(minutes=5))
        assert timedelta(minutes=stale) <= age < timedelta(minutes=stale + 6), symbol
        quote = market.quote(symbol, START)
        assert quote.open, symbol
        assert quote.bid == newest.bid.close, symbol


def test_a_feed_that_has_ended_has_no_later_bars():
    market = GeneratedMarket(7, START, 52)
    assert market.bars("BTCUSD", 300, START, START + timedelta(hours=3)) == []


def test_a_fresh_venue_starts_on_a_trading_day_just_after_a_bar_has_closed():
    market = GeneratedMarket(7, DEMO_START)
    assert DEMO_START.weekday() == 3
    assert (DEMO_START.minute % 5, DEMO_START.second) == (0, 20)
    assert all(market.quote(symbol, DEMO_START).open for symbol in market.symbols())


def test_every_regime_comes_up():
    seen = {regime.name for day in range(60) for regime in regimes(7, "BTCUSD", day)}
    assert seen == {regime.name for regime in REGIMES}


def test_a_forex_week_is_five_trading_days_long():
    monday = (date(2026, 11, 16) - date(1970, 1, 1)).days
    assert trading_days(monday + 7, forex=True) - trading_days(monday, forex=True) == pytest.approx(5)
    assert trading_days(monday + 5, forex=True) == trading_days(monday + 6, forex=True)
    assert trading_days(monday, forex=False) == monday


def test_a_negative_seed_is_refused():
    with pytest.raises(ConfigurationError, match="seed -1"):
        GeneratedMarket(-1, START)


def test_an_unknown_symbol_is_named_with_its_neighbours(market):
    with pytest.raises(UnknownNameError, match="unknown symbol 'BTCUSC'; nearest known: BTCUSD"):
        market.bars("BTCUSC", 60, START, START)
    with pytest.raises(UnknownNameError, match="unknown symbol"):
        market.quote("", START)


def test_the_default_moment_is_the_one_it_was_made_with(market):
    assert market.start() == START
    assert list(market.symbols()) == SYMBOLS
