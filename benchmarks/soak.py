"""A whole plant at 20 times its normal rate for as long as wanted: `python -m benchmarks.soak --minutes 30 [--json FILE]`.

The plant, what is sampled and what counts as a fault are those of tests/production, of which `make test` runs three minutes. Prints a
markdown table; exits with 3 when something was wrong.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

# Below, a slope says more about caches than about leaks.
LONG_MINUTES = 20.0
HARNESS = Path(__file__).resolve().parents[1] / "tests"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--json", type=Path, default=None, help="file for the same as JSON, with every sample")
    given = parser.parse_args()
    sys.path[:0] = [str(HARNESS / name) for name in ("production", "deployments")]
    from plant import started_plant
    from soak import BOUNDS, SHORT, document, soak, table

    with tempfile.TemporaryDirectory() as folder, started_plant(Path(folder) / "plant") as plant:
        result = soak(plant, given.minutes, BOUNDS if given.minutes >= LONG_MINUTES else SHORT)
    print(table(result))
    if given.json is not None:
        given.json.write_text(json.dumps(document(result), indent=1))
    sys.exit(3 if result.faults else 0)


if __name__ == "__main__":
    main()
