"""What the bull, the bear and the judge of a debate are told. Any change of wording is a new PROMPT_VERSION, as in `prompt`.

The three look at the same case through different eyes. The bull reads strength: what rises and how much room is left. The bear reads weakness:
what is stretched, what others do not confirm, what falls. The judge is told that both are paid to take sides and that the numbers
come first. The sides are advocates: their word for an action is not counted, and one that does not speak for its side concedes.

Nothing that anyone outside wrote can speak here: the case is `prompt.case_text`, and of a side's argument the judge reads a bounded piece without
brackets, colons and quotes, inside a bracket of ours, so that it can neither end its own speech nor begin another's.
"""

from enum import StrEnum

from ffe.decision.answer import Answer
from ffe.decision.models import Action, Context
from ffe.decision.prompt import case_text, cleaned
from ffe.llm.models import Message

ARGUMENT_CHARS = 120


class Role(StrEnum):
    BULL = "bull"
    BEAR = "bear"
    JUDGE = "judge"


SIDE = {Role.BULL: Action.BUY, Role.BEAR: Action.SELL}

SYSTEM = {
    Role.BULL: (
        "You are the bull, the buyers' advocate. Find strength: frames that rise, rising momentum, RSI above 50 with room below 70. "
        "Reply with JSON: reasoning, your best case in one short sentence; action BUY, or HOLD if there is no strength to show; "
        "confidence 0 to 100, how strong the case is."
    ),
    Role.BEAR: (
        "You are the bear and you distrust every rally. Look for what breaks: RSI above 70 is stretched, RSI below 50 is weak, falling "
        "momentum, frames that do not confirm. Reply with JSON: reasoning, the danger in one short sentence; action SELL, or HOLD "
        "when you see no danger; confidence 0 to 100, how great it is."
    ),
    Role.JUDGE: (
        "You are the judge. A bull and a bear, both paid to take sides, have spoken. The numbers come first, their words second. "
        "Reply with JSON: reasoning, one short sentence; action BUY if the bull is right, SELL if the bear is, HOLD if neither "
        "convinces; confidence 0 to 100."
    ),
}

Example = tuple[str, str]

EXAMPLES: dict[Role, tuple[Example, ...]] = {
    Role.BULL: (
        (
            "LTCUSD: 5m RSI 41, 15m RSI 38, 1h RSI 36. Momentum falling. 3 of 3 frames down.",
            '{"reasoning": "All frames down and no momentum, nothing to show.", "action": "HOLD", "confidence": 20}',
        ),
        (
            "USDJPY: 5m RSI 58, 15m RSI 55, 1h RSI 62. Momentum rising. 2 of 3 frames up.",
            '{"reasoning": "2 of 3 frames up, momentum rising and RSI 62 leaves room.", "action": "BUY", "confidence": 80}',
        ),
    ),
    Role.BEAR: (
        (
            "SOLUSD: 5m RSI 57, 15m RSI 61, 1h RSI 60. Momentum rising. 3 of 3 frames up.",
            '{"reasoning": "No frame is stretched and all confirm.", "action": "HOLD", "confidence": 25}',
        ),
        (
            "AUDUSD: 5m RSI 39, 15m RSI 34, 1h RSI 43. Momentum falling. 2 of 3 frames down.",
            '{"reasoning": "RSI 34 is weak, momentum falls and 2 of 3 frames are down.", "action": "SELL", "confidence": 85}',
        ),
    ),
    Role.JUDGE: (
        (
            "AUDUSD: 5m RSI 39, 15m RSI 34, 1h RSI 33. Momentum falling. 3 of 3 frames down. "
            "Bull concedes. Bear 85 (RSI 33 is weak and momentum falls).",
            '{"reasoning": "3 of 3 frames down and the bull concedes, so sell.", "action": "SELL", "confidence": 85}',
        ),
        (
            "USDJPY: 5m RSI 58, 15m RSI 55, 1h RSI 65. Momentum rising. 2 of 3 frames up. "
            "Bull 80 (momentum rising and RSI 65 leaves room). Bear concedes.",
            '{"reasoning": "2 of 3 frames up and the bear concedes, so buy.", "action": "BUY", "confidence": 80}',
        ),
        (
            "LTCUSD: 5m RSI 49, 15m RSI 50, 1h RSI 52. Momentum falling. 2 of 3 frames flat. "
            "Bull 40 (RSI 52 is above 50). Bear 45 (momentum falls).",
            '{"reasoning": "2 of 3 frames flat and neither convinces, so hold.", "action": "HOLD", "confidence": 55}',
        ),
    ),
}


def side_messages(role: Role, context: Context) -> tuple[Message, ...]:
    """What an advocate is asked: its own instructions and examples, then the case that everybody sees."""
    return _messages(role, case_text(context))


def judge_messages(context: Context, bull: Answer | None, bear: Answer | None) -> tuple[Message, ...]:
    """What the judge is asked: the case and both arguments, the bull's first."""
    heard = f"{argument(Role.BULL, bull)} {argument(Role.BEAR, bear)}"
    return _messages(Role.JUDGE, f"{case_text(context)} {heard}")


def argument(role: Role, answer: Answer | None) -> str:
    """One advocate as the judge hears it: `Bull 80 (why).`, `Bull concedes.` when it spoke for another side, `Bull absent.` without an answer."""
    name = role.value.capitalize()
    if answer is None:
        return f"{name} absent."
    if answer.action is not SIDE[role]:
        return f"{name} concedes."
    said = " ".join(cleaned(answer.reasoning, len(answer.reasoning)).translate(str.maketrans("():", "   ")).split())
    return f"{name} {answer.confidence} ({said[:ARGUMENT_CHARS].rstrip(' .')})."


def _messages(role: Role, case: str) -> tuple[Message, ...]:
    messages = [Message(role="system", content=SYSTEM[role])]
    for question, answer in EXAMPLES[role]:
        messages += [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return (*messages, Message(role="user", content=case))
