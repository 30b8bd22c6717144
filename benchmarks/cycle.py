"""How long a warm cycle over four instruments takes beside the model's own time, stage by stage: `make bench`.

Real parts throughout: simulator, SDKs, Great Expectations, embedded model, ledger, Prefect API. Each round is a new bar: the
venue's clock is moved on by one. Prints medians and the spread; asserts nothing.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from expectations.validate import warm
from ffe.cli.options import with_venues
from ffe.cli.surroundings import Surroundings
from ffe.cycle.engine import Engine
from ffe.settings import load_settings

SYMBOLS = ["BTCUSD", "ETHUSD", "EURUSD", "GBPUSD"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder))
        with Surroundings(settings) as around:
            around.start_simulator()
            around.start_api()
            around.await_simulator()
            around.await_api()
            warm()
            _measure(Engine.open(with_venues(settings)), around.simulator_control, rounds)


def _measure(engine: Engine, control: dict[str, str], rounds: int) -> None:
    from flows.trading_cycle import trading_cycle
    from tasks import runtime

    runtime.use(engine)
    seen: list[dict[str, float]] = []
    try:
        for turn in range(rounds + 1):
            started = time.perf_counter()
            state = asyncio.run(_run(trading_cycle))
            wall = (time.perf_counter() - started) * 1000
            report = engine.ledger.cycle(str(state.state_details.flow_run_id)).summary or {}
            timings = report["timings_ms"] | {"wall": wall}
            timings["wall without the model"] = wall - timings["model"]
            timings["decide without the model"] = timings["decide"] - timings["model"]
            if turn > 0:
                seen.append(timings)
            _next_bar(engine, control)
    finally:
        engine.close()
    _print(seen)


async def _run(flow: Callable[..., Any]) -> Any:
    return await flow(SYMBOLS, "5m", return_state=True)


def _next_bar(engine: Engine, control: dict[str, str]) -> None:
    """The venue and the engine both five minutes further on."""
    headers = {"Authorization": f"Bearer {control['token']}"}
    url = f"{control['base_url']}/clock"
    httpx.post(url, json={"advance_seconds": 300}, headers=headers, trust_env=False).raise_for_status()
    from ffe.cycle.engine import open_clock

    # Sources and brokers hold the clock that they were opened with.
    clock = open_clock(engine.settings)
    vars(engine.clock).update(vars(clock))


def _print(seen: list[dict[str, float]]) -> None:
    print(
        f"{len(seen)} cycles over {len(SYMBOLS)} instruments, {os.cpu_count()} cores, Python {sys.version.split()[0]}; ms"
    )
    print(f"{'stage':<28}{'median':>9}{'min':>9}{'max':>9}")
    for stage in seen[0]:
        values = [timings[stage] for timings in seen]
        print(f"{stage:<28}{statistics.median(values):>9.0f}{min(values):>9.0f}{max(values):>9.0f}")


if __name__ == "__main__":
    main()
