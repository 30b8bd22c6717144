"""Making recorded verdicts a second time from what the ledger kept, and saying whether they came out the same, byte for byte.

The question is written anew from the stored context, the recorded model says again what it said, the answer is validated and weighed
again and turned into a decision again, which must be the one on record. Taken from the record are only the context, what came back from
outside (texts, tokens, failures, who was not asked in time) and the settings of that day (sampling, ensemble, weights, which confidence gates).
So a changed answer, text, vote, question, number or decision shows, and so does a change of our own code that would decide otherwise.
What nothing was made from (the last close, say) a replay can't vouch for, nor for a ledger whose every trace was changed to fit.

A gate's HOLD must quote the verdict that it overruled. One that quotes nothing is right in two cases, counted as `unheard`: the gate could not
do its work and held by itself, or the cycle had given up on the model when its verdict came.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from ffe.clock import Clock
from ffe.decision.models import Action, Author, Decision, Vote
from ffe.decision.record import decision_from_verdict
from ffe.decision.remake import in_other_words, replay, weigh_again
from ffe.decision.verdict import AskedVerdict, Verdict
from ffe.feedback.models import Calibration
from ffe.settings import EnsembleStrategy

# Ids and lines of this one run, and how long it took: nothing that another run could repeat.
CALL_FLEETING = {"id", "started_at", "chain", "latency_ms", "load_ms", "prompt_ms", "generation_ms"}
DECISION_FLEETING = {"id", "cycle_id", "model_call_id", "quality_report_id", "decided_at", "latency_ms"}
GATES = (Author.RISK_GATE, Author.DATA_GATE, Author.HALT, Author.MARKET_HOURS)
QUOTED = ("model_call_id", "model", "model_digest", "prompt_sha256", "seed", "latency_ms", "opinion", "votes")
QUOTED_CASE = ("situation", "confidence_parts", "pulse_batches")
# Between the end of a call and the commit of its verdict; a cycle that gave up by then may not have found it.
COMMIT = timedelta(seconds=5)
OVERRULED = " (was "


class Difference(BaseModel):
    """A verdict that did not come out the same; `where` names what differs, like `calls.0.raw_text`."""

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    instrument: str
    where: tuple[str, ...]


class ReplayReport(BaseModel):
    """Counts of verdicts: `replayed` are `identical` and `differing`; of `decided` the decision itself is on record and compared too.

    `other_version` of the replayed were asked in other words, which were not written anew. `unmatched` are decisions and calls whose verdict
    is gone, `older` questions from before verdicts were recorded. The two digests are over the contents of all replayed ones.
    """

    model_config = ConfigDict(frozen=True)

    replayed: int
    identical: int
    decided: int
    unheard: int
    other_version: int
    older: int
    differing: tuple[Difference, ...]
    unmatched: tuple[Difference, ...]
    recorded_sha256: str
    replayed_sha256: str

    @property
    def same(self) -> bool:
        """Also False when there is nothing but what is too old to be replayed: nothing vouches for it then."""
        vouched = self.replayed > 0 or self.older == 0
        return vouched and not self.differing and not self.unmatched and self.recorded_sha256 == self.replayed_sha256


def replay_all(
    asked: Sequence[AskedVerdict],
    decisions: Iterable[Decision],
    clock: Clock,
    calibrations: Iterable[Calibration] = (),
    *,
    unmatched: Iterable[tuple[str, str, str]] = (),
    older: int = 0,
) -> ReplayReport:
    """Replays every verdict and compares it, and the decision of its cycle and instrument if there is one, with the record.

    `unmatched` are (cycle id, instrument, what is there) of questions without a verdict.
    """
    on_record = {(decision.cycle_id, decision.instrument): decision for decision in decisions}
    known = {calibration.id: calibration for calibration in calibrations}
    odd = _odd_settings(asked)
    comparisons = [
        _compare(each, on_record.get(_key(each)), known, odd_settings=_key(each) in odd, clock=clock) for each in asked
    ]
    differing = tuple(comparison.difference for comparison in comparisons if comparison.difference is not None)
    return ReplayReport(
        replayed=len(comparisons),
        identical=len(comparisons) - len(differing),
        decided=sum(comparison.decided for comparison in comparisons),
        unheard=sum(comparison.unheard for comparison in comparisons),
        other_version=sum(in_other_words(each.verdict) for each in asked),
        older=older,
        differing=differing,
        unmatched=_gathered(unmatched),
        recorded_sha256=digest(comparison.record for comparison in comparisons),
        replayed_sha256=digest(comparison.remake for comparison in comparisons),
    )


def _key(asked: AskedVerdict) -> tuple[str, str]:
    return asked.cycle_id, asked.context.instrument.symbol


def _gathered(unmatched: Iterable[tuple[str, str, str]]) -> tuple[Difference, ...]:
    """One entry a question, with all that is there of it."""
    left: dict[tuple[str, str], list[str]] = {}
    for cycle_id, instrument, what in unmatched:
        left.setdefault((cycle_id, instrument), []).append(what)
    return tuple(
        Difference(cycle_id=cycle, instrument=instrument, where=tuple(where))
        for (cycle, instrument), where in left.items()
    )


def _odd_settings(asked: Sequence[AskedVerdict]) -> set[tuple[str, str]]:
    """Verdicts asked under another ensemble than most of their cycle; all of the cycle's where no ensemble has more than another.

    One cycle runs under one set of settings. A quorum that decided nothing leaves no other trace.
    """
    kinds: dict[str, Counter[str]] = {}
    said = [(each, _ensemble(each)) for each in asked if each.verdict.calls]
    for each, ensemble in said:
        kinds.setdefault(each.cycle_id, Counter())[ensemble] += 1
    odd = set()
    for each, ensemble in said:
        (common, count), *others = kinds[each.cycle_id].most_common()
        tied = bool(others) and others[0][1] == count
        if tied or ensemble != common:
            odd.add(_key(each))
    return odd


def _ensemble(asked: AskedVerdict) -> str:
    return "" if asked.verdict.ensemble is None else asked.verdict.ensemble.model_dump_json()


def content(decision: Decision, verdict: Verdict) -> dict[str, Any]:
    """What must come out equal, as plain JSON: everything but ids, clock times and durations."""
    return {
        "decision": decision.model_dump(mode="json", exclude=DECISION_FLEETING),
        "verdict": verdict.model_dump(mode="json", exclude={"calls"}),
        "calls": [call.model_dump(mode="json", exclude=CALL_FLEETING) for call in verdict.calls],
    }


def digest(contents: Iterable[Mapping[str, Any]]) -> str:
    """Hex sha256 over the contents, whatever their order."""
    each = sorted(hashlib.sha256(_canonical(item)).hexdigest() for item in contents)
    return hashlib.sha256("\n".join(each).encode()).hexdigest()


def _canonical(item: Mapping[str, Any]) -> bytes:
    return json.dumps(item, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


class _Comparison(NamedTuple):
    record: dict[str, Any]
    remake: dict[str, Any]
    difference: Difference | None
    decided: bool
    unheard: bool


def _compare(
    asked: AskedVerdict,
    recorded: Decision | None,
    calibrations: Mapping[str, Calibration],
    *,
    odd_settings: bool,
    clock: Clock,
) -> _Comparison:
    """A verdict without a decision that heard it is compared by the decision that it would make."""
    verdict, now = replay(asked, clock), clock.now()
    unheard = recorded is not None and _unheard(recorded, asked)
    place: dict[str, Any] = {"cycle_id": asked.cycle_id, "decided_at": now}
    if recorded is None or unheard:
        known = decision_from_verdict(asked.verdict, asked.context, **place)
        made = decision_from_verdict(verdict, asked.context, **place)
        recorded = None
    else:
        weighed = weigh_again(verdict, asked, recorded, calibrations)
        known, made = recorded, decision_from_verdict(verdict, asked.context, weighed=weighed, **place)
        made = _overruled(made, recorded)
    record, remake = content(known, asked.verdict), content(made, verdict)
    record["decision"] |= _rests_on(known, asked)
    remake["decision"] |= {"model_call_id": _position(verdict, made), "latency_ms": True, "quality_report_id": True}
    record["ensemble"] = {"of_its_cycle": not odd_settings, "votes_without_call": _uncalled(asked.verdict)}
    remake["ensemble"] = {"of_its_cycle": True, "votes_without_call": []}
    difference = None
    if record != remake:
        where = tuple(_differences(record, remake))
        difference = Difference(cycle_id=asked.cycle_id, instrument=asked.context.instrument.symbol, where=where)
    return _Comparison(record, remake, difference, decided=recorded is not None, unheard=unheard)


def _rests_on(decision: Decision, asked: AskedVerdict) -> dict[str, Any]:
    """Which call it quotes, and whether the time it names is that of all calls and its report that of the context."""
    calls = asked.verdict.calls
    spent = sum(call.latency_ms for call in calls) if calls else None
    named = decision.latency_ms
    timed = named is spent if named is None or spent is None else math.isclose(named, spent, rel_tol=1e-9)
    return {
        "model_call_id": _position(asked.verdict, decision),
        "latency_ms": timed,
        "quality_report_id": decision.quality_report_id == asked.context.quality_report_id,
    }


def _position(verdict: Verdict, decision: Decision) -> int | str | None:
    """Of the quoted call among the verdict's: ids are another run's, the place is the same."""
    if decision.model_call_id is None:
        return None
    places = [index for index, call in enumerate(verdict.calls) if call.id == decision.model_call_id]
    return places[0] if places else "no call of this verdict"


def _overruled(made: Decision, recorded: Decision) -> Decision:
    """What a gate leaves of the decision: its own HOLD and reason, and the model's word behind it. Only a BUY or SELL goes to a gate."""
    if recorded.decided_by not in GATES or made.action is Action.HOLD:
        return made
    reason = recorded.reasoning.split(OVERRULED, 1)[0]
    said = f"{made.action.value} at {made.confidence} by {made.decided_by.value}: {made.reasoning}"
    kept = {"decided_by": recorded.decided_by, "reason_code": recorded.reason_code}
    # The reason may hold the same words; what must fit is the end.
    fits = recorded.reasoning.endswith(f"{OVERRULED}{said})")
    reasoning = recorded.reasoning if fits else f"{reason}{OVERRULED}{said})"
    return made.model_copy(update=kept | {"action": Action.HOLD, "confidence": 100, "reasoning": reasoning})


def _unheard(decision: Decision, asked: AskedVerdict) -> bool:
    """Whether a HOLD was made without this verdict, and rightly so, although the verdict is there."""
    if decision.action is not Action.HOLD or decision.confidence != 100 or OVERRULED in decision.reasoning:
        return False
    if decision.decided_by in GATES:
        failed = decision.decided_by is not Author.RISK_GATE or decision.reason_code.endswith("_failed")
        return failed and all(getattr(decision, name) is None for name in (*QUOTED, *QUOTED_CASE))
    if decision.decided_by is not Author.FALLBACK or not asked.verdict.calls:
        return False
    last = asked.verdict.calls[-1]
    late = decision.decided_at <= last.started_at + timedelta(milliseconds=last.latency_ms) + COMMIT
    return late and _gave_up(decision, asked)


def _gave_up(decision: Decision, asked: AskedVerdict) -> bool:
    """Whether it is what a cycle decides that has no verdict at all."""
    none = decision_from_verdict(
        Verdict(calls=(), answer=None, error=None),
        asked.context,
        cycle_id=asked.cycle_id,
        decided_at=decision.decided_at,
    )
    own = {"id", "reasoning"}
    return decision.model_dump(exclude=own) == none.model_dump(exclude=own)


def _uncalled(verdict: Verdict) -> list[str]:
    """Members that have a vote and no call without having been left out, which their vote says. A model that can't be opened makes none."""
    called = {call.member for call in verdict.calls}
    opened = verdict.ensemble is not None and verdict.ensemble.strategy is not EnsembleStrategy.MODELS
    return [
        vote.member
        for vote in verdict.votes or ()
        if vote.member not in called and not _left_out(vote) and (opened or vote.action is not None)
    ]


def _left_out(vote: Vote) -> bool:
    return vote.action is None and (vote.error or "").startswith((f"{vote.member} was not asked: ", "not asked: "))


def _differences(record: Any, remake: Any, where: str = "") -> Iterator[str]:
    """Paths of the values that differ, like `calls.0.raw_text`; a list of another length is named as a whole."""
    if isinstance(record, dict) and isinstance(remake, dict) and record.keys() == remake.keys():
        for key in record:
            yield from _differences(record[key], remake[key], f"{where}.{key}" if where else key)
    elif isinstance(record, list) and isinstance(remake, list) and len(record) == len(remake):
        for index, pair in enumerate(zip(record, remake, strict=True)):
            yield from _differences(*pair, f"{where}.{index}")
    elif record != remake:
        yield where
