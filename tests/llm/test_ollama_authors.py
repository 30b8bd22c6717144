"""Who decides when an Ollama server fails: HOLD by `fallback`, with the reason's code, never a HOLD in the model's name."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ffe.clock import FixedClock
from ffe.decision.ask import ask
from ffe.decision.models import Action, Author, Context
from ffe.decision.record import decision_from_verdict
from ffe.llm.ollama import OllamaModel
from ffe.settings import OllamaSettings

NOW = datetime(2018, 4, 4, 12, 0, 5, tzinfo=UTC)
MODEL, FALLBACK = OllamaSettings().chain
GOOD = '{"reasoning": "3 of 3 frames up, so buy.", "action": "BUY", "confidence": 80}'
CUT = '{"reasoning": "3 of 3 frames up, so'
PROSE = "I would buy here, but this is not financial advice."

# What the server does, the code of the HOLD's reason, and what its reasoning has to say.
OUTAGES: dict[str, tuple[dict[str, Any], str]] = {
    "hang": ({"body": None, "delay": 20}, "within 0.5 s"),
    "trickle": ({"body": "chat", "pause": 0.1}, "within 0.5 s"),
    "404 as the server says it": ({"status": 404, "body": {"error": f"model '{MODEL}' not found"}}, "ffe models pull"),
    "404 as the scheduler says it": (
        {"status": 404, "body": {"error": f'model "{MODEL}" not found, try pulling it first'}},
        "try pulling it first",
    ),
    "500 CUDA error": (
        {"status": 500, "body": {"error": "CUDA error: no kernel image is available for execution on the device"}},
        "no kernel image",
    ),
    "500 terminated": (
        {"status": 500, "body": {"error": "llama-server process has terminated: signal: segmentation fault"}},
        "segmentation fault",
    ),
    "500 unexpectedly stopped": (
        {"status": 500, "body": {"error": "model runner has unexpectedly stopped, this may be due to resource limits"}},
        "unexpectedly stopped",
    ),
    "500 out of memory": ({"status": 500, "body": {"error": "cudaMalloc failed: out of memory"}}, "out of memory"),
    "503 busy": ({"status": 503, "body": {"error": "server busy, please try again."}}, "server busy"),
    "502 page of a proxy": ({"status": 502, "body": "<html>Bad Gateway</html>"}, "Bad Gateway"),
    "400 format": ({"status": 400, "body": {"error": "invalid format: expected object"}}, "invalid format"),
    "400 context": ({"status": 400, "body": {"error": "input length exceeds the context length"}}, "context length"),
    "error in the middle": (
        {"body": {"error": "CUDA error"}, "lines": ["part", {"error": "CUDA error"}]},
        "in the middle of its answer: CUDA error",
    ),
    "end before done": ({"body": "undone", "lines": ["part"]}, "before it was done"),
    "hung up": ({"hang_up": True}, "broke"),
    "no Ollama": ({"body": "<html>hello</html>", "lines": ["<html>hello</html>"]}, "did not answer as Ollama does"),
}
INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "truncated": ({"text": CUT, "reason": "length"}, "cut off after 33 tokens"),
    "schema ignored": ({"text": PROSE}, "prose"),
    "schema ignored, JSON": ({"text": '{"decision": "buy"}'}, "breaks its schema"),
    "out of bounds": ({"text": GOOD.replace("80", "999")}, "breaks its schema"),
    "empty": ({"text": ""}, "empty"),
    "white space to the limit": ({"text": "{" + " \n" * 600, "reason": "length"}, "cut off"),
    "white space without an end": ({"text": " " * 70_000}, "cut off"),
}


@pytest.fixture
def fail(stub):
    """Makes every model of the chain answer in one of the ways above."""

    def on(behaviour: dict[str, Any]) -> None:
        if "text" in behaviour:
            reply = stub.reply(body=stub.chat(**behaviour))
        else:
            made = dict(behaviour)
            bodies = {"chat": stub.chat("x" * 400), "undone": stub.chat() | {"done": False}}
            if isinstance(made.get("body"), str):
                made["body"] = bodies.get(made["body"], made["body"])
            if "lines" in made:
                made["lines"] = [stub.part('{"rea') if line == "part" else line for line in made["lines"]]
            reply = stub.reply(**made)
        stub.chats = {MODEL: [reply], FALLBACK: [reply]}

    return on


def decide(settings: OllamaSettings, context: Context):
    model = OllamaModel(settings.model_copy(update={"timeout_seconds": 0.5}), sleep=lambda _: None)
    verdict = ask(model, context, FixedClock(NOW))
    return verdict, decision_from_verdict(verdict, context, cycle_id="cycle-1", decided_at=NOW)


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_is_held_by_fallback_as_an_unavailable_model(either_way, context, fail, outage):
    behaviour, reason = OUTAGES[outage]
    fail(behaviour)

    verdict, decision = decide(either_way, context)

    assert (decision.action, decision.confidence) == (Action.HOLD, 100)
    assert (decision.decided_by, decision.reason_code) == (Author.FALLBACK, "model_unavailable")
    assert reason in decision.reasoning
    assert either_way.host in decision.reasoning
    assert verdict.answer is None
    assert [call.raw_text for call in verdict.calls] == [None]


@pytest.mark.parametrize("answer", INVALID)
def test_an_answer_that_cannot_be_used_is_asked_for_again_and_then_held_by_fallback(
    either_way, context, fail, stub, answer
):
    behaviour, reason = INVALID[answer]
    fail(behaviour)

    verdict, decision = decide(either_way.model_copy(update={"timeout_seconds": 5.0}), context)

    assert (decision.action, decision.confidence) == (Action.HOLD, 100)
    assert (decision.decided_by, decision.reason_code) == (Author.FALLBACK, "invalid_answer")
    assert reason in decision.reasoning
    assert (decision.model, decision.model_digest) == (MODEL, "a" * 64)
    assert [call.error is not None for call in verdict.calls] == [True, True]
    assert stub.models_asked() == [MODEL, MODEL]


def test_refused_is_held_by_fallback(either_way, context):
    _, decision = decide(either_way.model_copy(update={"host": "http://127.0.0.1:9"}), context)

    assert (decision.decided_by, decision.reason_code) == (Author.FALLBACK, "model_unavailable")
    assert "connection refused" in decision.reasoning


def test_an_answer_of_the_fallback_model_is_the_models_decision_and_names_it(either_way, context, stub):
    stub.chats = {
        MODEL: [stub.reply(500, {"error": "CUDA error: out of memory"})],
        FALLBACK: [stub.reply(body=stub.chat(GOOD))],
    }

    _, decision = decide(either_way, context)

    assert (decision.action, decision.decided_by) == (Action.BUY, Author.MODEL)
    assert (decision.model, decision.model_digest) == (FALLBACK, "b" * 64)
