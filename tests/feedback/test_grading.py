"""How a decision turned out: stop or target first, after costs, against doing nothing, from the bars of its horizon alone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import decision
from hypothesis import given
from hypothesis import strategies as st

from ffe.decision.models import Action, Author, ConfidenceParts
from ffe.feedback.grading import Bar, Horizon, Terms, grade, horizon, outcome
from ffe.feedback.models import Exit, Grade
from ffe.feedback.terms import mean_spread, terms_of
from ffe.market.calendar import calendar_for
from ffe.market.models import Timeframe, parse_instrument
from ffe.orders.models import Side
from ffe.settings import RiskSettings
from ffe.venues.models import InstrumentSpec

EUR, BTC = parse_instrument("EURUSD"), parse_instrument("BTCUSD")
M5 = Timeframe.M5
CLOSE = datetime(2018, 4, 4, 15, 30, tzinfo=UTC)
TERMS = Terms(Decimal(2), Decimal(3), 0.001)
FREE = TERMS._replace(cost=0.0)
Prices = tuple[str, str, str, str]


def bars_of(*rows: Prices, start: datetime = CLOSE) -> list[Bar]:
    return [Bar(start + number * M5.duration, *map(Decimal, row)) for number, row in enumerate(rows)]


def ahead_of(bars: list[Bar]) -> Horizon:
    return Horizon(len(bars), CLOSE + len(bars) * M5.duration)


def graded(action: Action, bars: list[Bar], terms: Terms = TERMS, **changes: Any) -> Grade:
    ahead = changes.pop("ahead", ahead_of(bars))
    made = grade(
        decision(action=action, **changes), bars, ahead=ahead, terms=terms, complete_to=ahead.end, graded_at=ahead.end
    )
    assert made is not None
    return made


@st.composite
def walks(draw: st.DrawFn) -> list[Bar]:
    """Bars around 100 whose opens may jump away from the close before."""
    cents = st.integers(-300, 300)
    rows, at = [], 10_000
    for number in range(draw(st.integers(1, 8))):
        open_, close = at + draw(cents), at + draw(cents)
        high, low = max(open_, close) + draw(st.integers(0, 200)), min(open_, close) - draw(st.integers(0, 200))
        rows.append(Bar(CLOSE + number * M5.duration, *(Decimal(price) / 100 for price in (open_, high, low, close))))
        at = close
    return rows


def mirrored(bars: list[Bar]) -> list[Bar]:
    """Every price as far on the other side of the entry."""
    twice = 2 * bars[0].open
    return [Bar(bar.time, twice - bar.open, twice - bar.low, twice - bar.high, twice - bar.close) for bar in bars]


@given(walks())
def test_long_and_short_are_mirror_images(bars: list[Bar]) -> None:
    for action, other in ((Action.BUY, Action.SELL), (Action.SELL, Action.BUY)):
        here, there = graded(action, bars, FREE), graded(other, mirrored(bars), FREE)
        assert (here.net_return, here.exit, here.regret) == (there.net_return, there.exit, there.regret)
    here, there = graded(Action.HOLD, bars, FREE), graded(Action.HOLD, mirrored(bars), FREE)
    assert (here.long_return, here.short_return) == (there.short_return, there.long_return)
    assert (here.paid, here.regret) == (there.paid, there.regret)


@given(walks(), st.floats(0, 0.05), st.sampled_from(Action))
def test_costs_only_take_away_and_regret_is_never_negative(bars: list[Bar], cost: float, action: Action) -> None:
    gross, net = graded(action, bars, FREE), graded(action, bars, TERMS._replace(cost=cost))
    assert net.net_return <= gross.net_return
    assert net.long_return <= gross.long_return
    assert net.regret >= 0
    assert net.cost == cost
    assert (
        net.net_return
        == {
            Action.BUY: net.long_return,
            Action.SELL: net.short_return,
            Action.HOLD: 0.0,
        }[action]
    )
    assert net.paid == (max(net.long_return, net.short_return) <= 0 if action is Action.HOLD else net.net_return > 0)
    assert net.regret == max(net.long_return, net.short_return, 0.0) - net.net_return


@given(walks(), walks(), st.sampled_from(Action))
def test_bars_after_the_horizon_and_before_the_decision_change_nothing(
    bars: list[Bar], more: list[Bar], action: Action
) -> None:
    ahead = ahead_of(bars)
    later = [bar._replace(time=ahead.end + number * M5.duration) for number, bar in enumerate(more)]
    earlier = [bar._replace(time=CLOSE - (number + 1) * M5.duration) for number, bar in enumerate(more)][::-1]
    alone = graded(action, bars)
    assert graded(action, [*earlier, *bars, *later], ahead=ahead) == alone
    assert alone.known_at == ahead.end
    assert all(bar.time + M5.duration <= alone.known_at for bar in bars)


@given(walks(), st.timedeltas(timedelta(microseconds=1), timedelta(hours=3)))
def test_there_is_no_grade_before_the_horizon_is_over(bars: list[Bar], early: timedelta) -> None:
    ahead = ahead_of(bars)
    options: dict[str, Any] = {"ahead": ahead, "terms": TERMS, "graded_at": ahead.end}
    assert grade(decision(), bars, complete_to=ahead.end - early, **options) is None
    assert grade(decision(), bars, complete_to=ahead.end, **options) is not None


def test_there_is_no_grade_without_a_bar_in_the_horizon_or_behind_the_decision() -> None:
    bars = bars_of(("100", "101", "99", "100"))
    ahead = ahead_of(bars)
    options: dict[str, Any] = {"ahead": ahead, "terms": TERMS, "complete_to": ahead.end, "graded_at": ahead.end}
    assert grade(decision(), bars_of(*[("1", "1", "1", "1")], start=ahead.end), **options) is None
    assert grade(decision(bar_close=None), bars, **options) is None


CASES: dict[str, tuple[Side, list[Prices], Exit, str]] = {
    "a long reaches its target": (Side.BUY, [("100", "103", "99", "102")], Exit.TARGET, "103"),
    "a long reaches its stop": (Side.BUY, [("100", "101", "98", "99")], Exit.STOP, "98"),
    "a short reaches its target": (Side.SELL, [("100", "101", "97", "98")], Exit.TARGET, "97"),
    "a short reaches its stop": (Side.SELL, [("100", "102", "99", "101")], Exit.STOP, "102"),
    "a bar that touches both counts as the stop": (Side.BUY, [("100", "104", "97", "103")], Exit.STOP, "98"),
    "and so it does for a short": (Side.SELL, [("100", "104", "96", "97")], Exit.STOP, "102"),
    "the first bar that touches one decides": (
        Side.BUY,
        [("100", "101", "99", "101"), ("101", "103", "100", "103"), ("103", "103", "90", "91")],
        Exit.TARGET,
        "103",
    ),
    "a stop that is jumped over fills at the open": (
        Side.BUY,
        [("100", "101", "99", "100"), ("95", "96", "94", "95")],
        Exit.STOP,
        "95",
    ),
    "and so it does for a short above it": (
        Side.SELL,
        [("100", "101", "99", "100"), ("105", "106", "104", "105")],
        Exit.STOP,
        "105",
    ),
    "a target is never filled better than its price": (
        Side.BUY,
        [("100", "101", "99", "100"), ("110", "111", "109", "110")],
        Exit.TARGET,
        "103",
    ),
    "neither is touched": (
        Side.SELL,
        [("100", "101", "99", "100"), ("100", "101", "98", "98.5")],
        Exit.HORIZON,
        "98.5",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_stop_and_target(case: str) -> None:
    side, rows, how, price = CASES[case]
    ended = outcome(bars_of(*rows), side, TERMS)
    assert (ended.exit, ended.price) == (how, Decimal(price))
    assert ended.gross == pytest.approx(float((Decimal(price) - 100) * side.sign / 100))


def test_the_entry_is_the_next_bars_open_and_not_the_close_that_was_decided_on() -> None:
    bars = bars_of(("99", "99", "99", "99"), ("104", "105", "103", "104.5"), start=CLOSE - M5.duration)
    made = graded(Action.BUY, bars, ahead=Horizon(1, CLOSE + M5.duration))
    assert (made.entry_price, made.exit_price) == (Decimal(104), Decimal("104.5"))
    assert made.net_return == pytest.approx(0.5 / 104 - TERMS.cost)


def test_a_hold_is_right_when_neither_side_would_have_paid() -> None:
    quiet = graded(Action.HOLD, bars_of(("100", "100.1", "99.9", "100.05")))
    assert (quiet.paid, quiet.regret, quiet.net_return) == (True, 0.0, 0.0)
    assert (quiet.exit, quiet.exit_price) == (Exit.HORIZON, Decimal("100.05"))
    missed = graded(Action.HOLD, bars_of(("100", "103", "100", "103")))
    assert (missed.paid, missed.net_return) == (False, 0.0)
    assert missed.regret == pytest.approx(0.03 - TERMS.cost)


def test_a_grade_keeps_whose_decision_it_was_and_how_sure_it_was() -> None:
    bars = bars_of(("100", "101", "99", "100"))
    odds = {"BUY": 0.5, "SELL": 0.3, "HOLD": 0.2}
    parts = ConfidenceParts(stated=0.8, token=0.5, odds=odds, source="token")
    own = graded(Action.BUY, bars, confidence_parts=parts, model_digest="d1")
    assert (own.stated, own.token, own.odds, own.model_digest) == (0.8, 0.5, odds, "d1")
    plain = graded(Action.BUY, bars, confidence=75)
    assert (plain.stated, plain.token, plain.odds) == (0.75, None, None)
    gate = graded(Action.HOLD, bars, decided_by=Author.DATA_GATE, confidence=100)
    assert (gate.stated, gate.decided_by) == (None, Author.DATA_GATE)


def test_a_horizon_counts_bars_of_the_calendar_and_not_hours() -> None:
    forex, crypto = calendar_for(EUR), calendar_for(BTC)
    friday = datetime(2024, 3, 22, 20, 0, tzinfo=UTC)
    assert horizon(crypto, Timeframe.H1, friday, 3) == Horizon(3, friday + timedelta(hours=3))
    # Spot forex closes on Friday 17:00 and opens on Sunday 17:00 New York, in March 21:00 UTC.
    assert horizon(forex, Timeframe.H1, friday, 3).end == datetime(2024, 3, 24, 23, 0, tzinfo=UTC)
    assert horizon(forex, Timeframe.H1, friday, 1).end == friday + timedelta(hours=1)


def spec(**changes: Any) -> InstrumentSpec:
    from builders import spec as ready_made

    return ready_made(**changes)


def test_terms_are_the_risk_settings_own_stop_and_target() -> None:
    settings = RiskSettings(max_spread=Decimal("0.004"))
    dear = spec(instrument="BTCUSD", venue="coinbase", price_increment=Decimal("0.01"), taker_fee_rate=Decimal("0.006"))
    options: dict[str, Any] = {"spec": dear, "settings": settings, "at": CLOSE}
    found = terms_of(BTC, Decimal(10_000), Decimal(100), None, **options)
    assert found == Terms(Decimal("200.00"), Decimal("300.00"), pytest.approx(0.004 + 2 * 0.006))
    clamped = terms_of(BTC, Decimal(10_000), Decimal(1), Decimal("0.0001"), **options)
    assert clamped == Terms(Decimal("100.00"), Decimal("150.00"), pytest.approx(0.0001 + 2 * 0.006))


def test_a_trailing_stop_is_graded_as_a_fixed_one() -> None:
    trailing = RiskSettings(trailing_stop=True)
    able = spec(min_trailing_distance=Decimal("0.0500"))
    options: dict[str, Any] = {"spec": able, "at": CLOSE}
    atr, entry = Decimal("0.0010"), Decimal("1.2000")
    assert terms_of(EUR, entry, atr, None, settings=trailing, **options) == terms_of(
        EUR, entry, atr, None, settings=RiskSettings(), **options
    )


def test_there_are_no_terms_where_no_stop_can_be_placed() -> None:
    coarse = spec(price_increment=Decimal(1))
    found = terms_of(EUR, Decimal(1), Decimal("0.001"), None, spec=coarse, settings=RiskSettings(), at=CLOSE)
    assert found is None


def test_a_spread_is_the_mean_share_of_the_mid_and_none_without_quotes() -> None:
    assert mean_spread([], []) is None
    found = mean_spread([Decimal("99.9"), Decimal(100)], [Decimal("100.1"), Decimal(100)])
    assert found == pytest.approx(Decimal("0.001"))
    assert mean_spread([Decimal(101)], [Decimal(100)]) == 0
