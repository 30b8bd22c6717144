"""Whether every run is accounted for, and whether ledger and venue tell one story: read from the API, the ledger and the simulator.

A cycle that is Completed has its row in the ledger, finished, with a decision for each instrument and somebody who made it. One that was
Cancelled collided with the one before it, as prefect.yaml wants it. Any other end leaves an incident.
"""

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from plant import Plant
from prefect_view import FINAL, Document

from ffe.clock import parse_time
from ffe.errors import LedgerError
from ffe.orders.models import OrderState

TRADING = frozenset({"crypto", "forex"})
# Prefect's words for a run that found the one place of its deployment taken, and our state's name for one that found its account taken.
COLLISION, BUSY = "concurrency limit", "AccountBusy"


@dataclass
class Account:
    """`runs` counts states by deployment; `faults` are sentences about what can't be accounted for."""

    runs: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    decisions: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)


def account_for(plant: Plant, rates: Mapping[str, float], began: datetime, ended: datetime) -> Account:
    """Of every run that was due in [began, ended], and of every order; `rates` are seconds between runs of a deployment."""
    account = Account()
    for deployment, seconds in rates.items():
        due = [
            run
            for run in plant.prefect.runs(deployment, expected_start_time={"before_": ended.isoformat()})
            if _due(run, began)
        ]
        account.runs[deployment] = Counter(run["state_name"] for run in due)
        account.faults += _missing(deployment, due, seconds, began, ended)
        for run in due:
            account.faults += _of_run(plant, deployment, run, account)
    account.faults += _of_orders(plant, account)
    return account


def _due(run: Document, began: datetime) -> bool:
    return parse_time(run["expected_start_time"]) >= began


def _missing(deployment: str, due: list[Document], seconds: float, began: datetime, ended: datetime) -> list[str]:
    """Ticks of the schedule without a run."""
    times = [parse_time(run["expected_start_time"]) for run in due]
    edges = [began, *times, ended]
    longest = timedelta(seconds=seconds * 1.5)
    return [
        f"{deployment}: no run was due between {earlier} and {later}"
        for earlier, later in itertools.pairwise(edges)
        if later - earlier > longest
    ]


def _of_run(plant: Plant, deployment: str, run: Document, account: Account) -> list[str]:
    name = f"{deployment} {run['id']} ({run['state_name']})"
    if run["state_type"] not in FINAL:
        return [f"{name}: has not ended"]
    if run["state_type"] == "CANCELLED":
        said = str(run["state"]["message"])
        return [] if COLLISION in said.lower() or run["state_name"] == BUSY else [f"{name}: {said}"]
    if run["state_type"] != "COMPLETED" and not has_incident(plant, run["id"]):
        return [f"{name}: no incident; {run['state']['message']}"]
    if run["state_type"] != "COMPLETED" or deployment not in TRADING:
        return []
    return [f"{name}: {fault}" for fault in of_cycle(plant, run, account.decisions)]


def has_incident(plant: Plant, run_id: str) -> bool:
    """In the ledger, of the run or of the cycle that it is."""
    return any(run_id in {each.cycle_id, each.run_id, each.flow_run_id} for each in plant.ledger.incidents(10_000))


def of_cycle(plant: Plant, run: Document, decisions: Counter[str] | None = None) -> list[str]:
    """What is wrong with the ledger's row of a cycle that has ended: exactly one decision for each instrument, with its author."""
    try:
        cycle = plant.ledger.cycle(run["id"])
    except LedgerError:
        return ["the ledger has no such cycle"]
    if cycle.finished_at is None or cycle.summary is None:
        return ["the ledger has it unfinished"]
    rows: list[dict[str, Any]] = cycle.summary["instruments"]
    wanted = sorted(run["parameters"]["instruments"])
    if sorted(row["instrument"] for row in rows) != wanted:
        return [f"the report is about {[row['instrument'] for row in rows]}, not {wanted}"]
    faults = []
    for row in rows:
        decision = plant.ledger.decision(row["decision"]["id"])
        if decisions is not None:
            decisions[f"{decision.action} by {decision.decided_by}"] += 1
        if (decision.instrument, decision.action.value) != (row["instrument"], row["decision"]["action"]):
            faults.append(f"{row['instrument']}: the ledger says {decision.action} of {decision.instrument}")
    return faults


def _of_orders(plant: Plant, account: Account) -> list[str]:
    orders = plant.ledger.orders(100_000)
    account.orders.update(f"{order.state.value}" for order in orders)
    return of_venue(plant) + [
        f"order {order.id} is still {order.state.value}"
        for order in orders
        if order.state in {OrderState.SUBMITTING, OrderState.UNRESOLVED, OrderState.RESERVED}
    ]


def of_venue(plant: Plant) -> list[str]:
    """Duplicates at the venue, orders there that nobody knows here, money still set aside, and what `ffe reconcile` finds."""
    orders = {order.client_order_id: order for order in plant.ledger.orders(100_000)}
    sent = plant.venue.sent()
    faults = [f"client id {client_id} is at the venue {times} times" for client_id, times in sent.items() if times > 1]
    faults += [f"the venue's order {client_id} is not in the ledger" for client_id in sent if client_id not in orders]
    legs = Counter((orders[client_id].decision_id, orders[client_id].leg) for client_id in sent if client_id in orders)
    faults += [
        f"{times} orders of {leg} for decision {decision}" for (decision, leg), times in legs.items() if times > 1
    ]
    found = json.loads(plant.ffe("reconcile", "--json", expected=(0, 3)))
    faults += [f"reconcile: {each}" for each in _differences(found)]
    faults += [f"reservation of order {each.order_id} is still open" for each in plant.ledger.open_reservations()]
    return faults


def _differences(document: Any) -> list[Any]:
    rows = document if isinstance(document, list) else document.get("venues", [])
    return [difference for row in rows for difference in row.get("open", [])]
