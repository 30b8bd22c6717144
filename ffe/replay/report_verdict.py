"""Would you let it trade? One answer an instrument, with its reasons in plain words.

Three answers and no fourth: a replay can show that something should not trade, or fail to show that it should; the best it can say is
that a trial on paper is worth the time. A baseline is beaten where the whole 95 % interval of the difference in total return is above zero.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ffe.clock import rfc3339
from ffe.replay.models import Compared
from ffe.replay.request import ReplayRun

# Below this many round trips the share of winners alone is uncertain by more than 18 points: 1.96 * sqrt(0.25 / 30).
FEW_TRADES = 30


class Answer(StrEnum):
    NO = "no"
    NOT_SHOWN = "not shown"
    TRY_ON_PAPER = "try it on paper"


class Standing(StrEnum):
    """A strategy beside one baseline."""

    BEATS = "beats"
    UNDECIDED = "can't be told from"
    WORSE = "does worse than"


SENTENCES = {
    Answer.NO: "No. Don't let it trade.",
    Answer.NOT_SHOWN: "Not shown. Nothing here says that it should trade.",
    Answer.TRY_ON_PAPER: "It beat every baseline here. That is a reason to try it on paper, and no promise.",
}


@dataclass(frozen=True)
class Verdict:
    """`reasons`: sentences, what weighs most first."""

    instrument: str
    answer: Answer
    reasons: tuple[str, ...]


def verdicts(run: ReplayRun) -> tuple[Verdict, ...]:
    """One an instrument, in the order of the feeds."""
    return tuple(_verdict(run, at) for at in range(len(run.feeds)))


def worst(found: tuple[Verdict, ...]) -> Answer:
    """The answer for all of them together: one instrument that should not trade is enough."""
    severity = list(Answer)
    return min((each.answer for each in found), key=severity.index, default=Answer.NOT_SHOWN)


def standing(compared: Compared) -> Standing:
    """An interval that is not known decides nothing."""
    if compared.low > 0:
        return Standing.BEATS
    return Standing.WORSE if compared.high < 0 else Standing.UNDECIDED


def percent(value: float | None, places: int = 2) -> str:
    """`+1.23 %` of a fraction; `n/a` where it is undefined; one that rounds to nothing has no sign."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if round(100 * value, places) == 0:
        return f"{0:.{places}f} %"
    return f"{100 * value:+,.{places}f} %"


def comparison(strategy: str, compared: Compared) -> str:
    """`sma-cross beats hold: +1.20 % (95 %: +0.30 % to +2.10 %)`."""
    between = f"95 %: {percent(compared.low)} to {percent(compared.high)}"
    return f"{strategy} {standing(compared)} {compared.strategy}: {percent(compared.difference)} ({between})"


def _verdict(run: ReplayRun, at: int) -> Verdict:
    against, doubts = _against(run, at), _doubts(run, at)
    answer = Answer.NO if against else Answer.NOT_SHOWN if doubts else Answer.TRY_ON_PAPER
    beaten = [comparison(run.strategy, each) for each in _with(run, at, Standing.BEATS)]
    return Verdict(run.feeds[at].bars.instrument.symbol, answer, (*against, *doubts, *beaten))


def _against(run: ReplayRun, at: int) -> list[str]:
    """What alone is reason enough not to let it trade."""
    found = []
    if run.lookahead and not run.lookahead[at].ok:
        found.append(f"{run.lookahead[at]} No number here counts.")
    if run.warm_up and not run.warm_up[at].ok:
        found.append(f"{run.warm_up[at]} A live cycle would not have decided so.")
    if run.result.halted_at is not None:
        moment = rfc3339(datetime.fromtimestamp(int(run.result.halted_at), UTC))
        found.append(f"the kill switch stopped it at {moment}: it lost more than the limits allow")
    return found + [comparison(run.strategy, each) for each in _with(run, at, Standing.WORSE)]


def _doubts(run: ReplayRun, at: int) -> list[str]:
    """What keeps a good result from showing anything."""
    found = []
    if run.contaminated[at]:
        found.append(run.watermark or "contaminated: the model may have read about these very days")
    if not run.costs:
        found.append("costs are off: spread, slippage and fees would have come out of every trade")
    if not run.baselines[at]:
        found.append("it was compared with nothing")
    if 0 < run.stats[at].trades < FEW_TRADES:
        found.append(f"only {run.stats[at].trades} round trips: fewer than {FEW_TRADES} say little")
    if run.stats[at].trades == 0:
        found.append("it never closed a trade")
    return found + [comparison(run.strategy, each) for each in _with(run, at, Standing.UNDECIDED)]


def _with(run: ReplayRun, at: int, wanted: Standing) -> list[Compared]:
    return [each for each in run.baselines[at] if standing(each) is wanted]
