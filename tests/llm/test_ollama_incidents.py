"""A failure of the Ollama server in a cycle: HOLD by nobody but `fallback`, and an incident that says what happened."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from ffe.cycle.engine import Engine
from ffe.cycle.steps import Cycle
from ffe.decision.models import Context
from ffe.decision.record import decision_from_verdict
from ffe.market.models import Timeframe
from ffe.settings import OllamaSettings, load_settings
from flows.verdicts import Verdicts, verdicts_for
from tasks import runtime
from tasks.stages import Stages

pytestmark = pytest.mark.slow

NOW = datetime(2018, 4, 4, 12, 0, 5, tzinfo=UTC)
MODEL, FALLBACK = OllamaSettings().chain
CYCLE = Cycle(id="cycle-1", timeframe=Timeframe.M5)


@flow(name="asking")
async def asking(context: Context) -> Verdicts:
    return await verdicts_for(CYCLE, [context], Stages())


@pytest.fixture
def engine(stub: Any, tmp_path: Path, prefect_api: str) -> Any:
    """An engine of this process whose model is the one on the stub, with a cycle begun."""
    assert prefect_api
    server = OllamaSettings(host=stub.url, timeout_seconds=1.0)
    settings = load_settings(data_dir=tmp_path / "data", model="ollama", clock=NOW, ollama=server)
    opened = Engine.open(settings)
    opened.ledger.start_cycle(CYCLE.id, settings.mode.value, CYCLE.timeframe.value, NOW)
    runtime.use(opened)
    yield opened
    runtime.use(None)
    opened.close()


@pytest.mark.parametrize(
    ("failure", "kind", "code", "reason"),
    [
        (
            {"status": 500, "body": {"error": "CUDA error: no kernel image is available"}},
            "ModelUnavailableError",
            "model_unavailable",
            "answered 500: CUDA error: no kernel image is available (error of the GPU)",
        ),
        ({"delay": 20}, "ModelUnavailableError", "model_unavailable", "within 1 s"),
        (
            {"lines": [{"error": "llama runner process has terminated"}]},
            "ModelUnavailableError",
            "model_unavailable",
            "failed in the middle of its answer: llama runner process has terminated",
        ),
        ({"cut": True}, "InvalidAnswerError", "invalid_answer", "cut off after 33 tokens"),
    ],
    ids=["500 CUDA error", "hang", "error in the middle", "truncated"],
)
async def test_a_failure_leaves_an_incident_that_says_what_happened(
    engine: Engine, context: Context, stub: Any, failure: dict[str, Any], kind: str, code: str, reason: str
) -> None:
    reply = stub.reply(body=stub.chat('{"reas', "length")) if "cut" in failure else stub.reply(**failure)
    stub.chats = {MODEL: [reply], FALLBACK: [reply]}

    found = await asking(context)

    verdict = found.answers["BTCUSD"]
    assert verdict.answer is None
    decision = decision_from_verdict(verdict, context, cycle_id=CYCLE.id, decided_at=NOW)
    assert (decision.action, decision.decided_by, decision.reason_code) == ("HOLD", "fallback", code)
    assert found.errors["BTCUSD"].type == kind
    (incident,) = engine.ledger.incidents(10)
    assert (incident.type, incident.instrument, incident.cycle_id) == (kind, "BTCUSD", CYCLE.id)
    for text in (incident.message, incident.traceback):
        assert reason in text
        assert code == "invalid_answer" or f"{MODEL} at {stub.url}" in text


async def test_both_models_of_the_chain_are_in_the_incident(engine: Engine, context: Context, stub: Any) -> None:
    stub.chats = {
        MODEL: [stub.reply(500, {"error": "out of memory"})],
        FALLBACK: [stub.reply(404, {"error": f"model '{FALLBACK}' not found"})],
    }

    await asking(context)

    (incident,) = engine.ledger.incidents(10)
    assert f"{MODEL} at {stub.url} answered 500: out of memory" in incident.traceback
    assert f"{FALLBACK} at {stub.url} answered 404" in incident.traceback
