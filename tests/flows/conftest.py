"""A cycle on real parts: simulator, SDKs, Great Expectations, ledger and Prefect. Only the model is scripted, to say what a test needs."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State

from ffe.cli.options import with_venues
from ffe.cycle.engine import Engine
from ffe.errors import ModelUnavailableError
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling
from ffe.processes import Child
from ffe.settings import load_settings
from tasks import runtime

BUY = {"action": "BUY", "confidence": 85, "reasoning": "trend up"}
SYMBOLS = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD")


@dataclass
class ScriptedModel:
    """Answers by symbol, as text or as what to raise; `asked` are the symbols in order."""

    answers: dict[str, dict[str, Any] | str | Exception] = field(default_factory=lambda: dict.fromkeys(SYMBOLS, BUY))
    asked: list[str] = field(default_factory=list)

    def identity(self) -> ModelIdentity:
        return ModelIdentity(adapter="recorded", model="scripted", digest="0" * 64, runtime="test")

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        symbol = re.findall(
            "|".join(SYMBOLS), " ".join(message.content for message in messages if message.role == "user")
        )[-1]
        self.asked.append(symbol)
        answer = self.answers[symbol]
        if isinstance(answer, Exception):
            raise answer
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return Completion(
            text=text,
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=1,
            latency_ms=1.0,
            identity=self.identity(),
        )

    def health(self) -> ModelHealth:
        return ModelHealth(ok=True, detail="scripted")

    def close(self) -> None:
        self.answers.clear()


@dataclass
class Venue:
    """A running simulator and its control."""

    environment: dict[str, str]
    control_url: str
    token: str

    def control(self, path: str, **body: Any) -> dict[str, Any]:
        reply = httpx.post(
            f"{self.control_url}{path}", json=body, headers={"Authorization": f"Bearer {self.token}"}, trust_env=False
        )
        reply.raise_for_status()
        document: dict[str, Any] = reply.json()
        return document

    def state(self) -> dict[str, Any]:
        reply = httpx.get(
            f"{self.control_url}/state", headers={"Authorization": f"Bearer {self.token}"}, trust_env=False
        )
        document: dict[str, Any] = reply.json()
        return document


Serve = Callable[..., Venue]


@pytest.fixture
def serve(tmp_path: Path, recorded_bars: Path) -> Iterator[Serve]:
    """Starts a simulator over the recorded bars with further arguments; ended with the test."""
    children: list[Child] = []

    def start(*arguments: str) -> Venue:
        command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(tmp_path / "data")]
        with (tmp_path / "simulator.log").open("a") as log:
            child = Child.spawn(
                "simulator", [*command, "--bars", str(recorded_bars), *arguments], env=os.environ, log=log, read=True
            )
        children.append(child)
        ready = child.ready(60)
        return Venue(ready["env"], ready["control"]["base_url"], ready["control"]["token"])

    yield start
    for child in children:
        child.close()


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def engine_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: ScriptedModel, prefect_api: str
) -> Iterator[Callable[[Venue], Engine]]:
    """An engine of this process against a venue, with the scripted model in place of a real one."""
    assert prefect_api
    engines: list[Engine] = []

    def open_on(venue: Venue, **overrides: Any) -> Engine:
        for name, value in venue.environment.items():
            monkeypatch.setenv(name, value)
        settings = with_venues(load_settings(data_dir=tmp_path / "data", **overrides))
        engine = Engine.open(settings)
        engine._models[None] = model
        engines.append(engine)
        runtime.use(engine)
        return engine

    yield open_on
    runtime.use(None)
    for engine in engines:
        engine.close()


@dataclass
class Ran:
    state: State[Any]
    report: dict[str, Any]

    def row(self, symbol: str) -> dict[str, Any]:
        return next(row for row in self.report["instruments"] if row["instrument"] == symbol)


@pytest.fixture
def run_cycle() -> Callable[..., Any]:
    """Runs the flow itself and returns its state and the report that the ledger keeps."""
    from flows.trading_cycle import trading_cycle

    async def run(engine: Engine, *symbols: str) -> Ran:
        state = await trading_cycle(list(symbols or SYMBOLS), "5m", return_state=True)
        report = engine.ledger.cycle(str(state.state_details.flow_run_id)).summary
        assert report is not None
        return Ran(state, report)

    return run


__all__ = ["BUY", "ModelUnavailableError", "ScriptedModel"]
