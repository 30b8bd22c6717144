"""Runs the services of compose.yaml as processes of this machine: the same commands and environments, without a container engine.

What a container would have of its own is put in their place: names of other containers become loopback with a free port, 0.0.0.0 becomes
loopback, and the folders /data, /tmp and /app become folders here. Nothing else is changed, and nothing of this process's environment
but the search path is passed on.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from servers import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
COMPOSE = CHECKOUT / "deployments" / "compose" / "compose.yaml"
DOCKERFILE = CHECKOUT / "deployments" / "docker" / "Dockerfile"
PORTS = ("4200", "5432", "6379", "9464")
_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


class MissingVariableError(Exception):
    pass


def interpolated(text: str, values: Mapping[str, str]) -> str:
    """Compose's own rules: `${A}`, `${A:-default}`, `${A:?message}`, and `$$` for a dollar."""

    def one(match: re.Match[str]) -> str:
        name, operator, argument = match.groups()
        if name is None:
            return "$"
        value = values.get(name, "")
        if value:
            return value
        if operator == ":?":
            raise MissingVariableError(f"{name}: {argument}")
        return argument if operator == ":-" else ""

    return _VARIABLE.sub(one, text)


def image_environment(dockerfile: Path = DOCKERFILE) -> dict[str, str]:
    """What the last ENV of the Dockerfile's base stage sets."""
    text = dockerfile.read_text().replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("ENV PATH="))
    return dict(pair.split("=", 1) for pair in line.removeprefix("ENV ").split())


class Processes:
    """The services of compose.yaml on this machine. `folder` holds what the volumes would; `values` is the `.env`."""

    def __init__(self, folder: Path, values: Mapping[str, str], ports: Mapping[str, int] | None = None) -> None:
        self.folder, self._values = folder, values
        self._services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
        self.ports = {port: (ports or {}).get(port) or free_port() for port in PORTS}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("data", "tmp"):
            (folder / name).mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports['4200']}/api"

    def run(self, name: str, extra: Mapping[str, str] | None = None, timeout: float = 240) -> None:
        """A service that ends by itself. Raises AssertionError with its log when it fails."""
        code = self.start(name, extra).wait(timeout)
        del self._running[name]
        assert code == 0, f"{name} ended with {code}:\n{self.log(name)}"

    def start(
        self, name: str, extra: Mapping[str, str] | None = None, command: list[str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """`command` in the service's place: its health check, for one."""
        words = command or self._services[name]["command"]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [self._here(interpolated(word, self._values)) for word in words],
                env=self.environment(name) | dict(extra or {}),
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if command is None:
            self._running[name] = process
        return process

    def healthy(self, name: str) -> bool:
        """What the service's own health check says."""
        test = self._services[name]["healthcheck"]["test"]
        assert test[0] == "CMD"
        return self.start(name, command=test[1:]).wait(120) == 0

    def await_healthy(self, name: str, timeout: float = 180) -> None:
        deadline = time.monotonic() + timeout
        while not self.healthy(name):
            assert self._running[name].poll() is None, f"{name} ended:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{self.log(name)}"
            time.sleep(1.0)

    def stop(self, name: str) -> tuple[int, float]:
        """SIGTERM, or the service's `stop_signal`, as an engine sends it. Its exit code and the seconds it took, at most `stop_grace_period`."""
        grace = float(self._services[name].get("stop_grace_period", "10s").removesuffix("s"))
        process, started = self._running.pop(name), time.monotonic()
        process.send_signal(signal.Signals[self._services[name].get("stop_signal", "SIGTERM")])
        try:
            return process.wait(grace), time.monotonic() - started
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"{name} did not end within {grace} s:\n{self.log(name)}") from error

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-6000:] if path.exists() else ""

    def environment(self, name: str) -> dict[str, str]:
        """What the service's container would have, adapted; a variable without a value is passed on from the `.env` or left out."""
        given: dict[str, Any] = image_environment() | self._services[name]["environment"]
        texts = {
            key: self._values.get(key) if value is None else interpolated(str(value), self._values)
            for key, value in given.items()
        }
        adapted = {key: self._here(text) for key, text in texts.items() if text is not None}
        return adapted | {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}

    def _here(self, text: str) -> str:
        for name in ("postgres", "redis", "api", "ollama"):
            text = re.sub(rf"(?<=[/@]){name}:(?=\d)", "127.0.0.1:", text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        for port, ours in self.ports.items():
            text = re.sub(rf"(?<!\d){port}(?!\d)", str(ours), text)
        # In one go: the folders here may lie under a /tmp themselves.
        folders = {"/data": str(self.folder / "data"), "/tmp": str(self.folder / "tmp"), "/app": str(CHECKOUT)}
        return re.sub(r"(?<![\w/.])/(?:data|tmp|app)(?!\w)", lambda match: folders[match[0]], text)
