"""The circuit breaker against a plain model of itself, and the arithmetic of budgets."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ffe.errors import SourceSkippedError
from ffe.sources.health import (
    LONGEST,
    TRIAL,
    Admission,
    Breaker,
    Budget,
    Circuit,
    Health,
    admitted,
    check_budget,
    settled,
    stopped_until,
)
from ffe.sources.models import Outcome

AT = datetime(2026, 3, 4, 14, 30, tzinfo=UTC)
BREAKER = Breaker(failures=5, seconds=30)


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (4, 0), (5, 30), (6, 60), (7, 120), (8, 240), (9, 300), (10, 300), (5000, 300)]
)
def test_the_pause_doubles_from_half_a_minute_to_five_minutes(failures: int, seconds: float) -> None:
    assert BREAKER.pause(failures) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "circuit"), [(29.999, Circuit.OPEN), (30, Circuit.HALF_OPEN), (31, Circuit.HALF_OPEN)]
)
def test_the_circuit_is_open_up_to_the_end_of_its_pause(seconds: float, circuit: Circuit) -> None:
    assert Health(failures=5, until=later(30)).circuit(later(seconds)) is circuit


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-03-04T00:00:00+00:00", "2026-03-05T00:00:00+00:00"),
        ("2026-03-04T23:00:00+00:00", "2026-03-05T00:00:00+00:00"),
        ("2026-03-04T23:00:01+00:00", "2026-03-05T00:00:01+00:00"),
        ("2026-03-04T20:30:00-05:00", "2026-03-06T00:00:00+00:00"),
    ],
)
def test_a_spent_quota_lasts_until_the_next_utc_day_and_an_hour_at_least(at: str, until: str) -> None:
    assert stopped_until(datetime.fromisoformat(at)) == datetime.fromisoformat(until)


@pytest.mark.parametrize(
    ("used", "share", "refused"), [(24, 1.0, False), (25, 1.0, True), (11, 0.5, False), (12, 0.5, True)]
)
def test_a_budget_ends_at_its_last_request(used: int, share: float, refused: bool) -> None:
    budget = Budget(per_day=25, per_second=1, share=share)
    if refused:
        with pytest.raises(SourceSkippedError, match=f"{used} of {budget.most} used"):
            check_budget(used, budget, AT)
    else:
        assert check_budget(used, budget, AT) is None


def test_a_late_failure_of_an_earlier_call_does_not_make_the_pause_longer() -> None:
    health = Health(failures=5, until=later(30), last_error="503")
    before = Admission(feed="sim", source="oanda", at=AT)
    after = settled(health, before, later(5), BREAKER, Outcome.FAILED, error="504")
    assert (after.failures, after.until, after.last_error) == (5, later(30), "504")


def test_a_late_answer_of_an_earlier_call_closes_the_circuit() -> None:
    health = Health(failures=5, until=later(30))
    before = Admission(feed="sim", source="oanda", at=AT)
    assert settled(health, before, later(5), BREAKER, Outcome.ANSWERED).circuit(later(5)) is Circuit.CLOSED


def test_a_skipped_trial_gives_the_trial_back_and_changes_nothing_else() -> None:
    health, trial_until = admitted(Health(failures=5, until=AT), AT)
    trial = Admission(feed="sim", source="oanda", at=AT, trial_until=trial_until)
    assert settled(health, trial, later(1), BREAKER, Outcome.SKIPPED) == Health(failures=5, until=AT)


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin, end and die in any order while time passes; what is known of the circuit is checked against plain words."""

    @initialize(limit=st.integers(1, 4))
    def begin(self, limit: int) -> None:
        self.breaker = Breaker(failures=limit, seconds=30)
        self.health, self.at = Health(), AT
        self.running: list[Admission] = []
        # The model: failures in a row, when it opened and for how long, and the trial under way.
        self.row, self.opened, self.pause = 0, AT, timedelta(0)
        self.trial: Admission | None = None

    @property
    def is_open(self) -> bool:
        return self.pause > timedelta(0)

    @rule(seconds=st.sampled_from([0.5, 1, 29, 30, 31, 60, 119, 121, 300, 301]))
    def time_passes(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    @rule()
    def somebody_asks(self) -> None:
        trying = self.trial is not None and self.at < self.trial.at + TRIAL
        may = not self.is_open or (self.at >= self.opened + self.pause and not trying)
        try:
            self.health, trial_until = admitted(self.health, self.at)
        except SourceSkippedError:
            assert not may
            return
        assert may
        admission = Admission(feed="sim", source="oanda", at=self.at, trial_until=trial_until)
        assert (trial_until is not None) == self.is_open
        self.trial = admission if self.is_open else self.trial
        self.running.append(admission)

    @rule(data=st.data(), outcome=st.sampled_from(Outcome), counts=st.booleans())
    def a_call_ends(self, data: st.DataObject, outcome: Outcome, *, counts: bool) -> None:
        if not self.running:
            return
        call = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.health = settled(self.health, call, self.at, self.breaker, outcome, counts=counts, error="503")
        if outcome is Outcome.ANSWERED:
            self.row, self.pause, self.trial = 0, timedelta(0), None
            return
        mine = call is self.trial
        self.trial = None if mine else self.trial
        if outcome is Outcome.FAILED and counts and (mine or not self.is_open):
            self.row += 1
            self.opened, self.pause = self.at, self._pause()

    def _pause(self) -> timedelta:
        over = self.row - self.breaker.failures
        return timedelta(0) if over < 0 else min(timedelta(minutes=5), timedelta(seconds=30) * 2**over)

    @rule()
    def a_process_dies(self) -> None:
        """Its call never ends; a trial of it lapses by itself."""
        self.running = self.running[1:]

    @invariant()
    def the_circuit_is_what_the_model_says(self) -> None:
        if not hasattr(self, "health"):
            return
        wanted = Circuit.CLOSED
        if self.is_open:
            wanted = Circuit.OPEN if self.at < self.opened + self.pause else Circuit.HALF_OPEN
        assert self.health.circuit(self.at) is wanted
        assert self.health.failures == self.row
        assert self.health.until is None or self.health.until - self.opened <= LONGEST


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
