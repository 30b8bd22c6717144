"""Backup during trading, restore elsewhere, reconcile: no difference."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from builders import new_database, started_postgresql
from copies import rows, without_halt
from drill_simulator import EPOCH, Engine

from ffe.ledger.backup import backup, restore
from ffe.ledger.ledger import Ledger
from ffe.orders.models import OrderState, check_transition
from ffe.orders.switch import SwitchState
from ffe.processes import Child

BACKUPS = 5


@pytest.fixture
def ready(tmp_path: Path, recorded_bars: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(tmp_path / "sim")]
    with (tmp_path / "simulator.log").open("a") as log:
        child = Child.spawn("simulator", [*command, "--bars", str(recorded_bars)], env=os.environ, log=log, read=True)
        yield child.ready(60)
        child.close()


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_postgresql(tmp_path_factory.mktemp("pg")) as url:
        yield url


def sent(ready: dict[str, Any]) -> int:
    """Every order that the venue knows, ours and the stops it holds for them."""
    headers = {"Authorization": f"Bearer {ready['control']['token']}"}
    state = httpx.get(f"{ready['control']['base_url']}/state", headers=headers, trust_env=False, timeout=20).json()
    return len(state["coinbase_order"]) + len(state["oanda_order"])


def consistent(ledger: Ledger) -> int:
    """Every order is what its events say, holds what its fills are, and has its money set aside while it is open. How many there are."""
    orders = ledger.orders(1000)
    open_reservations = {each.order_id for each in ledger.open_reservations()}
    units: dict[str, Decimal] = {}
    for order in orders:
        events = ledger.order_events(order.id)
        assert events[0].from_state is None
        assert events[-1].to_state is order.state
        for before, after in pairwise(events):
            assert after.from_state is before.to_state
            if after.to_state is not before.to_state:
                check_transition(order.id, before.to_state, after.to_state)
        filled = sum((fill.units for fill in ledger.fills(order.id)), Decimal(0))
        assert filled == order.filled_units
        assert (order.id in open_reservations) <= (not order.state.final)
        assert order.state is not OrderState.SUBMITTING or order.id in open_reservations
        units[order.instrument] = units.get(order.instrument, Decimal(0)) + filled * order.side.sign
        assert ledger.decision(order.decision_id).instrument == order.instrument
    for position in ledger.positions():
        assert position.units == units.get(position.instrument, Decimal(0))
    return len(orders)


def reconciled(ready: dict[str, Any], url: str) -> list[str]:
    """Reconciles both venues twice with a ledger; what differs in the end."""
    left = []
    for venue in ("coinbase", "oanda"):
        engine = Engine(ready, venue, url, EPOCH, None)
        engine.reconcile()
        left += [f"{venue}: {each.message}" for each in engine.reconcile().open]
        engine.ledger.close()
    return left


@pytest.mark.slow
def test_backups_taken_while_trading_are_whole_and_the_last_agrees_with_the_venue(
    ready: dict[str, Any], postgresql: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    Ledger.open(url).close()
    script = str(Path(__file__).parent / "backup_worker.py")
    worker = subprocess.Popen(
        [sys.executable, script, json.dumps(ready), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    files = [tmp_path / f"{number}.zip" for number in range(BACKUPS)]
    for file in files:
        assert worker.stdout.readline()
        backup(url, file)
    worker.communicate("stop\n", timeout=120)
    assert worker.returncode == 0
    backup(url, tmp_path / "last.zip")

    # What was taken at rest: elsewhere, in either database, it is the same and the venue has nothing to add.
    for elsewhere in (f"sqlite:///{tmp_path}/elsewhere.sqlite", new_database(postgresql)):
        restore(tmp_path / "last.zip", elsewhere)
        original, restored = Ledger.open(url), Ledger.open(elsewhere)
        assert consistent(restored) >= BACKUPS
        assert without_halt(rows(restored.database)) == without_halt(
            {**rows(original.database), "kill_switch": rows(restored.database)["kill_switch"]}
        )
        assert restored.switch().state is SwitchState.HALT
        original.close()
        restored.close()
        assert reconciled(ready, elsewhere) == []

    # What was taken in between: consistent, and reconciling it sends nothing; what it missed is found.
    before = sent(ready)
    for file in files:
        other = f"sqlite:///{file.with_suffix('.sqlite')}"
        restore(file, other)
        ledger = Ledger.open(other)
        consistent(ledger)
        ledger.close()
        reconciled(ready, other)
        assert sent(ready) == before
