"""What the start-up check costs besides the network: `python -m benchmarks.preflight [--processes N] [--rounds N]`.

The venues are the simulator's, in a process of its own, so the replies cost what a loopback server needs to make them and say nothing of a
real venue. "Ours" is `took_ms - network_ms`: everything that this process computes or waits for on its own disk, the hash of the model's file
and the SDKs' imports included. "Cold" is the first check of a fresh process, once without its imports of the engine and once with
them. Prints medians; asserts nothing. The target is 500 ms, imports excluded.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ffe.processes import Child

COLD = """
import json, sys, time
begun = time.perf_counter()
from ffe.cycle.engine import Engine
from ffe.observe.preflight import run_preflight
from ffe.settings import load_settings
imported = time.perf_counter()
engine = Engine.open(load_settings())
opened = time.perf_counter()
computing = time.process_time()
rounds = [run_preflight(engine)]
computed = time.process_time() - computing
rounds += [run_preflight(engine) for _ in range(int(sys.argv[1]) - 1)]
engine.close()
print(json.dumps({
    "outcome": rounds[0].outcome,
    "imports": (imported - begun) * 1000,
    "open": (opened - imported) * 1000,
    "cpu": computed * 1000,
    "ours": [each.took_ms - each.network_ms for each in rounds],
    "network": [each.network_ms for each in rounds],
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=5, help="fresh processes")
    parser.add_argument("--rounds", type=int, default=10, help="checks in each of them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ffe-bench-") as folder:
        runs = _measured(Path(folder), options.processes, options.rounds)
    warm = [ours for run in runs for ours in run["ours"][1:]]
    cold = [run["ours"][0] for run in runs]
    print(f"every outcome: {', '.join(sorted({run['outcome'] for run in runs}))}")
    print(f"ours, warm            {_median(warm)} ms of {len(warm)} checks")
    print(f"ours, cold            {_median(cold)} ms of {len(cold)} processes, imports of the engine excluded")
    print(
        f"  of it computing     {_median([run['cpu'] for run in runs])} ms: what is left of it on a machine without other work"
    )
    with_imports = [run["imports"] + run["ours"][0] for run in runs]
    print(f"ours, cold + imports  {_median(with_imports)} ms of {len(runs)} processes")
    print(f"opening the engine    {_median([run['open'] for run in runs])} ms, the ledger's and the venue's clock read")
    print(f"waiting for replies   {_median([each for run in runs for each in run['network']])} ms, of the simulator")


def _measured(folder: Path, processes: int, rounds: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(folder / "venue")]
    with (folder / "simulator.log").open("w") as log:
        child = Child.spawn("simulator", command, env=os.environ, log=log, read=True)
        try:
            environment = dict(os.environ) | child.ready(60)["env"] | {"FFE_DATA_DIR": str(folder / "data")}
            return [_process(environment, rounds) for _ in range(processes)]
        finally:
            child.close()


def _process(environment: dict[str, str], rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-c", COLD, str(rounds)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):7.0f}"


if __name__ == "__main__":
    main()
