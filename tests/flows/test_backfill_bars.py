"""backfill-bars on real parts: simulator, SDKs, Great Expectations, ledger, store and Prefect."""

from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from ffe.market.models import Timeframe, parse_instrument

pytestmark = pytest.mark.slow

BTC, M5 = parse_instrument("BTCUSD"), Timeframe.M5


async def filled(**parameters: Any) -> Any:
    from flows.backfill_bars import backfill_bars

    return backfill_bars(**parameters, return_state=True)


async def artifacts(key: str) -> list[Any]:
    """Newest first."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return sorted(found, key=lambda each: each.created, reverse=True)


async def test_a_backfill_keeps_what_passed_and_shows_its_progress(serve: Any, engine_on: Any) -> None:
    engine = engine_on(serve())
    state = await filled(instruments=["BTC-USD", "EURUSD"], timeframes=["5m"], days=1)
    assert state.is_completed(), state.message
    report = await state.aresult()
    assert set(report) == {"BTCUSD 5m", "EURUSD 5m"}
    kept = [chunk for each in report.values() for chunk in each["chunks"] if chunk["outcome"] == "kept"]
    assert {each["source"] for each in report.values()} == {"coinbase", "oanda"}
    assert len(kept) == 2
    ((start, end),) = engine.store.covered(BTC, M5, "coinbase")
    assert engine.store.read(BTC, M5, "coinbase", start, end).num_rows >= 70
    assert (await artifacts("backfill-btcusd-5m"))[0].data == 100
    again = await filled(instruments=["BTCUSD"], timeframes=["5m"], days=1)
    assert again.is_completed(), again.message
    assert engine.store.covered(BTC, M5, "coinbase")[0][0] == start


async def test_a_backfill_that_fails_somewhere_goes_on_elsewhere_and_names_the_chunk(
    serve: Any, engine_on: Any
) -> None:
    venue = serve()
    engine = engine_on(venue, instruments=("BTCUSD", "EURUSD"), timeframe="5m")
    venue.control("/outage", venue="coinbase")
    state = await filled(days=1)
    assert (state.is_failed(), state.name) == (True, "ChunksFailed")
    assert "BTCUSD 5m" in state.message
    assert "EURUSD" not in state.message
    assert engine.store.covered(BTC, M5, "coinbase") == []
    assert engine.store.covered(parse_instrument("EURUSD"), M5, "oanda") != []
    table = (await artifacts("backfill-failures"))[0].data
    assert "503" in table
    assert "coinbase" in table


async def test_an_instrument_that_can_not_be_asked_at_all_stops_no_other(
    serve: Any, engine_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffe.cycle import backfill

    engine, real = engine_on(serve()), backfill.first_source

    def refuse(on: Any, instrument: Any) -> Any:
        if instrument == BTC:
            raise RuntimeError("no such venue")
        return real(on, instrument)

    monkeypatch.setattr(backfill, "first_source", refuse)
    state = await filled(instruments=["BTCUSD", "EURUSD"], timeframes=["5m"], days=1)
    assert state.is_failed()
    assert "BTCUSD 5m" in state.message
    assert "no such venue" in state.message
    assert engine.store.covered(parse_instrument("EURUSD"), M5, "oanda") != []


@pytest.mark.parametrize("days", [0, 4000])
def test_a_number_of_days_that_makes_no_sense_is_refused(days: int) -> None:
    from prefect.exceptions import ParameterTypeError

    from flows.backfill_bars import backfill_bars

    with pytest.raises(ParameterTypeError, match="days"):
        backfill_bars.validate_parameters({"instruments": None, "timeframes": None, "days": days})


def test_the_run_form_describes_every_parameter() -> None:
    from flows.backfill_bars import backfill_bars

    described = {name: about.get("description", "") for name, about in backfill_bars.parameters.properties.items()}
    assert set(described) == {"instruments", "timeframes", "days"}
    assert all(described.values())
