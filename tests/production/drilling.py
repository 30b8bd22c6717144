"""How a drill catches a cycle in its middle, and how it sees that all is well again afterwards.

A cycle is caught where it waits for the model, which is held back, or where its order has just been taken by the venue, whose reply the
simulator then keeps for a while. The simulator's clock is moved on between drills, so that every cycle has a bar of its own.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator

from accounts import has_incident, of_cycle, of_venue
from plant import Plant
from prefect_view import Document, until

CRYPTO = ("BTCUSD", "ETHUSD")
BAR_SECONDS = 300
# Until a run of a warm worker asks the model or the venue, with other work on the machine.
CAUGHT_SECONDS = 120.0
# A run whose heartbeat is lost is ended after three of them, 90 s.
LEFT_SECONDS = 300.0
# The reconciliation leaves a run's own hook a minute to write first.
REPORTED_SECONDS = 150.0


def next_bar(plant: Plant) -> None:
    """Once nothing runs any more, whatever an earlier drill has left."""
    active = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
    until(lambda: None if plant.prefect.runs(state=active) else True, LEFT_SECONDS, "every run to end")
    move_clock(plant)


def move_clock(plant: Plant) -> None:
    """A bar's length forward, at once."""
    plant.venue.control("/clock", advance_seconds=BAR_SECONDS)


def run_to_end(plant: Plant, deployment: str = "crypto", seconds: float = 240) -> Document:
    return plant.prefect.ended(plant.prefect.run(deployment), seconds)


@contextlib.contextmanager
def held_at_the_model(plant: Plant, deployment: str = "crypto") -> Iterator[str]:
    """Id of a cycle that has asked the model; it gets its answer at the end of the block."""
    next_bar(plant)
    before = plant.model.asked
    plant.model.hold()
    try:
        run_id = plant.prefect.run(deployment)
        until(lambda: True if plant.model.asked > before else None, CAUGHT_SECONDS, "the model to be asked")
        yield run_id
    finally:
        plant.model.release()


@contextlib.contextmanager
def held_at_the_venue(plant: Plant, seconds: float) -> Iterator[str]:
    """Id of a cycle whose order Coinbase has taken, and whose reply is on its way for so many seconds."""
    next_bar(plant)
    before = plant.venue.sent().total()
    fault = {"kind": "delay", "seconds": seconds, "route": "coinbase.orders.create", "when": "after"}
    plant.venue.control("/faults", faults=[fault], seed=1)
    plant.model.always = _tradeable(plant)
    try:
        run_id = plant.prefect.run("crypto")
        until(lambda: True if plant.venue.sent().total() > before else None, CAUGHT_SECONDS, "an order at the venue")
        yield run_id
    finally:
        plant.model.always = None
        plant.venue.control("/faults", faults=[], seed=1)


def _tradeable(plant: Plant) -> str:
    """SELL where something is held, so that an order follows whatever came before."""
    held = [each for each in plant.ledger.positions() if each.instrument in CRYPTO and each.units > 0]
    return "SELL" if held else "BUY"


def assert_ended_well(plant: Plant, run: Document) -> None:
    """Completed, with a decision for each instrument, in Prefect and in the ledger."""
    assert run["state_name"] == "Completed", f"{run['state_name']}: {run['state']['message']}"
    assert not of_cycle(plant, run)


def assert_accounted_for(plant: Plant, run: Document) -> None:
    """Completed with all its decisions; or, by whatever name it ended, with an incident. What it decided is whole either way."""
    if run["state_name"] == "Completed":
        assert_ended_well(plant, run)
        return
    assert_incident(plant, run["id"])
    if run["state_name"] == "InstrumentsFailed":
        assert not of_cycle(plant, run)


def assert_incident(plant: Plant, run_id: str) -> None:
    """In the ledger and as a page in Prefect. Of a run that nobody was left to report, the reconciliation writes it, once a minute has gone by."""
    end = time.monotonic() + REPORTED_SECONDS
    while not has_incident(plant, run_id) and time.monotonic() < end:
        run_to_end(plant, "reconcile")
        time.sleep(2)
    assert has_incident(plant, run_id), "no incident in the ledger"
    assert plant.prefect.incidents(run_id), "no incident page"


def assert_one_story(plant: Plant) -> None:
    """No order twice, ledger and venue agree, no money is set aside for nothing, and nothing is late."""
    assert not of_venue(plant)
    assert not plant.prefect.late()


def assert_recovered(plant: Plant, seconds: float = 420) -> None:
    """Without anybody's doing the next cycles find a bar and a place, and one is completed by the model."""
    end = time.monotonic() + seconds
    while True:
        next_bar(plant)
        run = run_to_end(plant)
        if run["state_name"] == "Completed" or time.monotonic() > end:
            break
        time.sleep(5)
    assert_ended_well(plant, run)
    assert authors(plant, run["id"]).keys() <= {"model", "risk-gate"}
    assert_one_story(plant)


def authors(plant: Plant, cycle_id: str) -> Counter[str]:
    """Who made the decisions of a finished cycle."""
    summary = plant.ledger.cycle(cycle_id).summary
    assert summary is not None
    return Counter(row["decision"]["decided_by"] for row in summary["instruments"])
