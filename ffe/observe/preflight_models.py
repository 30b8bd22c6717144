"""What a preflight found, and what may be done on it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ffe.venues.probe import QUESTIONS, ProviderAnswers

Outcome = Literal["ready", "signal-only", "refused"]
BALANCE = "balance_readable"


class Check(BaseModel):
    """Something on this machine that has to hold, or the distance of two clocks. `detail` has both numbers."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    detail: str


class Preflight(BaseModel):
    """`ready`: decisions and orders. `signal-only`: decisions, no order. `refused`: neither.

    `skew_seconds`: how far each venue's clock is ahead of the engine's; None where it could not be read. `network_ms` is the part of
    `took_ms` that was spent waiting for replies. `accounts`: by venue, the mark of the host and key that were asked. `notes` are what does not stand in the way and should be known.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    mode: str
    outcome: Outcome
    reason: str
    providers: tuple[ProviderAnswers, ...]
    checks: tuple[Check, ...]
    accounts: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    skew_seconds: dict[str, float | None]
    took_ms: float
    network_ms: float

    @property
    def broken(self) -> int:
        """How many needed answers and checks did not pass."""
        return len(refusals(self.providers, self.checks)) + len(unreadable_balances(self.providers))


def refusals(providers: tuple[ProviderAnswers, ...], checks: tuple[Check, ...]) -> list[str]:
    """Why nothing may be traded: every needed answer but that on the balance, every refusal and every check that did not pass."""
    found = [f"{each.name}: {each.detail}" for each in checks if not each.passed]
    for provider in providers:
        found += provider.refusals
        if provider.needed:
            found += [
                _said(provider, name) for name in QUESTIONS if name != BALANCE and not provider.answers[name].passes
            ]
    return found


def unreadable_balances(providers: tuple[ProviderAnswers, ...]) -> list[str]:
    return [_said(each, BALANCE) for each in providers if each.needed and not each.balance_readable.passes]


def judge(providers: tuple[ProviderAnswers, ...], checks: tuple[Check, ...]) -> tuple[Outcome, str]:
    """The outcome and why it is that. All that is needed has to pass; one provider never makes up for another."""
    refused, unread = refusals(providers, checks), unreadable_balances(providers)
    if refused:
        return "refused", "; ".join(refused + unread)
    if unread:
        return "signal-only", "; ".join(unread)
    return "ready", "everything that trading needs answered"


def _said(provider: ProviderAnswers, question: str) -> str:
    answer = provider.answers[question]
    return f"{provider.provider} {question.replace('_', ' ')}: {answer.says}: {answer.detail}"
