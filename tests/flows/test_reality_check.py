"""reality-check on real parts: a cycle that leaves nothing broken, and a person and an outage that break something."""

from decimal import Decimal
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from ffe.market.models import parse_instrument
from ffe.observe.prefect_api import Api
from ffe.orders.models import Side
from ffe.venues.models import OrderRequest
from tasks import reality as tasks_of

pytestmark = pytest.mark.slow

DEPLOYED = {"alarms-wired", "workers-alive", "deployments-running"}


def by_hand(engine: Any, symbol: str, units: str) -> None:
    """A market order that no ledger row stands behind, as somebody at the venue's own website places it."""
    broker = engine.broker(parse_instrument(symbol).venue)
    request = OrderRequest(client_order_id="by-hand-1", instrument=symbol, side=Side.BUY, units=Decimal(units))
    broker.submit(request, broker.checkpoint())


async def checked() -> Any:
    from flows.reality_check import reality_check

    return await reality_check(return_state=True)


async def artifact(key: str) -> str:
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda each: each.created).data)


def newest(engine: Any) -> dict[str, str]:
    (run,) = engine.ledger.checks("reality-check", 1)
    return {each["name"]: each["holds"] for each in run.document["invariants"]}


async def test_everything_holds_after_a_real_cycle_and_what_a_person_does_by_hand_breaks_it_once(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    venue = serve()
    engine = engine_on(venue)
    await run_cycle(engine)
    state = await checked()
    assert state.is_completed(), state.message
    holds = newest(engine)
    assert {name for name, each in holds.items() if each == "not-applicable"} == DEPLOYED
    assert set(holds.values()) == {"yes", "not-applicable"}
    assert "passed-batch" in await artifact("reality-check")
    assert "data:image/png;base64," in await artifact("reality-trend")
    assert engine.ledger.incidents() == []

    by_hand(engine, "EURUSD", "1000")
    broker = engine.broker("coinbase")
    broker.cancel([order.venue_order_id for order in broker.working_orders() if order.instrument == "BTCUSD"])
    venue.control("/clock", advance_seconds=900)
    engine = engine_on(venue)
    for _ in range(2):
        state = await checked()
        assert (state.is_failed(), state.name) == (True, "InvariantsBroken")
        broken = {name for name, each in newest(engine).items() if each in ("broken", "unknown")}
        assert broken == {"positions-match", "positions-protected", "trades-known-to-both"}
        assert all(name in state.message for name in broken)
    told = [each for each in engine.ledger.incidents() if each.type == "InvariantBroken"]
    assert len(told) == 3
    assert {each.count for each in told} == {1}
    assert "stops at the venue: none" in await artifact("reality-trend")


async def test_a_venue_that_is_down_is_no_yes(serve: Any, engine_on: Any, run_cycle: Any) -> None:
    venue = serve()
    engine = engine_on(venue)
    await run_cycle(engine, "EURUSD")
    venue.control("/outage", venue="oanda")
    state = await checked()
    assert state.name == "InvariantsBroken"
    unknown = {name for name, each in newest(engine).items() if each == "unknown"}
    assert {"positions-match", "positions-protected", "trades-known-to-both", "reservations-within-balance"} == unknown


async def test_a_run_of_a_deployment_asks_for_its_alarms_and_workers(
    serve: Any, engine_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_on(serve())
    monkeypatch.setattr("tasks.reality.deployment.get_id", lambda: "a-deployment", raising=False)
    monkeypatch.setattr(Api, "find", classmethod(lambda cls: cls("http://127.0.0.1:9/api")))
    assert (await checked()).name == "InvariantsBroken"
    assert {name for name, each in newest(engine).items() if each == "unknown"} == DEPLOYED


async def test_what_can_not_be_published_stops_nothing(
    serve: Any, engine_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise RuntimeError("no artifact")

    engine_on(serve())
    monkeypatch.setattr(tasks_of, "create_table_artifact", refused)
    assert (await checked()).is_completed()
