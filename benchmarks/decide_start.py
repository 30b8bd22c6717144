"""How long `decide` takes to start on a work pool, warm and cold, through a real Prefect server: `python -m benchmarks.decide_start`.

Three ways in turn, so that a busy machine is unfair to none: `ffe worker`; a stock worker with one interpreter start a run
(`python -m prefect.engine`); a stock worker with Prefect's own command, two starts. The run has no contexts, so it asks no model: what is
measured is the way there and back. Prints medians, spread and ratios; asserts nothing.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ffe.cli.surroundings import Surroundings, free_port
from ffe.environment import environment_of
from ffe.settings import load_settings
from tasks.local_api import environment

CHECKOUT = Path(__file__).resolve().parents[1]
STOCK = "stock"
# A clock of its own lets the engine open without a venue.
CLOCK = datetime(2024, 1, 2, tzinfo=UTC)


@dataclass
class Way:
    """`deployment` with `command` (None: its own), and seconds from submit to Running and to the result (polled every 0.1 s)."""

    deployment: str
    command: str | None
    started: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--query-seconds", type=float, default=0.25)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder), clock=CLOCK)
        with Surroundings(settings) as around:
            url = around.serve_prefect(free_port(), ui=False)
            os.environ.update(environment(settings.data_dir, url) | environment_of(settings))
            os.environ["PREFECT_WORKER_QUERY_SECONDS"] = str(given.query_seconds)
            os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
            _call("-m", "deployments.bootstrap")
            _call("-m", "prefect", "--no-prompt", "deploy", "--name", "gpu")
            asyncio.run(_stock_deployment())
            _workers(around, given.query_seconds)
            ways = {
                "ffe worker": Way("decide/gpu", None),
                "stock worker, one start": Way(f"decide/{STOCK}", "python -m prefect.engine"),
                "stock worker, two starts": Way(f"decide/{STOCK}", None),
            }
            asyncio.run(_measure(ways, given.rounds))
            _print(ways, given.query_seconds)


def _call(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=CHECKOUT, check=True, capture_output=True)


async def _stock_deployment() -> None:
    """The deployment of pool `gpu` once more, for a pool whose job template is Prefect's own."""
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name=STOCK, type="process"))
        ours = await client.read_deployment_by_name("decide/gpu")
        await client.create_deployment(
            flow_id=ours.flow_id,
            name=STOCK,
            entrypoint=ours.entrypoint,
            path=ours.path,
            pull_steps=ours.pull_steps,
            parameter_openapi_schema=ours.parameter_openapi_schema,
            work_pool_name=STOCK,
        )


def _workers(around: Surroundings, query_seconds: float) -> None:
    here = dict(os.environ)
    around.spawn(
        "stock worker",
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", STOCK, "--type", "process"],
        env=here,
        kept=True,
    )
    command = [sys.executable, "-m", "ffe.cli.main", "worker", "gpu", "--query-seconds", str(query_seconds)]
    around.spawn("ffe worker", command, env=here, kept=True, read=True).ready(180)


async def _measure(ways: dict[str, Way], rounds: int) -> None:
    """The first round of each is not counted."""
    for turn in range(rounds + 1):
        for way in ways.values():
            started, done = await _once(way)
            if turn > 0:
                way.started.append(started)
                way.done.append(done)


async def _once(way: Way) -> tuple[float, float]:
    from prefect import get_client
    from prefect.deployments import arun_deployment

    submitted, began = datetime.now(UTC), time.perf_counter()
    run = await arun_deployment(
        way.deployment,
        parameters={"cycle_id": "bench", "contexts": [], "valid_until": str(submitted + timedelta(minutes=5))},
        job_variables={} if way.command is None else {"command": way.command},
        timeout=120,
        poll_interval=0.1,
    )
    done = time.perf_counter() - began
    if run.state is None or not run.state.is_completed():
        raise SystemExit(f"{way.deployment} ended {run.state}")
    async with get_client() as client:
        states = await client.read_flow_run_states(run.id)
    running = next(state.timestamp for state in states if state.is_running())
    return (running - submitted).total_seconds(), done


def _print(ways: dict[str, Way], query_seconds: float) -> None:
    first = next(iter(ways.values()))
    print(f"n = {len(first.started)} each, pools asked every {query_seconds} s, load {os.getloadavg()[0]:.1f}")
    print(f"{'':26} {'submit -> running':>28} {'submit -> result':>28}")
    for name, way in ways.items():
        print(f"{name:26} {_spread(way.started, first.started):>28} {_spread(way.done, first.done):>28}")


def _spread(values: list[float], base: list[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:.2f} ({min(values):.2f}-{max(values):.2f}) x{middle / statistics.median(base):.1f}"


if __name__ == "__main__":
    main()
