"""The whole cycle on real parts: every HOLD has its author, and no bar is ordered twice."""

import re
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from ffe.errors import ModelUnavailableError
from flows.trading_cycle import trading_cycle
from tasks.limits import account_limits

SYMBOLS = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD")
OTHERS = ("ETHUSD", "EURUSD", "GBPUSD")

pytestmark = pytest.mark.slow


async def _artifacts(key: str) -> list[Any]:
    async with get_client() as client:
        return await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))


async def test_four_instruments_are_bought_and_every_order_traces_back_to_its_bars(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    engine = engine_on(serve())
    ran = await run_cycle(engine)
    assert ran.state.is_completed()
    for symbol in SYMBOLS:
        row = ran.row(symbol)
        assert row["error"] is None
        assert (row["decision"]["action"], row["decision"]["decided_by"]) == ("BUY", "model"), row["decision"][
            "reasoning"
        ]
        assert row["quality"]["passed"] is True
        assert row["order"]["state"] == "FILLED"
        assert row["order"]["filled_units"] == row["sizing"]["units"]
        chain = engine.ledger.explain(row["order"]["client_order_id"])
        text = str(chain)
        for link in (row["decision"]["id"], row["decision"]["prompt_sha256"], "trend up"):
            assert link in text
        assert "missing" not in chain or not chain["missing"]


async def test_the_same_bar_run_twice_places_no_second_order_and_asks_nobody(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    venue = serve()
    engine = engine_on(venue)
    first = await run_cycle(engine)
    asked, before = list(model.asked), venue.state()
    second = await run_cycle(engine)
    assert model.asked == asked
    for symbol in SYMBOLS:
        mine, again = first.row(symbol)["order"], second.row(symbol)["order"]
        assert again["client_order_id"] == mine["client_order_id"]
        assert (mine["placed_by_this_cycle"], again["placed_by_this_cycle"]) == (True, False)
    assert len(engine.ledger.orders(100)) == len(SYMBOLS)
    after = venue.state()
    orders = [name for name in before if "order" in name or "transaction" in name]
    assert orders
    for name in orders:
        assert len(after[name]) == len(before[name]), name


async def test_stale_bars_never_reach_the_model(serve: Any, engine_on: Any, run_cycle: Any, model: Any) -> None:
    engine = engine_on(serve("--stale-minutes", "52"))
    ran = await run_cycle(engine)
    for symbol in SYMBOLS:
        row = ran.row(symbol)
        decision = row["decision"]
        assert (decision["action"], decision["confidence"], decision["decided_by"]) == ("HOLD", 100, "data-gate")
        assert "Stale market data detected" in decision["reasoning"]
        said = re.search(r"closed ([0-9.]+) min ago", decision["reasoning"])
        assert said is not None
        assert float(said[1]) == pytest.approx(row["age_seconds"] / 60, abs=0.06)
        assert "15.0" in decision["reasoning"]
        assert row["quality"]["passed"] is False
        assert row["order"] is None
    assert model.asked == []


async def test_one_venue_down_does_not_stop_the_other_and_leaves_its_incidents(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    venue = serve()
    engine = engine_on(venue)
    assert engine.broker("coinbase").account
    venue.control("/outage", venue="coinbase")
    ran = await run_cycle(engine, "BTCUSD", "EURUSD")
    assert ran.state.is_failed()
    assert ran.state.name == "InstrumentsFailed"
    good, bad = ran.row("EURUSD"), ran.row("BTCUSD")
    assert good["order"]["state"] == "FILLED"
    assert bad["order"] is None
    assert bad["decision"]["action"] == "HOLD"
    assert (bad["decision"]["decided_by"], bad["decision"]["reason_code"]) == ("risk-gate", "reconcile_venue_failed")
    assert model.asked == ["EURUSD"]
    (artifact,) = await _artifacts(bad["error"]["incident"])
    assert "Traceback (most recent call last)" in artifact.data
    assert "The above exception was the direct cause" in artifact.data
    assert "503" in artifact.data
    assert engine.ledger.incidents(10)


async def test_a_closed_market_is_held_by_market_hours_and_is_no_error(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    engine = engine_on(serve("--start", "2018-04-07T12:00:20Z"))
    ran = await run_cycle(engine, "EURUSD", "GBPUSD")
    assert ran.state.is_completed()
    for symbol in ("EURUSD", "GBPUSD"):
        decision = ran.row(symbol)["decision"]
        assert (decision["action"], decision["confidence"], decision["decided_by"]) == ("HOLD", 100, "market-hours")
        assert "2018-04-08T21:00:00Z" in decision["reasoning"]
        assert ran.row(symbol)["error"] is None
    assert model.asked == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (ModelUnavailableError("the runner crashed"), "model_unavailable"),
        ("I would buy here.", "invalid_answer"),
        ({"action": "BUY", "confidence": 1000, "reasoning": "x"}, "invalid_answer"),
        ({"action": "SHORT", "confidence": 80, "reasoning": "x"}, "invalid_answer"),
    ],
)
async def test_an_outage_of_the_model_is_a_hold_by_fallback_and_never_an_opinion(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any, answer: Any, code: str
) -> None:
    engine = engine_on(serve())
    model.answers["BTCUSD"] = answer
    ran = await run_cycle(engine, "BTCUSD", "EURUSD")
    decision = ran.row("BTCUSD")["decision"]
    assert (decision["action"], decision["confidence"], decision["decided_by"]) == ("HOLD", 100, "fallback")
    assert decision["reason_code"] == code
    assert ran.row("BTCUSD")["order"] is None
    assert ran.row("BTCUSD")["error"]["incident"].startswith("incident-")
    assert ran.state.name == "InstrumentsFailed"
    assert ran.row("EURUSD")["order"]["state"] == "FILLED"
    assert [incident for incident in engine.ledger.incidents(10) if incident.instrument == "BTCUSD"]


async def test_a_refusal_of_the_risk_gate_keeps_the_models_word(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    engine = engine_on(serve())
    model.answers["BTCUSD"] = {"action": "SELL", "confidence": 90, "reasoning": "trend down"}
    model.answers["EURUSD"] = {"action": "BUY", "confidence": 60, "reasoning": "trend up"}
    ran = await run_cycle(engine, "BTCUSD", "EURUSD")
    spot, weak = ran.row("BTCUSD")["decision"], ran.row("EURUSD")["decision"]
    assert (spot["decided_by"], spot["reason_code"]) == ("risk-gate", "nothing_to_sell")
    assert (weak["decided_by"], weak["reason_code"]) == ("risk-gate", "confidence_below_floor")
    for decision in (spot, weak):
        assert (decision["action"], decision["confidence"]) == ("HOLD", 100)
        assert "by model" in decision["reasoning"]
    assert ran.state.is_completed()
    assert engine.ledger.orders(10) == []


async def test_hold_submits_nothing_on_both_venues(serve: Any, engine_on: Any, run_cycle: Any, model: Any) -> None:
    engine = engine_on(serve())
    model.answers = {symbol: {"action": "HOLD", "confidence": 75, "reasoning": "range"} for symbol in SYMBOLS}
    ran = await run_cycle(engine)
    assert ran.state.is_completed()
    for symbol in SYMBOLS:
        decision = ran.row(symbol)["decision"]
        assert (decision["action"], decision["confidence"], decision["decided_by"]) == ("HOLD", 75, "model")
    assert engine.ledger.orders(10) == []


async def test_a_sell_closes_what_a_buy_opened_a_bar_before(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    venue = serve()
    engine = engine_on(venue)
    await run_cycle(engine, "BTCUSD", "EURUSD")
    venue.control("/clock", advance_seconds=300)
    from ffe.cycle.engine import open_clock

    engine.clock = open_clock(engine.settings)
    for venue in (*engine._chains.values(), *engine._brokers.values()):
        venue.close()
    engine._chains.clear()
    engine._brokers.clear()
    model.answers = {symbol: {"action": "SELL", "confidence": 90, "reasoning": "trend down"} for symbol in SYMBOLS}
    ran = await run_cycle(engine, "BTCUSD", "EURUSD")
    for symbol in ("BTCUSD", "EURUSD"):
        order = ran.row(symbol)["order"]
        assert (order["leg"], order["side"], order["state"]) == ("exit", "SELL", "FILLED"), ran.row(symbol)
    assert all(position.units == 0 for position in engine.ledger.positions())


async def test_the_report_is_published_as_artifacts_a_person_can_read(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    engine = engine_on(serve())
    ran = await run_cycle(engine, "EURUSD")
    async with get_client() as client:
        run_id = ran.state.state_details.flow_run_id
        found = await client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
    by_key = {artifact.key: artifact.data for artifact in found}
    pages = {key for key in by_key if key.startswith("quality-page-eurusd-")}
    assert "quality-page-eurusd-5m" in pages
    of_bars = {"quality-eurusd-5m", "chart-eurusd-5m"}
    # The trend is published by the first cycle of a day, which may have been another test's.
    assert set(by_key) - pages - {"quality-trend"} == {"cycle-5m", "decisions-5m", "sizing-5m"} | of_bars
    assert "EURUSD" in by_key["cycle-5m"]
    assert "FILLED" in by_key["cycle-5m"]


@pytest.mark.parametrize(("symbol", "route"), [("BTCUSD", "coinbase.best_bid_ask"), ("EURUSD", "oanda.pricing")])
async def test_bars_far_from_the_quote_that_would_be_traded_on_lead_to_no_order(
    symbol: str, route: str, serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    venue = serve()
    engine = engine_on(venue)
    jump = {"kind": "price_jump", "route": route, "instrument": symbol, "percent": "5"}
    venue.control("/faults", faults=[jump])
    row = (await run_cycle(engine, symbol)).row(symbol)
    assert row["quality"]["passed"] is True
    decision = row["decision"]
    assert (decision["action"], decision["decided_by"], decision["reason_code"]) == (
        "HOLD",
        "data-gate",
        "quote_divergence",
    )
    assert row["order"] is None
    assert engine.ledger.orders(10) == []


async def test_a_cycle_over_another_instrument_does_not_take_what_is_held_for_a_loss(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    venue = serve()
    assert (await run_cycle(engine_on(venue, instruments=["BTCUSD"]), "BTCUSD")).row("BTCUSD")["order"] is not None
    other = engine_on(venue, instruments=["ETHUSD"])
    await run_cycle(other, "ETHUSD")
    assert other.ledger.switch().state.value == "normal"


async def test_a_cycle_whose_account_is_taken_does_nothing_and_says_so(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    engine = engine_on(serve())
    async with account_limits(["oanda"]):
        state = await trading_cycle(["BTCUSD", "EURUSD"], "5m", return_state=True)
        assert (state.is_cancelled(), state.name) == (True, "AccountBusy")
        assert "cycle-oanda" in str(state.message)
        assert (engine.ledger.cycles(), engine.ledger.incidents(), model.asked) == ([], [], [])
        other = await run_cycle(engine, "BTCUSD")
        assert other.row("BTCUSD")["order"]["state"] == "FILLED"
    free = await run_cycle(engine, "EURUSD")
    assert free.row("EURUSD")["order"]["state"] == "FILLED"
