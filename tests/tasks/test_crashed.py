"""Runs that ended with nobody left to report them get their incident from whoever looks next, once."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State, StateType

from ffe.clock import SystemClock
from ffe.ledger.ledger import Ledger
from ffe.settings import load_settings
from flows.reconcile import reconcile
from tasks import crashed, runtime
from tasks.crashed import record_crashed_runs


@pytest.fixture
def engine(tmp_path: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    assert prefect_api
    monkeypatch.setattr(crashed, "HOOKS", timedelta(seconds=-60))
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    opened = SimpleNamespace(ledger=ledger, clock=SystemClock(), settings=load_settings(data_dir=tmp_path))
    runtime.use(opened)  # type: ignore[arg-type]
    yield opened
    runtime.use(None)
    ledger.close()


def ended(kind: StateType, *, begun: bool = True, flow: Any = reconcile) -> str:
    """A run of a flow that the API holds as ended so."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(flow)
        states = [State(type=StateType.PENDING), State(type=StateType.RUNNING)] if begun else []
        for state in (*states, State(type=kind, message="Process exited with status code: -9")):
            client.set_flow_run_state(run.id, state, force=True)
    return str(run.id)


def of_mine(engine: Any, *runs: str) -> list[Any]:
    """Incidents of these runs; the API of the session holds those of other tests too."""
    return [each for each in engine.ledger.incidents(500) if {str(a["run"]) for a in each.attempts} & set(runs)]


def test_a_crash_that_nobody_reported_becomes_an_incident_once(engine: Any) -> None:
    run_id = ended(StateType.CRASHED)
    assert record_crashed_runs() >= 1
    (row,) = of_mine(engine, run_id)
    assert (row.type, row.name) == ("CrashedRun", "reconcile")
    assert "status code: -9" in row.message
    assert "no task had started" in row.traceback
    assert record_crashed_runs() == 0


def test_a_run_that_was_cancelled_while_it_ran_becomes_one_and_one_that_never_began_does_not(engine: Any) -> None:
    stopped, dropped = ended(StateType.CANCELLED), ended(StateType.CANCELLED, begun=False)
    record_crashed_runs()
    assert [each.type for each in of_mine(engine, stopped)] == ["CancelledRun"]
    assert of_mine(engine, dropped) == []


def test_the_incident_is_an_artifact_too(engine: Any) -> None:
    run_id = ended(StateType.CRASHED)
    record_crashed_runs()
    (row,) = of_mine(engine, run_id)
    from ffe.ledger.incidents import artifact_key

    key = ArtifactFilterKey(any_=[artifact_key(row.type, row.instrument, row.message)])
    with get_client(sync_client=True) as client:
        pages = client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    assert any(f"/runs/flow-run/{run_id}" in str(page.data) for page in pages)


def test_an_api_or_a_ledger_that_is_away_is_logged(
    engine: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise ConnectionError("away")

    run_id = ended(StateType.CRASHED)
    with monkeypatch.context() as patch:
        patch.setattr(crashed, "keep", away)
        assert record_crashed_runs() == 0
    assert f"the incident of run {run_id} could not be written" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(crashed, "_ended", away)
        assert record_crashed_runs() == 0
    assert "crashed runs could not be looked for" in caplog.text
    stateless: Any = SimpleNamespace(state=None)
    assert not crashed._record(stateless)
