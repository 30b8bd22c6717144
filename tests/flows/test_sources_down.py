"""The cycle while sources of bars fail: the next one's bars are traded on, or nobody trades and the incident says what each of them said."""

from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from ffe.ledger.incidents import artifact_key

pytestmark = pytest.mark.slow

PAIR = ("BTCUSD", "EURUSD")
FIRST = {"BTCUSD": "coinbase", "EURUSD": "oanda"}
SECOND = "alpha-vantage"
PREMIUM = ("--alpha-vantage-plan", "premium")


def everywhere(kind: str, *venues: str, **options: Any) -> list[dict[str, Any]]:
    """The fault on every read of bars at `venues`."""
    return [{"kind": kind, "route": f"{venue}.candles", "count": None, **options} for venue in venues]


async def artifacts(key: str) -> str:
    """All versions of an artifact, one after the other."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return "\n".join(artifact.data for artifact in found)


async def test_bars_of_the_second_source_are_traded_on_and_the_first_ones_error_is_an_incident(
    serve: Any, engine_on: Any, run_cycle: Any
) -> None:
    venue = serve(*PREMIUM)
    engine = engine_on(venue)
    venue.control("/faults", faults=everywhere("revoke_key", "coinbase", "oanda"))
    ran = await run_cycle(engine, *PAIR)
    assert ran.state.is_completed()
    for symbol in PAIR:
        row = ran.row(symbol)
        assert (row["source"], row["error"]) == (SECOND, None)
        assert row["order"]["state"] == "FILLED"
        assert any(f"failover: {FIRST[symbol]}" in warning for warning in row["quality"]["warnings"])
        chain = str(engine.ledger.explain(row["order"]["client_order_id"]))
        assert f"PermanentSourceError: {FIRST[symbol]} " in chain
        (incident,) = [found for found in engine.ledger.incidents() if found.instrument == symbol]
        assert f"PermanentSourceError: {FIRST[symbol]} 5m bars of {symbol}" in incident.traceback
        assert f"{SECOND} answered" in incident.message
        assert incident.cycle_id == ran.report["cycle_id"]
        page = await artifacts(artifact_key(incident.type, incident.instrument, incident.message))
        assert "The above exception was the direct cause" in page
        assert "401" in page


async def test_without_any_source_nothing_is_traded_and_the_incident_names_each_error(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    venue = serve(*PREMIUM)
    engine = engine_on(venue)
    venue.control("/faults", faults=everywhere("revoke_key", "coinbase", "oanda", "alpha_vantage"))
    ran = await run_cycle(engine, *PAIR)
    assert ran.state.name == "InstrumentsFailed"
    assert model.asked == []
    assert engine.ledger.orders() == []
    for symbol in PAIR:
        row = ran.row(symbol)
        assert row["order"] is None
        assert row["error"]["type"] == "NoSourceError"
        key = row["error"]["incident"]
        page = await artifacts(key)
        incident = engine.ledger.incident(key)
        assert incident is not None
        assert [tried["state"] for tried in incident.attempts[0]["tries"]] == ["Failed"]
        assert incident.reproduce == f"ffe run {symbol} --timeframe 5m --mode sim --model embedded"
        for told in (page, incident.traceback):
            assert f"PermanentSourceError: {FIRST[symbol]} 5m bars of {symbol}" in told
            assert f"PermanentSourceError: {SECOND}" in told
            assert venue.environment["FFE_ALPHA_VANTAGE__API_KEY"] not in told


async def test_wrong_bars_are_held_by_the_data_gate_and_no_other_source_is_asked_instead(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any
) -> None:
    venue = serve(*PREMIUM)
    engine = engine_on(venue)
    venue.control("/faults", faults=everywhere("duplicate_bars", "coinbase", "oanda"))
    ran = await run_cycle(engine, *PAIR)
    assert ran.state.is_completed()
    assert model.asked == []
    assert engine.ledger.orders() == []
    for symbol in PAIR:
        row = ran.row(symbol)
        assert (row["source"], row["error"], row["order"]) == (FIRST[symbol], None, None)
        decision = row["decision"]
        assert (decision["action"], decision["confidence"], decision["decided_by"]) == ("HOLD", 100, "data-gate")
        assert decision["reason_code"] == "data_contract_failed"
        assert row["quality"]["passed"] is False
