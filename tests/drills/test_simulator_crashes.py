"""Real simulator, real SDKs, real SIGKILL: a trading process dies at each numbered point, and the next one puts everything right."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ffe.orders.protection import PROTECTION_STEPS
from ffe.orders.reconcile import RECONCILE_STEPS
from ffe.orders.service import STEPS

WIRE = ("wire before", "wire after")
ORDER_POINTS = (*STEPS[:4], *WIRE, *STEPS[4:])
# With a stop missing, reconciliation also puts it back.
PROTECT_POINTS = (*RECONCILE_STEPS[:3], *PROTECTION_STEPS, *RECONCILE_STEPS[3:])
VENUES = ("oanda", "coinbase")
# Every case moves the venue's clock on, by 18 minutes at most: from here all of them are over before forex pauses at 17:00 New York.
START = "2018-04-03T21:10:00Z"


@dataclass
class Drill:
    """The process that forks the trading ones."""

    process: subprocess.Popen[str]

    def run(self, venue: str, act: str, place: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"venue": venue, "act": act, "place": place}) + "\n")
        self.process.stdin.flush()
        said = dict(json.loads(self.process.stdout.readline()))
        assert "error" not in said, said["error"]
        return said


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The line that it says when it is ready."""
    folder = tmp_path_factory.mktemp("drill-venue")
    command = [
        sys.executable,
        "-m",
        "simulator",
        "--port",
        "0",
        "--data-dir",
        str(folder),
        "--exit-with-stdin",
        "--start",
        START,
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline()
    finally:
        process.stdin.close()
        process.wait(15)
        process.stdout.close()


@pytest.fixture(scope="module")
def drill(simulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    script, folder = Path(__file__).parent / "drill_simulator.py", tmp_path_factory.mktemp("drill-ledger")
    command = [sys.executable, str(script), simulator, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Drill(process)
    finally:
        process.stdin.close()
        process.wait(15)
        process.stdout.close()


def settled(said: dict[str, Any]) -> None:
    """What must be so however the process died."""
    assert said["died"], said["events"]
    assert said["open_orders"] == []
    assert said["reservations"] == 0
    assert said["differences"] == []
    assert said["changed_by_a_second_look"] == []
    assert (said["booked"], said["external"]) == (said["held"], "0")
    assert said["stops"] == (0 if said["held"] == "0" else 1)
    assert said["held_in_the_end"] == "0"


def lost_on_the_way(venue: str, place: str) -> bool:
    """Announced and never sent. OANDA would fill a second request, so nobody sends one; Coinbase gets the identical one."""
    return venue == "oanda" and place in {"submitting", "wire before"}


@pytest.mark.parametrize("place", ORDER_POINTS)
@pytest.mark.parametrize("venue", VENUES)
def test_an_entry_killed_at_any_point_is_one_protected_order_or_none(drill: Drill, venue: str, place: str) -> None:
    said = drill.run(venue, "enter", place)
    settled(said)
    lost = lost_on_the_way(venue, place)
    assert (said["state"], said["at_the_venue"]) == (("CANCELLED", 0) if lost else ("FILLED", 1))
    assert (said["held"] == "0") is lost


@pytest.mark.parametrize("place", ORDER_POINTS)
@pytest.mark.parametrize("venue", VENUES)
def test_a_close_killed_at_any_point_leaves_nothing_or_what_was_there(drill: Drill, venue: str, place: str) -> None:
    said = drill.run(venue, "exit", place)
    settled(said)
    lost = lost_on_the_way(venue, place)
    assert (said["state"], said["at_the_venue"]) == (("CANCELLED", 0) if lost else ("FILLED", 1))
    assert (said["held"] == "0") is not lost


@pytest.mark.parametrize("place", RECONCILE_STEPS)
@pytest.mark.parametrize("venue", VENUES)
def test_a_reconciliation_killed_at_any_point_is_made_up_by_the_next(drill: Drill, venue: str, place: str) -> None:
    said = drill.run(venue, "reconcile", place)
    settled(said)
    assert said["state"] == "FILLED"


@pytest.mark.parametrize("place", PROTECT_POINTS)
@pytest.mark.parametrize("venue", VENUES)
def test_a_stop_that_is_put_back_is_there_once_wherever_its_process_died(drill: Drill, venue: str, place: str) -> None:
    said = drill.run(venue, "protect", place)
    settled(said)
    assert said["stops"] == 1
