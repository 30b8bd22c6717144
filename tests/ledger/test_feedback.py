"""Verdicts with their questions, grades, calibrations and evaluations come back as they went in, and never from the future."""

from datetime import timedelta
from decimal import Decimal

import pytest
from builders import AT, BAR, calibration, call, context, decision, evaluation, grade, linked_decision, record_chain

from ffe.decision.answer import Answer
from ffe.decision.models import Action, Author, FramePulse, Vote
from ffe.decision.verdict import Verdict
from ffe.errors import LedgerError
from ffe.ledger.ledger import Ledger
from ffe.llm.models import TokenOdds
from ffe.market.models import Timeframe
from ffe.settings import EnsembleSettings, EnsembleStrategy

HOUR = timedelta(hours=1)
CYCLE = "c" * 32
BUY = Answer(reasoning="trend up", action=Action.BUY, confidence=75)


def test_a_verdict_comes_back_with_its_question_and_its_calls(ledger: Ledger) -> None:
    ledger.start_cycle(CYCLE, "sim", "5m", AT)
    odds = TokenOdds(start=40, text="BUY", logprob=-0.25, top=(("BUY", -0.25), ("HOLD", -1.5)))
    said = call(tokens=(odds,), content_sha256="8" * 64, prompt_ms=812.5, generation_ms=990.0, load_ms=12.0)
    verdict = Verdict(calls=(said,), answer=BUY, error=None)
    ledger.record_verdict(CYCLE, context(), verdict, AT)
    ledger.record_verdict(CYCLE, context(), Verdict(calls=(), answer=None, error="a second one"), AT)
    found = ledger.verdict(CYCLE, "EURUSD")
    assert found is not None
    assert (found.cycle_id, found.context, found.verdict) == (CYCLE, context(), verdict)
    assert ledger.verdicts() == [found]
    assert ledger.verdict(CYCLE, "GBPUSD") is None


def test_the_votes_of_an_ensemble_and_its_settings_come_back_too(ledger: Ledger) -> None:
    ledger.start_cycle(CYCLE, "sim", "5m", AT)
    votes = (Vote(member="a", action=Action.BUY, confidence=70), Vote(member="b", action=None, error="late"))
    asked = EnsembleSettings(strategy=EnsembleStrategy.MODELS, models=("a", "b"))
    calls = (call(member="a"), call(id="2" * 32, member="b", raw_text=None, error="late", started_at=AT + HOUR))
    verdict = Verdict(calls=calls, answer=None, error="disagrees", votes=votes, ensemble=asked)
    ledger.record_verdict(CYCLE, context(), verdict, AT)
    found = ledger.verdict(CYCLE, "EURUSD")
    assert found is not None
    assert found.verdict == verdict


def test_the_stored_question_leaves_out_the_closes_that_it_is_not_made_from(ledger: Ledger) -> None:
    ledger.start_cycle(CYCLE, "sim", "5m", AT)
    frame = FramePulse(timeframe=Timeframe.M5, bars=9, close=1.2, trend="up", volatility="low", closes=(1.1, 1.2))
    ledger.record_verdict(CYCLE, context(pulse=(frame,)), Verdict(calls=(), answer=None, error="x"), AT)
    (found,) = ledger.verdicts()
    assert found.context.pulse == (frame.model_copy(update={"closes": ()}),)


def test_a_verdict_without_its_cycle_is_refused_and_leaves_no_call_behind(ledger: Ledger) -> None:
    with pytest.raises(LedgerError):
        ledger.record_verdict(CYCLE, context(), Verdict(calls=(call(),), answer=BUY, error=None), AT)
    assert ledger.model_calls(CYCLE, "EURUSD") == []


def test_decisions_come_with_their_verdicts_whenever_they_were_made(ledger: Ledger) -> None:
    made = record_chain(ledger)
    ledger.record_verdict(CYCLE, context(), Verdict(calls=(), answer=BUY, error=None), AT)
    assert ledger.decisions_on(ledger.verdicts()) == [made]
    assert ledger.decisions_on([]) == []


def test_calls_and_decisions_without_their_verdict_are_found(ledger: Ledger) -> None:
    record_chain(ledger)
    assert ledger.without_verdict() == ([], 1)
    ledger.record_decision(decision(id="e" * 32, instrument="GBPUSD"))
    ledger.record_decision(decision(id="f" * 32, instrument="USDJPY", decided_by=Author.HALT, action=Action.HOLD))
    ledger.record_model_calls(CYCLE, "BTCUSD", BAR, [call(id="3" * 32, content_sha256="8" * 64)])
    lost = [(CYCLE, "BTCUSD", "model_call"), (CYCLE, "GBPUSD", "decision")]
    assert ledger.without_verdict() == (lost, 1)
    ledger.record_verdict(CYCLE, context(), Verdict(calls=(), answer=BUY, error=None), AT)
    assert ledger.without_verdict() == (lost, 0)


def test_a_decision_is_graded_once(ledger: Ledger) -> None:
    record_chain(ledger)
    assert [each.id for each in ledger.ungraded(BAR + HOUR)] == ["d" * 32]
    assert ledger.record_grade(grade()) is True
    assert ledger.record_grade(grade(net_return=9.0)) is False
    assert ledger.ungraded(BAR + HOUR) == []
    assert ledger.grades() == [grade()]


def test_only_decisions_with_bars_behind_them_that_closed_before_wait_for_a_grade(ledger: Ledger) -> None:
    record_chain(ledger)
    ledger.record_decision(decision(id="e" * 32, instrument="GBPUSD", decided_by=Author.HALT, action=Action.HOLD))
    assert ledger.ungraded(BAR) == []
    assert [each.id for each in ledger.ungraded(BAR + HOUR)] == ["d" * 32]
    assert ledger.ungraded(BAR + HOUR, limit=0) == []


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"model_digest": "d1"}, 1),
        ({"model_digest": "d2"}, 0),
        ({"prompt_version": "v1"}, 1),
        ({"prompt_version": "v9"}, 0),
        ({"known_by": BAR + HOUR}, 1),
        ({"known_by": BAR + HOUR - timedelta(seconds=1)}, 0),
        ({"opinions": True}, 1),
        ({"limit": 0}, 0),
    ],
)
def test_grades_are_found_by_model_prompt_and_when_they_were_known(
    ledger: Ledger, wanted: dict[str, object], count: int
) -> None:
    record_chain(ledger)
    ledger.record_grade(grade())
    assert len(ledger.grades(**wanted)) == count


@pytest.mark.parametrize(
    ("opinion", "earned", "paid", "regret"),
    [(Action.BUY, 0.0008, True, 0.0), (Action.SELL, -0.0012, False, 0.002), (Action.HOLD, 0.0, False, 0.0008)],
)
def test_what_the_model_said_is_graded_whatever_a_gate_made_of_it(
    ledger: Ledger, opinion: Action, earned: float, paid: bool, regret: float
) -> None:
    record_chain(ledger)
    held = grade(action=Action.HOLD, decided_by=Author.RISK_GATE, opinion=opinion, net_return=0.0, paid=False)
    ledger.record_grade(held)
    assert ledger.grades() == [held]
    (said,) = ledger.grades(opinions=True)
    assert (said.action, said.decided_by, said.paid) == (opinion, Author.MODEL, paid)
    assert (said.net_return, said.regret) == (earned, pytest.approx(regret))


def test_a_gates_own_hold_is_no_opinion(ledger: Ledger) -> None:
    record_chain(ledger)
    ledger.record_grade(grade(action=Action.HOLD, decided_by=Author.DATA_GATE, opinion=None))
    assert ledger.grades(opinions=True) == []
    assert ledger.past_situations(Timeframe.M5, BAR + 9 * HOUR) == []


def second_decision(ledger: Ledger, **changes: object) -> None:
    """Another decision of the model, in a cycle of its own, graded two hours after the first."""
    cycle = "f" * 32
    ledger.start_cycle(cycle, "sim", "5m", AT + HOUR)
    values = {"id": "e" * 32, "cycle_id": cycle, "model_call_id": None, "decided_at": AT + HOUR} | changes
    ledger.record_decision(linked_decision().model_copy(update=values))
    ledger.record_grade(grade(decision_id="e" * 32, known_at=BAR + 3 * HOUR, net_return=-0.0012, long_return=-0.0012))


def test_grades_come_in_the_order_in_which_they_became_known(ledger: Ledger) -> None:
    record_chain(ledger)
    second_decision(ledger)
    ledger.record_grade(grade())
    assert [each.decision_id[0] for each in ledger.grades()] == ["d", "e"]
    assert [each.decision_id[0] for each in ledger.grades(limit=1)] == ["e"]


def test_only_situations_whose_end_was_known_are_remembered(ledger: Ledger) -> None:
    record_chain(ledger)
    ledger.record_grade(grade())
    second_decision(ledger, situation={"base.rsi": 0.61})
    assert ledger.past_situations(Timeframe.M5, BAR + 3 * HOUR - timedelta(seconds=1)) == []
    (found,) = ledger.past_situations(Timeframe.M5, BAR + 3 * HOUR)
    assert (found.decision_id, found.situation, found.net_return) == ("e" * 32, {"base.rsi": 0.61}, -0.0012)
    assert ledger.past_situations(Timeframe.H1, BAR + 3 * HOUR) == []


def test_every_vote_is_credited_with_what_it_would_have_earned(ledger: Ledger) -> None:
    record_chain(ledger)
    votes = (
        Vote(member="a", action=Action.BUY),
        Vote(member="b", action=Action.SELL),
        Vote(member="c", action=Action.HOLD),
        Vote(member="d", action=None, error="late"),
    )
    ledger.record_grade(grade())
    second_decision(ledger, votes=votes)
    known_by = BAR + 3 * HOUR
    assert ledger.graded_votes(known_by) == {"a": [-0.0012], "b": [-0.0012], "c": [0.0]}
    assert ledger.graded_votes(known_by - timedelta(seconds=1)) == {}


def test_an_analysis_waits_for_no_grade(ledger: Ledger) -> None:
    made = record_chain(ledger)
    ledger.start_cycle("analysis-1", "sim", "5m", AT)
    ledger.record_decision(made.model_copy(update={"id": "e" * 32, "cycle_id": "analysis-1"}))
    assert [each.id for each in ledger.ungraded(BAR + HOUR)] == [made.id]


def test_of_two_processes_that_ask_the_first_verdict_stands_with_its_own_calls_alone(ledger: Ledger) -> None:
    ledger.start_cycle(CYCLE, "sim", "5m", AT)
    first = Verdict(calls=(call(),), answer=BUY, error=None)
    second = Verdict(calls=(call(id="2" * 32),), answer=None, error="late")
    assert ledger.record_verdict(CYCLE, context(), first, AT) is True
    assert ledger.record_verdict(CYCLE, context(), second, AT) is False
    found = ledger.verdict(CYCLE, "EURUSD")
    assert found is not None
    assert found.verdict == first


def test_the_newest_calibration_that_was_known_is_used(ledger: Ledger) -> None:
    older, newer = calibration(), calibration(id="n" * 32, known_until=BAR + HOUR, fitted_at=AT + HOUR)
    for each in (newer, older, older):
        ledger.record_calibration(each)
    key = ("d1", "v1", "token")
    assert ledger.calibration(*key, BAR + HOUR) == newer
    assert ledger.calibration(*key, BAR + HOUR - timedelta(seconds=1)) == older
    assert ledger.calibration(*key, BAR - timedelta(seconds=1)) is None
    assert ledger.calibration("d1", "v1", "stated", BAR + HOUR) is None
    assert ledger.calibrations() == [newer, older]


def test_evaluations_come_back_newest_first_of_one_model_or_of_all(ledger: Ledger) -> None:
    first = evaluation()
    second = evaluation(id="f" * 32, model_digest="d2", evaluated_at=AT + HOUR, report="evals/f")
    for each in (first, second):
        ledger.record_eval(each)
    assert list(ledger.evals()) == [second, first]
    assert list(ledger.evals("d1")) == [first]


def test_the_prices_of_a_grade_are_exact(ledger: Ledger) -> None:
    record_chain(ledger)
    ledger.record_grade(grade(entry_price=Decimal("0.000000000000000001")))
    assert str(ledger.grades()[0].entry_price.normalize()) == "1E-18"
