"""The fork server beside a worker: what it imports, where it listens, and starting it again when it has died."""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from ffe.processes import Child
from ffe.warm.__main__ import SERVER

# Imports of everything that a cycle needs, Great Expectations and pandas among it, on a busy machine.
READY_SECONDS = 120.0
PACKAGES = ("ffe", "flows", "tasks", "expectations")
# What the engine of a run imports beside the flow, much of it late: seen by comparing sys.modules at the start and the end of a run.
ENGINE = (
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.deployments.steps.pull",
    "prefect.deployments.steps.utility",
    "prefect.runner",
    "prefect._internal.metrics",
    "anyio._backends._asyncio",
)
# Prefect's own settings: the server read them from another environment.
REFRESH = "prefect.context:refresh_global_settings_context"
DECIDING = ("flows.decide", "ffe.llm.embedded", "ffe.llm.ollama")


class ForkServer:
    """A child of this process, on a socket in a folder of its own that only this user can enter."""

    def __init__(self, pool: str, environment: Mapping[str, str]) -> None:
        self._pool, self._environment = pool, environment
        self._folder = Path(tempfile.mkdtemp(prefix="ffe-"))
        self._child: Child | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What a worker's environment needs so that its runs find the server."""
        return {SERVER: str(self._folder / "fork")}

    @property
    def exit_code(self) -> int | None:
        return None if self._child is None else self._child.exit_code

    def start(self) -> None:
        """In an empty folder: what lies in this process's own must not be imported instead of what is installed."""
        if self._child is not None:
            self._child.close()
        command = [sys.executable, "-m", "ffe.warm.server", self.variables[SERVER]]
        command += ["--preload", *preloaded(self._pool), "--watch", *PACKAGES, "--call", REFRESH]
        self._child = Child.spawn("fork server", command, env=self._environment, cwd=self._folder, read=True)

    def ready(self) -> dict[str, Any]:
        """What it says of itself; `refusal` is why it will not fork, or None. Raises ProcessFailedError."""
        return {} if self._child is None else self._child.ready(READY_SECONDS)

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def preloaded(pool: str) -> tuple[str, ...]:
    """Modules by import name: the deciding ones on pool `gpu`, every flow elsewhere."""
    if pool == "gpu":
        return (*ENGINE, *DECIDING)
    spec = find_spec("flows")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    return (*ENGINE, *sorted(f"flows.{module.name}" for module in iter_modules(folders)))


def is_supported() -> bool:
    """Linux: elsewhere a fork of a process that has used system libraries is not safe, and the kernel would not end orphans."""
    return sys.platform == "linux" and hasattr(os, "fork")
