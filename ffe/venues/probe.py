"""The five questions that a provider is asked before anything is traded on it, and what came of the reads that answer them.

An answer comes from a reply, never from an object that could be made. A read that failed leaves what it should have shown unknown; only
what the question is about the read itself (is the balance readable?) is then a no.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from ffe.clock import Clock
from ffe.errors import AuthenticationError, FfeError, PermissionDeniedError
from ffe.observe.masking import masked

Says = Literal["yes", "no", "unknown", "not-needed"]
PASSING = ("yes", "not-needed")
QUESTIONS = ("authenticated", "account_active", "can_trade", "balance_readable", "market_data_readable")
# Longer texts of a venue are cut: they go into a table.
_MOST = 300
_PAGE = re.compile(r"<(!doctype|html)\b", re.IGNORECASE)


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)

    says: Says
    detail: str

    @property
    def passes(self) -> bool:
        return self.says in PASSING


class ProviderAnswers(BaseModel):
    """What one provider said. `needed` False: nothing depends on it alone. `refusals` stand in the way of trading whatever the answers are."""

    model_config = ConfigDict(frozen=True)

    provider: str
    needed: bool = True
    authenticated: Answer
    account_active: Answer
    can_trade: Answer
    balance_readable: Answer
    market_data_readable: Answer
    refusals: tuple[str, ...] = ()

    @property
    def answers(self) -> dict[str, Answer]:
        return {question: getattr(self, question) for question in QUESTIONS}


@dataclass(frozen=True)
class Heard:
    """What came of one read: `value` or `error`, and when it began and ended by the engine's clock."""

    value: Any
    error: FfeError | None
    began: datetime
    ended: datetime


Answers = Mapping[str, Heard]


class Probe(Protocol):
    """The reads of one venue, independent of each other, and their meaning."""

    def reads(self) -> Mapping[str, Callable[[], Any]]:
        """By name; each raises FfeError and its children only."""
        ...

    def judge(self, heard: Answers) -> ProviderAnswers: ...

    def server_time(self, heard: Answers) -> tuple[Heard, datetime] | None:
        """The read that told the venue's time, and that time; None when none did."""
        ...

    def close(self) -> None: ...


def hear(read: Callable[[], Any], clock: Clock) -> Heard:
    """Runs one read and keeps what came of it."""
    began = clock.now()
    try:
        value, error = read(), None
    except FfeError as failure:
        value, error = None, failure
    return Heard(value, error, began, clock.now())


def _short(detail: str) -> str:
    """Masked, without the page that a proxy put into its answer: six of those hide the one fact."""
    text = masked(detail)
    page = _PAGE.search(text)
    return (text if page is None else text[: page.start()].rstrip(" :,")).strip()[:_MOST] or text[:_MOST]


def yes(detail: str) -> Answer:
    return Answer(says="yes", detail=detail)


def no(detail: str) -> Answer:
    return Answer(says="no", detail=_short(detail))


def unknown(detail: str) -> Answer:
    return Answer(says="unknown", detail=_short(detail))


def not_needed(detail: str) -> Answer:
    return Answer(says="not-needed", detail=detail)


def authenticated(heard: Heard, what: str) -> Answer:
    """Of the one read that needs the key and nothing else. A 403 says that the venue answered, not that it knows the key."""
    if heard.error is None:
        return yes(f"{what} was answered")
    if isinstance(heard.error, AuthenticationError):
        return no(f"the key was refused: {heard.error}")
    return unknown(f"not shown: {heard.error}")


def readable(heard: Heard, understand: Callable[[Any], str | Answer]) -> Answer:
    """Whether a read gave what it is for. `understand` says what was read, or raises FfeError for a reply that does not hold it."""
    if heard.error is not None:
        return no(str(heard.error))
    return judged(heard, understand, no)


def shown(heard: Heard, understand: Callable[[Any], str | Answer]) -> Answer:
    """A fact that a read shows: a 403 denies it, any other failure leaves it unknown."""
    if isinstance(heard.error, PermissionDeniedError):
        return no(f"forbidden: {heard.error}")
    if heard.error is not None:
        return unknown(str(heard.error))
    return judged(heard, understand, unknown)


def judged(heard: Heard, understand: Callable[[Any], str | Answer], otherwise: Callable[[str], Answer]) -> Answer:
    """What `understand` makes of the reply; `otherwise` of the error when the reply does not hold what it should."""
    try:
        found = understand(heard.value)
    except FfeError as error:
        return otherwise(str(error))
    return found if isinstance(found, Answer) else yes(found)


def offset(heard: Heard, theirs: datetime) -> tuple[timedelta, timedelta]:
    """How far the venue's clock is ahead of ours, and how wrong that may be: half of the round trip (RFC 5905, section 8)."""
    half = (heard.ended - heard.began) / 2
    return theirs - (heard.began + half), half
