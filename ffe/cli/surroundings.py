"""What a command needs around it: the venue simulator in `sim` mode, and a Prefect API. Started here, ended here.

A running `ffe up` on the same data folder is used instead: one simulator and one Prefect database for everybody.
"""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from ffe.clock import rfc3339
from ffe.errors import ConfigurationError, FfeError
from ffe.observe.prefect_api import Api
from ffe.processes import Child
from ffe.settings import PREFIX, Mode, Settings

READY_SECONDS = 150.0
RUNNING = "up.json"
API = "prefect api"


class Surroundings:
    """Children of one command. Start early with `start_*`, use late with `await_*`: they come up side by side."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self._simulator: Child | None = None
        self.simulator_environment: dict[str, str] = {}
        self.simulator_control: dict[str, str] = {}
        self.children: list[Child] = []
        self._api: tuple[Child | None, str] | None = None
        self._up = running(settings.data_dir)

    def __enter__(self) -> "Surroundings":
        return self

    def __exit__(self, *_: object) -> None:
        from tasks.undelivered import deliver

        # Before the API that we started ends: at exit they would be tried again and again.
        if self._api is not None and self._api[0] is not None:
            deliver()
        self._stack.close()

    def start_simulator(self) -> None:
        """Only in `sim` mode, and only when nobody gave venue addresses."""
        if self._settings.mode is not Mode.SIM or self._settings.venue_urls or self._shared_simulator():
            return
        self._simulator = self.spawn("simulator", simulator_command(self._settings), read=True)

    def await_simulator(self) -> None:
        """Puts the simulator's addresses and throw-away credentials into this process's environment."""
        if self._simulator is not None:
            ready = self._simulator.ready(READY_SECONDS)
            self.simulator_environment, self.simulator_control = ready["env"], ready["control"]
        elif self._settings.mode is Mode.SIM and not self._settings.venue_urls:
            self.simulator_environment = self._shared_simulator() or {}
        os.environ.update(self.simulator_environment)

    def start_api(self) -> None:
        """A Prefect API, unless `PREFECT_API_URL` names one or `ffe up` runs one."""
        from tasks.local_api import environment

        named = os.environ.get("PREFECT_API_URL") or self._up.get("api_url")
        self._api = (None, str(named)) if named else self._spawn_api(free_port())
        os.environ.update(environment(self._settings.data_dir, self._api[1]))
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")

    def await_api(self) -> str:
        """URL of an API that answers. Raises FfeError when it does not come up."""
        if self._api is None:
            raise FfeError("no Prefect API was started")
        child, url = self._api
        await_healthy(url, child)
        return url

    def serve_prefect(self, port: int, *, ui: bool) -> str:
        """The long-running server with its background services; its URL once it answers.

        Raises:
            ConfigurationError: the port is taken, or another `ffe up` runs on this data folder.
        """
        if self._up:
            raise ConfigurationError(f"ffe up runs already on this data folder (pid {self._up['pid']})")
        if not is_free(port):
            raise ConfigurationError(f"port {port} is taken: choose another with --port")
        self._api = self._spawn_api(port, "--ui" if ui else "--services")
        return self.await_api()

    def _spawn_api(self, port: int, *flags: str) -> tuple[Child, str]:
        from tasks.vacuum import vacuum_environment

        command = [sys.executable, "-m", "tasks.local_api", "--data-dir", str(self._settings.data_dir)]
        environment = without_ours() | vacuum_environment(self._settings.retention.runs_days)
        child = self.spawn(API, [*command, "--port", str(port), *flags], env=environment)
        return child, f"http://127.0.0.1:{port}/api"

    def spawn(
        self,
        name: str,
        command: list[str],
        *,
        read: bool = False,
        kept: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """A child whose log is `<name>.log` in the data folder; ended with this context, the youngest first."""
        log = self._stack.enter_context((self._settings.data_dir / f"{name.replace(' ', '-')}.log").open("a"))
        environment = without_ours() if env is None else env
        child = Child.spawn(name, command, env=environment, cwd=cwd, log=log, read=read, kept=kept)
        self._stack.callback(child.close)
        self.children.append(child)
        return child

    def _shared_simulator(self) -> dict[str, str] | None:
        if self._settings.simulator.bars is not None or self._settings.simulator.stale_minutes:
            return None
        shared: dict[str, str] | None = self._up.get("simulator")
        return shared


def check_shadow(settings: Settings) -> None:
    """Refuses shadow strategies that could never decide before anything is started. Costs nothing where none is configured.

    Raises:
        ConfigurationError: one that nobody knows, names the nearest; one that can't run in a live cycle.
    """
    if settings.shadow.strategies:
        from ffe.cycle.shadowing import check_shadows

        check_shadows(settings)


def simulator_command(settings: Settings) -> list[str]:
    knobs = settings.simulator
    command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(settings.data_dir)]
    command += ["--seed", str(knobs.seed), "--stale-minutes", str(knobs.stale_minutes)]
    if knobs.bars is not None:
        command += ["--bars", str(knobs.bars)]
    if settings.clock is not None:
        command += ["--start", rfc3339(settings.clock)]
    return command


def without_ours() -> dict[str, str]:
    """This process's environment without our settings and secrets: a child gets what it needs by name."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_healthy(api_url: str, child: Child | None, timeout: float = READY_SECONDS) -> None:
    """Raises FfeError when the child ends, or when /health does not answer in time."""
    deadline = time.monotonic() + timeout
    with httpx.Client(trust_env=False, timeout=2) as client:
        while time.monotonic() < deadline:
            if child is not None and child.exit_code is not None:
                raise FfeError(f"{child.name} ended with exit code {child.exit_code}; see its log in the data folder")
            with contextlib.suppress(httpx.HTTPError):
                if client.get(f"{api_url}/health").status_code == httpx.codes.OK:
                    return
            time.sleep(0.05)
    raise FfeError(f"the Prefect API at {api_url} did not answer within {timeout:.0f} s")


def running(data_dir: Path) -> dict[str, Any]:
    """What a live `ffe up` on this data folder wrote down; empty when there is none."""
    try:
        document: dict[str, Any] = json.loads((data_dir / RUNNING).read_text())
        os.kill(int(document["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return {}
    return document


def deployed_api(settings: Settings) -> Api | None:
    """The Prefect API that PREFECT_API_URL names, or that of the `ffe up` on this data folder; None: nothing is deployed here."""
    found, url = Api.find(), running(settings.data_dir).get("api_url")
    return Api.at(str(url)) if found is None and url else found


@contextlib.contextmanager
def announced(data_dir: Path, document: dict[str, Any]) -> Iterator[None]:
    """Lets other commands find this `ffe up`. The file holds throw-away credentials: readable by its owner only."""
    path = data_dir / RUNNING
    path.touch(mode=0o600)
    path.write_text(json.dumps(document | {"pid": os.getpid()}))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
