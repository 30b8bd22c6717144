"""The language model as a strategy: asked at the bars that may be decided on, each answer written down before the next question.

The question, the one repair try, the weighing of confidence and the decision are the live engine's own functions. An answer is kept under
its instrument and moment, together with the fingerprint of its question: a killed run goes on where it stopped, a second run asks nobody,
and an answer to another question (other bars, another wording, another model) is never taken for this one's.
"""

import fcntl
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ffe.clock import Clock
from ffe.decision.answer import answer_in, answer_schema
from ffe.decision.ask import ask
from ffe.decision.models import Action, Author, Context, Decision
from ffe.decision.odds import verdict_odds
from ffe.decision.prompt import PROMPT_VERSION, build_messages, prompt_sha256
from ffe.decision.record import Weighed, decision_from_verdict
from ffe.decision.verdict import Verdict
from ffe.errors import ConfigurationError, CorruptFileError, InvalidAnswerError, ModelUnavailableError
from ffe.feedback.confidence import weigh
from ffe.llm.models import Sampling
from ffe.llm.protocol import LanguageModel
from ffe.replay.contexts import ContextMaker
from ffe.replay.models import Feed, Gate, Signals
from ffe.replay.request import Progress
from ffe.settings import ConfidenceSettings, EnsembleStrategy

CYCLE = "replay"
UNAVAILABLE = "model_unavailable"
# So many questions in a row without any reply are an outage and not a property of the model: nothing is learnt from going on.
OUTAGE = 5
NOT_ASKED = 2
ACTIONS = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}
AUTHORS = {Author.MODEL: 0, Author.FALLBACK: 1}


class Heard(BaseModel):
    """One line of a recording: what was decided at the bar that closes at `time`, and from which question, model and words.

    `digest` is of the model that was to be asked, `model` the name of the one that spoke; `text` its raw words, None where there were none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instrument: str
    timeframe: str
    time: datetime
    action: Action
    confidence: int
    author: Author
    code: str
    prompt_version: str
    prompt_sha256: str
    digest: str
    model: str | None = None
    text: str | None = None
    error: str | None = None


class Recording:
    """Answers of one or more instruments in a JSONL file that is only ever added to; of two lines on one moment the later one counts.

    The file is held by this process alone until it is closed: what another one is writing would look like a line that a kill cut off.

    Raises:
        ConfigurationError: another process has the recording open, or it can't be written.
        CorruptFileError: a line that is none of ours, or whose action is not the one of its own words. A last line without its end was
            being written when its run was killed: it is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _held(path)
        try:
            lines = _whole_lines(path, self._file)
        except BaseException:
            self._file.close()
            raise
        self._known = {(line.instrument, line.timeframe, line.time): line for line in lines}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self._file.close()

    def find(self, context: Context, fingerprint: str, digest: str) -> Heard | None:
        """The answer to this very question by this very model, if there is one."""
        line = self._known.get((context.instrument.symbol, context.timeframe.value, context.bar_close))
        if line is None or (line.prompt_sha256, line.digest) != (fingerprint, digest):
            return None
        return line

    def add(self, lines: Iterable[Heard]) -> None:
        """Handed to the operating system before it returns, so that a killed process keeps it."""
        for line in lines:
            self._known[line.instrument, line.timeframe, line.time] = line
            self._file.write(line.model_dump_json().encode() + b"\n")
        self._file.flush()


def decide(
    feed: Feed,
    maker: ContextMaker,
    model: LanguageModel,
    clock: Clock,
    *,
    every: int = 1,
    recording: Path,
    progress: Progress | None = None,
) -> Signals:
    """What the model says at every `every`-th bar of the feed that passed its gates; at the other bars it is not asked.

    The contexts are `maker`'s, and so are the settings: which number is the confidence. An answer that cannot be used, and a model that
    does not reply now and then, are a HOLD by `fallback`, as live.

    Raises:
        ModelUnavailableError: no reply to `OUTAGE` questions in a row. What was answered before them is kept: run again to go on.
        ConfigurationError: `every` below 1, or an ensemble in the settings, which is not replayed.
        CorruptFileError: as `Recording`.
        DataError: as `ContextMaker.at`.
    """
    if every < 1:
        raise ConfigurationError(f"the model is asked at every 1st, 2nd, ... bar, not at every {every}th")
    if maker.settings.ensemble.strategy is not EnsembleStrategy.OFF:
        raise ConfigurationError("a replay asks one model: set FFE_ENSEMBLE__STRATEGY=off")
    bars = feed.bars
    actions, confidence = np.zeros(len(bars), np.int8), np.zeros(len(bars), np.int64)
    authors = np.full(len(bars), NOT_ASKED, np.int8)
    rows = np.flatnonzero(feed.gates == Gate.PASSED)[::every]
    with Recording(recording) as kept:
        asking = _Asking(maker, model, clock, kept)
        for done, row in enumerate(rows.tolist(), start=1):
            heard = asking.at(int(bars.closes_at[row]))
            actions[row], confidence[row] = ACTIONS[heard.action], heard.confidence
            authors[row] = AUTHORS[heard.author]
            if progress is not None:
                progress(f"asking about {bars.instrument.symbol}", done, rows.size)
        asking.finish()
    return Signals(actions, confidence, authors)


class _Asking:
    """One run over one instrument: answers of the recording, and of the model where that has none."""

    def __init__(self, maker: ContextMaker, model: LanguageModel, clock: Clock, kept: Recording) -> None:
        self._maker, self._model, self._clock, self._kept = maker, model, clock, kept
        self._digest = model.identity().digest
        self._unanswered: list[Heard] = []

    def at(self, close: int) -> Heard:
        context = self._maker.at(self._maker.row_of(close))
        fingerprint = prompt_sha256(build_messages(context), answer_schema(), Sampling())
        known = self._kept.find(context, fingerprint, self._digest)
        return self._asked(context, fingerprint) if known is None else known

    def finish(self) -> None:
        """What had no reply at the end stays a HOLD by `fallback`."""
        self._kept.add(self._unanswered)
        self._unanswered = []

    def _asked(self, context: Context, fingerprint: str) -> Heard:
        verdict = ask(self._model, context, self._clock)
        decision = decision_from_verdict(
            verdict,
            context,
            cycle_id=CYCLE,
            decided_at=self._clock.now(),
            weighed=_weighed(verdict, self._maker.settings.confidence),
        )
        heard = _heard(context, decision, verdict, fingerprint, self._digest)
        self._unanswered.append(heard)
        if heard.code != UNAVAILABLE:
            self.finish()
        elif len(self._unanswered) == OUTAGE:
            raise ModelUnavailableError(
                f"no reply to {OUTAGE} questions in a row, the last one on {heard.instrument} at {heard.time}: {heard.error}; "
                f"what was answered before is in {self._kept.path.name}, and the same command goes on from there"
            )
        return heard


def _weighed(verdict: Verdict, settings: ConfidenceSettings) -> Weighed | None:
    """As a live cycle weighs before anything has been graded: a replay has no calibration."""
    call = verdict.spoken
    if verdict.answer is None or call is None or call.identity is None:
        return None
    return Weighed(*weigh(verdict.answer, verdict_odds(verdict), None, settings))


def _heard(context: Context, decision: Decision, verdict: Verdict, fingerprint: str, digest: str) -> Heard:
    call = verdict.spoken
    return Heard(
        instrument=context.instrument.symbol,
        timeframe=context.timeframe.value,
        time=context.bar_close,
        action=decision.action,
        confidence=decision.confidence,
        author=decision.decided_by,
        code=decision.reason_code,
        prompt_version=PROMPT_VERSION,
        prompt_sha256=fingerprint,
        digest=digest,
        model=decision.model,
        text=None if call is None else call.raw_text,
        error=verdict.error,
    )


def _held(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigurationError(f"another replay writes to {path}; name another recording, or wait") from error
    return file


def _whole_lines(path: Path, file: IO[bytes]) -> list[Heard]:
    file.seek(0)
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        file.truncate(len(whole))
    return [_line(path, number, text) for number, text in enumerate(whole.splitlines(), start=1)]


def _line(path: Path, number: int, text: bytes) -> Heard:
    try:
        line = Heard.model_validate(json.loads(text))
    except (ValueError, ValidationError, RecursionError) as error:
        raise CorruptFileError(f"{path}, line {number}: no recorded answer: {error}") from error
    wrong = _contradiction(line)
    if wrong is not None:
        raise CorruptFileError(f"{path}, line {number}: the recorded action is {line.action}, {wrong}")
    return line.model_copy(update={"time": line.time.astimezone(UTC)})


def _contradiction(line: Heard) -> str | None:
    """Why the line can't be what its own words were taken for; None where it can. A fallback only ever holds, whatever was said."""
    if line.author is Author.FALLBACK:
        return None if line.action is Action.HOLD else "and a fallback only holds"
    if line.author is not Author.MODEL:
        return f"and its author {line.author} does not answer questions"
    if line.text is None:
        return "and it has no text that says so"
    try:
        said = answer_in(line.text).action
    except InvalidAnswerError as error:
        return f"and its text is no answer: {error}"
    return None if said is line.action else f"its text says {said}"
