"""When the GPU pool does not answer, the cycle ends in time, holds by `fallback`, and nothing executes afterwards."""

import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId

from deployments.bootstrap import POOLS, bootstrap
from ffe.cycle import steps
from ffe.errors import ModelUnavailableError
from ffe.settings import EnsembleSettings, EnsembleStrategy, PlacementPolicy, PlacementSettings
from flows.decide import decide
from tasks import runtime

pytestmark = pytest.mark.slow


async def _deploy() -> Any:
    """The decide deployment on the gpu pool, as prefect.yaml makes it; nobody works on the pool."""
    await bootstrap()
    async with get_client() as client:
        flow_id = await client.create_flow(decide)
        return await client.create_deployment(
            flow_id=flow_id, name="gpu", work_pool_name="gpu", entrypoint="flows.decide.decide"
        )


async def test_the_pools_exist_with_their_limits_however_often_they_are_made(prefect_api: str) -> None:
    assert prefect_api
    await bootstrap()
    await bootstrap()
    async with get_client() as client:
        for name, limit in POOLS.items():
            pool = await client.read_work_pool(name)
            assert (pool.type, pool.concurrency_limit) == ("process", limit)


async def test_without_a_gpu_worker_every_instrument_is_held_by_fallback_and_the_run_never_executes(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    engine = engine_on(serve(), decide="pool", decide_deadline_seconds=2.0)
    deployment = await _deploy()
    ran = await run_cycle(engine, "BTCUSD", "EURUSD")
    assert ran.state.name == "InstrumentsFailed"
    for symbol in ("BTCUSD", "EURUSD"):
        row = ran.row(symbol)
        decision = row["decision"]
        assert (decision["action"], decision["confidence"], decision["decided_by"]) == ("HOLD", 100, "fallback")
        assert "after 2 s" in decision["reasoning"]
        assert row["error"]["type"] == "ModelUnavailableError"
        assert row["order"] is None
    assert model.asked == []
    (incident,) = engine.ledger.incidents(10)
    assert incident.type == "ModelUnavailableError"
    async with get_client() as client:
        runs = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
        )
    (run,) = [each for each in runs if each.parameters["cycle_id"] == ran.report["cycle_id"]]
    assert run.state is not None
    assert run.state.name in {"Cancelled", "Cancelling"}


async def test_a_missing_deployment_is_an_outage_too(serve: Any, engine_on: Any, run_cycle: Any) -> None:
    engine = engine_on(serve(), decide="pool", decide_deadline_seconds=2.0)
    async with get_client() as client:
        for deployment in await client.read_deployments():
            await client.delete_deployment(deployment.id)
    ran = await run_cycle(engine, "EURUSD")
    assert ran.row("EURUSD")["decision"]["decided_by"] == "fallback"
    assert ran.row("EURUSD")["error"]["incident"] is not None


async def test_a_decide_run_that_starts_late_does_nothing(serve: Any, engine_on: Any, model: Any) -> None:
    engine_on(serve())
    with pytest.raises(ModelUnavailableError, match="after the cycle stopped waiting"):
        await decide("cycle-1", [], datetime.now(UTC) - timedelta(seconds=1))
    assert model.asked == []


async def test_who_has_no_answer_by_the_deadline_is_held_with_an_incident(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_on(serve(), decide_deadline_seconds=3.0)
    answer = model.complete

    def slowly(*request: Any) -> Any:
        time.sleep(2)
        return answer(*request)

    monkeypatch.setattr(model, "complete", slowly)
    ran = await run_cycle(engine, "BTCUSD", "ETHUSD", "EURUSD")
    assert model.asked == ["BTCUSD", "ETHUSD"], (
        "the first answer came in time, the second too late, the third was not asked for"
    )
    assert ran.row("BTCUSD")["decision"]["decided_by"] != "fallback"
    for symbol in ("ETHUSD", "EURUSD"):
        late = ran.row(symbol)
        assert (late["decision"]["action"], late["decision"]["decided_by"]) == ("HOLD", "fallback")
        assert "before the deadline" in late["decision"]["reasoning"]
        assert late["error"]["incident"] is not None
        assert late["order"] is None


async def test_a_model_that_is_not_on_a_gpu_is_not_asked_where_one_is_required(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    engine = engine_on(serve(), placement=PlacementSettings(policy=PlacementPolicy.REQUIRE_GPU))
    ran = await run_cycle(engine, "EURUSD")
    row = ran.row("EURUSD")
    assert (row["decision"]["action"], row["decision"]["decided_by"]) == ("HOLD", "fallback")
    assert "require-gpu" in row["decision"]["reasoning"]
    assert row["error"]["incident"] is not None
    assert model.asked == []


async def test_a_verdict_about_other_bars_is_not_taken(serve: Any, engine_on: Any, run_cycle: Any) -> None:
    engine = engine_on(serve())
    ran = await run_cycle(engine, "EURUSD")
    (asked,) = engine.ledger.verdicts()
    cycle_id = ran.document["cycle_id"] if hasattr(ran, "document") else asked.cycle_id
    assert steps.recorded_verdict(engine, cycle_id, asked.context) == asked.verdict
    with pytest.raises(ModelUnavailableError, match="not other"):
        steps.recorded_verdict(engine, cycle_id, asked.context.model_copy(update={"batch_id": "other"}))


async def test_members_that_disagree_are_a_hold_by_fallback_and_no_incident(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_on(serve(), ensemble=EnsembleSettings(strategy=EnsembleStrategy.SAMPLES, samples=3))
    turns = itertools.cycle(("BUY", "SELL", "HOLD"))
    answer = model.complete

    def differently(*request: Any) -> Any:
        said = answer(*request)
        return said.model_copy(update={"text": said.text.replace("BUY", next(turns))})

    monkeypatch.setattr(model, "complete", differently)
    ran = await run_cycle(engine, "EURUSD")
    row = ran.row("EURUSD")
    assert (row["decision"]["action"], row["decision"]["decided_by"]) == ("HOLD", "fallback")
    assert row["decision"]["reason_code"] == "ensemble_disagrees"
    assert [vote["action"] for vote in row["decision"]["votes"]] == ["BUY", "SELL", "HOLD"]
    assert row["error"] is None
    assert engine.ledger.incidents(10) == []


def test_the_engine_of_a_worker_is_opened_from_the_environment_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, serve: Any
) -> None:
    for name, value in serve().environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    runtime.use(None)
    opened = runtime.engine()
    assert runtime.engine() is opened
    assert opened.settings.data_dir == tmp_path / "data"
    runtime.use(None)
    opened.close()
