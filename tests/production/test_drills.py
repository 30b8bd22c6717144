"""Faults of production on a whole plant, asserted from outside: no order twice, no decision lost, an incident, and recovery by itself.

One plant for all of them; each drill ends with a cycle that is well and a reconciliation without a difference, whatever went before.
"""

import time
from collections.abc import Iterator

import pytest
from drilling import (
    assert_accounted_for,
    assert_ended_well,
    assert_incident,
    assert_one_story,
    assert_recovered,
    authors,
    held_at_the_model,
    held_at_the_venue,
    move_clock,
    next_bar,
    run_to_end,
)
from full_disk import full_disk
from plant import Plant, started_plant

pytestmark = [pytest.mark.slow, pytest.mark.drill, pytest.mark.timeout(900)]

# Five heartbeats of a run: more than a server is away for, less than production waits.
SILENT_SECONDS = 150.0
# Cycles come faster than they would, and every one may trade: what a drill needs is an order, not a good one.
SETTINGS = {
    "FFE_DECIDE_DEADLINE_SECONDS": "40",
    "FFE_RISK__COOLDOWN_SECONDS": "0",
    "FFE_RISK__MIN_HOLD_SECONDS": "0",
    "FFE_RISK__LOSS_STREAK": "1000",
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with started_plant(tmp_path_factory.mktemp("plant"), **SETTINGS) as plant:
        plant.lose_heartbeats_after(SILENT_SECONDS)
        yield plant


def test_a_worker_killed_while_its_order_is_at_the_venue_orders_once_and_the_run_is_crashed(plant: Plant) -> None:
    with held_at_the_venue(plant, seconds=60) as run_id:
        plant.cpu.kill9()
        plant.cpu.start()
    run = plant.prefect.ended(run_id, 400)
    assert run["state_name"] == "Crashed"
    assert run_to_end(plant, "reconcile")["state_name"] == "Completed"
    assert_one_story(plant)
    assert_recovered(plant)
    assert_incident(plant, run_id)


def test_a_server_that_is_away_for_a_minute_costs_no_decision(plant: Plant) -> None:
    with held_at_the_model(plant) as run_id:
        plant.server.stop()
        plant.model.release()
        time.sleep(60)
        plant.server.start()
    assert_accounted_for(plant, plant.prefect.ended(run_id, 400))
    assert_recovered(plant)


def test_a_database_that_is_restarted_under_a_cycle_costs_no_decision(plant: Plant) -> None:
    with held_at_the_model(plant) as run_id:
        plant.database.away_for(5)
    assert_accounted_for(plant, plant.prefect.ended(run_id, 400))
    assert_recovered(plant)


def test_a_full_disk_stops_the_cycle_before_the_model_and_is_over_when_there_is_room(plant: Plant) -> None:
    with full_disk(plant) as disk:
        asked = plant.model.asked
        next_bar(plant)
        run = run_to_end(plant)
        assert run["state_type"] == "FAILED"
        assert plant.model.asked == asked
        assert_incident(plant, run["id"])
        disk.free()
        assert_recovered(plant)


def test_a_locked_ledger_is_waited_for_and_one_that_stays_locked_costs_no_order_twice(plant: Plant) -> None:
    with held_at_the_model(plant) as run_id, plant.database.locked("decision", "orders"):
        plant.model.release()
        time.sleep(8)
    assert_ended_well(plant, plant.prefect.ended(run_id))
    with held_at_the_model(plant) as run_id, plant.database.locked("decision", "orders"):
        plant.model.release()
        run = plant.prefect.ended(run_id, 240)
    assert run["state_type"] == "FAILED"
    assert_incident(plant, run_id)
    assert_recovered(plant)


def test_a_venue_clock_that_jumps_five_minutes_under_a_cycle_does_no_harm(plant: Plant) -> None:
    with held_at_the_model(plant) as run_id:
        move_clock(plant)
    assert_ended_well(plant, plant.prefect.ended(run_id))
    assert_recovered(plant)


def test_a_clock_five_minutes_off_is_refused_by_the_venue_and_nothing_is_ordered_there(plant: Plant) -> None:
    sent = plant.venue.sent().total()
    plant.venue.control("/faults", faults=[{"kind": "clock_offset", "seconds": 300}], seed=1)
    next_bar(plant)
    run = run_to_end(plant)
    plant.venue.control("/faults", faults=[], seed=1)
    assert run["state_type"] == "FAILED"
    assert_incident(plant, run["id"])
    assert plant.venue.sent().total() == sent
    assert_recovered(plant)


def test_two_cycles_at_once_trade_every_bar_once(plant: Plant) -> None:
    next_bar(plant)
    plant.model.always = "BUY"
    first, second = plant.prefect.run("crypto"), plant.prefect.run("crypto")
    beside = plant.prefect.run("forex", instruments=["BTCUSD", "ETHUSD"], timeframe="5m")
    ended = [plant.prefect.ended(each) for each in (first, second, beside)]
    plant.model.always = None
    kinds = [run["state_type"] for run in ended]
    assert sorted(kinds[:2]) == ["CANCELLED", "COMPLETED"]
    assert kinds[2] in {"CANCELLED", "COMPLETED"}
    for run in ended:
        if run["state_type"] == "COMPLETED":
            assert_ended_well(plant, run)
    orders = [(order.instrument, order.bar_close, order.leg) for order in plant.ledger.orders(10_000)]
    assert len(orders) == len(set(orders))
    assert_recovered(plant)


def test_without_a_gpu_worker_a_cycle_holds_by_fallback_and_the_next_one_is_decided_again(plant: Plant) -> None:
    plant.gpu.kill9()
    next_bar(plant)
    run = run_to_end(plant)
    assert_accounted_for(plant, run)
    assert authors(plant, run["id"]).keys() == {"fallback"}
    assert_incident(plant, run["id"])
    plant.gpu.start()
    assert_recovered(plant)
