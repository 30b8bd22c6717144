"""The deployment by the word of Prefect's API: alarms, workers, pauses, and an API that does not answer."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from world import World

from ffe.clock import SystemClock
from ffe.errors import ConfigurationError, RefusedError
from ffe.observe.alarms import AUTOMATIONS, DEPLOYMENTS
from ffe.observe.prefect_api import Api, AutomationSeen, DeploymentSeen, WorkerSeen
from ffe.observe.reality.models import Invariant
from ffe.settings import Mode

NAMES = ("alarms-wired", "workers-alive", "deployments-running")


@pytest.fixture
def kind() -> str:
    """What differs is what the other side says; every statement runs on PostgreSQL in the other files."""
    return "sqlite"


def heard(seconds: float | None) -> tuple[WorkerSeen, ...]:
    at = None if seconds is None else SystemClock().now() - timedelta(seconds=seconds)
    return (WorkerSeen("w", at, "ONLINE"),)


@dataclass(frozen=True)
class Server(Api):
    """A Prefect API that says what it is told to say."""

    url: str = "http://prefect.test/api"
    alarms: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(AUTOMATIONS, True))
    ages: dict[str, float | None] = field(default_factory=lambda: {"cpu": 3.0, "gpu": 40.0})
    deployed: tuple[str, ...] = (*DEPLOYMENTS, "decide/gpu")
    paused: tuple[str, ...] = ()
    unscheduled: tuple[str, ...] = ("decide/gpu",)
    silent: tuple[str, ...] = ()

    def automations(self) -> tuple[AutomationSeen, ...]:
        return tuple(AutomationSeen(name, on, notifies=name not in self.silent) for name, on in self.alarms.items())

    def workers(self, pool: str) -> tuple[WorkerSeen, ...]:
        if pool not in self.ages:
            raise ConfigurationError(f"no work pool {pool}")
        return heard(self.ages[pool])

    def deployments(self) -> tuple[DeploymentSeen, ...]:
        return tuple(
            DeploymentSeen(name, paused=name in self.paused, scheduled=name not in self.unscheduled)
            for name in self.deployed
        )


def found(world: World, api: Api | None, automations: tuple[str, ...] = AUTOMATIONS) -> dict[str, Invariant]:
    return {each.name: each for each in world.check(api, automations).invariants if each.name in NAMES}


def test_a_run_that_belongs_to_no_deployment_claims_nothing_of_one(world: World) -> None:
    said = found(world, None)
    assert {each.holds for each in said.values()} == {"not-applicable"}
    assert {each.detail for each in said.values()} == {"no Prefect API: this run belongs to no deployment"}
    assert world.check().holds


def test_a_deployment_in_order_holds(world: World) -> None:
    said = found(world, Server())
    assert {each.holds for each in said.values()} == {"yes"}
    assert (
        said["alarms-wired"].detail
        == f"0 of {len(AUTOMATIONS)} automations, {len(AUTOMATIONS)} on the server, would not raise an alarm"
    )
    assert said["workers-alive"].detail == "0 of 2 work pools have no live worker"
    assert said["deployments-running"].detail == f"0 of {len(DEPLOYMENTS) + 1} deployments do not run"


def test_alarms_that_are_missing_or_disabled_are_named(world: World) -> None:
    first, second, *rest = AUTOMATIONS
    said = found(world, Server(alarms={second: False, "somebody-elses": True} | dict.fromkeys(rest, True)))
    assert said["alarms-wired"].rows == (
        {"automation": first, "why": "not on the server"},
        {"automation": second, "why": "disabled"},
    )
    assert found(world, Server(), ())["alarms-wired"].holds == "broken", "a deployment without alarms is not wired"


@pytest.mark.parametrize(
    ("ages", "why"),
    [
        ({"cpu": 3.0, "gpu": None}, "no worker was ever heard"),
        ({"cpu": 3.0, "gpu": 600.0}, "last heard 600 s ago, limit 90 s"),
        ({"cpu": 3.0, "gpu": -172800.0}, "last heard 172800 s in the future, limit 90 s"),
    ],
)
def test_a_pool_without_a_live_worker_is_named(world: World, ages: dict[str, Any], why: str) -> None:
    said = found(world, Server(ages=ages))["workers-alive"]
    assert said.rows == ({"pool": "gpu", "why": why},)


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.PRACTICE, Mode.LIVE])
def test_alarms_that_notify_nobody_are_told_in_sim_and_broken_outside(world: World, mode: Mode) -> None:
    first = AUTOMATIONS[0]
    nobody, one = Server(silent=AUTOMATIONS), Server(silent=(first,))
    said = found(world, nobody)["alarms-wired"]
    assert (said.holds, f"{len(AUTOMATIONS)} notify nobody" in said.detail) == ("yes", True)
    world.engine.settings = world.engine.settings.model_copy(update={"mode": mode})
    assert found(world, nobody)["alarms-wired"].count == len(AUTOMATIONS)
    assert found(world, one)["alarms-wired"].rows == ({"automation": first, "why": "notifies nobody"},)


def test_a_deployment_that_is_paused_or_gone_or_without_a_schedule_is_named(world: World) -> None:
    first, second, *rest = DEPLOYMENTS
    api = Server(deployed=(second, *rest, "decide/gpu"), paused=("decide/gpu",), unscheduled=("decide/gpu", second))
    assert found(world, api)["deployments-running"].rows == (
        {"deployment": first, "why": "not on the server"},
        {"deployment": second, "why": "no active schedule"},
        {"deployment": "decide/gpu", "why": "paused"},
    )
    alone = Server(deployed=("somebody/elses",), unscheduled=("somebody/elses",))
    assert found(world, alone)["deployments-running"].count == len(DEPLOYMENTS)


def test_a_pool_that_is_not_there_is_unknown(world: World) -> None:
    said = found(world, Server(ages={"cpu": 1.0}))["workers-alive"]
    assert (said.holds, said.bad) == ("unknown", True)
    assert "no work pool gpu" in said.detail


def test_an_api_that_does_not_answer_is_unknown_and_not_exempt(world: World) -> None:
    api = Api("http://127.0.0.1:9/api")
    with pytest.raises(RefusedError):
        api.deployments()
    said = found(world, api)
    assert {each.holds for each in said.values()} == {"unknown"}
    assert len(world.check(api, AUTOMATIONS).broken) == 3
