"""`ffe up`: the whole system on one machine, a run through both pools, a failure people can read, and a clean end."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from prefect import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)
from prefect.deployments import arun_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, command_environment: Any) -> Iterator[SimpleNamespace]:
    data_dir = tmp_path_factory.mktemp("up") / "data"
    process = subprocess.Popen(
        [sys.executable, "-m", "ffe.cli.main", "up", "--port", "0", "--no-ui"],
        env=command_environment(data_dir),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "ready:" in line:
            break
    assert "ready:" in said[-1], said
    document = json.loads((data_dir / "up.json").read_text())
    with temporary_settings({PREFECT_API_URL: document["api_url"]}):
        asyncio.run(_pause_schedules())
    yield SimpleNamespace(process=process, data_dir=data_dir, api_url=document["api_url"])
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stderr.close()


async def _pause_schedules() -> None:
    """A scheduled cycle in between would take the one place that a deployment has."""
    async with get_client() as client:
        for deployment in await client.read_deployments():
            await client.pause_deployment(deployment.id)
    await asyncio.sleep(1)


async def _run_crypto() -> Any:
    run = await arun_deployment("trading-cycle/crypto", timeout=120, poll_interval=0.2)
    assert run.state is not None
    if run.state.name == "Cancelled":
        await asyncio.sleep(20)
        run = await arun_deployment("trading-cycle/crypto", timeout=120, poll_interval=0.2)
    return run


async def test_a_deployed_cycle_runs_through_both_pools_and_a_failure_shows_its_traceback(
    system: SimpleNamespace, run_ffe: Any
) -> None:
    with temporary_settings({PREFECT_API_URL: system.api_url}):
        async with get_client() as client:
            names = {deployment.name: deployment for deployment in await client.read_deployments()}
            schedules = {name: len(deployment.schedules) for name, deployment in names.items()}
            assert schedules == {
                "backfill-bars": 1,
                "crypto": 1,
                "forex": 3,
                "gpu": 0,
                "grade-decisions": 1,
                "preflight": 1,
                "reality-check": 1,
                "reconcile": 1,
                "replay": 0,
                "retention": 1,
                "sweep": 0,
                "sync-instruments": 1,
                "watch-exits": 1,
            }

            run = await _run_crypto()
            assert run.state.name == "Completed"
            assert run.work_pool_name == "cpu"
            runs = await client.read_flow_runs(
                flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))
            )
            assert [(child.work_pool_name, child.state_name) for child in runs] == [("gpu", "Completed")]

            assert run_ffe(system.data_dir, "simulator", "outage", "--venue", "coinbase").code == 0
            failed = await _run_crypto()
            assert failed.state.name == "InstrumentsFailed"
            made = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[failed.id]))
            artifacts = await client.read_artifacts(artifact_filter=made)
    (incident,) = [each for each in artifacts if str(each.key).startswith("incident-")]
    assert "Traceback (most recent call last)" in str(incident.data)
    assert "direct cause" in str(incident.data)
    decisions = run_ffe(system.data_dir, "decisions", "--json").document
    by_model = {row["instrument"] for row in decisions if row["cycle_id"] == str(run.id)}
    assert by_model == {"BTCUSD", "ETHUSD"}
    assert len(run_ffe(system.data_dir, "incidents", "--json").document) == 1


def test_a_worker_that_was_killed_is_started_again(system: SimpleNamespace) -> None:
    def workers() -> dict[int, psutil.Process]:
        found = psutil.Process(system.process.pid).children(recursive=True)
        return {each.pid: each for each in found if "prefect worker start --pool gpu" in " ".join(_command(each))}

    before = workers()
    assert before
    for each in before.values():
        each.kill()
    until = time.monotonic() + 90
    while time.monotonic() < until and not workers().keys() - before.keys():
        time.sleep(0.5)
    assert workers().keys() - before.keys()


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def test_a_second_one_on_the_same_folder_is_refused(system: SimpleNamespace, run_ffe: Any) -> None:
    said = run_ffe(system.data_dir, "up", "--port", "0")
    assert said.code == 2
    assert "runs already" in said.err


def test_a_taken_port_is_refused(system: SimpleNamespace, run_ffe: Any, tmp_path: Path) -> None:
    port = system.api_url.removesuffix("/api").rpartition(":")[2]
    said = run_ffe(tmp_path / "other", "up", "--port", port)
    assert said.code == 2
    assert f"port {port} is taken" in said.err


def test_interrupted_it_leaves_no_process_behind(tmp_path: Path, command_environment: Any) -> None:
    data_dir = tmp_path / "data"
    process = subprocess.Popen(
        [sys.executable, "-m", "ffe.cli.main", "up", "--port", "0", "--no-ui"],
        env=command_environment(data_dir),
        stderr=subprocess.DEVNULL,
        # A shell that started these tests in its background has told them, and their children, to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread runs here
    )
    try:
        children = _children_of(process.pid, data_dir)
        process.send_signal(signal.SIGINT)
        assert process.wait(150) == 130
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    with contextlib.suppress(psutil.NoSuchProcess):
        assert not [each.cmdline() for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    assert not (data_dir / "up.json").exists()


def _children_of(pid: int, data_dir: Path) -> list[psutil.Process]:
    """Simulator, API, and a keeper and a worker for each pool, once the system is ready."""
    until = time.monotonic() + 120
    children: list[psutil.Process] = []
    while time.monotonic() < until and (len(children) < 6 or not (data_dir / "up.json").exists()):
        time.sleep(0.2)
        children = psutil.Process(pid).children(recursive=True)
    assert len(children) >= 6, [child.cmdline() for child in children]
    return children
