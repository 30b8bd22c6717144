"""The flow `preflight`, and what a cycle does with what it found: real simulator, real Prefect."""

import json
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

pytestmark = pytest.mark.slow

ACCOUNTS_OUT = {"kind": "server_error", "route": "coinbase.accounts", "count": None}


async def table() -> list[dict[str, str]]:
    """The newest version of the artifact."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["preflight"])))
    rows: list[dict[str, str]] = json.loads(str(max(found, key=lambda each: each.created).data))
    return rows


async def looked() -> Any:
    from flows.preflight import preflight

    return await preflight(return_state=True)


def practice(engine_on: Any, venue: Any, monkeypatch: pytest.MonkeyPatch, **names: str) -> Any:
    """An engine in practice on the simulator, at the simulator's time."""
    monkeypatch.setenv("FFE_CLOCK", venue.state()["clock"])
    venue.environment |= {f"FFE_{name}": value for name, value in names.items()}
    return engine_on(venue, mode="practice")


async def test_the_flow_records_publishes_and_completes_where_everything_answers(serve: Any, engine_on: Any) -> None:
    engine = engine_on(serve())
    state = await looked()
    assert state.is_completed()
    (run,) = engine.ledger.checks("preflight")
    assert (run.passed, run.broken, run.document["outcome"]) == (True, 0, "ready")
    rows = await table()
    assert {"of", "question", "answer", "detail"} == set(rows[0])
    assert ("coinbase", "can trade", "yes") in {(row["of"], row["question"], row["answer"]) for row in rows}
    assert "this machine" in {row["of"] for row in rows}


async def test_the_flow_ends_failed_by_name_where_trading_is_refused(
    serve: Any, engine_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = serve()
    key = venue.control("/coinbase/keys", can_transfer=True)
    venue.environment |= {"FFE_COINBASE__API_KEY": key["api_key"], "FFE_COINBASE__API_SECRET": key["api_secret"]}
    engine = engine_on(venue)
    state = await looked()
    assert (state.name, state.is_failed()) == ("PreflightFailed", True)
    assert "may move money out" in str(state.message)
    assert engine.ledger.checks("preflight")[0].document["outcome"] == "refused"
    rows = await table()
    assert [row["of"] for row in rows if row["question"] == "refused"] == ["coinbase"]
    assert key["api_key"] not in json.dumps(rows)


async def test_a_cycle_in_practice_makes_the_look_itself_and_trades_on_it(
    serve: Any, engine_on: Any, run_cycle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = practice(engine_on, serve(), monkeypatch)
    ran = await run_cycle(engine, "BTCUSD")
    assert ran.row("BTCUSD")["order"]["state"] == "FILLED"
    (run,) = engine.ledger.checks("preflight")
    assert (run.passed, run.document["mode"]) == (True, "practice")


async def test_with_the_balance_of_one_venue_unreadable_decisions_are_made_and_no_order(
    serve: Any, engine_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffe.cycle import readiness

    venue = serve()
    engine = practice(engine_on, venue, monkeypatch)
    venue.control("/faults", faults=[ACCOUNTS_OUT])
    state = await looked()
    assert state.is_completed(), "signal-only is not refused"
    assert engine.ledger.checks("preflight")[0].document["outcome"] == "signal-only"
    assert "coinbase balance readable: no" in str(readiness.blocked(engine, "oanda"))


async def test_a_cycle_holds_by_the_risk_gate_while_the_look_is_refused_and_leaves_an_incident(
    serve: Any, engine_on: Any, run_cycle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = serve()
    key = venue.control("/coinbase/keys", can_trade=False)
    names = {"COINBASE__API_KEY": key["api_key"], "COINBASE__API_SECRET": key["api_secret"]}
    engine = practice(engine_on, venue, monkeypatch, **names)
    ran = await run_cycle(engine, "BTCUSD", "EURUSD")
    for symbol in ("BTCUSD", "EURUSD"):
        row = ran.row(symbol)
        assert row["order"] is None
        assert (row["decision"]["action"], row["decision"]["decided_by"], row["decision"]["reason_code"]) == (
            "HOLD",
            "risk-gate",
            "preflight_failed",
        )
        assert "trend up" in row["decision"]["reasoning"]
    assert engine.ledger.orders() == []
    (incident,) = [each for each in engine.ledger.incidents() if "preflight refused" in each.message]
    assert "can_trade is false" in incident.message
