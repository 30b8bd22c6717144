"""The whole system on free loopback ports: PostgreSQL, simulator, Prefect server with services, both workers, a model server.

Everything is started by the commands that people start it with, each part apart, so that one can be ended without the others. The model
is a server of Ollama's contract that answers at once: a decision of the packaged model takes seconds of both cores, and cycles at
20 times the normal rate would be dropped for want of a processor, which is not what a soak looks for.
"""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from database import PLANT, Database, started_database
from model_server import ModelServer
from parts import CHECKOUT, Part
from prefect_view import PrefectView

from ffe.cli.surroundings import await_healthy, free_port
from ffe.ledger.ledger import Ledger
from ffe.observe.alarms import ZOMBIE_RUN
from tasks.local_api import environment as prefect_environment

PYTHON = sys.executable
POOLS = ("cpu", "gpu")


class Venue:
    """The simulator's control door, and what it remembers."""

    def __init__(self, control: dict[str, str]) -> None:
        headers = {"Authorization": f"Bearer {control['token']}"}
        self._client = httpx.Client(base_url=control["base_url"], headers=headers, trust_env=False, timeout=30)

    def control(self, path: str, **body: Any) -> Any:
        reply = self._client.post(path, json=body)
        reply.raise_for_status()
        return reply.json()

    def sent(self) -> Counter[str]:
        """How often each client id came with an order, at both venues; stops and targets that hang on an order have none of ours."""
        state = self._client.get("/state").raise_for_status().json()
        coinbase = [row["client_id"] for row in state.get("coinbase_order", {}).values() if row["parent_id"] is None]
        oanda = [(row["body"].get("clientExtensions") or {}).get("id") for row in state.get("oanda_order", {}).values()]
        return Counter(each for each in coinbase + oanda if each is not None)

    def close(self) -> None:
        self._client.close()


class Plant:
    """`start` brings all of it up. `ledger` and `prefect` are views from outside, in this process."""

    def __init__(self, folder: Path, database: Database, model: ModelServer, **settings: str) -> None:
        self.folder, self.database, self.model = folder, database, model
        self.data_dir, self.scratch = folder / "data", folder / "scratch"
        for each in (self.data_dir, self.scratch, folder / "logs"):
            each.mkdir(parents=True)
        port = free_port()
        self.api_url = f"http://127.0.0.1:{port}/api"
        self.prefect = PrefectView(self.api_url)
        base = {name: value for name, value in os.environ.items() if not name.startswith(("FFE_", "PREFECT_"))}
        self._base = base | {
            "TMPDIR": str(self.scratch),
            "PATH": os.pathsep.join((str(Path(PYTHON).parent), os.environ["PATH"])),
            "PWD": str(CHECKOUT),
            "PGAPPNAME": PLANT,
        }
        self._settings = {
            "FFE_DATA_DIR": str(self.data_dir),
            "FFE_LEDGER_URL": database.ledger_url,
            "FFE_MODEL": "ollama",
            "FFE_OLLAMA__HOST": model.url,
            "FFE_OLLAMA__STREAM": "false",
            "FFE_DECIDE": "pool",
        } | settings
        self.simulator = self._part("simulator", ["-m", "simulator", "--data-dir", str(self.data_dir)], self._base)
        serve = ["-m", "tasks.local_api", "--data-dir", str(self.data_dir), "--port", str(port), "--services"]
        self.server = Part(
            "server",
            [PYTHON, *serve],
            self._base | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database.prefect_url},
            folder / "logs" / "server.log",
            ready=lambda child: await_healthy(self.api_url, child, 240),
            kept=False,
        )
        self.workers: dict[str, Part] = {}

    def _part(self, name: str, arguments: list[str], environment: dict[str, str]) -> Part:
        return Part(name, [PYTHON, *arguments], environment, self.folder / "logs" / f"{name}.log")

    @property
    def parts(self) -> list[Part]:
        return [self.simulator, self.server, *self.workers.values()]

    @property
    def cpu(self) -> Part:
        return self.workers["cpu"]

    @property
    def gpu(self) -> Part:
        return self.workers["gpu"]

    @property
    def environment(self) -> dict[str, str]:
        """Of every command and worker, once the simulator runs."""
        prefect = prefect_environment(self.data_dir, self.api_url)
        venues: dict[str, str] = self.simulator.announced["env"]
        return self._base | prefect | {"PREFECT_API_URL": self.api_url} | venues | self._settings

    def start(self) -> None:
        """Simulator, server, pools, deployments (all paused), workers; the ledger is made by whoever opens it first."""
        self.simulator.start()
        self.venue = Venue(self.simulator.announced["control"])
        self.server.start()
        self.ledger = Ledger.open(self.database.ledger_url)
        self.command("-m", "deployments.bootstrap")
        self.command("-m", "prefect", "--no-prompt", "deploy", "--all")
        self.command("-m", "deployments.automations", "apply")
        for name in self.prefect.deployments():
            self.prefect.pause(name)
        for pool in POOLS:
            arguments = ["-m", "ffe.cli.main", "worker", pool, "--name", pool]
            self.workers[pool] = self._part(f"worker-{pool}", arguments, self.environment)
            self.workers[pool].start()

    def command(self, *arguments: str, expected: tuple[int, ...] = (0,), **variables: str) -> str:
        """Runs a Python command in the plant's environment; its standard output. Raises AssertionError for another exit code."""
        done = subprocess.run(
            [PYTHON, *arguments],
            env=self.environment | variables,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode in expected, f"{arguments} ended {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def ffe(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> str:
        return self.command("-m", "ffe.cli.main", *arguments, expected=expected)

    def lose_heartbeats_after(self, seconds: float) -> None:
        """How long a run may be silent before it is set to Crashed; production waits for minutes."""
        (found,) = [each for each in self.prefect.call("POST", "/automations/filter", {}) if each["name"] == ZOMBIE_RUN]
        found["trigger"]["within"] = seconds
        kept = (
            "name",
            "description",
            "enabled",
            "tags",
            "trigger",
            "actions",
            "actions_on_trigger",
            "actions_on_resolve",
        )
        self.prefect.call("PUT", f"/automations/{found['id']}", {name: found[name] for name in kept if name in found})

    def logs(self) -> dict[str, str]:
        """What every part has said, by name."""
        return {path.stem: path.read_text(errors="replace") for path in sorted((self.folder / "logs").glob("*.log"))}

    def close(self) -> None:
        for part in reversed(self.parts):
            part.stop()
        for view in ("ledger", "venue"):
            if hasattr(self, view):
                getattr(self, view).close()
        self.prefect.close()


@contextlib.contextmanager
def started_plant(folder: Path, **settings: str) -> Iterator[Plant]:
    """A running plant in an empty folder; nothing of it is left at the end."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(started_database())
        model = ModelServer()
        stack.callback(model.close)
        plant = Plant(folder, database, model, **settings)
        stack.callback(plant.close)
        plant.start()
        yield plant
