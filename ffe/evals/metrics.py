"""The numbers of an evaluation, each a plain float by its name; what could not be measured has no number.

Shares are fractions from 0 to 1. A flip is an asking that ended in another action than the first one, "no usable answer" among the actions: it would have
held where the model had bought. Brier score and calibration error look at BUY and SELL of the first turn, as calibration does, and call
an answer right when its side earned more than nothing after costs.
"""

import re
from collections.abc import Sequence

import numpy as np

from ffe.decision.models import Action
from ffe.evals.models import CallFacts, Question, Results, Trial
from ffe.feedback.scores import brier, ece

PROBED = (Question.DATE, Question.TICKER, Question.PRICE)
SCORED = {"stated": "stated confidence", "token": "token probability"}
ACTIONS = ("buy", "sell", "hold", "none")
QUANTIZATION = re.compile(
    r"(?<![A-Z0-9])((?:I?Q|TQ)\d+(?:_(?:K(?:_(?:XS|S|M|L|XL))?|\d|XXS|XS|S|M|NL))?|BF16|FP?16|FP?32|MXFP4)(?![A-Z0-9])"
)


def quantization(model: str) -> str | None:
    """`Q4_1` of `SmolLM2-135M-Instruct.Q4_1`, `Q4_0` of `llama3.2:3b-instruct-q4_0`; None when the name does not say."""
    found = QUANTIZATION.findall(model.upper())
    return found[-1] if found else None


def measure(results: Results) -> dict[str, float]:
    """Every metric of an evaluation that its trials give."""
    plain = results.of(Question.PLAIN)
    found = {
        "cases": float(len(results.cases)),
        "repeats": float(results.repeats),
        "calls": float(sum(len(trial.calls) for trial in results.trials)),
        "schema_valid_first": _share([trial.valid_first for trial in plain]),
        "schema_valid_repaired": _share([trial.action is not None for trial in plain]),
    }
    return found | _flips(results) | _actions(results) | _speed(results) | _scores(results)


def action_shares(metrics: dict[str, float]) -> dict[str, float]:
    """Share of each of `ACTIONS`, of those that are there."""
    return {name: metrics[f"action_{name}"] for name in ACTIONS if f"action_{name}" in metrics}


def paid(results: Results) -> list[tuple[Trial, bool]]:
    """The entries of the first turn, each with whether its side earned more than nothing after costs."""
    cases = {case.id: case for case in results.cases}
    entries = [each for each in results.of(Question.PLAIN, 0) if each.action in (Action.BUY, Action.SELL)]
    return [(each, cases[each.case_id].net_return(each.action) > 0) for each in entries]


def claims(results: Results, source: str) -> tuple[list[float], list[bool]]:
    """What the entries of the first turn claimed by `source`, one of `SCORED`, in [0, 1], and whether each paid."""
    known = [(getattr(trial, source), won) for trial, won in paid(results) if getattr(trial, source) is not None]
    return [claimed for claimed, _ in known], [won for _, won in known]


def latencies(results: Results) -> list[float]:
    """Milliseconds of every call, loading left out."""
    return [call.latency_ms for call in _calls(results)]


def _flips(results: Results) -> dict[str, float]:
    first = {trial.case_id: trial.action for trial in results.of(Question.PLAIN, 0)}
    again = [trial for trial in results.of(Question.PLAIN) if trial.turn > 0]
    found = _flip_rate("flip", again, first)
    first_sampled = {trial.case_id: trial.action for trial in results.of(Question.SAMPLED, 0)}
    again_sampled = [trial for trial in results.of(Question.SAMPLED) if trial.turn > 0]
    found |= _flip_rate("sampled_flip", again_sampled, first_sampled)
    for probe in PROBED:
        trials = results.of(probe)
        found |= _flip_rate(f"{probe.value}_flip", trials, first)
        found[f"{probe.value}_prompt_changed"] = _share([bool(trial.calls) for trial in trials])
    return found


def _flip_rate(name: str, trials: Sequence[Trial], first: dict[str, Action | None]) -> dict[str, float]:
    if not trials:
        return {}
    flips = [trial.action is not first[trial.case_id] for trial in trials]
    return {f"{name}_rate": _share(flips), f"{name}_n": float(len(flips))}


def _actions(results: Results) -> dict[str, float]:
    said = ["none" if each.action is None else each.action.value.lower() for each in results.of(Question.PLAIN, 0)]
    return {f"action_{name}": _share([action == name for action in said]) for name in ACTIONS}


def _speed(results: Results) -> dict[str, float]:
    spent = latencies(results)
    middle, late = (float(value) for value in np.percentile(spent, (50, 95)))
    found = {"latency_p50_ms": middle, "latency_p95_ms": late}
    for name, tokens, took in (
        ("prompt_tokens_per_second", "prompt_tokens", "prompt_ms"),
        ("generation_tokens_per_second", "completion_tokens", "generation_ms"),
    ):
        rate = _rate(_calls(results), tokens, took)
        if rate is not None:
            found[name] = rate
    return found


def _rate(calls: Sequence[CallFacts], tokens: str, took: str) -> float | None:
    """Tokens per second over all calls whose runtime said how long it took."""
    timed = [(getattr(call, tokens), getattr(call, took)) for call in calls]
    known = [(count, ms) for count, ms in timed if count is not None and ms is not None and ms > 0]
    return 1000 * sum(count for count, _ in known) / sum(ms for _, ms in known) if known else None


def _scores(results: Results) -> dict[str, float]:
    entries = paid(results)
    found = {"entries": float(len(entries))}
    if entries:
        found["paid_share"] = _share([won for _, won in entries])
    for source in SCORED:
        claimed, outcomes = claims(results, source)
        if claimed:
            found[f"brier_{source}"] = brier(claimed, outcomes)
            found[f"ece_{source}"] = ece(claimed, outcomes)
            found[f"{source}_n"] = float(len(claimed))
    return found


def _calls(results: Results) -> list[CallFacts]:
    return [call for trial in results.trials for call in trial.calls]


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)
