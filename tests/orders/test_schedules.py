"""Two thousand random schedules of faults, crashes, restarts and concurrent processes; the drill itself is in tests/drills."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCHEDULES = 2000
DRIVERS = 2
SCRIPT = Path(__file__).parent.parent / "drills" / "drill_schedules.py"


def driver(seed: int, share: int) -> "subprocess.Popen[str]":
    count = SCHEDULES // DRIVERS
    command = [sys.executable, str(SCRIPT), "--seed", str(seed), "--first", str(share * count), "--count", str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_schedule_orders_twice_loses_a_fill_or_keeps_money_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Other seeds: DRILL_SEED. One schedule again: `drill_schedules.py --seed SEED --first NUMBER --count 1 --trace`."""
    seed = int(os.environ.get("DRILL_SEED", "20180404"))
    drivers = [driver(seed, share) for share in range(DRIVERS)]
    lines: list[dict[str, Any]] = []
    try:
        for each in drivers:
            said, _ = each.communicate(timeout=850)
            lines += [json.loads(line) for line in said.splitlines()]
    finally:
        for each in drivers:
            each.kill()
            each.wait(10)
    with capsys.disabled():
        for line in lines:
            print(f"\n{json.dumps(line)}", end="")
    assert [line for line in lines if "wrong" in line] == []
    assert [each.returncode for each in drivers] == [0] * DRIVERS
    assert sum(line["schedules"] for line in lines) == SCHEDULES
