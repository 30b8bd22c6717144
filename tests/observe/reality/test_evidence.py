"""What orders rest on: each way in which evidence can be missing breaks its own invariant, and no other."""

from datetime import timedelta
from typing import Any

import pytest
from builders import AT, BAR, batch, report
from world import FRESH, LEDGER_AND_VENUE, World

from ffe.market.models import Timeframe


def test_everything_holds_on_a_clean_ledger_and_every_detail_says_how_much_was_looked_at(world: World) -> None:
    found = world.check()
    assert found.holds, [(each.name, each.detail, each.rows) for each in found.broken]
    assert {each.name for each in found.invariants if each.holds == "yes"} == set(LEDGER_AND_VENUE)
    details = {each.name: each.detail for each in found.invariants}
    assert all(detail.startswith("0 of ") for name, detail in details.items() if name in LEDGER_AND_VENUE)
    assert details["passed-batch"].startswith("0 of 1 orders of decisions since 2018-03-05T15:31:20Z")
    assert details["known-authors"].startswith("0 of 3 decisions")
    assert (found.mode, found.at) == ("sim", world.clock.at)


def other_batch(world: World) -> None:
    world.ledger.record_batch(batch(id="c" * 64))
    world.put("quality_report", batch_id="c" * 64)


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        (lambda world: world.put("decision", {"id": "d" * 32}, batch_id=None), "its decision names no batch"),
        (lambda world: world.put("quality_report", passed=False), "on its batch did not pass"),
        (other_batch, "decided on batch bbbbbbbbbbbb, its report is of cccccccccccc"),
        (
            lambda world: world.put("quality_report", checked_at=AT + timedelta(seconds=9)),
            "its report was made at 2018-04-04T15:30:29Z, after the order",
        ),
    ],
)
def test_an_order_without_a_passed_report_of_its_own_bars_is_found(world: World, plant: Any, why: str) -> None:
    plant(world)
    assert why in world.why("passed-batch")


def test_an_order_without_any_report_has_bars_of_unknown_age_too(world: World) -> None:
    world.put("decision", {"id": "d" * 32}, quality_report_id=None)
    found = world.broken()
    assert set(found) == {"passed-batch", "fresh-bars"}
    assert "no report  on batch bbbbbbbbbbbb" in found["passed-batch"].rows[0]["why"]
    assert found["fresh-bars"].rows[0]["why"] == "no age of its bars is on record"


def freshness(**changes: Any) -> Any:
    return lambda world: world.put("quality_report", freshness=FRESH.model_copy(update=changes))


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        (freshness(fresh=False, message="closed 52.0 min ago"), "stale by the record: closed 52.0 min ago"),
        (freshness(bar_close=BAR - timedelta(minutes=5)), "the recorded age is of the bar 2018-04-04T15:25:00Z"),
        (freshness(limit_seconds=-20.0), "its bar was 20 s old at 2018-04-04T15:30:20Z, limit -20 s"),
    ],
)
def test_an_order_on_stale_bars_is_found(world: World, plant: Any, why: str) -> None:
    plant(world)
    assert why in world.why("fresh-bars")


@pytest.mark.parametrize(("days", "holds"), [(0, True), (9, False)])
def test_a_daily_bar_is_held_against_the_calendar(world: World, days: int, holds: bool) -> None:
    bar = BAR - timedelta(days=days)
    world.put("quality_report", freshness=FRESH.model_copy(update={"limit_seconds": None, "bar_close": bar}))
    world.put("orders", timeframe=Timeframe.D1.value, bar_close=bar)
    assert ("fresh-bars" not in world.broken()) is holds


@pytest.mark.parametrize("source", ["generator", "demo"])
def test_bars_of_no_real_source_outside_sim_are_found(world: World, source: str) -> None:
    world.put("bar_batch", source=source)
    assert world.broken() == {}, "in sim bars may come from anywhere"
    world.put("cycle", mode="practice")
    assert world.why("real-bars") == f"source {source}"


def test_bars_that_sim_saw_are_not_traded_on_elsewhere(world: World) -> None:
    world.ledger.start_cycle("x", "practice", "5m", AT)
    world.put("decision", {"id": "1" * 32}, cycle_id="x", batch_id="b" * 64)
    assert world.why("real-bars") == "its bars were used in sim too"


def test_what_lies_before_the_window_is_not_looked_at(world: World) -> None:
    world.put("quality_report", passed=False)
    world.only("passed-batch")
    world.clock.advance(timedelta(days=31))
    found = world.check()
    assert found.holds
    assert "0 of 0 orders of decisions" in found.invariants[0].detail


def test_the_rows_of_a_finding_are_bounded_and_counted(world: World) -> None:
    for number in range(25):
        world.account.enter("reject", bars=number + 1)
    world.put("quality_report", passed=False)
    found = world.broken()["passed-batch"]
    assert (found.count, len(found.rows)) == (26, 20)
    assert found.detail.startswith("26 of 26 orders")


def test_retention_bounds_the_window(world: World) -> None:
    retention = world.engine.settings.retention.model_copy(update={"model_calls_days": 7, "bars_days": None})
    world.engine.settings = world.engine.settings.model_copy(update={"retention": retention})
    assert "since 2018-03-28T15:31:20Z" in world.check().invariants[0].detail
    forever = retention.model_copy(update={"model_calls_days": None})
    world.engine.settings = world.engine.settings.model_copy(update={"retention": forever})
    assert "since 2018-03-05T15:31:20Z" in world.check().invariants[0].detail
    assert report().freshness is None
