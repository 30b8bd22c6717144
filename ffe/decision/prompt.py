"""The question put to the model: a static prefix, then the case. Any change of wording is a new PROMPT_VERSION.

The system text and the examples never change, so a server's prefix cache can keep them. The examples follow one plain rule, the one that
the system text states: go with the trend of most frames, surer when all agree, hold when it is flat or mixed. A very small model mostly
carries on the pattern it has just read, so the case ends in the words that its answer begins with, and the examples are ordered so
that on real bars no single action swallows the others. That is obedience to a
rule, not skill at trading.

The whole pulse, six timeframes or more, is for people: the artifact and `ffe analyze`. The case keeps to the base frame and the two next
longer ones that have an RSI, and its agreement counts exactly those, because the examples say "N of 3 frames" and a model of this size
misreads what it has not been shown: other denominators, and readings that don't add up to the count behind them. Shorter frames stay
out: a decision made once a bar should not turn on what moves within it. What became of similar situations stands before the case, so
that the case still ends in the words that the answer begins with. Only canonical symbols, numbers, words of our own and cleaned warnings enter: no text from a venue or a feed can
speak to the model.
"""

import re
from collections.abc import Sequence

from ffe.decision.models import Action, Context, FramePulse, Remembered
from ffe.llm.fingerprint import prompt_sha256
from ffe.llm.models import Message
from ffe.market.pulse import consensus

__all__ = ["PROMPT_VERSION", "build_messages", "prompt_sha256", "repair_messages"]

PROMPT_VERSION = "v3"
CASE_FRAMES = 3
WARNINGS_MAX = 2
WARNING_CHARS = 80
SYMBOL_CHARS = 12
REPAIR_CHARS = 400
# What chat templates mark roles with: a runtime may read it as such wherever it stands.
SPECIAL_TOKEN = re.compile(r"<\|.*?\|>")

SYSTEM = (
    "You judge one market. Reply with JSON: reasoning, one short sentence; action BUY, SELL or HOLD; confidence 0 to 100. "
    "Follow the trend of most frames, surer when all agree; HOLD when it is flat or mixed."
)
EXAMPLES = (
    (
        "USDJPY: 5m RSI 58, 15m RSI 55, 1h RSI 65. Momentum rising. 2 of 3 frames up.",
        '{"reasoning": "2 of 3 frames up, so buy.", "action": "BUY", "confidence": 75}',
    ),
    (
        "AUDUSD: 5m RSI 39, 15m RSI 34, 1h RSI 33. Momentum falling. 3 of 3 frames down.",
        '{"reasoning": "3 of 3 frames down, so sell.", "action": "SELL", "confidence": 85}',
    ),
    (
        "LTCUSD: 5m RSI 44, 15m RSI 50, 1h RSI 52. Momentum falling. 3 of 3 frames mixed.",
        '{"reasoning": "3 of 3 frames mixed, so hold.", "action": "HOLD", "confidence": 50}',
    ),
    (
        "SOLUSD: 5m RSI 55, 15m RSI 55, 1h RSI 43. Momentum rising. 2 of 3 frames flat.",
        '{"reasoning": "2 of 3 frames flat, so hold.", "action": "HOLD", "confidence": 60}',
    ),
)


def build_messages(context: Context) -> tuple[Message, ...]:
    """System text and examples, then the case in words and numbers."""
    messages = [Message(role="system", content=SYSTEM)]
    for case, answer in EXAMPLES:
        messages += [Message(role="user", content=case), Message(role="assistant", content=answer)]
    return (*messages, Message(role="user", content=case_text(context)))


def repair_messages(messages: Sequence[Message], raw_text: str, error: str) -> tuple[Message, ...]:
    """The same question, the answer that was refused and why, asked once more."""
    return (
        *messages,
        Message(role="assistant", content=SPECIAL_TOKEN.sub(" ", raw_text)[:REPAIR_CHARS] or "(empty)"),
        Message(role="user", content=f"Refused: {cleaned(error, REPAIR_CHARS)} Reply again with one JSON object only."),
    )


def case_text(context: Context) -> str:
    """The case as the model reads it, a pure function of the context: `case_frames`, momentum, and on how many frames they agree."""
    notes = [f"Note: {cleaned(warning, WARNING_CHARS)}." for warning in context.warnings[:WARNINGS_MAX]]
    if context.memory:
        notes.append(f"Before, in {len(context.memory)} cases alike: {', '.join(map(_remembered, context.memory))}.")
    frames = case_frames(context)
    readings = ", ".join(f"{frame.timeframe.value} RSI {frame.rsi:.0f}" for frame in frames if frame.rsi is not None)
    market = f"{cleaned(context.instrument.symbol, SYMBOL_CHARS)}: {readings or 'RSI unknown'}."
    return " ".join([*notes, market, f"Momentum {_momentum(frames[:1])}.", f"{agreement(consensus(frames))}."])


def _remembered(past: Remembered) -> str:
    """`BUY made 0.40%`, `SELL lost 0.10%`, `HOLD missed 0.25%`."""
    percent = f"{abs(past.net_return):.2%}"
    if past.action is Action.HOLD:
        return f"HOLD {'missed' if past.net_return > 0 else 'spared'} {percent}"
    return f"{past.action.value} {'made' if past.net_return > 0 else 'lost'} {percent}"


def case_frames(context: Context) -> tuple[FramePulse, ...]:
    """The base frame, with or without an RSI, and the two next longer ones that have one. Empty when there is no base frame."""
    longer = [frame for frame in context.pulse if frame.timeframe.seconds > context.timeframe.seconds]
    known = sorted((frame for frame in longer if frame.rsi is not None), key=lambda frame: frame.timeframe.seconds)
    base = [frame for frame in context.pulse if frame.timeframe is context.timeframe]
    return (*base, *known[: CASE_FRAMES - 1]) if base else ()


def agreement(said: str) -> str:
    """`2 of 3 frames up` from the pulse's `up 2 of 3 frames; ...`; frames that disagree evenly are all `mixed`."""
    shared = re.match(r"(up|down|flat) (\d+) of (\d+) frames", said)
    if shared is not None:
        return f"{shared[2]} of {shared[3]} frames {shared[1]}"
    split = re.match(r"mixed\b.* of (\d+) frames", said)
    return f"{split[1]} of {split[1]} frames mixed" if split is not None else "0 frames with a trend"


def _momentum(base: Sequence[FramePulse]) -> str:
    """Sign of the MACD histogram on the base frame."""
    histogram = base[0].macd_histogram if base else None
    if histogram is None:
        return "unknown"
    return "rising" if histogram > 0 else "falling"


def cleaned(text: str, limit: int) -> str:
    """Text without anything that could pass for markup, a role or a quote, cut to `limit` characters."""
    return re.sub(r"\s+", " ", re.sub(r"[^A-Za-z0-9 .,:%()+/_-]", " ", text)).strip()[:limit]
