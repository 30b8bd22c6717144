"""Base job templates of the work pools, one file a pool type: what the worker of that type publishes, with this engine's defaults.

`process` is the default. `docker` and `kubernetes` are for who outgrows one machine: images that are not root, finished containers and jobs
removed. No template holds a secret: job variables are shown in the UI. A process run has its worker's environment, a container the
`.env` of a volume, a pod a Secret.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
GPU_POOL = "gpu"
ONE_GPU = {"driver": "nvidia", "count": 1, "capabilities": [["gpu"]]}


class PoolType(StrEnum):
    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


def job_template(pool_type: PoolType, pool: str) -> dict[str, Any]:
    """The base job template of `pool`; the gpu pool's containers get one GPU, a process has what its machine has."""
    template: dict[str, Any] = json.loads((FOLDER / f"{pool_type}.json").read_text())
    variables = template["variables"]["properties"]
    if pool == GPU_POOL and pool_type is PoolType.KUBERNETES:
        variables["gpu_limit"]["default"] = "1"
    if pool == GPU_POOL and pool_type is PoolType.DOCKER:
        variables["container_create_kwargs"]["default"]["device_requests"] = [ONE_GPU]
    return template
