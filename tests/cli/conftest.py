"""The `ffe` command as a person types it: in this process where that is as true, as a process of its own where it is not."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def ffe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Said:
        from ffe.cli.main import main

        monkeypatch.setattr(sys, "argv", ["ffe", *arguments])
        code, before = 0, dict(os.environ)
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        # A process of its own would have taken the addresses of its simulator with it.
        os.environ.clear()
        os.environ.update(before)
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def command_environment() -> Callable[[Path], dict[str, str]]:
    return _environment


def _environment(data_dir: Path) -> dict[str, str]:
    """Of a process of its own: no setting of ours but the data folder, and no Prefect API but the one it starts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FFE_", "PREFECT_"))}
    return kept | {"FFE_DATA_DIR": str(data_dir)}


@pytest.fixture(scope="session")
def run_ffe() -> Callable[..., Said]:
    """Runs the command as a process of its own, on a data folder."""
    return _run


def _run(data_dir: Path, *arguments: str, timeout: float = 200, **variables: str) -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "ffe.cli.main", *arguments],
        env=_environment(data_dir) | variables,
        cwd=data_dir.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
