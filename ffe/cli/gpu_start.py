"""The start-up probe of a GPU worker, as a process of its own: what it loads (the model, Prefect) must not stay in the worker's.

`python -m ffe.cli.gpu_start WORKER` publishes where the model runs. Exit code 4: policy `require-gpu`, and it does not run on the GPU.
"""

import sys

from ffe.clock import SystemClock
from ffe.errors import FfeError, RefusedError
from ffe.llm.placement import Placement, check_placement, enforce
from ffe.settings import Settings, load_settings


def main(worker: str) -> int:
    try:
        return _probe(load_settings(), worker)
    except FfeError as error:
        _say(str(error))
        return error.exit_code


def _probe(settings: Settings, worker: str) -> int:
    placement = check_placement(settings, SystemClock())
    _say(f"{placement.model}: {placement.verdict}: {placement.reason}")
    for problem in placement.problems:
        _say(problem)
    _publish(placement, worker)
    refusal = enforce(placement, settings.placement.policy)
    if refusal is None:
        return 0
    _say(refusal)
    return RefusedError.exit_code


def _publish(placement: Placement, worker: str) -> None:
    from tasks.gpu_probe import publish_placement

    try:
        publish_placement(placement, worker)
    except Exception as error:  # noqa: BLE001 - a page that can't be written must not keep a worker from starting
        _say(f"the placement could not be published: {error}")


def _say(text: str) -> None:
    print(f"ffe worker: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
