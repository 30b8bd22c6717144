"""`ffe worker POOL`: a stock Prefect process worker, and beside it a fork server from which its runs start warm. Until Ctrl-C.

The worker and its deployments know nothing of the server but the variable FORK_SERVER; without it the same runs start cold.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ffe.cli.fork_server import ForkServer, is_supported
from ffe.cli.options import settings_from, with_venues
from ffe.cli.surroundings import check_shadow, running
from ffe.environment import environment_of
from ffe.errors import ConfigurationError, FfeError, RefusedError
from ffe.observe.prefect_api import Api
from ffe.processes import Child, ProcessFailedError
from ffe.settings import Mode, PlacementPolicy, Settings

GPU = "gpu"
# A cycle waits for the runs of one pool; those of the others are scheduled, and known seconds ahead.
QUERY_SECONDS = {GPU: 0.25}
OTHER_QUERY_SECONDS = 0.5
ONLINE_SECONDS = 120.0
# A server that dies as soon as it has started must not take the machine with its imports.
REVIVE_SECONDS = 10.0


def worker(
    pool: Annotated[str, typer.Argument(help="The work pool: cpu or gpu.")],
    stock: Annotated[bool, typer.Option("--stock", help="Start every run in an interpreter of its own.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="The worker's, in Prefect; left out: pool and host.")
    ] = None,
    query_seconds: Annotated[
        float | None,
        typer.Option("--query-seconds", min=0.05, help="How often the pool is asked for runs; 0.25 on gpu, else 0.5."),
    ] = None,
) -> None:
    """A worker for one pool of the API at PREFECT_API_URL, with warm starts. Ctrl-C stops it and its runs."""
    api = Api.from_environment()
    settings = settings_from()
    check_shadow(settings)
    settings = _with_simulator(settings)
    name = name or f"{pool}-{socket.gethostname()}"
    environment = _environment(settings, api, query_seconds or QUERY_SECONDS.get(pool, OTHER_QUERY_SECONDS))
    before = api.last_heartbeat(pool, name)
    if pool == GPU:
        _probe(settings, name, environment)
    with contextlib.ExitStack() as stack:
        server = None if stock or not is_supported() else _fork_server(stack, pool, environment)
        if server is not None:
            environment |= server.variables
        command = [
            sys.executable,
            "-m",
            "prefect",
            "worker",
            "start",
            "--pool",
            pool,
            "--type",
            "process",
            "--name",
            name,
        ]
        child = Child.spawn(f"worker {name}", command, env=environment, kept=True)
        stack.callback(child.close)
        refusal = _refusal(server)
        _await_online(api, pool, name, before, child)
        start = "stock" if server is None else "cold" if refusal else "warm"
        print(json.dumps({"ready": True, "pool": pool, "worker": name, "start": start}), flush=True)
        _watch(child, server)


def _with_simulator(settings: Settings) -> Settings:
    """In `sim` the venues of the `ffe up` that runs on this data folder, unless addresses were given, or a clock, which is all that `decide` needs.

    Raises:
        ConfigurationError: there is none: every run would fail.
    """
    if settings.mode is not Mode.SIM or settings.venue_urls or settings.clock is not None:
        return settings
    shared = running(settings.data_dir).get("simulator")
    if not shared:
        raise ConfigurationError(
            f"mode sim needs a simulator: start `ffe up` on {settings.data_dir}, or set the addresses that `ffe simulator serve` prints"
        )
    os.environ.update(shared)
    return with_venues(settings)


def _environment(settings: Settings, api: Api, query_seconds: float) -> dict[str, str]:
    """These settings, wherever they came from, because a run's folder has no `ffe.toml`; and this interpreter as `python`."""
    from tasks.local_api import environment

    ours = environment_of(settings) | {
        "PREFECT_WORKER_QUERY_SECONDS": str(query_seconds),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
    }
    return dict(os.environ) | environment(settings.data_dir, api.url) | ours


def _probe(settings: Settings, name: str, environment: dict[str, str]) -> None:
    """Says and publishes where the model runs. Raises RefusedError where the policy demands the GPU and it was not shown to run there."""
    done = subprocess.run([sys.executable, "-m", "ffe.cli.gpu_start", name], env=environment, check=False)
    if done.returncode == 0:
        return
    if settings.placement.policy is PlacementPolicy.REQUIRE_GPU:
        raise RefusedError("FFE_PLACEMENT__POLICY is require-gpu, and the model was not shown to run on the GPU")
    _say(f"the start-up probe failed with exit code {done.returncode}")


def _fork_server(stack: contextlib.ExitStack, pool: str, environment: dict[str, str]) -> ForkServer:
    server = ForkServer(pool, environment)
    stack.callback(server.close)
    server.start()
    return server


def _refusal(server: ForkServer | None) -> str | None:
    """Why runs will start cold although they were to start warm, said once; None when they start warm, or were not to."""
    if server is None:
        return None
    try:
        refusal = server.ready()["refusal"]
    except ProcessFailedError as error:
        refusal = str(error)
    if refusal is not None:
        _say(f"runs start cold: {refusal}")
    return None if refusal is None else str(refusal)


def _await_online(api: Api, pool: str, name: str, before: str | None, child: Child) -> None:
    """Until the API has heard of the worker since `before`. Raises FfeError when it ends first, or is late."""
    deadline = time.monotonic() + ONLINE_SECONDS
    while time.monotonic() < deadline:
        if child.exit_code is not None:
            raise FfeError(f"the Prefect worker ended with exit code {child.exit_code}")
        # A server that has much to do when everything starts at once may be silent for seconds.
        with contextlib.suppress(RefusedError):
            if api.last_heartbeat(pool, name) != before:
                return
        time.sleep(0.2)
    raise FfeError(f"the Prefect worker {name} was not online within {ONLINE_SECONDS:.0f} s")


def _watch(child: Child, server: ForkServer | None) -> None:
    """Until Ctrl-C. A fork server that has died is started again; without the Prefect worker there is nothing to do."""
    due: float | None = None
    while child.exit_code is None:
        time.sleep(0.5)
        if server is None or server.exit_code is None:
            continue
        if due is None:
            _say(f"the fork server ended with exit code {server.exit_code}: runs start cold for {REVIVE_SECONDS:.0f} s")
            due = time.monotonic() + REVIVE_SECONDS
        elif time.monotonic() > due:
            server.start()
            due = None
    raise FfeError(f"the Prefect worker ended with exit code {child.exit_code}")


def _say(text: str) -> None:
    print(f"ffe worker: {text}", file=sys.stderr, flush=True)
