"""The real simulator in a process of its own, and an engine on it whose model is never asked."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ffe.cycle.engine import Engine
from ffe.ledger.ledger import Ledger
from ffe.processes import Child
from ffe.settings import load_settings

SWITCHES = {"coinbase_account_active": True, "oanda_account_listed": True, "depth": {}}


@dataclass
class Simulated:
    """`environment` holds its addresses and throw-away credentials as settings."""

    environment: dict[str, str]
    door: dict[str, str]

    def control(self, path: str, **body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.door['token']}"}
        reply = httpx.post(f"{self.door['base_url']}/{path}", json=body, headers=headers, trust_env=False)
        reply.raise_for_status()
        document: dict[str, Any] = reply.json()
        return document

    def faults(self, *faults: dict[str, Any]) -> None:
        """Of every request that they fit, for as long as the test runs."""
        self.control("faults", faults=[{"count": None, **each} for each in faults])


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    folder = tmp_path_factory.mktemp("observed")
    command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(folder / "data")]
    # A free plan answers one request a second: every test would wait for the one before.
    command += ["--alpha-vantage-plan", "premium"]
    with (folder / "simulator.log").open("a") as log:
        child = Child.spawn("simulator", command, env=os.environ, log=log, read=True)
        ready = child.ready(60)
        yield Simulated(ready["env"], ready["control"])
        child.close()


@pytest.fixture
def simulated(simulator_process: Simulated) -> Iterator[Simulated]:
    """Without faults, every switch as usual."""

    def usual() -> None:
        simulator_process.faults()
        simulator_process.control("resume")
        simulator_process.control("switches", **SWITCHES)

    usual()
    yield simulator_process
    usual()


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's file at the newest schema: migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def data_dir(tmp_path: Path, empty_ledger: Path) -> Path:
    """A data folder with an empty ledger and a small file that stands for a model."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(empty_ledger, folder / "ledger.sqlite")
    (folder / "model.gguf").write_bytes(b"GGUF")
    return folder


@pytest.fixture
def engine_on(simulated: Simulated, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Iterator[Callable[..., Engine]]:
    """An engine of this process on the simulator; further settings by their environment names, without the prefix.

    Venues are its only sources of bars unless told otherwise: Alpha Vantage's history is slow to draw.
    """
    engines: list[Engine] = []

    def open_on(mode: str = "sim", **names: str) -> Engine:
        plain = {"SOURCES__FOREX": "oanda", "SOURCES__CRYPTO": "coinbase"}
        wanted = plain | {"EMBEDDED__MODEL_PATH": str(data_dir / "model.gguf")} | names
        for name, value in (simulated.environment | {f"FFE_{key}": value for key, value in wanted.items()}).items():
            monkeypatch.setenv(name, value)
        if mode != "sim" and "CLOCK" not in names:
            monkeypatch.setenv("FFE_CLOCK", str(simulated.control("clock")["clock"]))
        engines.append(Engine.open(load_settings(data_dir=data_dir, mode=mode)))
        return engines[-1]

    yield open_on
    for engine in engines:
        engine.close()
