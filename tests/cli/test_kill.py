"""Killed at any moment and run again: never a second order, and nothing left running."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ffe.ledger.ledger import Ledger
from ffe.orders.models import OrderState
from ffe.processes import Child

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# What the command says it is doing when it is killed, and how long after that.
MOMENTS = [
    ("starting", 1.0),
    ("BTCUSD: fetching bars", 0.0),
    ("BTCUSD: asking the model", 1.0),
    ("BTCUSD: submitting the order", 0.0),
    ("BTCUSD: submitting the order", 0.03),
]


def _killed(data_dir: Path, environment: dict[str, str], said: str, after: float) -> list[int]:
    """Starts a cycle, kills it at the moment, and returns the pids of the children it had."""
    command = [sys.executable, "-m", "ffe.cli.main", "run", "BTCUSD", "--json"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=data_dir.parent
    )
    assert process.stderr is not None
    with process.stderr as lines:
        for line in lines:
            if said in line:
                break
        time.sleep(after)
        children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGKILL)
        process.wait()
    return children


def _gone(pids: list[int]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until and any(_alive(pid) for pid in pids):
        time.sleep(0.1)
    return not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A simulator that outlives the killed commands, its clock standing still so that every run meets the same bar."""
    command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(tmp_path / "venue")]
    with (tmp_path / "venue.log").open("w") as log:
        child = Child.spawn("simulator", command, env=os.environ, log=log, read=True)
    ready = child.ready(60)
    _control(ready, "POST", "/clock", {"rate": 0})
    yield ready
    child.close()


def _control(ready: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    control = ready["control"]
    headers = {"Authorization": f"Bearer {control['token']}"}
    return httpx.request(method, f"{control['base_url']}{path}", json=body, headers=headers, trust_env=False).json()


def _is_order(row: Any) -> bool:
    return isinstance(row, dict) and "client_id" in row


def test_killed_at_any_moment_and_run_again_there_is_one_order_and_nothing_left(
    tmp_path: Path, venue: dict[str, Any], run_ffe: Any, prefect_api: str
) -> None:
    data_dir = tmp_path / "data"
    variables = venue["env"] | {"PREFECT_API_URL": prefect_api}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FFE_")}
    environment = kept | variables | {"FFE_DATA_DIR": str(data_dir)}
    for said, after in MOMENTS:
        assert _gone(_killed(data_dir, environment, said, after)), said
    done = run_ffe(data_dir, "run", "BTCUSD", "--json", **variables)
    assert done.code == 0, done.err
    order = done.document["instruments"][0]["order"]
    assert order["state"] == "FILLED"

    tables = _control(venue, "GET", "/state").values()
    placed = [row for table in tables if isinstance(table, dict) for row in table.values() if _is_order(row)]
    (entry,) = [row for row in placed if row["parent_id"] is None]
    assert entry["client_id"] == order["client_order_id"]
    assert Decimal(entry["filled"]) == Decimal(order["filled_units"])
    ledger = Ledger.open(f"sqlite:///{data_dir / 'ledger.sqlite'}")
    try:
        (booked,) = ledger.orders(10)
        assert booked.state is OrderState.FILLED
        assert ledger.open_reservations() == []
        (position,) = ledger.positions()
        assert position.units == booked.filled_units
    finally:
        ledger.close()
