"""Leakage: a model that answers from what it remembers is told from one that answers from what it is shown."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ffe.clock import FixedClock
from ffe.decision import prompt
from ffe.decision.models import Context
from ffe.errors import ModelUnavailableError
from ffe.evals.cases import load_cases
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling
from ffe.replay import leakage as room
from ffe.replay.leakage import gives_away, leakage, masked, wilson

CLOCK = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
CONTEXTS = tuple(case.context for case in load_cases(8).cases)
IDENTITY = ModelIdentity(adapter="recorded", model="script", digest="0" * 64, runtime="test")


class Script:
    """Says what `say` makes of the case and of how many calls there were; None: there is no model."""

    def __init__(self, say: Callable[[str, int], str | None]) -> None:
        self.say, self.asked = say, list[str]()

    def identity(self) -> ModelIdentity:
        return IDENTITY

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        del schema, sampling
        case = messages[-3 if messages[-1].content.startswith("Refused") else -1].content
        said = self.say(case, len(self.asked))
        self.asked.append(case)
        if said is None:
            raise ModelUnavailableError("gone")
        text = json.dumps({"reasoning": "so it is.", "action": said, "confidence": 75}) if said else "no"
        return Completion(
            text=text,
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=1,
            latency_ms=1.0,
            identity=IDENTITY,
        )

    def health(self) -> ModelHealth:
        return ModelHealth(ok=True, detail="scripted")

    def close(self) -> None:
        """Nothing to end."""


def follows_the_case(case: str, _asked: int) -> str:
    """From the words after the name of the market."""
    return "BUY" if "up" in case else "SELL" if "down" in case else "HOLD"


def remembers_the_names(case: str, _asked: int) -> str:
    return "BUY" if any(context.instrument.symbol in case for context in CONTEXTS) else "SELL"


def test_a_model_that_goes_by_the_case_changes_nothing() -> None:
    model = Script(follows_the_case)
    report = leakage(model, CONTEXTS, CLOCK)
    assert (report.changed, report.again.changed, report.share) == (0, 0, 0.0)
    assert report.asked > 0
    assert report.interval is not None
    assert report.interval.low == 0.0
    assert f"0 of {report.asked} answers (0%" in str(report)


def test_a_model_that_trades_on_a_name_is_caught_by_the_mask_of_the_name() -> None:
    report = leakage(Script(remembers_the_names), CONTEXTS, CLOCK)
    found = {probe.name: probe for probe in report.probes}
    assert found["name"].reached == found["name"].changed == len(CONTEXTS)
    assert report.interval is not None
    assert report.interval.low > 0.5
    assert report.again.changed == 0


def test_a_model_that_changes_its_mind_for_no_reason_shows_it_by_the_plain_question() -> None:
    report = leakage(Script(lambda _case, asked: ("BUY", "SELL")[asked % 2]), CONTEXTS, CLOCK)
    assert report.again.changed == len(CONTEXTS)
    assert f"{len(CONTEXTS)} of {len(CONTEXTS)} changed when nothing was" in str(report)


def test_an_answer_that_is_no_answer_is_one_of_its_own_kind() -> None:
    name = CONTEXTS[0].instrument.symbol
    report = leakage(Script(lambda case, _asked: "" if name in case else "HOLD"), CONTEXTS, CLOCK)
    assert 0 < report.changed < report.asked


def test_a_model_that_is_gone_ends_the_probing() -> None:
    with pytest.raises(ModelUnavailableError, match="gone"):
        leakage(Script(lambda _case, asked: "HOLD" if asked < 5 else None), CONTEXTS, CLOCK)


def test_words_that_no_mask_changes_are_put_once_and_those_of_two_masks_together_once() -> None:
    """Date and price do not reach our own question, so masking the name is masking all: three questions a case, not six."""
    model = Script(follows_the_case)
    told: list[tuple[str, int, int]] = []
    report = leakage(model, CONTEXTS, CLOCK, told=lambda *what: told.append(what))
    assert len(model.asked) == 3 * len(CONTEXTS)
    assert report.asked == len(CONTEXTS)
    assert told[-1] == (CONTEXTS[-1].instrument.symbol, 8, 8)


def test_our_own_question_gives_away_the_name_and_neither_date_nor_price() -> None:
    report = leakage(Script(follows_the_case), CONTEXTS, CLOCK)
    assert report.gives_away == {"name": 8, "date": 0, "price": 0}
    assert "give away the name in 8 of 8" in str(report)
    assert all(gives_away(case.context) == {"name"} for case in load_cases().cases)


def spoken(words: str, context: Context) -> str:
    return words.format(price=float(context.last_close), close=context.bar_close)


@pytest.mark.parametrize(
    ("words", "given_away"),
    [
        ("It is {close:%Y-%m-%d}.", {"date"}),
        ("It is {close:%d %B %Y}.", {"date"}),
        ("At {close:%H:%M} it rose.", {"date"}),
        ("Since march 3 it falls.", {"date"}),
        ("On Wednesday.", {"date"}),
        ("The close is {price}.", {"price"}),
        ("RSI 62, 3 of 3 frames up, BUY made 0.40%.", set()),
        ("It may rise.", set()),
    ],
)
def test_a_question_that_tells_the_day_or_the_price_is_found_out(
    monkeypatch: pytest.MonkeyPatch, words: str, given_away: set[str]
) -> None:
    context = CONTEXTS[0]
    message = Message(role="user", content=spoken(words, context))
    monkeypatch.setattr(room, "build_messages", lambda _context: (message,))
    assert gives_away(context) == given_away


def test_with_all_masked_neither_name_nor_level_nor_day_are_left_and_the_reading_is() -> None:
    context = CONTEXTS[0]
    changed = masked(context)
    assert changed.instrument != context.instrument
    assert changed.bar_close > context.bar_close
    assert changed.last_close == context.last_close * 10
    plain, other = prompt.case_text(context), prompt.case_text(changed)
    assert plain.replace(context.instrument.symbol, "") == other.replace(changed.instrument.symbol, "")


def test_a_question_that_no_mask_reaches_leaves_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "build_messages", lambda _context: (Message(role="user", content="Up or down?"),))
    report = leakage(Script(follows_the_case), CONTEXTS[:2], CLOCK)
    assert (report.asked, report.share, report.interval) == (0, None, None)
    assert "no question changes" in str(report)
    assert "give away nothing" in str(report)


@given(st.integers(1, 400), st.data())
def test_the_interval_of_a_share_is_wilsons(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    ours, theirs = wilson(hits, n), binomtest(hits, n).proportion_ci(method="wilson")
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert ours.value == hits / n
