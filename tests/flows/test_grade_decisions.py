"""grade-decisions on real parts: simulator, SDKs, Great Expectations, ledger, store and Prefect. Time passes at the venue."""

from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from ffe.decision.models import Action, Author
from ffe.settings import FeedbackSettings

pytestmark = pytest.mark.slow

SELL = {"action": "SELL", "confidence": 90, "reasoning": "trend down"}
HOLD = {"action": "HOLD", "confidence": 60, "reasoning": "mixed"}
QUICK = FeedbackSettings(horizon_bars=3, memory=3, memory_min_grades=1)
SYMBOLS = ("BTCUSD", "ETHUSD", "EURUSD")


async def graded() -> Any:
    from flows.grade_decisions import grade_decisions

    return grade_decisions(return_state=True)


async def artifact(key: str) -> str:
    """The newest one's content."""
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda each: each.created).data)


@pytest.fixture
def later(engine_on: Any) -> Any:
    """The engine once the venue's clock is `seconds` further."""

    def move(venue: Any, seconds: int) -> Any:
        venue.control("/clock", advance_seconds=seconds)
        return engine_on(venue, feedback=QUICK)

    return move


async def test_decisions_are_graded_at_their_horizon_and_enter_the_next_question(
    serve: Any, engine_on: Any, run_cycle: Any, model: Any, later: Any
) -> None:
    model.answers |= {"EURUSD": SELL, "ETHUSD": HOLD}
    venue = serve()
    ran = await run_cycle(engine_on(venue, feedback=QUICK), *SYMBOLS)
    first = {symbol: ran.row(symbol)["decision"]["id"] for symbol in SYMBOLS}

    engine = later(venue, 300)
    state = await graded()
    assert state.is_completed(), state.message
    assert engine.ledger.grades() == []
    assert (await state.aresult())["BTCUSD 5m"]["pending"] == 1

    engine = later(venue, 900)
    state = await graded()
    assert state.is_completed(), state.message
    grades = {grade.decision_id: grade for grade in engine.ledger.grades()}
    actions = {symbol: (grades[name].action, grades[name].decided_by) for symbol, name in first.items()}
    assert actions == {
        "BTCUSD": (Action.BUY, Author.MODEL),
        "ETHUSD": (Action.HOLD, Author.MODEL),
        "EURUSD": (Action.SELL, Author.MODEL),
    }
    for grade in grades.values():
        assert grade.horizon_bars == 3
        assert (grade.known_at - grade.bar_close).total_seconds() == 900
        assert grade.prompt_version is not None
        assert grade.stated is not None
    assert grades[first["EURUSD"]].cost < 0.005 < grades[first["BTCUSD"]].cost
    table = await artifact("grades")
    assert "model" in table
    assert "SELL" in table
    page = await artifact("calibration")
    assert "no calibration yet" in page
    assert "data:image/png;base64," in page

    ran = await run_cycle(engine, *SYMBOLS)
    cycle_id = ran.report["cycle_id"]
    for symbol in SYMBOLS:
        context = engine.ledger.verdict(cycle_id, symbol).context
        assert {each.decision_id for each in context.memory} == set(first.values())
        assert all(each.known_at <= context.bar_close for each in context.memory)
    assert (
        "Before, in 3 cases alike" in engine.ledger.verdict(cycle_id, "BTCUSD").verdict.calls[-1].messages[-1].content
    )


async def test_a_market_whose_bars_can_not_be_had_is_an_incident_and_stops_no_other(
    serve: Any, engine_on: Any, run_cycle: Any, later: Any
) -> None:
    venue = serve()
    await run_cycle(engine_on(venue, feedback=QUICK), "BTCUSD", "EURUSD")
    venue.control("/outage", venue="coinbase")
    # In sim mode the engine takes the time from OANDA while Coinbase does not answer.
    engine = later(venue, 1000)
    state = await graded()
    assert (state.is_failed(), state.name) == (True, "InstrumentsFailed")
    assert "BTCUSD 5m" in state.message
    assert "EURUSD" not in state.message
    assert [grade.instrument for grade in engine.ledger.grades()] == ["EURUSD"]
    (incident,) = [each for each in engine.ledger.incidents() if each.type == "BarsMissing"]
    assert incident.instrument == "BTCUSD"
    assert "503" in incident.message


async def test_a_failure_that_nobody_foresaw_at_one_market_stops_no_other(
    serve: Any, engine_on: Any, run_cycle: Any, later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffe.feedback import run

    venue = serve()
    await run_cycle(engine_on(venue, feedback=QUICK), "BTCUSD", "EURUSD")
    engine, real = later(venue, 1000), run.backfill

    def broken(on: Any, instrument: Any, *rest: Any) -> Any:
        if instrument.symbol == "BTCUSD":
            raise RuntimeError("a bug")
        return real(on, instrument, *rest)

    def no_curve(*_: Any, **__: Any) -> Any:
        raise ValueError("no such curve")

    monkeypatch.setattr(run, "backfill", broken)
    monkeypatch.setattr(run, "fit", no_curve)
    state = await graded()
    assert state.is_failed()
    assert state.message.startswith("not graded: BTCUSD 5m, calibrations")
    assert [grade.instrument for grade in engine.ledger.grades()] == ["EURUSD"]
    assert {each.type for each in engine.ledger.incidents()} == {"RuntimeError", "ValueError"}
