"""The alarm: at a limit it is still, past it it rings and names the metric and both numbers."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.errors import ConfigurationError
from ffe.evals.drift import baseline_of, drift, drift_line, named
from ffe.evals.models import CaseSet
from ffe.feedback.models import ModelEval

STEADY = {
    "cases": 4.0,
    "schema_valid_first": 1.0,
    "schema_valid_repaired": 1.0,
    "flip_rate": 0.0,
    "action_buy": 0.5,
    "action_sell": 0.25,
    "action_hold": 0.25,
    "action_none": 0.0,
    "latency_p95_ms": 1000.0,
    "ece_stated": 0.2,
    "ece_token": 0.2,
}


def evaluation(eval_id: str = "abcdef01", **changed: object) -> ModelEval:
    fields = {
        "id": eval_id,
        "model": "script-1B.Q4_0",
        "model_digest": "d" * 64,
        "quantization": "Q4_0",
        "runtime": "script 1",
        "prompt_version": "v1",
        "cases_sha256": "c" * 64,
        "metrics": STEADY,
        "report": None,
        "evaluated_at": datetime(2026, 11, 21, tzinfo=UTC),
    }
    return ModelEval.model_validate(fields | changed)


@pytest.fixture
def moved() -> Callable[..., dict[str, bool]]:
    """Names of what moved when these metrics changed, each with whether it is an alarm."""

    def found(**metrics: float) -> dict[str, bool]:
        now = evaluation("now", metrics=STEADY | metrics)
        return {each.metric: each.alarm for each in drift(evaluation(), now).movements}

    return found


def test_the_same_numbers_are_no_drift() -> None:
    found = drift(evaluation(), evaluation("now"))

    assert found.movements == ()
    assert not found.drifted
    assert drift_line(found) == "drift: none against evaluation abcdef01"


@pytest.mark.parametrize(
    ("metric", "at", "past"),
    [
        ("schema_valid_first", 0.98, 0.979),
        ("schema_valid_repaired", 0.98, 0.979),
        ("flip_rate", 0.02, 0.021),
        ("ece_stated", 0.3, 0.301),
        ("ece_token", 0.3, 0.301),
    ],
)
def test_a_limit_itself_is_within_and_a_little_more_rings(moved, metric: str, at: float, past: float) -> None:
    assert moved(**{metric: at}) == {}
    assert moved(**{metric: past}) == {metric: True}


def test_a_fraction_that_does_not_add_up_in_binary_is_at_the_limit_all_the_same() -> None:
    before = evaluation(metrics=STEADY | {"schema_valid_first": 0.98})

    assert not drift(before, evaluation("now", metrics=STEADY | {"schema_valid_first": 0.96})).drifted


@pytest.mark.parametrize(
    "better", [{"schema_valid_first": 1.0}, {"flip_rate": 0.0}, {"ece_stated": 0.0}, {"latency_p95_ms": 1.0}]
)
def test_getting_better_is_no_alarm(better: dict[str, float]) -> None:
    worse = STEADY | {"schema_valid_first": 0.5, "flip_rate": 0.5, "ece_stated": 0.9}

    assert not drift(evaluation(metrics=worse), evaluation("now", metrics=worse | better)).drifted


def test_other_actions_ring_when_more_than_15_of_100_answers_are_others(moved) -> None:
    assert moved(action_buy=0.35, action_hold=0.4) == {}
    assert moved(action_buy=0.34, action_hold=0.41) == {"action_distance": True}


def test_answers_that_became_unusable_are_other_actions(moved) -> None:
    assert moved(action_buy=0.3, action_none=0.2) == {"action_distance": True}


def test_a_doubled_latency_only_warns(moved) -> None:
    assert moved(latency_p95_ms=2000.0) == {}
    assert moved(latency_p95_ms=2001.0) == {"latency_p95_ms": False}
    assert not drift(evaluation(), evaluation("now", metrics=STEADY | {"latency_p95_ms": 9999.0})).drifted


def test_a_metric_that_can_no_longer_be_measured_warns_and_says_so() -> None:
    now = {name: value for name, value in STEADY.items() if name not in ("ece_token", "latency_p95_ms")}
    found = drift(evaluation(), evaluation("now", metrics=now))

    assert [str(each) for each in found.movements] == ["ece_token: 0.2 before, not measured now (limit: +0.1)"]
    assert not found.drifted


def test_a_metric_that_was_not_measured_before_is_no_ground_for_an_alarm() -> None:
    before = {name: value for name, value in STEADY.items() if name not in ("flip_rate", "latency_p95_ms")}

    assert drift(evaluation(metrics=before), evaluation("now", metrics=STEADY | {"flip_rate": 1.0})).movements == ()


def test_an_alarm_names_the_metric_the_limit_and_both_numbers() -> None:
    found = drift(evaluation(), evaluation("now", metrics=STEADY | {"flip_rate": 0.25}))

    assert found.drifted
    assert str(found.movements[0]) == "flip_rate: 0 before, 0.25 now (limit: +0.02)"
    assert drift_line(found) == "drift: ALARM, this is not how it answered in evaluation abcdef01"
    assert "no earlier evaluation" in drift_line(None)


@given(
    st.dictionaries(st.sampled_from(sorted(STEADY)), st.floats(0, 1)),
    st.dictionaries(st.sampled_from(sorted(STEADY)), st.floats(0, 1)),
)
def test_whatever_was_measured_drift_answers_and_sees_none_in_itself(one: dict, other: dict) -> None:
    before, now = evaluation(metrics=STEADY | one), evaluation("now", metrics=STEADY | other)

    drift(before, now)
    assert drift(before, before).movements == ()


@pytest.mark.parametrize(
    "different",
    [
        {"model_digest": "e" * 64},
        {"prompt_version": "v0"},
        {"cases_sha256": "b" * 64},
        {"metrics": STEADY | {"cases": 5.0}},
        {"metrics": {}},
    ],
)
def test_only_the_same_model_asked_the_same_is_compared_with(different: dict) -> None:
    assert baseline_of([evaluation(**different)], evaluation("now")) is None


def test_the_newest_like_it_is_compared_with() -> None:
    evals = [evaluation("other", prompt_version="v0"), evaluation("newest"), evaluation("older")]

    assert baseline_of(evals, evaluation("now")).id == "newest"
    assert baseline_of([], evaluation("now")) is None


def test_a_baseline_may_be_named_by_the_start_of_its_id_also_of_another_model(cases: CaseSet) -> None:
    other = evaluation("abcdef99", model_digest="e" * 64, cases_sha256=cases.sha256)

    assert named([evaluation("bbbbbb"), other], "abcdef9", cases) == other


@pytest.mark.parametrize("wanted", ["abcde", "abcdef", "zzzzzz"])
def test_a_baseline_that_names_none_several_or_too_little_is_bad_usage(wanted: str, cases: CaseSet) -> None:
    evals = [evaluation("abcdef01", cases_sha256=cases.sha256), evaluation("abcdef02", cases_sha256=cases.sha256)]

    with pytest.raises(ConfigurationError, match=r"names [02] evaluations"):
        named(evals, wanted, cases)


def test_a_baseline_on_other_cases_is_bad_usage(cases: CaseSet) -> None:
    with pytest.raises(ConfigurationError, match=r"asked 4 cases of file cccccccccccc, not 4 of [0-9a-f]{12}"):
        named([evaluation("abcdef01")], "abcdef01", cases)
    more = evaluation("abcdef01", cases_sha256=cases.sha256, metrics=STEADY | {"cases": 9.0})
    with pytest.raises(ConfigurationError, match="asked 9 cases of file"):
        named([more], "abcdef01", cases)
