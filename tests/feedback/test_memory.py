"""What is remembered is alike, was known when the bar closed, and does not change with what is learnt later."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import AT, BAR, batch, context, decision, grade, report
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe.decision.models import Action, Author, Context, Decision, FramePulse
from ffe.decision.situation import distance, situation
from ffe.feedback.memory import remember
from ffe.feedback.models import Grade
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe

MOST, MIN_GRADES = 3, 1
SHARED = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SYMBOLS = ("EURUSD", "BTCUSD", "GBPUSD")
Past = tuple[Decision, Grade]


def past(number: int, minutes_ago: int, rsi: float, **changes: Any) -> Past:
    """A graded decision on the bar that closed `minutes_ago` before BAR, known an hour later unless `changes` say otherwise."""
    bar_close = BAR - timedelta(minutes=minutes_ago)
    about: dict[str, Any] = {
        "instrument": changes.pop("instrument", "EURUSD"),
        "timeframe": changes.pop("timeframe", Timeframe.M5),
        "bar_close": bar_close,
        "action": changes.pop("action", Action.BUY),
        "decided_by": changes.pop("decided_by", Author.MODEL),
    }
    about["opinion"] = changes.pop("opinion", about["action"] if about["decided_by"] is Author.MODEL else None)
    name = f"{number:04d}" + changes.pop("suffix", "")
    values = changes.pop("situation", {"base.rsi": rsi, "base.trend": 1.0, "base.volatility": 0.0})
    made = decision(id=f"d{name}", cycle_id=f"c{name}", batch_id="b" * 64, situation=values, **about)
    known_at = changes.pop("known_at", bar_close + timedelta(hours=1))
    return made, grade(decision_id=made.id, known_at=known_at, **about, **changes)


def record(ledger: Ledger, *entries: Past) -> None:
    ledger.record_batch(batch())
    ledger.record_quality(report())
    for made, graded in entries:
        ledger.start_cycle(made.cycle_id, "sim", "5m", AT)
        ledger.record_decision(made)
        assert ledger.record_grade(graded)


@st.composite
def entries(draw: st.DrawFn) -> list[Past]:
    """Decisions around BAR, before and after it, whose outcomes were known sooner or later, some by gates and on other timeframes."""
    found = []
    for number in range(draw(st.integers(0, 12))):
        bar_close_ago = draw(st.integers(-120, 240))
        found.append(
            past(
                number,
                bar_close_ago,
                draw(st.floats(0, 1)),
                known_at=BAR - timedelta(minutes=draw(st.integers(-180, 235))),
                instrument=draw(st.sampled_from(SYMBOLS)),
                timeframe=draw(st.sampled_from([Timeframe.M5, Timeframe.M5, Timeframe.H1])),
                action=draw(st.sampled_from(Action)),
                decided_by=draw(st.sampled_from([Author.MODEL, Author.MODEL, Author.RISK_GATE])),
                opinion=draw(st.sampled_from([None, *Action])),
                suffix=f"-{draw(st.uuids())}",
            )
        )
    return found


def cleared(ledger: Ledger) -> None:
    """Nothing in the ledger but its schema: one example must not see another's."""
    with ledger.database.write() as session:
        for table in ("grade", "decision"):
            session.connection().exec_driver_sql(f"DELETE FROM {table}")


@SHARED
@given(entries())
def test_nothing_remembered_was_known_later_or_is_about_the_same_decision(ledger: Ledger, found: list[Past]) -> None:
    cleared(ledger)
    record(ledger, *found)
    decisions = {made.id: (made, graded) for made, graded in found}
    asked = context()
    memory = remember(ledger, asked, MOST, MIN_GRADES)
    for each in memory:
        made, graded = decisions[each.decision_id]
        assert each.known_at == graded.known_at <= asked.bar_close
        assert made.bar_close is not None
        assert made.bar_close < asked.bar_close
        assert (made.timeframe, each.action) == (asked.timeframe, made.opinion)
    assert len({each.decision_id for each in memory}) == len(memory) <= MOST
    assert [each.distance for each in memory] == sorted(each.distance for each in memory)
    assert remember(ledger, asked, MOST, MIN_GRADES) == memory


@SHARED
@given(entries(), entries())
def test_grades_that_become_known_later_change_no_memory(ledger: Ledger, found: list[Past], more: list[Past]) -> None:
    cleared(ledger)
    record(ledger, *found)
    asked = context()
    before = remember(ledger, asked, MOST, MIN_GRADES)
    later = [(made, graded) for made, graded in more if graded.known_at > asked.bar_close]
    record(ledger, *later)
    assert remember(ledger, asked, MOST, MIN_GRADES) == before


@SHARED
@given(entries())
def test_the_order_in_which_grades_were_written_changes_no_memory(ledger: Ledger, found: list[Past]) -> None:
    cleared(ledger)
    record(ledger, *found)
    before = remember(ledger, context(), MOST, MIN_GRADES)
    cleared(ledger)
    record(ledger, *reversed(found))
    assert remember(ledger, context(), MOST, MIN_GRADES) == before


def remembered(ledger: Ledger, most: int = MOST, min_grades: int = MIN_GRADES, **changes: Any) -> list[str]:
    return [each.decision_id for each in remember(ledger, context(**changes), most, min_grades)]


def test_the_nearest_come_first_and_no_more_than_wanted(ledger: Ledger) -> None:
    # The ready-made context has an RSI of 61.5 in an up trend of low volatility.
    record(ledger, past(1, 600, 0.1), past(2, 500, 0.6), past(3, 400, 0.615), past(4, 300, 0.5))
    assert remembered(ledger) == ["d0003", "d0002", "d0004"]
    assert remembered(ledger, 1) == ["d0003"]
    assert remembered(ledger, 0) == []
    (nearest,) = remember(ledger, context(), 1, MIN_GRADES)
    assert nearest.distance == 0
    assert nearest.distance == round(distance(situation(context()), {"base.rsi": 0.615, "base.trend": 1.0}), 6)


def test_of_equal_distance_the_newest_comes_first_and_then_the_lower_id(ledger: Ledger) -> None:
    known_at = BAR - timedelta(minutes=10)
    record(
        ledger,
        past(3, 300, 0.6),
        past(2, 100, 0.6, known_at=known_at, instrument="GBPUSD"),
        past(1, 90, 0.6, known_at=known_at, instrument="BTCUSD"),
    )
    assert remembered(ledger) == ["d0001", "d0002", "d0003"]


def test_a_few_grades_are_no_memory(ledger: Ledger) -> None:
    record(ledger, past(1, 600, 0.6), past(2, 400, 0.6))
    assert remembered(ledger, min_grades=3) == []
    assert len(remembered(ledger, min_grades=2)) == 2


def test_an_outcome_that_was_known_at_the_close_counts_and_one_a_moment_later_does_not(ledger: Ledger) -> None:
    moment = timedelta(microseconds=1)
    record(ledger, past(1, 60, 0.6, known_at=BAR), past(2, 61, 0.6, known_at=BAR + moment, instrument="BTCUSD"))
    assert remembered(ledger) == ["d0001"]


def test_neighbouring_bars_of_one_move_are_remembered_once(ledger: Ledger) -> None:
    record(
        ledger,
        past(1, 300, 0.61),
        past(2, 295, 0.615),
        past(3, 235, 0.60),
        past(4, 290, 0.59, instrument="GBPUSD"),
    )
    assert remembered(ledger) == ["d0002", "d0003", "d0004"]


def test_situations_that_can_not_be_compared_are_left_out(ledger: Ledger) -> None:
    record(ledger, past(1, 600, 0.6, situation={"next1.adx": 0.2}), past(2, 400, 0.1))
    assert remembered(ledger) == ["d0002"]


@pytest.mark.parametrize(("action", "expected"), [(Action.BUY, -0.002), (Action.SELL, 0.004), (Action.HOLD, 0.004)])
def test_a_hold_is_remembered_by_what_it_missed(ledger: Ledger, action: Action, expected: float) -> None:
    own = {Action.BUY: -0.002, Action.SELL: 0.004, Action.HOLD: 0.0}[action]
    record(ledger, past(1, 300, 0.6, action=action, net_return=own, long_return=-0.002, short_return=0.004))
    (found,) = remember(ledger, context(), MOST, MIN_GRADES)
    assert (found.action, found.net_return, found.instrument) == (action, expected, "EURUSD")


def test_a_memory_is_the_same_for_the_same_readings_of_any_market(ledger: Ledger) -> None:
    record(ledger, past(1, 600, 0.1), past(2, 400, 0.6))
    dear = FramePulse(timeframe=Timeframe.M5, bars=200, close=9000.0, trend="up", volatility="low", rsi=61.5)
    assert remembered(ledger, pulse=(dear,)) == remembered(ledger)


def later(moment: datetime) -> Context:
    return context(bar_close=moment)


def test_a_later_context_remembers_more(ledger: Ledger) -> None:
    record(ledger, past(1, 30, 0.6))
    assert remember(ledger, context(), MOST, MIN_GRADES) == ()
    assert len(remember(ledger, later(BAR + timedelta(minutes=30)), MOST, MIN_GRADES)) == 1
