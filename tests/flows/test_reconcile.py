"""The flows that keep ledger and venue the same, on real parts: what a person did by hand, a lost stop, a stop nobody holds."""

from decimal import Decimal
from typing import Any

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from ffe.market.models import parse_instrument
from ffe.orders.models import Side
from ffe.orders.reconcile import acknowledge
from ffe.orders.switch import SwitchState
from ffe.venues.models import OrderRequest

pytestmark = pytest.mark.slow

SELL = {"action": "SELL", "confidence": 90, "reasoning": "trend down"}


def by_hand(engine: Any, symbol: str, units: str) -> None:
    """A market order that no ledger row stands behind, as somebody at the venue's own website places it."""
    broker = engine.broker(parse_instrument(symbol).venue)
    request = OrderRequest(
        client_order_id="by-hand-1", instrument=symbol, side=Side.BUY, units=Decimal(units), price_bound=None
    )
    broker.submit(request, broker.checkpoint())


async def reconciled() -> Any:
    from flows.reconcile import reconcile

    return reconcile(return_state=True)


async def artifact(key: str) -> str:
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda each: each.created).data)


def tables(engine: Any) -> dict[str, list[Any]]:
    """Everything that a reconciliation could change."""
    ledger = engine.ledger
    orders = ledger.orders(100)
    return {
        "orders": orders,
        "events": [ledger.order_events(order.id) for order in orders],
        "positions": ledger.positions(),
        "differences": ledger.differences(open_only=False),
    }


async def test_accounts_that_agree_complete_and_a_second_run_changes_nothing(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    engine = engine_on(serve())
    await run_cycle(engine)
    before = tables(engine)
    state = await reconciled()
    assert state.is_completed(), state.message
    assert tables(engine) == before
    assert "agrees with the ledger" in await artifact("reconciliation")


@pytest.mark.parametrize(("symbol", "units"), [("EURUSD", "1000"), ("BTCUSD", "0.01")])
async def test_a_trade_by_hand_blocks_new_exposure_until_somebody_acknowledges_it(
    serve: Any, engine_on: Any, run_cycle: Any, symbol: str, units: str
) -> None:
    engine = engine_on(serve())
    assert (await reconciled()).is_completed()
    by_hand(engine, symbol, units)
    state = await reconciled()
    assert state.is_failed()
    assert state.name == "DifferencesRemain"
    (found,) = engine.ledger.differences()
    assert (found.instrument, found.kind) == (symbol, "external-trade")
    assert found.id[:12] in await artifact("reconciliation")
    ran = await run_cycle(engine, symbol)
    decision = ran.row(symbol)["decision"]
    assert (decision["decided_by"], decision["reason_code"]) == ("risk-gate", "unreconciled")
    assert found.id[:8] in decision["reasoning"]
    acknowledge(engine.ledger, engine.broker(found.venue), engine.clock, found.id, "mine")
    assert (await reconciled()).is_completed()
    assert (await run_cycle(engine, symbol)).row(symbol)["order"]["state"] == "FILLED"
    assert (await reconciled()).is_completed()


@pytest.mark.parametrize("symbol", ["EURUSD", "BTCUSD"])
async def test_a_lost_stop_is_put_back_with_an_incident_and_once_only(
    serve: Any, engine_on: Any, run_cycle: Any, symbol: str
) -> None:
    engine = engine_on(serve())
    await run_cycle(engine, symbol)
    broker = engine.broker(parse_instrument(symbol).venue)
    broker.cancel([order.venue_order_id for order in broker.working_orders()])
    assert broker.working_orders() == []
    assert (await reconciled()).is_completed()
    working = broker.working_orders()
    (entry,) = engine.ledger.orders(10)
    assert {order.venue_order_id for order in working} == set(entry.protection_ids)
    assert [order.stop for order in working if order.stop is not None] == [entry.stop_loss]
    assert [incident for incident in engine.ledger.incidents(10) if incident.instrument == symbol]
    before = tables(engine)
    assert (await reconciled()).is_completed()
    assert tables(engine) == before
    assert broker.working_orders() == working


async def test_a_stop_that_nobody_holds_is_carried_out_by_the_watching_flow(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    from flows.watch_exits import watch_exits

    venue = serve()
    engine = engine_on(venue)
    await run_cycle(engine, "BTCUSD")
    broker, (entry,) = engine.broker("coinbase"), engine.ledger.orders(10)
    broker.cancel([order.venue_order_id for order in broker.working_orders()])
    engine.ledger.watch(entry.id, engine.clock.now(), "the venue can't hold it")
    assert watch_exits() == []
    venue.control(
        "/faults",
        faults=[{"kind": "price_jump", "route": "coinbase.best_bid_ask", "instrument": "BTCUSD", "percent": "-20"}],
    )
    (closed,) = watch_exits()
    assert (closed["leg"], closed["side"], closed["state"]) == ("watched", "SELL", "FILLED")
    assert watch_exits() == []
    assert broker.position(parse_instrument("BTCUSD")).units == 0
    assert engine.ledger.decision(closed["decision_id"]).decided_by == "risk-gate"


async def test_the_switch_at_reduce_only_lets_a_close_out_and_keeps_an_entry_in(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    engine = engine_on(serve())
    await run_cycle(engine, "EURUSD")
    engine.ledger.set_switch(SwitchState.REDUCE_ONLY, "losing day", "daily-loss", engine.clock.now())
    held = (await run_cycle(engine, "GBPUSD")).row("GBPUSD")["decision"]
    assert (held["action"], held["decided_by"], held["reason_code"]) == ("HOLD", "halt", "kill_switch_reduce_only")
    assert "losing day" in held["reasoning"]
    model.answers["EURUSD"] = SELL
    engine.ledger.set_switch(SwitchState.HALT, "person says stop", "person", engine.clock.now())
    asked = list(model.asked)
    held = (await run_cycle(engine, "GBPUSD")).row("GBPUSD")["decision"]
    assert (held["decided_by"], held["reason_code"]) == ("halt", "kill_switch_halt")
    assert model.asked == asked


async def test_a_day_that_lost_too_much_trips_the_switch_and_a_person_who_resumes_begins_anew(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    engine = engine_on(serve())
    oanda = engine.broker("oanda")
    before = oanda.account_state([parse_instrument("EURUSD")]).equity * Decimal("1.03")
    engine.ledger.mark_equity("oanda", oanda.account, "USD", before, engine.clock.now())
    assert (await reconciled()).is_completed()
    switch = engine.ledger.switch()
    assert (switch.state, switch.by) == (SwitchState.REDUCE_ONLY, "daily_loss")
    held = (await run_cycle(engine, "EURUSD")).row("EURUSD")["decision"]
    assert (held["decided_by"], held["reason_code"]) == ("risk-gate", "daily_loss")
    engine.ledger.set_switch(SwitchState.NORMAL, "seen", "person", engine.clock.now())
    assert (await reconciled()).is_completed()
    assert engine.ledger.switch().state is SwitchState.NORMAL
    assert (await run_cycle(engine, "EURUSD")).row("EURUSD")["order"]["state"] == "FILLED"


async def test_a_position_whose_instrument_left_the_settings_still_counts_and_stops_nothing(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    venue = serve()
    await run_cycle(engine_on(venue), "GBPUSD")
    engine = engine_on(venue, instruments=("EURUSD",))
    ran = await run_cycle(engine, "EURUSD")
    assert ran.row("EURUSD")["error"] is None
    assert ran.row("EURUSD")["order"]["state"] == "FILLED"


def by_the_venues_own_app(venue: Any, path: str) -> None:
    """A PUT of the person's own at OANDA."""
    account, token = venue.environment["FFE_OANDA__ACCOUNT_ID"], venue.environment["FFE_OANDA__TOKEN"]
    url = f"{venue.environment['FFE_OANDA__BASE_URL']}/v3/accounts/{account}/{path}"
    reply = httpx.put(url, json={"units": "ALL"}, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert reply.status_code == 200, reply.text


async def test_a_stop_that_fills_while_the_model_thinks_leaves_other_peoples_units_alone(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = serve()
    engine = engine_on(venue)
    by_hand(engine, "BTCUSD", "0.1")
    assert (await reconciled()).is_completed(), "what is there at the first reconciliation is adopted"
    bought = await run_cycle(engine, "BTCUSD")
    assert bought.row("BTCUSD")["order"]["state"] == "FILLED"
    think = model.complete

    def slowly(*arguments: Any) -> Any:
        jump = {"kind": "price_jump", "route": "coinbase.best_bid_ask", "instrument": "BTCUSD", "percent": "-1.5"}
        venue.control("/faults", faults=[jump | {"count": 1}])
        engine.broker("coinbase").quote(parse_instrument("BTCUSD"))
        venue.control("/faults", faults=[])
        venue.control("/clock", advance_seconds=120)
        return think(*arguments)

    monkeypatch.setattr(model, "complete", slowly)
    model.answers["BTCUSD"] = SELL
    venue.control("/clock", advance_seconds=300)
    engine = engine_on(venue)
    held = (await run_cycle(engine, "BTCUSD")).row("BTCUSD")
    assert held["order"] is None, held
    assert held["decision"]["action"] == "HOLD"
    assert engine.broker("coinbase").position(parse_instrument("BTCUSD")).units == Decimal("0.1")
    position = engine.ledger.position("coinbase", engine.broker("coinbase").account, "BTCUSD")
    assert (position.units, position.external) == (0, Decimal("0.1"))


async def test_a_person_who_closes_our_trade_is_believed_and_nobody_elses_is_sold(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    venue = serve()
    engine = engine_on(venue)
    by_hand(engine, "EURUSD", "30000")
    assert (await reconciled()).is_completed()
    (order,) = [(await run_cycle(engine, "EURUSD")).row("EURUSD")["order"]]
    by_the_venues_own_app(venue, f"trades/@{order['client_order_id']}/close")
    state = await reconciled()
    assert state.name == "DifferencesRemain"
    broker = engine.broker("oanda")
    assert broker.position(parse_instrument("EURUSD")).units == Decimal(30_000)
    position = engine.ledger.position("oanda", broker.account, "EURUSD")
    assert (position.units, position.external) == (0, Decimal(30_000))
