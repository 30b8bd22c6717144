"""What came of asking about one instrument: the calls that were made, and the answer that they amount to, if they do."""

from pydantic import BaseModel, ConfigDict

from ffe.decision.answer import Answer
from ffe.decision.models import Context, ModelCall, Vote
from ffe.settings import EnsembleSettings


class Verdict(BaseModel):
    """`answer` None means that nobody decided: the caller holds, by `fallback`, and says `error`.

    `votes` and `ensemble` are set when several members were asked. The call that the answer stands in is `spoken`.
    """

    model_config = ConfigDict(frozen=True)

    calls: tuple[ModelCall, ...]
    answer: Answer | None
    error: str | None
    votes: tuple[Vote, ...] | None = None
    ensemble: EnsembleSettings | None = None

    @property
    def spoken(self) -> ModelCall | None:
        """The call whose words are the answer's: of the surest member of the winning side. The last one where there is no answer."""
        last = self.calls[-1] if self.calls else None
        if self.answer is None or self.votes is None:
            return last
        sure = {
            vote.member: vote.confidence or 0
            for vote in self.votes
            if vote.counts and vote.action is self.answer.action
        }
        heard = [call for call in self.calls if call.member in sure and call.error is None]
        return max(heard, key=lambda call: sure[call.member], default=last)

    @property
    def divided(self) -> bool:
        """Whether members that have a vote gave usable answers: without an answer they then disagree, and nothing is broken."""
        return any(vote.counts and vote.action is not None for vote in self.votes or ())


class AskedVerdict(BaseModel):
    """A verdict on record with what was asked. `context` has no closes: the question is not made from them."""

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    context: Context
    verdict: Verdict
