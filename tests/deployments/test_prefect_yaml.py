"""prefect.yaml as a person reads it: every flow is deployed, every schedule comes when its description says."""

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule, RRuleSchedule
from prefect.server.schemas.schedules import CronSchedule as ServerCron
from prefect.server.schemas.schedules import IntervalSchedule as ServerInterval
from prefect.server.schemas.schedules import RRuleSchedule as ServerRRule

from ffe.market.calendar import calendar_for
from ffe.market.models import parse_instrument
from ffe.observe import alarms
from flows import __path__ as flows_path

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS = {each["name"]: each for each in DOCUMENT["deployments"]}
# Called by a cycle, which has a schedule, or started by a person who has a question.
UNSCHEDULED = {"gpu", "replay", "sweep"}
MINUTE = timedelta(minutes=1)
HALVES = (timedelta(0), timedelta(hours=12))


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    module, _, name = deployment["entrypoint"].rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, Flow)
    return found


async def due(deployment: dict[str, Any], start: datetime, end: datetime) -> list[datetime]:
    """When its schedules come in [start, end), as Prefect's own scheduler counts."""
    found: set[datetime] = set()
    for each in deployment["schedules"]:
        if "interval" in each:
            schedule: Any = ServerInterval(
                interval=timedelta(seconds=each["interval"]),
                anchor_date=each["anchor_date"],
                timezone=each["timezone"],
            )
        elif "cron" in each:
            CronSchedule(cron=each["cron"], timezone=each["timezone"])
            schedule = ServerCron(cron=each["cron"], timezone=each["timezone"])
        else:
            RRuleSchedule(rrule=each["rrule"], timezone=each["timezone"])
            schedule = ServerRRule(rrule=each["rrule"], timezone=each["timezone"])
        found |= {moment.astimezone(UTC) for moment in await schedule.get_dates(5000, start, end)}
    return sorted(moment for moment in found if start <= moment < end)


def flows_of_the_package() -> Iterator[str]:
    for path in sorted(Path(next(iter(flows_path))).glob("*.py")):
        if "@flow(" in path.read_text():
            yield f"flows.{path.stem}"


def test_every_flow_of_the_package_is_deployed() -> None:
    deployed = {each["entrypoint"].rpartition(".")[0] for each in DEPLOYMENTS.values()}
    assert deployed == set(flows_of_the_package())


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_deployment_says_what_it_is_for_and_its_parameters_are_accepted_and_described(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert len(deployment["description"]) > 30
    assert deployment["tags"]
    made = flow_of(deployment)
    made.validate_parameters(
        deployment.get("parameters", {})
        if name != "gpu"
        else {"cycle_id": "x", "contexts": [], "valid_until": "2026-01-01T00:00:00Z"}
    )
    for parameter, schema in made.parameters.properties.items():
        assert schema.get("description"), f"{name}: {parameter} has no text in the run form"


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS.keys() - UNSCHEDULED))
def test_a_scheduled_deployment_never_runs_beside_itself(name: str) -> None:
    assert DEPLOYMENTS[name]["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    slugs = [each["slug"] for each in DEPLOYMENTS[name]["schedules"]]
    assert len(slugs) == len(set(slugs)) > 0


def test_the_reality_check_expects_every_deployment_that_has_a_schedule() -> None:
    scheduled = [each for each in DEPLOYMENTS.values() if each.get("schedules")]
    assert set(alarms.DEPLOYMENTS) == {f"{flow_of(each).name}/{each['name']}" for each in scheduled}
    assert len(alarms.DEPLOYMENTS) == len(scheduled) == len(DEPLOYMENTS) - len(UNSCHEDULED)


async def test_crypto_comes_every_five_minutes_just_after_its_bar_closed() -> None:
    start = datetime(2026, 3, 7, tzinfo=UTC)
    moments = await due(DEPLOYMENTS["crypto"], start, start + timedelta(days=2))
    assert moments == [start + timedelta(minutes=5 * step, seconds=5) for step in range(2 * 288)]


@pytest.mark.parametrize(
    "start",
    [datetime(2027, 3, 12, tzinfo=UTC), datetime(2027, 11, 5, tzinfo=UTC), datetime(2027, 6, 11, tzinfo=UTC)],
    ids=["march", "november", "summer"],
)
async def test_forex_comes_every_quarter_of_an_hour_of_the_spot_week_and_at_no_other_time(start: datetime) -> None:
    calendar = calendar_for(parse_instrument("EURUSD"))
    moments = await due(DEPLOYMENTS["forex"], start, start + timedelta(days=5))
    quarters = [start + timedelta(minutes=15 * step, seconds=5) for step in range(5 * 96)]
    # The first one of a trading day falls into the rollover pause, where the cycle itself holds; minutes later the market is open.
    assert moments == [moment for moment in quarters if calendar.is_open(moment + 6 * MINUTE)]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("reconcile", 288),
        ("watch-exits", 24 * 60),
        ("reality-check", 48),
        ("grade-decisions", 24),
        ("preflight", 24),
        ("sync-instruments", 1),
        ("backfill-bars", 1),
        ("retention", 1),
    ],
)
async def test_operations_come_as_often_as_documented(name: str, runs: int) -> None:
    start = datetime(2026, 11, 2, tzinfo=UTC)
    # Prefect counts at most 1000 dates at once.
    halves = [await due(DEPLOYMENTS[name], start + half, start + half + timedelta(hours=12)) for half in HALVES]
    assert sum(map(len, halves)) == runs
