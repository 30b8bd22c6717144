"""`ffe sweep` as a person types it, and as a machine that is killed in the middle runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.generated_bars import generated
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bar_parquet import write_parquet
from ffe.replay.sweep_store import NAME

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STRATEGY = """
import time

import numpy as np

NAME, LOOKBACK = "slow", 5


def actions(bars, *, every=10):
    time.sleep(0.3)
    number = bars.times // bars.timeframe.seconds
    return np.where(number % every == 0, np.where(number // every % 2 == 0, 1, -1), 0).astype(np.int8)
"""


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "EUR-USD_1h_bidask_generated.parquet"
    write_parquet(generated(parse_instrument("EURUSD"), Timeframe.H1, 1500, 1), path)
    return path


def test_a_sweep_shows_both_sides_and_what_the_choice_was_worth(ffe: Any, bars: Path, tmp_path: Path) -> None:
    asked = ["sweep", "--bars", str(bars), "--param", "fast=5,10", "--param", "slow=20", "--out", str(tmp_path / "out")]
    said = ffe(*asked)
    assert said.code == 0, said.err
    assert "sharpe, in" in said.out
    assert "best in sample is" in said.out
    assert "2 cells computed, 0 were there already" in said.out
    again = ffe(*asked, "--json")
    assert (again.document["computed"], again.document["kept"]) == (0, 2)
    assert json.loads((tmp_path / "out" / "sweep.json").read_text()) == again.document


def test_what_is_wrong_is_said_and_ends_with_two(ffe: Any, bars: Path) -> None:
    for wrong, why in (
        (["--param", "fats=5"], "nearest known: fast"),
        (["--param", "fast"], "write name=1,2,3"),
        (["--rank", "luck"], "unknown rank"),
        (["--from", "yesterday"], "is no UTC time"),
        (["--strategy", "sma-cros"], "sma-cross"),
        (["--timeframe", "5m"], "can't be made of"),
    ):
        said = ffe("sweep", "--bars", str(bars), *wrong)
        assert (said.code, said.out) == (2, "")
        assert why in said.err


def test_a_sweep_killed_in_the_middle_goes_on_and_ends_with_the_same_table(
    bars: Path, tmp_path: Path, command_environment: Any
) -> None:
    (tmp_path / "slow.py").write_text(STRATEGY)
    environment = command_environment(tmp_path / "data")
    command = [sys.executable, "-m", "ffe.cli.main", "sweep", "--json", "--bars", str(bars), "--oos", "0.4"]
    command += ["--strategy", str(tmp_path / "slow.py"), "--param", "every=10:21:1"]
    kept = tmp_path / "killed" / NAME

    killed = subprocess.Popen([*command, "--out", str(kept.parent)], env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while time.monotonic() < until and lines(kept) < 3:
        time.sleep(0.02)
    workers = psutil.Process(killed.pid).children(recursive=True)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    there = lines(kept)
    assert 3 <= there < 12

    _, alive = psutil.wait_procs(workers, timeout=60)
    assert [each.pid for each in alive] == []
    went_on = run([*command, "--out", str(kept.parent)], environment)
    whole = run([*command, "--out", str(tmp_path / "whole"), "--workers", "2"], environment)
    assert (went_on.pop("kept"), went_on.pop("computed")) == (there, 12 - there)
    assert (whole.pop("kept"), whole.pop("computed")) == (0, 12)
    assert went_on == whole


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def run(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document
