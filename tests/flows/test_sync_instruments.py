"""The venues' rules for what we trade, read through the real SDKs: recorded, compared, and missed when a venue is out."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.exceptions import ParameterTypeError

from ffe.cycle.instruments import sync_instrument
from ffe.market.models import parse_instrument
from ffe.money import plain
from flows.sync_instruments import sync_instruments

pytestmark = pytest.mark.slow


async def synced(*names: str) -> Any:
    return sync_instruments(list(names) or None, return_state=True)


async def table() -> tuple[list[dict[str, Any]], str]:
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["instruments"])))
    newest = max(found, key=lambda each: each.created)
    return json.loads(str(newest.data)), str(newest.description)


async def test_the_rules_of_every_instrument_are_recorded_and_published(serve: Any, engine_on: Any) -> None:
    engine = engine_on(serve())
    state = await synced()
    assert state.is_completed(), state.message
    rows, description = await table()
    assert [row["instrument"] for row in rows] == ["BTCUSD", "ETHUSD", "EURUSD", "GBPUSD"]
    assert {row["changed"] for row in rows} == {"first seen"}
    assert description == "no rule has changed"
    spec = engine.ledger.spec("coinbase", "BTCUSD")
    assert rows[0]["min_size"] == plain(spec.min_size)


async def test_a_rule_that_changed_is_named_with_both_numbers(serve: Any, engine_on: Any) -> None:
    engine = engine_on(serve())
    instrument = parse_instrument("EURUSD")
    now = engine.broker("oanda").spec(instrument)
    earlier = now.fetched_at - timedelta(hours=1)
    engine.ledger.record_spec(now.model_copy(update={"min_size": Decimal(7), "fetched_at": earlier}))
    assert (await synced("EUR_USD")).is_completed()
    rows, description = await table()
    assert rows[0]["changed"] == f"min_size 7 -> {now.min_size}"
    assert description == "changed: EURUSD"
    assert engine.ledger.spec("oanda", "EURUSD").min_size == now.min_size
    assert sync_instrument(engine, instrument).changes == {}


async def test_a_venue_that_is_out_fails_its_own_instruments_with_incidents(serve: Any, engine_on: Any) -> None:
    venue = serve()
    engine = engine_on(venue)
    venue.control("/outage", venue="oanda")
    state = await synced("BTCUSD", "EURUSD")
    assert (state.is_failed(), state.name) == (True, "InstrumentsFailed")
    assert "EURUSD" in state.message
    assert [row["instrument"] for row in (await table())[0]] == ["BTCUSD"]
    assert [incident.type for incident in engine.ledger.incidents(10)] == ["VenueReadError"]


@pytest.mark.parametrize("names", [["BTCUSX"], ["BTCUSD", ""]])
def test_an_unknown_instrument_is_refused_before_anything_starts(names: list[str]) -> None:
    with pytest.raises(ParameterTypeError, match="unknown instrument"):
        sync_instruments.validate_parameters({"instruments": names})


def test_a_name_is_taken_in_any_spelling_and_handed_on_in_one() -> None:
    assert sync_instruments.validate_parameters({"instruments": ["btc-usd"]}) == {"instruments": ["BTCUSD"]}
