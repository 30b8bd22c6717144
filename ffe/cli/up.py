"""`ffe up`: everything on this machine, until Ctrl-C: Prefect server with UI, deployments, both workers, the simulator.

Every child hangs on a pipe from this process: when it ends, however it ends, they end.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ffe.cli.options import ModeOption, settings_from, with_venues
from ffe.cli.surroundings import API, Surroundings, announced, check_shadow, free_port
from ffe.environment import environment_of
from ffe.errors import ConfigurationError, FfeError
from ffe.processes import Child
from ffe.settings import Mode, Settings

POOLS = ("cpu", "gpu")
CHECKOUT = Path(__file__).resolve().parents[2]
# A worker that ends as soon as it has started must not take the machine with its imports.
REVIVE_SECONDS = 5.0
WORKER_READY_SECONDS = 180.0


def up(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Of the Prefect UI; 0 takes a free one.")
    ] = 4200,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Serve the Prefect UI.")] = True,
    mode: ModeOption = None,
) -> None:
    """Prefect server, deployments, a CPU and a GPU worker, and the simulator in sim mode. Ctrl-C stops all of it."""
    settings = settings_from(mode=mode)
    if not (CHECKOUT / "prefect.yaml").is_file():
        raise ConfigurationError(f"no prefect.yaml in {CHECKOUT}: run `ffe up` from a checkout")
    check_shadow(settings)
    if settings.mode is not Mode.SIM or settings.venue_urls:
        from ffe.cycle.engine import check_ready

        check_ready(settings)
    with Surroundings(settings) as around:
        _everything(around, settings, port, ui=ui)


def _everything(around: Surroundings, settings: Settings, port: int, *, ui: bool) -> None:
    around.start_simulator()
    api_url = around.serve_prefect(port or free_port(), ui=ui)
    around.await_simulator()
    settings = with_venues(settings)
    environment = _worker_environment(settings, api_url)
    _say("creating work pools, deployments and automations")
    _run("deployments.bootstrap", [sys.executable, "-m", "deployments.bootstrap"], environment)
    _run("prefect deploy", [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], environment)
    _run("deployments.automations", [sys.executable, "-m", "deployments.automations", "apply"], environment)
    _say("starting a worker for each pool")
    workers = {pool: _worker(around, pool, environment) for pool in POOLS}
    for worker in workers.values():
        worker.ready(WORKER_READY_SECONDS)
    with announced(
        settings.data_dir,
        {"api_url": api_url, "simulator": around.simulator_environment, "control": around.simulator_control},
    ):
        _say(f"ready: {api_url.removesuffix('/api')} (Ctrl-C stops everything)")
        _say("a cycle now: prefect deployment run 'trading-cycle/crypto'  with PREFECT_API_URL=" + api_url)
        _watch(around, workers, environment)


def _worker_environment(settings: Settings, api_url: str) -> dict[str, str]:
    """What flows and workers run with: our settings, this interpreter first on the path, and the GPU pool for decisions."""
    from tasks.local_api import environment

    ours = environment_of(settings) | {
        "FFE_DECIDE": "pool",
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        "PWD": str(CHECKOUT),
    }
    return dict(os.environ) | environment(settings.data_dir, api_url) | ours


def _worker(around: Surroundings, pool: str, environment: dict[str, str]) -> Child:
    command = [sys.executable, "-m", "ffe.cli.main", "worker", pool, "--name", pool]
    return around.spawn(f"worker {pool}", command, env=environment, cwd=CHECKOUT, kept=True, read=True)


def _run(name: str, command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FfeError(f"{name} failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")


def _watch(around: Surroundings, workers: dict[str, Child], environment: dict[str, str]) -> None:
    """Until Ctrl-C. A worker that ends is started again; the simulator that ends is said once; without the server all ends."""
    gone: set[int] = set()
    while True:
        for child in around.children:
            if child.exit_code is None or child.pid in gone:
                continue
            gone.add(child.pid)
            text = f"{child.name} ended with exit code {child.exit_code}; see its log in the data folder"
            if child.name == API:
                raise FfeError(text)
            pool = next((pool for pool, worker in workers.items() if worker is child), None)
            if pool is None:
                _say(text)
                continue
            _say(f"{text}; it is started again")
            time.sleep(REVIVE_SECONDS)
            workers[pool] = _worker(around, pool, environment)
        time.sleep(0.5)


def _say(text: str) -> None:
    print(f"ffe up: {text}", file=sys.stderr, flush=True)
