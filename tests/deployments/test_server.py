"""The commands of compose.yaml on this machine without containers: PostgreSQL, Redis, servers, services and a worker that takes a run."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from debian import program
from processes import COMPOSE, Processes
from servers import PostgreSQL, postgresql

from ffe.processes import Child

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("apt-get") is None and (shutil.which("initdb") is None or shutil.which("redis-server") is None),
        reason="needs PostgreSQL with pg_trgm and Redis, on the search path or from apt-get",
    ),
]

PASSWORD = "api0123456789"
VALUES = {
    "POSTGRES_PASSWORD": "admin0123456789",
    "LEDGER_DATABASE_PASSWORD": "ledger0123456789",
    "SERVER_DATABASE_PASSWORD": "server0123456789",
    "REDIS_PASSWORD": "redis0123456789",
    "GRAFANA_PASSWORD": "grafana0123456789",
    "API_PASSWORD": f"trader:{PASSWORD}",
    # Its venues are on loopback, which containers do not share: the one thing here that compose.yaml does not do.
    "FFE_MODE": "sim",
}
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture
def database() -> Iterator[PostgreSQL]:
    with postgresql() as server:
        server.run_script(COMPOSE.with_name("databases.sql"), VALUES)
        yield server


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Addresses and throw-away credentials."""
    folder = tmp_path / "simulator"
    folder.mkdir()
    command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(folder), "--seed", "7"]
    with (folder / "log").open("a") as log:
        child = Child.spawn("simulator", command, env=os.environ, log=log, read=True)
        try:
            yield child.ready(120)["env"]
        finally:
            child.close()


def _redis(here: Processes) -> None:
    """Redis with the service's own command, and the program from wherever it is."""
    binary, libraries = program("redis-server", "redis-server")
    here.start("redis", {**libraries, "PATH": os.pathsep.join((str(binary.parent), os.environ["PATH"]))})


def _await(true: Any, what: str, seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"no {what} within {seconds:.0f} s"
        time.sleep(0.2)
    return found


@contextmanager
def _client(here: Processes) -> Iterator[httpx.Client]:
    """Password and CSRF token, as the UI has them."""
    with httpx.Client(base_url=f"{here.api}/", auth=("trader", PASSWORD), trust_env=False, timeout=60) as client:
        token = client.get("csrf-token", params={"client": "test"}).json()["token"]
        client.headers.update({"Prefect-Csrf-Client": "test", "Prefect-Csrf-Token": token})
        yield client


@pytest.mark.timeout(600)
def test_what_the_containers_run_works_on_this_machine_too(
    database: PostgreSQL, simulator: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with Processes(folder, VALUES, {"5432": database.port}) as here:
        _redis(here)
        here.run("migrate")
        here.start("server")
        here.start("services")
        here.await_healthy("server")
        _refuses_strangers(here)
        here.run("deploy")
        with _client(here) as client:
            deployments = {each["name"]: each["id"] for each in client.post("deployments/filter", json={}).json()}
            # Only the services, in a process of their own, schedule: the server that answers here has none.
            _await(lambda: client.post("flow_runs/count", json={}).json() > 0, "run was scheduled")
            for each in deployments.values():
                client.patch(f"deployments/{each}", json={"paused": True}).raise_for_status()
            here.start("worker-cpu", simulator)
            here.await_healthy("worker-cpu")
            run = client.post(f"deployments/{deployments['reconcile']}/create_flow_run", json={}).json()["id"]
            ended = _await(lambda: _final(client, run), "run that ended")
            assert ended["state_type"] == "COMPLETED", (ended["state"], here.log("worker-cpu"))
            events = {"filter": {"event": {"name": ["prefect.flow-run.Completed"]}, "related": {}}}
            # It went from the worker to the server, over Redis to the services, and into the database.
            _await(lambda: run in client.post("events/filter", json=events).text, "event of the run")
        _end_cleanly(here)
    assert PASSWORD not in "".join(path.read_text(errors="replace") for path in folder.glob("*.log"))


def _refuses_strangers(here: Processes) -> None:
    root = here.api.removesuffix("/api")
    with httpx.Client(trust_env=False, timeout=60) as client:
        assert client.get(f"{here.api}/admin/version").status_code == 401
        assert client.get(f"{here.api}/admin/version", auth=("trader", "wrong")).status_code == 401
        assert client.get(f"{here.api}/admin/version", auth=("trader", PASSWORD)).status_code == 200
        # A page that another site makes a browser send has no token.
        assert client.post(f"{here.api}/flows/count", auth=("trader", PASSWORD)).status_code == 403
        assert client.get(f"{root}/quality/a.html").status_code == 401
        assert client.get(f"{root}/quality/a.html", auth=("trader", PASSWORD)).status_code == 404
        assert client.get(f"{root}/").status_code == 200


def _final(client: httpx.Client, run: str) -> dict[str, Any] | None:
    seen: dict[str, Any] = client.get(f"flow_runs/{run}").json()
    return seen if seen["state_type"] in FINAL else None


def _end_cleanly(here: Processes) -> None:
    """In the order of an engine: what depends on others first. Each by its own end, within its time."""
    codes = {name: here.stop(name)[0] for name in ("worker-cpu", "services", "server", "redis")}
    # `ffe` ends as on Ctrl-C, uvicorn by the signal that it was sent once it has closed everything.
    assert codes == {"worker-cpu": 130, "services": 0, "server": -15, "redis": 0}
    assert "All services stopped" in here.log("services")
