"""The server's start and end, without its loop."""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ffe.warm import job, server, wire
from ffe.warm.forks import Forks


@pytest.fixture(autouse=True)
def no_freezing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "freeze", lambda: None)


def served(monkeypatch: pytest.MonkeyPatch, todo: job.Job | None, *, stale: bool = False) -> None:
    def serve(forks: Forks) -> job.Job | None:
        forks.is_stale = stale
        forks._close()
        return todo

    monkeypatch.setattr(Forks, "serve", serve)


def test_it_says_that_it_is_ready_and_leaves_no_socket_behind(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served(monkeypatch, None)
    assert server.main([str(short_folder / "fork"), "--preload", "this_is_no_module"]) == 0
    ready = json.loads(capsys.readouterr().out)
    assert ready["ready"]
    assert "this_is_no_module" in ready["refusal"]
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert not list(short_folder.iterdir())


def test_in_a_runs_process_it_runs_the_job(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = job.Job(wire.Request("", "payload", b"/", [], {}), (3, 4, 5))
    ran: list[Any] = []
    served(monkeypatch, todo)
    monkeypatch.setattr(job, "run", lambda *arguments: ran.extend(arguments))
    assert server.main([str(short_folder / "fork"), "--call", "a:b"]) == 0
    assert ran == [todo, ["a:b"]]
    # The server's, not the run's to remove.
    assert (short_folder / "fork").exists()


def test_a_stale_one_becomes_itself_anew(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, None, stale=True)
    became: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *arguments: became.extend(arguments))
    server.main([str(short_folder / "fork")])
    assert became == [sys.executable, sys.orig_argv]
