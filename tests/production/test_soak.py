"""Three minutes at 20 times the normal rate; `python -m benchmarks.soak --minutes 30` is the same for as long as wanted."""

from pathlib import Path

import pytest
from plant import started_plant
from soak import SHORT, soak, table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MINUTES = 3.0


def test_three_minutes_at_twenty_times_the_rate_leak_nothing_and_every_run_is_accounted_for(tmp_path: Path) -> None:
    with started_plant(tmp_path / "plant") as plant:
        result = soak(plant, MINUTES, SHORT)
    assert not result.faults, table(result)
    assert sum(result.account.decisions.values()) > 0
    assert all(states["Completed"] for states in result.account.runs.values())
