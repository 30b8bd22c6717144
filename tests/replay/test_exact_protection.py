"""Stops and targets inside a bar and at a look: which price they get, and when."""

import pytest
from exact_cases import HOUR, closes_at, entered, feed, flat, only_trade, plan, signals

from ffe.replay.exact import run
from ffe.replay.models import Fills, Gate

PRICE, SPREAD = 1.2, 0.0002
LONG, SHORT = 1, -1


def played(action, rows, *, fills=Fills.INTRABAR, symbol="EURUSD", gates=None, opens=None, **changes):
    """The one trade of an entry at the first bar, with `rows` of bid prices after it."""
    made = feed(symbol, [*flat(PRICE, 1), *rows], gates=gates, opens=opens)
    return only_trade(run([made], [signals(made, {0: action})], plan(fills=fills, **changes)))


@pytest.fixture(scope="module")
def long():
    return entered("EURUSD", LONG)


@pytest.fixture(scope="module")
def short():
    return entered("EURUSD", SHORT)


def test_a_long_enters_at_the_ask_after_the_bar_and_has_its_levels_around_it(long):
    assert long["entry_price"] == pytest.approx(PRICE + SPREAD)
    assert long["stop_loss"] < PRICE < long["take_profit"]
    assert long["exit_reason"] == "open"
    assert long["entry_time"] == closes_at(0) + 20


def test_a_stop_inside_the_bar_fills_at_its_level_at_the_bars_close(long):
    stop = long["stop_loss"]
    trade = played(LONG, [(PRICE, PRICE, stop - 0.0005, PRICE), *flat(PRICE, 2)])
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", stop)
    assert trade["exit_time"] == closes_at(1)
    assert trade["exit_bar"] == trade["entry_bar"] + 1
    assert trade["pnl"] == pytest.approx((stop - long["entry_price"]) * trade["units"], abs=5e-5)


def test_a_stop_pays_slippage_and_a_target_does_not(long):
    stop, target = long["stop_loss"], long["take_profit"]
    stopped = played(LONG, [(PRICE, PRICE, stop - 0.0005, PRICE), *flat(PRICE, 2)], slippage_bps=1.0)
    won = played(LONG, [(PRICE, target + 0.0005, PRICE, PRICE), *flat(PRICE, 2)], slippage_bps=1.0)
    assert stopped["exit_price"] == pytest.approx(stop - 0.00012, abs=1.1e-5)
    assert won["exit_price"] == target


def test_a_bar_that_only_comes_near_the_stop_meets_nothing(long):
    near = long["stop_loss"] + 0.00001
    assert played(LONG, [(PRICE, PRICE, near, PRICE), *flat(PRICE, 2)])["exit_reason"] == "open"


def test_a_bar_that_opens_beyond_the_stop_fills_at_the_open(long):
    gap = long["stop_loss"] - 0.002
    trade = played(LONG, [(gap, PRICE, gap - 0.001, PRICE), *flat(PRICE, 2)], opens=[0, 5, 6, 7])
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", pytest.approx(gap))


def test_a_bar_that_opens_beyond_the_target_keeps_the_better_price(long):
    gap = round(long["take_profit"] + 0.001, 5)
    trade = played(LONG, [(gap, gap, gap, gap), *flat(PRICE, 2)], opens=[0, 5, 6, 7])
    assert (trade["exit_reason"], trade["exit_price"]) == ("target", gap)


def test_a_target_inside_the_bar_fills_at_its_level(long):
    target = long["take_profit"]
    trade = played(LONG, [(PRICE, target + 0.0005, PRICE, PRICE), *flat(PRICE, 2)])
    assert (trade["exit_reason"], trade["exit_price"]) == ("target", target)


@pytest.mark.parametrize("action", [LONG, SHORT])
def test_the_stop_comes_first_where_a_bar_reaches_both(action):
    levels = entered("EURUSD", action)
    low, high = sorted((levels["stop_loss"], levels["take_profit"]))
    trade = played(action, [(PRICE, high + 0.001, low - 0.001, PRICE), *flat(PRICE, 2)])
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", levels["stop_loss"])


def test_a_short_is_bought_back_at_the_ask(short):
    stop = short["stop_loss"]
    just_below = stop - SPREAD - 0.00001
    assert played(SHORT, [(PRICE, just_below, PRICE, PRICE), *flat(PRICE, 2)])["exit_reason"] == "open"
    trade = played(SHORT, [(PRICE, stop - SPREAD, PRICE, PRICE), *flat(PRICE, 2)])
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", stop)


def test_a_short_target_needs_the_ask_to_come_down_to_it(short):
    target = short["take_profit"]
    trade = played(SHORT, [(PRICE, PRICE, target - SPREAD, PRICE), *flat(PRICE, 2)])
    assert (trade["exit_reason"], trade["exit_price"]) == ("target", target)


def test_a_short_that_opens_beyond_its_stop_pays_the_open(short):
    gap = short["stop_loss"] + 0.002
    trade = played(SHORT, [(gap, gap, PRICE, PRICE), *flat(PRICE, 2)], opens=[0, 5, 6, 7])
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", pytest.approx(gap + SPREAD))


def test_looks_do_not_see_what_was_left_again_inside_the_bar(long):
    stop = long["stop_loss"]
    trade = played(LONG, [(PRICE, PRICE, stop - 0.001, PRICE), *flat(PRICE, 2)], fills=Fills.LOOKS)
    assert trade["exit_reason"] == "open"


def test_looks_fill_behind_the_stop_at_the_quote_that_they_bring(long):
    low = long["stop_loss"] - 0.001
    trade = played(LONG, [(PRICE, PRICE, low, low), *flat(low, 2)], fills=Fills.LOOKS)
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop", pytest.approx(low))
    assert trade["exit_time"] == closes_at(1) + 20


def test_looks_meet_nothing_while_the_market_is_closed(long):
    low = long["stop_loss"] - 0.001
    rows = [(PRICE, PRICE, low, low), *flat(low, 1), *flat(PRICE, 1)]
    trade = played(LONG, rows, fills=Fills.LOOKS, gates={1: Gate.MARKET_HOURS, 2: Gate.MARKET_HOURS})
    assert trade["exit_reason"] == "open"


def test_a_bracket_in_a_wallet_tells_its_stop_from_its_target():
    costs = {"spread": 0.02, "taker_fee_rate": 0}
    made = feed("BTCUSD", flat(8000.0, 3), **costs)
    levels = only_trade(run([made], [signals(made, {0: LONG})], plan()))
    for name, level in (("stop", levels["stop_loss"] - 5), ("target", levels["take_profit"] + 5)):
        row = (8000.0, max(8000.0, level), min(8000.0, level), 8000.0)
        made = feed("BTCUSD", [*flat(8000.0, 1), row, *flat(8000.0, 2)], **costs)
        trade = only_trade(run([made], [signals(made, {0: LONG})], plan()))
        assert trade["exit_reason"] == name


def test_a_trailing_stop_follows_the_looks_and_never_the_extreme_inside_a_bar():
    risk = {"trailing_stop": True}
    higher, low = round(PRICE + 0.001, 5), PRICE - 0.01
    spike = [(PRICE, PRICE + 0.003, PRICE, PRICE), (PRICE, PRICE, PRICE - 0.0005, PRICE)]
    unmoved = played(LONG, [*spike, *flat(PRICE, 1)], risk=risk)
    assert (unmoved["exit_reason"], unmoved["stop_loss"]) == ("open", None)
    first = played(LONG, [(PRICE, PRICE, low, low), *flat(low, 1)], risk=risk)
    moved = played(LONG, [(PRICE, higher, PRICE, higher), (higher, higher, low, low), *flat(low, 1)], risk=risk)
    assert first["exit_reason"] == moved["exit_reason"] == "stop"
    assert moved["exit_price"] - first["exit_price"] == pytest.approx(higher - PRICE)


def test_a_trailing_stop_follows_a_bars_open_before_its_low():
    risk, gap, low = {"trailing_stop": True}, round(PRICE + 0.001, 5), PRICE - 0.01
    first = played(LONG, [(PRICE, PRICE, low, low), *flat(low, 1)], risk=risk, opens=[0, 5, 6])
    moved = played(LONG, [(gap, gap, low, low), *flat(low, 1)], risk=risk, opens=[0, 5, 6])
    assert moved["exit_price"] - first["exit_price"] == pytest.approx(gap - PRICE)


def test_only_the_instrument_whose_bar_closed_is_touched_inside_a_bar():
    one = feed("EURUSD", [*flat(PRICE, 1), (PRICE, PRICE, 1.1, PRICE), *flat(PRICE, 2)])
    other = feed("GBPUSD", flat(1.4, 4))
    result = run([one, other], [signals(one, {0: LONG}), signals(other, {0: LONG})], plan())
    assert {row["instrument"]: row["exit_reason"] for row in result.trades.to_pylist()} == {
        "EURUSD": "stop",
        "GBPUSD": "open",
    }
    assert result.times[-1] == closes_at(3)
    assert result.times[1] - result.times[0] == HOUR
