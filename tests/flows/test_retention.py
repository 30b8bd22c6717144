"""The retention flow: what it removes, what it says of it, and what the Prefect server forgets by itself."""

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from ffe.clock import FixedClock
from ffe.cycle.engine import Engine
from ffe.ledger.ledger import Ledger
from ffe.processes import Child
from ffe.settings import load_settings
from ffe.sources.store import BarStore
from flows.retention import retention
from tasks import runtime
from tasks.vacuum import vacuum_environment

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=400)


@pytest.fixture
def engine(tmp_path: Path, prefect_api: str) -> Iterator[Engine]:
    assert prefect_api
    settings = load_settings(data_dir=tmp_path / "data")
    ledger = Ledger.open(settings.resolved_ledger_url)
    opened = Engine(settings=settings, clock=FixedClock(NOW), ledger=ledger, store=BarStore(tmp_path / "data" / "bars"))
    runtime.use(opened)
    yield opened
    runtime.use(None)
    opened.close()


def table() -> tuple[dict[str, dict[str, Any]], str]:
    """The newest artifact of the flow, by kind, and what it says."""

    async def newest() -> Any:
        async with get_client() as client:
            named = ArtifactFilter(key=ArtifactFilterKey(any_=["retention"]))
            return max(await client.read_artifacts(artifact_filter=named), key=lambda each: str(each.created))

    found = asyncio.run(newest())
    return {row["kind"]: row for row in json.loads(found.data)}, str(found.description)


def test_the_flow_removes_what_is_old_and_says_so(engine: Engine) -> None:
    engine.ledger.record_incident(type="X", message="m", traceback="t", at=OLD)
    engine.ledger.record_incident(type="Y", message="m", traceback="t", at=NOW)
    dry = retention(dry_run=True)
    assert isinstance(dry, dict)
    rows, said = table()
    assert (rows["incidents"]["would be removed"], rows["incidents"]["kept for"]) == (1, "180 days")
    assert said.startswith("1 would go; 0 transactions")
    assert len(engine.ledger.incidents()) == 2
    done = retention()
    assert isinstance(done, dict)
    assert {each["kind"]: each["removed"] for each in done["removals"]}["incidents"] == 1
    rows, said = table()
    assert (rows["incidents"]["removed"], rows["incidents"]["older, and needed"]) == (1, 0)
    assert said.startswith("1 went; 1 transactions")
    assert [each.type for each in engine.ledger.incidents()] == ["Y"]


def test_what_is_kept_for_ever_is_named_so(engine: Engine) -> None:
    forever = engine.settings.retention.model_copy(update={"checks_days": None})
    engine.settings = engine.settings.model_copy(update={"retention": forever})
    retention()
    rows, _ = table()
    assert rows["checks"]["kept for"] == "ever"


def test_a_run_that_fails_leaves_an_incident(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("tasks.retention.sweep", broken)
    state = retention(return_state=True)
    assert state.is_failed()
    assert "OSError" in {each.type for each in engine.ledger.incidents()}


def test_runs_are_kept_for_ever_when_no_days_are_set() -> None:
    assert vacuum_environment(None) == {}


@pytest.mark.slow
def test_the_prefect_server_forgets_old_runs_with_their_logs_and_artifacts(tmp_path: Path) -> None:
    """With the settings that the retention gives it, looked at every second and with hours for days."""
    from ffe.cli.surroundings import await_healthy, free_port

    settings = vacuum_environment(1)
    assert settings["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == "86400"
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= settings | {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "1",
    }
    command = [sys.executable, "-m", "tasks.local_api", "--data-dir", str(tmp_path), "--port", str(port), "--services"]
    with (tmp_path / "server.log").open("w") as log:
        server = Child.spawn("prefect server", command, env=environment, log=log)
        try:
            await_healthy(url, server)
            ended = {name: _ended(url, tmp_path / "home", days) for name, days in (("old", 2), ("young", 0.5))}
            _await(lambda: _status(url, "flow_runs", ended["old"]["run"]) == 404)
            _await(lambda: _status(url, "artifacts", ended["old"]["artifact"]) == 404)
            assert _status(url, "flow_runs", ended["young"]["run"]) == 200
            assert _status(url, "artifacts", ended["young"]["artifact"]) == 200
        finally:
            server.close()


def _post(url: str, path: str, body: dict[str, Any]) -> Any:
    reply = httpx.post(f"{url}/{path}", json=body, trust_env=False, timeout=30)
    reply.raise_for_status()
    return reply.json()


def _ended(url: str, home: Path, days: float) -> dict[str, str]:
    """A completed run that ended so many days ago, with an artifact. The API takes no time from outside, its database does."""
    flow = _post(url, "flows/", {"name": "some"})["id"]
    run = _post(url, "flow_runs/", {"flow_id": flow, "state": {"type": "PENDING"}})["id"]
    for kind in ("RUNNING", "COMPLETED"):
        _post(url, f"flow_runs/{run}/set_state", {"state": {"type": kind}, "force": True})
    artifact = _post(url, "artifacts/", {"key": "some", "type": "markdown", "data": "x", "flow_run_id": run})["id"]
    at = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with contextlib.closing(sqlite3.connect(home / "prefect.db", timeout=30)) as database, database:
        changed = database.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", (at, run)).rowcount
    assert changed == 1
    return {"run": run, "artifact": artifact}


def _status(url: str, what: str, key: str) -> int:
    return httpx.get(f"{url}/{what}/{key}", trust_env=False, timeout=30).status_code


def _await(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)
