"""The exact engine: who decides, what is ordered, what refuses, and what the result says of it."""

from decimal import Decimal

import numpy as np
import pytest
from exact_cases import QUIET, closes_at, entered, feed, flat, only_trade, plan, signals

from ffe.decision.models import Action, Author
from ffe.errors import ConfigurationError
from ffe.market.models import Timeframe
from ffe.orders.models import Leg
from ffe.replay.exact import run
from ffe.replay.exact_timeline import Timeline
from ffe.replay.journal import Journal
from ffe.replay.models import TRADE_SCHEMA, Fills, Gate, Signals

PRICE = 1.2


def one(rows, actions, *, symbol="EURUSD", confidence=80, authors=None, gates=None, spec=None, **changes):
    made = feed(symbol, rows, gates=gates, **(spec or {}))
    return run([made], [signals(made, actions, confidence, authors)], plan(**changes))


def test_a_buy_and_a_sell_make_one_round_trip():
    result = one(flat(PRICE, 5), {0: 1, 2: -1})
    trade = only_trade(result)
    assert (trade["side"], trade["exit_reason"]) == ("BUY", "signal")
    assert (trade["entry_bar"], trade["exit_bar"]) == (QUIET, QUIET + 2)
    assert trade["exit_time"] == closes_at(2) + 20
    assert trade["pnl"] == pytest.approx(-0.0002 * trade["units"], abs=1e-4)
    assert trade["spread"] == pytest.approx(0.0002 * trade["units"])
    assert result.orders == (2,)
    assert result.trades.schema.equals(TRADE_SCHEMA)


def test_profit_is_marked_at_every_moment_and_ends_as_the_trade_did():
    rows = [*flat(PRICE, 1), *[(PRICE, PRICE, PRICE, PRICE + 0.001)], *flat(PRICE + 0.001, 3)]
    result = one(rows, {0: 1, 3: -1})
    trade, bought = only_trade(result), QUIET
    assert np.all(result.pnl[:bought] == 0)
    assert result.pnl[bought, 0] == pytest.approx(-0.0002 * trade["units"], abs=1e-4)
    assert result.pnl[bought + 1, 0] == pytest.approx(0.0008 * trade["units"], abs=1e-4)
    assert result.pnl[-1, 0] == pytest.approx(trade["pnl"], abs=1e-9)
    assert result.notional[bought, 0] == pytest.approx(trade["units"] * PRICE)
    assert result.notional[-1, 0] == 0
    assert result.equity(0)[-1] == pytest.approx(10_000 + trade["pnl"])


def test_what_is_still_held_at_the_end_gets_a_row_at_its_closing_side():
    result = one([*flat(PRICE, 2), *flat(PRICE - 0.001, 2)], {0: 1})
    trade = only_trade(result)
    assert (trade["exit_reason"], trade["exit_price"]) == ("open", PRICE - 0.001)
    assert (trade["exit_time"], trade["exit_bar"]) == (closes_at(3), QUIET + 3)
    assert trade["pnl"] == pytest.approx(result.pnl[-1, 0])


def test_a_wallet_pays_its_fee_on_both_legs():
    rows = [*flat(8000.0, 2), *flat(8100.0, 3)]
    result = one(rows, {0: 1, 3: -1}, symbol="BTCUSD", spec={"spread": 0.02, "taker_fee_rate": Decimal("0.001")})
    trade = only_trade(result)
    moved = (trade["exit_price"] - trade["entry_price"]) * trade["units"]
    assert trade["fees"] == pytest.approx(
        0.001 * (trade["entry_price"] + trade["exit_price"]) * trade["units"], abs=1e-6
    )
    assert trade["pnl"] == pytest.approx(moved - trade["fees"], abs=1e-6)
    assert result.pnl[-1, 0] == pytest.approx(trade["pnl"], abs=1e-8)


def test_slippage_makes_both_legs_worse_and_is_counted():
    trade = only_trade(one(flat(PRICE, 5), {0: 1, 2: -1}, slippage_bps=2.0))
    assert trade["entry_price"] == pytest.approx(1.20045)
    assert trade["exit_price"] == pytest.approx(1.19976)
    assert trade["slippage"] == pytest.approx((0.00025 + 0.00024) * trade["units"])


def test_bars_that_no_gate_lets_pass_are_holds_of_their_gate():
    gates = {0: Gate.MARKET_HOURS, 1: Gate.STALE, 2: Gate.CONTRACT, 3: Gate.WARM_UP}
    result = one(flat(PRICE, 6), dict.fromkeys(range(4), 1), gates=gates)
    assert result.holds == ({"market-hours": 1, "data-gate": 3, "model": QUIET + 2},)
    assert result.trades.num_rows == 0


def test_a_fallback_never_trades_and_who_was_not_asked_counts_for_nobody():
    result = one(flat(PRICE, 4), {0: 1, 1: 1}, authors={0: 1, 1: 2})
    assert result.holds == ({"model": QUIET + 2, "fallback": 1},)
    assert result.orders == (0,)


def test_a_refusal_is_a_hold_of_the_risk_gate_under_its_code():
    result = one(flat(PRICE, 6), {0: 1, 1: 1, 2: -1}, confidence=80)
    assert result.denials == ({"already_long": 1},)
    assert result.holds[0]["risk-gate"] == 1
    unsure = one(flat(PRICE, 6), {0: 1}, confidence=69)
    assert unsure.denials == ({"confidence_below_floor": 1},)


def test_spot_has_nothing_to_sell():
    result = one(flat(8000.0, 4), {0: -1}, symbol="BTCUSD", spec={"spread": 0.02})
    assert result.denials == ({"nothing_to_sell": 1},)


def test_the_cooldown_counts_from_the_fill_by_the_cycles_clock():
    rows, again = flat(PRICE, 6), {0: 1, 1: -1, 2: 1}
    assert one(rows, again, risk={"cooldown_seconds": 3600}).denials == ({},)
    assert one(rows, again, risk={"cooldown_seconds": 3601}).denials == ({"cooldown": 1},)


def test_the_cooldown_after_a_stop_counts_from_the_bars_close():
    stop = entered("EURUSD", 1)["stop_loss"]
    rows = [*flat(PRICE, 1), (PRICE, PRICE, stop - 0.0005, PRICE), *flat(PRICE, 4)]
    assert one(rows, {0: 1, 2: 1}, risk={"cooldown_seconds": 3620}).denials == ({},)
    assert one(rows, {0: 1, 2: 1}, risk={"cooldown_seconds": 3621}).denials == ({"cooldown": 1},)


def test_a_quote_far_from_the_bars_is_of_another_market():
    made = feed("EURUSD", flat(PRICE, 4))
    made.bars.after[QUIET] *= 1.05
    result = run([made], [signals(made, {0: 1})], plan())
    assert result.denials == ({"quote_divergence": 1},)
    assert result.holds[0]["data-gate"] == 1


def test_too_few_bars_for_a_range_are_denied():
    made = feed("EURUSD", flat(PRICE, 4))
    early = Signals(np.zeros(len(made.bars), np.int8), np.full(len(made.bars), 80))
    early.actions[3] = 1
    assert run([made], [early], plan()).denials == ({"no_atr": 1},)


def test_the_range_is_taken_over_the_bars_that_a_live_cycle_sees():
    made = feed("EURUSD", [(PRICE, PRICE + 0.02, PRICE, PRICE), *flat(PRICE, 20)])
    whole = only_trade(run([made], [signals(made, {18: 1})], plan(lookback=200)))
    cut = only_trade(run([made], [signals(made, {18: 1})], plan(lookback=16)))
    starts = np.maximum(np.arange(len(made.bars)) - 15, 0)
    seen = type(made)(made.bars, made.spec, made.gates, starts)
    same = only_trade(run([seen], [signals(seen, {18: 1})], plan(lookback=200)))
    assert whole["stop_loss"] != cut["stop_loss"]
    assert same == cut


def test_a_reversal_closes_and_enters_the_other_way_in_the_same_moment():
    journal = Journal()
    made = feed("EURUSD", flat(PRICE, 5))
    result = run([made], [signals(made, {0: 1, 2: -1})], plan(risk={"reverse": True}), journal)
    closed, still = result.trades.to_pylist()
    assert (closed["exit_reason"], closed["exit_bar"]) == ("signal", QUIET + 2)
    assert (still["side"], still["entry_bar"], still["exit_reason"]) == ("SELL", QUIET + 2, "open")
    assert result.orders == (3,)
    assert [fill.leg for fill in journal.fills] == [Leg.ENTRY, Leg.EXIT, Leg.ENTRY]


def test_a_reversal_whose_entry_is_refused_is_a_close_and_no_hold():
    risk = {"reverse": True, "min_hold_seconds": 2 * 3600 + 1}
    result = one(flat(PRICE, 5), {0: 1, 2: -1}, risk=risk)
    assert result.trades.num_rows == 1
    assert result.denials == ({"minimum_hold": 1},)
    assert result.orders == (2,)
    assert "risk-gate" not in result.holds[0]


def test_an_order_that_the_desk_refuses_counts_under_its_word():
    slippage = 60.0
    result = one(flat(PRICE, 4), {0: 1}, slippage_bps=slippage)
    assert result.denials == ({"desk:BOUNDS_VIOLATION": 1},)
    assert result.holds[0]["risk-gate"] == 1
    assert result.orders == (0,)


def test_a_bracket_that_went_for_a_refused_close_is_put_back_at_the_next_look():
    """Five basis points of slippage are just within the bound at 8000.00, and just beyond it at 7999.98."""
    bid, low = 7999.98, 7000.0
    crash = (bid, bid, low, bid)
    changes = {"slippage_bps": 5.0, "risk": {"max_slippage": "0.0005"}}
    spec = {"spread": 0.02, "taker_fee_rate": 0}
    refused = one(flat(bid, 5), {0: 1, 1: -1}, symbol="BTCUSD", spec=spec, **changes)
    assert refused.denials == ({"desk:Immediate or cancel order could not be filled": 1},)
    bare = one([*flat(bid, 2), crash, *flat(bid, 2)], {0: 1, 1: -1}, symbol="BTCUSD", spec=spec, **changes)
    assert only_trade(bare)["exit_reason"] == "open"
    guarded = one([*flat(bid, 3), crash, *flat(bid, 1)], {0: 1, 1: -1}, symbol="BTCUSD", spec=spec, **changes)
    assert (only_trade(guarded)["exit_reason"], only_trade(guarded)["exit_bar"]) == ("stop", QUIET + 3)


def test_the_most_confident_gets_the_balance_first():
    btc, eth = (
        feed("BTCUSD", flat(8000.0, 4), spread=0.02, taker_fee_rate=0),
        feed("ETHUSD", flat(500.0, 4), spread=0.02, taker_fee_rate=0),
    )
    risk = {"max_correlated": "0.25", "per_trade": "0.1"}
    first = run([btc, eth], [signals(btc, {0: 1}, 80), signals(eth, {0: 1}, 90)], plan(risk=risk))
    assert [row["instrument"] for row in first.trades.to_pylist()] == ["ETHUSD"]
    assert first.denials == ({"below_minimum": 1}, {})
    tied = run([eth, btc], [signals(eth, {0: 1}), signals(btc, {0: 1})], plan(risk=risk))
    assert [row["instrument"] for row in tied.trades.to_pylist()] == ["BTCUSD"]


def test_the_journal_has_every_decision_with_its_author_code_and_numbers():
    journal = Journal()
    made = feed("EURUSD", flat(PRICE, 5), gates={3: Gate.MARKET_HOURS})
    said = signals(made, {0: 1, 1: 1, 2: -1}, authors={4: 1})
    run([made], [said], plan(), journal)
    told = {row: journal.decisions[(closes_at(row), "EURUSD")] for row in range(5)}
    assert [(each.action, each.author, each.code) for each in told.values()] == [
        (Action.BUY, Author.MODEL, "model_answer"),
        (Action.HOLD, Author.RISK_GATE, "already_long"),
        (Action.SELL, Author.MODEL, "model_answer"),
        (Action.HOLD, Author.MARKET_HOURS, "market_closed"),
        (Action.HOLD, Author.FALLBACK, None),
    ]
    sizing = told[0].plan.sizing
    assert journal.fills[0].units == sizing.units
    assert journal.fills[0].price == sizing.entry_price == Decimal("1.2002")
    assert journal.equity[(closes_at(0), "oanda")] == 10_000
    assert len(journal.decisions) == len(made.bars)


def test_a_bar_at_which_nobody_was_asked_is_no_decision():
    journal = Journal()
    made = feed("EURUSD", flat(PRICE, 3))
    run([made], [signals(made, {}, authors={1: 2})], plan(), journal)
    assert (closes_at(1), "EURUSD") not in journal.decisions
    assert (closes_at(0), "EURUSD") in journal.decisions


def test_a_second_run_says_the_same():
    made = feed("EURUSD", [(PRICE, PRICE + 0.001 * (row % 4), PRICE - 0.001 * (row % 3), PRICE) for row in range(30)])
    said = signals(made, {row: (-1) ** row for row in range(0, 30, 3)})
    first, second = run([made], [said], plan()), run([made], [said], plan())
    assert first.trades.equals(second.trades)
    assert np.array_equal(first.pnl, second.pnl)
    assert first.trades.num_rows > 3


def test_the_first_row_of_a_feed_that_begins_later_is_waited_for():
    early, late = feed("EURUSD", flat(PRICE, 6)), feed("GBPUSD", flat(1.4, 3), start=1_522_800_000 + 100 * 3600)
    result = run([early, late], [signals(early, {0: 1, 2: -1}), signals(late, {1: 1})], plan())
    assert result.times.size == len(early.bars) + len(late.bars)
    assert [row["instrument"] for row in result.trades.to_pylist()] == ["EURUSD", "GBPUSD"]


@pytest.mark.parametrize(
    ("feeds", "changes", "said"),
    [
        ([], {}, "no bars"),
        (["EURUSD", "EURUSD"], {}, "once"),
        (["EURUSD"], {"lag_seconds": 3600.0}, "lag"),
        (["EURUSD"], {"lag_seconds": -1.0}, "lag"),
        (["BTCEUR"], {}, "quoted in EUR"),
        (["EURGBP", "EURUSD"], {}, "bars of GBPUSD"),
    ],
)
def test_what_can_not_be_replayed_is_refused(feeds, changes, said):
    made = [feed(name, flat(PRICE, 2)) for name in feeds]
    with pytest.raises(ConfigurationError, match=said):
        run(made, [signals(each, {}) for each in made], plan(**changes))


def test_signals_that_do_not_belong_to_the_bars_are_refused():
    made, other = feed("EURUSD", flat(PRICE, 2)), feed("EURUSD", flat(PRICE, 3))
    with pytest.raises(ConfigurationError, match="signals"):
        run([made], [], plan())
    with pytest.raises(ConfigurationError, match="33 actions"):
        run([made], [signals(other, {})], plan())


def test_several_timeframes_are_refused():
    made = feed("EURUSD", flat(PRICE, 2))
    bars = made.bars
    daily = type(bars)(*(getattr(bars, name) if name != "timeframe" else Timeframe.D1 for name in bars.__slots__))
    gbp = feed("GBPUSD", flat(1.4, 2))
    with pytest.raises(ConfigurationError, match="one timeframe"):
        run([gbp, type(made)(daily, made.spec, made.gates)], [signals(gbp, {}), signals(made, {})], plan())


def test_feeds_without_a_single_bar_are_refused():
    made = feed("EURUSD", flat(PRICE, 2))
    cut = {name: getattr(made.bars, name)[:0] for name in ("times", "mid", "bid", "ask", "volume", "after")}
    bars = type(made.bars)(*(cut.get(name, getattr(made.bars, name)) for name in made.bars.__slots__))
    empty = Signals(np.zeros(0, np.int8), np.zeros(0, np.int64))
    with pytest.raises(ConfigurationError, match="no bars"):
        run([type(made)(bars, made.spec, made.gates[:0])], [empty], plan())


@pytest.mark.parametrize("fills", list(Fills))
def test_stepping_only_where_something_can_happen_is_stepping_everywhere(monkeypatch, fills):
    rows = [
        (PRICE, PRICE + 0.0011 * (row % 5), PRICE - 0.0013 * (row % 4), PRICE + 0.0003 * (row % 3)) for row in range(80)
    ]
    made = feed("EURUSD", rows)
    said = signals(made, {row: 1 if row % 2 else -1 for row in range(0, 80, 7)})
    plans = plan(fills=fills, slippage_bps=1.0, risk={"max_daily_loss": "0.0001"}, resume_after_days=0.5)
    quick = run([made], [said], plans)
    monkeypatch.setattr(Timeline, "next_wanted", lambda self, after: after + 1)
    slow = run([made], [said], plans)
    assert quick.trades.equals(slow.trades)
    assert np.array_equal(quick.pnl, slow.pnl)
    assert np.array_equal(quick.notional, slow.notional)
    assert (quick.holds, quick.denials, quick.halted_at) == (slow.holds, slow.denials, slow.halted_at)
    assert quick.halted_at is not None


def test_a_trailing_position_counts_with_its_distance_in_the_heat_of_the_next_entry():
    one_pair, other = feed("EURUSD", flat(PRICE, 4)), feed("GBPUSD", flat(1.4, 4))
    said = [signals(one_pair, {0: 1}), signals(other, {1: 1})]
    free = run([one_pair, other], said, plan(risk={"trailing_stop": True}))
    hot = run([one_pair, other], said, plan(risk={"trailing_stop": True, "max_heat": "0.0006"}))
    assert sum(free.trades["planned_risk"].to_pylist()) > 7
    assert sum(hot.trades["planned_risk"].to_pylist()) == pytest.approx(6, abs=0.01)
    assert hot.trades["units"][0] == free.trades["units"][0]
