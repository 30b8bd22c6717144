"""Health and budget of the bar sources, shared by every process through the ledger."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import dump

from ffe.errors import NotOfferedError, SourceSkippedError
from ffe.ledger.ledger import Ledger
from ffe.sources.health import Breaker, Budget, Circuit, Health, SourceState, Usage
from ffe.sources.models import Outcome

AT = datetime(2026, 3, 4, 14, 30, tzinfo=UTC)
BUDGET = Budget(per_day=3, per_second=1)
BREAKER = Breaker(failures=2, seconds=30)
HERE = Path(__file__).parent


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def call(ledger: Ledger, outcome: Outcome, at: datetime = AT, source: str = "oanda", *, counts: bool = True) -> None:
    admission = ledger.admit_source("sim", source, at)
    ledger.settle_source(admission, at, BREAKER, outcome, counts=counts, error="503 from oanda")


def spend(ledger: Ledger, at: datetime = AT, share: float = 1.0, what: tuple[str, ...] = ()) -> datetime:
    budget = BUDGET.model_copy(update={"share": share})
    return ledger.spend_request("sim", "alpha-vantage", at, budget, latest=at + timedelta(seconds=30), what=what)


def state(ledger: Ledger, source: str, at: datetime = AT) -> SourceState:
    (found,) = [each for each in ledger.source_states("sim", at) if each.source == source]
    return found


def processes(worker: str, ledger: Ledger, *arguments: str) -> list[int]:
    url = ledger.database.url.render_as_string(hide_password=False)
    command = [sys.executable, str(HERE / worker), url, *arguments]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [int(each.communicate(timeout=120)[0]) for each in workers]
    assert [each.returncode for each in workers] == [0, 0, 0, 0]
    return said


def test_nothing_is_known_of_a_source_that_was_never_asked(ledger: Ledger) -> None:
    assert ledger.source_states("sim", AT) == []
    assert ledger.source_usage("2026-01-01") == []


def test_an_answer_is_counted_and_remembered(ledger: Ledger) -> None:
    call(ledger, Outcome.ANSWERED)
    found = state(ledger, "oanda")
    assert found.today == Usage(day="2026-03-04", answered=1)
    assert found.health == Health(last_success_at=AT)
    assert found.circuit is Circuit.CLOSED


def test_failures_in_a_row_open_the_circuit_for_everybody(ledger: Ledger) -> None:
    call(ledger, Outcome.FAILED)
    call(ledger, Outcome.FAILED)
    other = Ledger.open(ledger.database.url.render_as_string(hide_password=False))
    with pytest.raises(SourceSkippedError, match=r"open until 2026-03-04T14:30:30Z after 2 failures.*503 from oanda"):
        other.admit_source("sim", "oanda", later(29))
    other.close()
    found = state(ledger, "oanda", later(29))
    assert (found.circuit, found.today) == (Circuit.OPEN, Usage(day="2026-03-04", failed=2, skipped=1))


def test_a_drill_in_sim_opens_no_circuit_of_live(ledger: Ledger) -> None:
    call(ledger, Outcome.FAILED)
    call(ledger, Outcome.FAILED)
    assert ledger.admit_source("live", "oanda", AT).trial_until is None
    assert [each.feed for each in ledger.source_states("live", AT)] == ["live"]


def test_after_the_pause_one_call_may_try_and_its_answer_closes_the_circuit(ledger: Ledger) -> None:
    call(ledger, Outcome.FAILED)
    call(ledger, Outcome.FAILED)
    trial = ledger.admit_source("sim", "oanda", later(30))
    assert trial.trial_until == later(150)
    with pytest.raises(SourceSkippedError, match="half-open"):
        ledger.admit_source("sim", "oanda", later(31))
    ledger.settle_source(trial, later(32), BREAKER, Outcome.ANSWERED)
    assert state(ledger, "oanda", later(32)).circuit is Circuit.CLOSED


def test_a_failure_that_does_not_count_is_shown_and_opens_nothing(ledger: Ledger) -> None:
    for _ in range(5):
        call(ledger, Outcome.FAILED, counts=False)
    found = state(ledger, "oanda")
    assert (found.circuit, found.health.failures, found.health.last_error) == (Circuit.CLOSED, 0, "503 from oanda")


def test_of_four_processes_one_gets_the_trial(ledger: Ledger) -> None:
    call(ledger, Outcome.FAILED)
    call(ledger, Outcome.FAILED)
    assert sorted(processes("trying_worker.py", ledger, later(31).isoformat())) == [0, 0, 0, 1]


def test_four_processes_with_twenty_calls_each_spend_exactly_the_budget_of_25(ledger: Ledger) -> None:
    said = processes("spending_worker.py", ledger, "20", "25")
    assert sum(said) == 25
    assert state(ledger, "alpha-vantage").today.requests == 25
    # One every 1.1 s: the last one got the twenty-fifth turn, and the next would get the one after.
    assert state(ledger, "alpha-vantage").health.next_request_at == later(27.5)


def test_requests_queue_up_a_second_and_a_margin_apart(ledger: Ledger) -> None:
    assert [spend(ledger), spend(ledger), spend(ledger, later(0.5))] == [AT, later(1.1), later(2.2)]


def test_a_turn_after_the_deadline_is_refused_and_not_counted(ledger: Ledger) -> None:
    spend(ledger)
    with pytest.raises(SourceSkippedError, match="no turn before 2026-03-04T14:30:00Z: 1 requests a second"):
        ledger.spend_request("sim", "alpha-vantage", AT, BUDGET, latest=AT)
    assert state(ledger, "alpha-vantage").today.requests == 1


def test_the_budget_ends_with_both_numbers_and_begins_again_with_the_utc_day(ledger: Ledger) -> None:
    for _ in range(3):
        spend(ledger)
    with pytest.raises(
        SourceSkippedError, match=r"3 of 3 used on 2026-03-04; the next day begins 2026-03-05T00:00:00Z"
    ):
        spend(ledger)
    with pytest.raises(SourceSkippedError, match="budget spent"):
        ledger.admit_source("sim", "alpha-vantage", AT, BUDGET)
    midnight = datetime(2026, 3, 5, tzinfo=UTC)
    assert spend(ledger, midnight) == midnight
    assert [(feed, source, used.day, used.requests) for feed, source, used in ledger.source_usage("2026-03-04")] == [
        ("sim", "alpha-vantage", "2026-03-04", 3),
        ("sim", "alpha-vantage", "2026-03-05", 1),
    ]
    assert ledger.source_usage("2026-03-05", "live") == []


def test_a_caller_with_half_a_share_leaves_the_other_half(ledger: Ledger) -> None:
    spend(ledger, share=0.5)
    with pytest.raises(SourceSkippedError, match=r"1 of 1 used .*3 a day, 1 of them for this"):
        spend(ledger, share=0.5)
    assert spend(ledger) == later(1.1)


def test_a_spent_quota_stops_the_source_until_the_next_day_and_an_hour_at_least(ledger: Ledger) -> None:
    ledger.stop_source("sim", "alpha-vantage", AT, "25 requests per day")
    with pytest.raises(SourceSkippedError, match=r"not asked before 2026-03-05T00:00:00Z: 25 requests per day"):
        spend(ledger)
    with pytest.raises(SourceSkippedError, match="quota spent"):
        ledger.admit_source("sim", "alpha-vantage", later(60))
    spend(ledger, datetime(2026, 3, 5, tzinfo=UTC))
    late = datetime(2026, 3, 5, 23, 30, tzinfo=UTC)
    ledger.stop_source("sim", "alpha-vantage", late, "25 requests per day")
    with pytest.raises(SourceSkippedError, match="2026-03-06T00:30:00Z"):
        spend(ledger, datetime(2026, 3, 6, 0, 29, 59, tzinfo=UTC))
    assert spend(ledger, datetime(2026, 3, 6, 0, 30, tzinfo=UTC))


def test_a_refusal_is_believed_for_a_day_and_costs_nothing(ledger: Ledger) -> None:
    ledger.refuse_source("sim", "alpha-vantage", "FX_INTRADAY", AT, "premium")
    before = dump(ledger)
    with pytest.raises(
        NotOfferedError, match="does not offer FX_INTRADAY, not asked again before 2026-03-05T14:30:00Z"
    ):
        spend(ledger, what=("FX_INTRADAY", "FX_INTRADAY EURUSD"))
    assert dump(ledger) == before
    assert spend(ledger, what=("FX_DAILY",)) == AT
    tomorrow = AT + timedelta(days=1)
    assert spend(ledger, tomorrow, what=("FX_INTRADAY",)) == tomorrow
    ledger.refuse_source("sim", "alpha-vantage", "FX_INTRADAY", tomorrow, "still premium")
    with pytest.raises(NotOfferedError, match="still premium"):
        spend(ledger, tomorrow, what=("FX_INTRADAY",))


def test_a_second_opinion_is_asked_for_once_in_an_hour(ledger: Ledger) -> None:
    hour = timedelta(hours=1)

    def claim(at: datetime, instrument: str = "EURUSD") -> bool:
        return ledger.claim_cross_check("sim", "alpha-vantage", instrument, at, hour)

    assert [claim(AT), claim(later(3599)), claim(AT, "GBPUSD"), claim(later(3600))] == [True, False, True, True]


def test_what_a_clock_far_ahead_left_behind_does_not_hold(ledger: Ledger) -> None:
    """In `sim` the clock may be set back by years; nothing may stay shut until then."""
    ahead = AT + timedelta(days=3000)
    for _ in range(2):
        call(ledger, Outcome.FAILED, ahead)
    spend(ledger, ahead)
    ledger.stop_source("sim", "alpha-vantage", ahead, "25 requests per day")
    ledger.refuse_source("sim", "alpha-vantage", "FX_DAILY", ahead, "premium")
    ledger.claim_cross_check("sim", "alpha-vantage", "EURUSD", ahead, timedelta(hours=1))
    assert ledger.admit_source("sim", "oanda", AT).trial_until is not None
    assert spend(ledger, what=("FX_DAILY",)) == AT
    assert ledger.claim_cross_check("sim", "alpha-vantage", "EURUSD", AT, timedelta(hours=1))
