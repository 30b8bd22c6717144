"""Accounts of the exact engine: marks, the kill switch, closed trades and equity, against the ledger's own way of keeping them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from exact_cases import HOUR, QUIET, START, closes_at, feed, flat, plan, signals
from hypothesis import given
from hypothesis import strategies as st

from ffe.cycle.account import equity_baseline
from ffe.ledger.models import ClosedTrade, EquityMark
from ffe.ledger.trades import Played, trades_of
from ffe.orders.models import Leg, Side
from ffe.orders.switch import SwitchState
from ffe.replay.exact import run
from ffe.replay.exact_account import Account
from ffe.replay.exact_switch import Marks, Switch, watched
from ffe.replay.exact_trips import REMEMBERED, Closed, entered
from ffe.replay.journal import Journal
from ffe.replay.models import Fills
from ffe.risk.rules import account_verdicts
from ffe.settings import RiskSettings

PRICE = 1.2
MIDNIGHT = datetime(2018, 4, 4, tzinfo=UTC)


class Kept:
    """The marks of a ledger, all of them, as `equity_baseline` reads them."""

    def __init__(self) -> None:
        self.ledger, self.marks = self, []

    def mark(self, equity, at):
        if not self.marks or self.marks[-1].equity != equity:
            self.marks.append(EquityMark(venue="oanda", account="a", currency="USD", equity=equity, at=at))

    def equity_marks(self, venue, account, since):
        return [mark for mark in self.marks if mark.at >= since]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(9_900, 10_100)), min_size=1, max_size=60))
def test_baselines_are_those_of_the_ledgers_marks(looks):
    marks, kept, now = Marks(), Kept(), MIDNIGHT
    for hours, equity in looks:
        now += timedelta(hours=hours)
        marks.add(Decimal(equity), now)
        kept.mark(Decimal(equity), now)
        assert (marks.day_start(now), marks.peak) == equity_baseline(kept, "oanda", "a", now)


def test_without_a_mark_there_is_no_baseline():
    assert Marks().day_start(MIDNIGHT) is None


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 20_000))
def test_what_is_not_asked_of_the_rules_would_not_have_tripped(equity, start, peak):
    marks = Marks()
    marks.add(Decimal(start), MIDNIGHT)
    marks.add(Decimal(max(start, peak)), MIDNIGHT + timedelta(hours=1))
    settings, now = RiskSettings(), MIDNIGHT + timedelta(hours=2)
    asked = account_verdicts(Decimal(equity), Decimal(start), Decimal(max(start, peak)), settings)
    assert any(each.trips for each in watched(Decimal(equity), marks, now, settings)) == any(
        each.trips for each in asked
    )


def test_a_switch_that_is_set_is_not_set_again_and_resumes_after_its_pause():
    switch = Switch(2.0)
    tripping = account_verdicts(Decimal(90), Decimal(100), Decimal(100), RiskSettings())
    switch.trip(tripping, 7, MIDNIGHT)
    switch.trip(tripping, 8, MIDNIGHT + timedelta(days=1))
    assert (switch.state.state, switch.state.at, switch.halted_at) == (SwitchState.REDUCE_ONLY, MIDNIGHT, 7)
    assert switch.state.by == "daily_loss"
    assert not switch.resumed(MIDNIGHT + timedelta(days=2, seconds=-1))
    assert switch.resumed(MIDNIGHT + timedelta(days=2))
    assert switch.state.allows(Leg.ENTRY)
    switch.trip(tripping, 9, MIDNIGHT + timedelta(days=3))
    assert switch.halted_at == 7


def test_a_switch_without_a_pause_stays():
    switch = Switch(None)
    switch.trip(account_verdicts(Decimal(90), Decimal(100), Decimal(100), RiskSettings()), 7, MIDNIGHT)
    assert not switch.resumed(MIDNIGHT + timedelta(days=1000))


def losing(days: int = 1) -> list[tuple[float, float, float, float]]:
    """A drop that costs a long its stop, then quiet."""
    return [*flat(PRICE, 2), (PRICE, PRICE, PRICE - 0.01, PRICE), *flat(PRICE, 24 * days)]


def test_a_loss_trips_the_switch_and_entries_are_held_by_it():
    risk = {"max_drawdown": "0.0003", "max_daily_loss": "0.9"}
    made = feed("EURUSD", losing())
    result = run([made], [signals(made, {0: 1, 5: 1})], plan(risk=risk))
    assert result.halted_at == closes_at(2)
    assert result.denials == ({"drawdown": 1},)
    assert result.trades.num_rows == 1


def test_a_halted_account_that_has_recovered_is_held_by_the_switch_itself():
    made = feed("EURUSD", losing(2))
    risk = {"max_daily_loss": "0.0003"}
    journal = Journal()
    result = run([made], [signals(made, {0: 1, 30: 1})], plan(risk=risk), journal)
    assert result.halted_at == closes_at(2)
    assert result.denials == ({"kill_switch_reduce_only": 1},)
    assert result.holds[0]["halt"] == 1
    again = run([made], [signals(made, {0: 1, 30: 1})], plan(risk=risk, resume_after_days=1.0))
    assert again.denials == ({},)
    assert again.trades.num_rows == 2


def test_a_halted_account_may_still_leave_the_market():
    sagging = [*flat(PRICE, 2), *flat(PRICE - 0.0015, 4)]
    made = feed("EURUSD", sagging)
    result = run([made], [signals(made, {0: 1, 3: -1})], plan(risk={"max_daily_loss": "0.0002"}))
    assert result.halted_at == closes_at(1)
    assert result.trades.to_pylist()[0]["exit_reason"] == "signal"


def test_one_switch_stops_every_venue():
    made, coin = feed("EURUSD", losing()), feed("BTCUSD", flat(8000.0, 27), spread=0.02, taker_fee_rate=0)
    said = [signals(made, {0: 1}), signals(coin, {5: 1})]
    result = run([made, coin], said, plan(risk={"max_drawdown": "0.0003"}))
    assert result.denials == ({}, {"kill_switch_reduce_only": 1})
    assert run([coin], said[1:], plan()).denials == ({},)


def played(symbol, number, at, sign):
    """An entry and its close, a win or a loss."""
    price, fee = Decimal(100), Decimal("0.1")
    entry = Played(f"{symbol}-{number}-in", "d", Leg.ENTRY, Side.BUY, Decimal(1), price, fee, quoted=True, time=at)
    left = Played(
        f"{symbol}-{number}-out", "d", Leg.EXIT, Side.SELL, Decimal(1), price + sign, fee, quoted=True, time=at
    )
    return [entry, left]


def as_the_ledger(fills: dict[str, list[Played]]) -> list[ClosedTrade]:
    trades = [trade for symbol, each in fills.items() for trade in trades_of(symbol, each)]
    return sorted(trades, key=lambda trade: trade.closed_at, reverse=True)[:REMEMBERED]


@given(
    st.lists(
        st.tuples(st.sampled_from(["EURUSD", "GBPUSD", "USDJPY"]), st.integers(0, 2), st.integers(-2, 2)), max_size=40
    )
)
def test_closed_trades_are_in_the_order_in_which_the_ledger_gives_them(trips):
    closed, fills, at = Closed(), {}, MIDNIGHT
    for number, (symbol, hours, sign) in enumerate(trips):
        at += timedelta(hours=hours)
        pair = played(symbol, number, at, sign)
        fills.setdefault(symbol, []).extend(pair)
        closed.first_fill(symbol)
        closed.add(symbol, pair)
    assert list(closed.trades) == as_the_ledger(fills)


def test_only_as_many_trades_are_remembered_as_the_ledger_gives():
    closed = Closed()
    closed.first_fill("EURUSD")
    for number in range(REMEMBERED + 5):
        closed.add("EURUSD", played("EURUSD", number, MIDNIGHT + timedelta(hours=number), 1))
    kept = closed.trades
    assert len(kept) == REMEMBERED
    assert kept[0].closed_at == MIDNIGHT + timedelta(hours=REMEMBERED + 4)


WAVE = [(row % 7 - 3) * 0.002 for row in range(60)]


@pytest.mark.parametrize("fills", list(Fills))
def test_marked_equity_is_what_the_desk_says_at_every_moment(monkeypatch, fills):
    """All four kinds of conversion at once: dollars behind, dollars in front, a cross, and coins in a wallet."""
    prices = {
        "EURUSD": (1.2, 2e-4),
        "USDJPY": (107.0, 0.02),
        "GBPUSD": (1.4, 2e-4),
        "EURGBP": (0.86, 2e-4),
        "BTCUSD": (8e3, 0.5),
    }
    made = [
        feed(
            name,
            [(p * (1 + w), p * (1 + w + 0.001), p * (1 + w - 0.001), p * (1 + w)) for w in WAVE],
            spread=spread,
            taker_fee_rate=Decimal("0.001"),
        )
        for name, (p, spread) in prices.items()
    ]
    said = [signals(each, {row: 1 if row % 4 else -1 for row in range(k, 60, 5)}) for k, each in enumerate(made)]
    seen = []
    real = Account.profits

    def checked(account, quotes):
        found = real(account, quotes)
        full = account.market.prices([*account.trips], quotes.now)
        known = [account.market.tapes[name].instrument for name in account.trips]
        seen.append((sum(found.values(), account.capital), account.desk.state(account.book, known, full).equity))
        return found

    monkeypatch.setattr(Account, "profits", checked)
    risk = {
        "max_correlated": 5,
        "max_gross": 5,
        "max_position": "0.5",
        "max_daily_loss": 1,
        "max_drawdown": 1,
        "loss_streak": 99,
    }
    risk |= {"max_heat": 1, "min_reward_risk": 0}
    result = run(made, said, plan(fills=fills, slippage_bps=1.0, risk=risk))
    assert set(result.trades["instrument"].to_pylist()) == set(prices)
    assert len(seen) > 50
    assert all(ours == theirs for ours, theirs in seen)
    by_name = {
        name: sum(row["pnl"] for row in result.trades.to_pylist() if row["instrument"] == name) for name in prices
    }
    assert result.pnl[-1].tolist() == pytest.approx(list(by_name.values()), abs=1e-6)


def test_a_cross_can_not_be_planned_before_its_converting_pair_has_a_bar():
    late = {"start": START + 5 * HOUR}
    made = [feed("EURGBP", flat(0.86, 6)), feed("EURUSD", flat(1.2, 6), **late), feed("GBPUSD", flat(1.4, 6), **late)]
    early = signals(made[0], {})
    early.actions[2] = 1
    assert run(made, [early, *(signals(each, {}) for each in made[1:])], plan()).denials[0] == {"plan_order_failed": 1}
    assert QUIET > 2


@pytest.mark.parametrize("max_var", ["0.0001", "0.5"])
def test_value_at_risk_is_judged_by_the_days_of_the_bars(max_var):
    days = [(PRICE + (day % 5 - 2) * 0.004) for day in range(45) for _ in range(24)]
    made = feed("EURUSD", [(p, p, p, p) for p in days])
    result = run([made], [signals(made, {len(days) - 30: 1})], plan(risk={"max_var": max_var}))
    units = result.trades["units"].to_pylist()
    assert (result.trades.num_rows, result.denials) == (1, ({},))
    assert (units[0] < 500) == (max_var == "0.0001")


def test_value_at_risk_is_not_known_with_too_few_days():
    made = feed("EURUSD", flat(PRICE, 24 * 10))
    assert run([made], [signals(made, {200: 1})], plan(risk={"max_var": "0.5"})).denials == ({"var_unknown": 1},)


def test_an_entry_beside_dust_goes_on_with_the_same_trip():
    journal = Journal()
    made = feed("EURUSD", flat(PRICE, 3))
    run([made], [signals(made, {0: 1})], plan(), journal)
    bought = journal.decisions[(closes_at(0), "EURUSD")].plan
    first = entered(None, bought.intent, bought.sizing, MIDNIGHT, 5)
    later = bought.intent.model_copy(update={"bar_close": MIDNIGHT})
    both = entered(first, later, bought.sizing, MIDNIGHT + timedelta(hours=1), 6)
    assert both is first
    assert (both.entry_bar, both.opened_at, both.entry_time) == (5, MIDNIGHT + timedelta(hours=1), MIDNIGHT)
    assert both.order_id == later.client_order_id != bought.intent.client_order_id
    assert both.planned_risk == 2 * bought.sizing.risk_amount
