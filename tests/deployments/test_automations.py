"""Every automation on a real Prefect server: applied, fired, and quiet where it should be. The notes come to a webhook on loopback."""

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State, StateType
from prefect.events import Event, RelatedResource, Resource
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running, Scheduled
from pydantic import SecretStr
from real_prefect import SECRET_PATH, FullServer, Webhook, await_true

from deployments import automations
from deployments.automations.__main__ import main
from deployments.automations.applying import apply_definitions
from deployments.automations.definitions import STUCK_MESSAGE, ZOMBIE_MESSAGE, definitions
from deployments.automations.triggers import CRASHES, Windows, crypto_missing, own_event
from ffe.errors import ConfigurationError
from ffe.observe import alarms
from ffe.orders.switch import KillSwitch, SwitchState
from ffe.settings_operations import NotifySettings
from tasks.events import tripped

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Apprise looks for it when it loads its plugins.
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
]

SHORT = Windows(
    crypto_cycle=timedelta(seconds=20),
    forex_cycle=timedelta(seconds=20),
    heartbeat=timedelta(seconds=20),
    cancelling=timedelta(seconds=10),
)
# How long something that must not come is waited for, after something of the same kind has come.
QUIET = 2.0


def named(name: str, message: str = "for a reason") -> State[None]:
    return State(type=StateType.FAILED, name=name, message=message)


@dataclass
class Runs:
    """Makes flow runs through the API, as a scheduler and a worker would."""

    client: PrefectClient

    async def deployment(self, flow: str, name: str) -> UUID:
        flow_id = await self.client.create_flow_from_name(flow)
        return await self.client.create_deployment(
            flow_id=flow_id, name=name, parameter_openapi_schema={"type": "object", "properties": {}}
        )

    async def due(self, flow: str, name: str, at: datetime) -> UUID:
        run = await self.client.create_flow_run_from_deployment(
            await self.deployment(flow, name),
            state=Scheduled(scheduled_time=at),
            parameters={"canary": "parameter-canary"},
        )
        return run.id

    async def through(self, flow: str, name: str, *states: State[None]) -> UUID:
        """A run that was due far ahead, so that nobody finds it late, and went through `states`."""
        run = await self.due(flow, name, datetime.now(UTC) + timedelta(hours=1))
        for state in states:
            await self.client.set_flow_run_state(run, state, force=True)
        return run

    async def ended(self, flow: str, name: str, last: State[None]) -> UUID:
        return await self.through(flow, name, Pending(), Running(), last)


@pytest.fixture
async def runs(served: FullServer, webhook: Webhook) -> AsyncIterator[Runs]:
    await apply_definitions(NotifySettings(webhook=SecretStr(webhook.url)), SHORT)
    async with get_client() as client:
        yield Runs(client)


async def ids(client: PrefectClient) -> dict[str, UUID]:
    return {each.name: each.id for each in await client.read_automations()}


def test_the_names_that_the_engine_expects_are_the_names_that_are_defined() -> None:
    assert tuple(each.name for each in definitions([uuid4()])) == alarms.AUTOMATIONS == automations.EXPECTED
    assert all(each.name.startswith(alarms.PREFIX) and each.description for each in definitions([]))


def test_a_pause_is_the_only_thing_that_stops_trading_and_can_be_left_out() -> None:
    acting = {
        (each.name, action.type)
        for each in definitions([uuid4()])
        for action in each.actions
        if action.type != "send-notification"
    }
    assert acting == {
        (alarms.CYCLE_CRASHING, "pause-deployment"),
        (alarms.ZOMBIE_RUN, "change-flow-run-state"),
        (alarms.STUCK_CANCELLING, "change-flow-run-state"),
    }
    paused = [a.type for each in definitions([], pause=False) for a in each.actions]
    assert "pause-deployment" not in paused


def test_without_a_channel_every_automation_is_there_and_notifies_nobody() -> None:
    made = {each.name: [action.type for action in each.actions] for each in definitions([])}
    assert made[alarms.REALITY_BROKEN] == ["do-nothing"]
    assert made[alarms.ZOMBIE_RUN] == ["change-flow-run-state", "do-nothing"]


async def test_applied_twice_every_automation_keeps_its_id(
    served: FullServer, monkeypatch: pytest.MonkeyPatch, webhook: Webhook
) -> None:
    monkeypatch.setenv("FFE_NOTIFY__WEBHOOK", webhook.url)
    assert await automations.apply() == list(alarms.AUTOMATIONS)
    async with get_client() as client:
        first = await ids(client)
        assert await automations.apply() == list(alarms.AUTOMATIONS)
        assert await ids(client) == first
    applied = await apply_definitions(NotifySettings(webhook=SecretStr(webhook.url)))
    assert applied.outcome == dict.fromkeys(alarms.AUTOMATIONS, "unchanged")
    assert "notes go to ffe-webhook" in str(applied)


async def test_a_change_is_made_in_place_and_what_is_retired_goes_and_a_strangers_stays(
    runs: Runs, webhook: Webhook
) -> None:
    notify = NotifySettings(webhook=SecretStr(webhook.url))
    before = await ids(runs.client)
    for name, tags in (("ffe-of-yore", ["ffe"]), ("ffe-of-somebody", []), (alarms.GPU_LATE, ["ffe"])):
        await runs.client.create_automation(
            AutomationCore(name=name, tags=tags, trigger=own_event("nothing", "nothing"), actions=[DoNothing()])
        )
    applied = await apply_definitions(notify, SHORT, pause=False)
    assert applied.outcome["ffe-of-yore"] == "deleted"
    assert applied.outcome[alarms.CYCLE_CRASHING] == "updated"
    assert applied.outcome[alarms.CYCLE_FAILED] == "unchanged"
    await apply_definitions(notify, SHORT)
    (crashing,) = await runs.client.read_automations_by_name(alarms.CYCLE_CRASHING)
    assert [action.type for action in crashing.actions] == ["pause-deployment", "send-notification"]
    after = await ids(runs.client)
    assert after.pop("ffe-of-somebody")
    # Of two of one name either is kept.
    assert {**after, alarms.GPU_LATE: None} == {**before, alarms.GPU_LATE: None}


async def test_what_a_person_switched_off_stays_off(runs: Runs, webhook: Webhook) -> None:
    off = (await ids(runs.client))[alarms.GPU_LATE]
    await runs.client.pause_automation(off)
    applied = await apply_definitions(NotifySettings(webhook=SecretStr(webhook.url)), SHORT)
    assert applied.switched_off == (alarms.GPU_LATE,)
    assert f"{alarms.GPU_LATE}: is switched off" in str(applied)
    await runs.client.resume_automation(off)


def test_the_command_says_what_it_did_and_that_nobody_is_notified(
    served: FullServer, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["apply", "--no-pause"])
    told = capsys.readouterr().out
    assert "nobody is notified" in told
    assert alarms.FOREX_CYCLE_MISSING in told


async def test_a_failed_cycle_is_told_once_for_each_kind_of_failure_and_a_completed_one_is_not(
    runs: Runs, webhook: Webhook
) -> None:
    await runs.ended("trading-cycle", "told", Completed(message="all is well"))
    await runs.ended("reconcile", "reconcile", Completed())
    run = await runs.ended("trading-cycle", "told", named("InstrumentsFailed", "1 of 2 instruments failed: ETHUSD"))
    note = webhook.await_note("cycle failed", "ETHUSD")
    name = (await runs.client.read_flow_run(run)).name
    assert note["title"] == "ffe: cycle failed"
    assert f"trading-cycle: run {name} is InstrumentsFailed." in note["message"]
    assert f"/runs/flow-run/{run}" in note["message"]
    assert "docs/operations.md#cycle-failed" in note["message"]
    await runs.ended("trading-cycle", "told", named("InstrumentsFailed", "1 of 2 instruments failed: BTCUSD"))
    await runs.ended("trading-cycle", "told", Crashed(message="exited with status code: -9"))
    webhook.await_note("cycle failed", "status code: -9")
    time.sleep(QUIET)
    assert not webhook.about("BTCUSD")
    assert not webhook.about("all is well")
    assert not webhook.about("parameter-canary")


async def test_the_third_crash_pauses_the_deployment_and_says_so(runs: Runs, webhook: Webhook) -> None:
    deployment = await runs.deployment("trading-cycle", "crashing")
    # Apart, as those of a worker are: of two within a moment the server may take the second first, and then it never counts the first.
    for _ in range(CRASHES - 1):
        await runs.ended("trading-cycle", "crashing", Crashed(message="killed"))
        time.sleep(QUIET)
    webhook.await_note("cycle failed", "killed")
    assert not (await runs.client.read_deployment(deployment)).paused
    await runs.ended("trading-cycle", "crashing", Crashed(message="killed again"))
    webhook.await_note("cycle crashing", "killed again")
    assert (await runs.client.read_deployment(deployment)).paused


async def test_a_crypto_cycle_is_missed_two_periods_after_the_last_one_and_not_before(
    runs: Runs, webhook: Webhook
) -> None:
    for _ in range(2):
        await runs.ended("trading-cycle", "crypto", Completed())
        time.sleep(SHORT.crypto_cycle.total_seconds() / 2)
    assert not webhook.about("crypto cycle missing")
    await runs.ended("trading-cycle", "crypto", named("InstrumentsFailed", "the last one"))
    began = time.monotonic()
    note = webhook.await_note("crypto cycle missing", "the last one")
    assert time.monotonic() - began > SHORT.crypto_cycle.total_seconds() - QUIET
    assert "No cycle has ended for too long" in note["message"]


async def test_a_forex_cycle_is_missed_when_it_was_due_and_only_then(runs: Runs, webhook: Webhook) -> None:
    """Over a weekend the last cycle has ended and the next one is due in two days."""
    done = await runs.ended("trading-cycle", "forex", Completed())
    failed = await runs.ended("trading-cycle", "forex", Failed(message="broke"))
    cancelled = await runs.through("trading-cycle", "forex", Pending(), Cancelled())
    monday = await runs.due("trading-cycle", "forex", datetime.now(UTC) + timedelta(days=2))
    late = await runs.due("trading-cycle", "forex", datetime.now(UTC) - timedelta(seconds=1))
    hanging = await runs.through("trading-cycle", "forex", Pending(), Running())
    webhook.await_note("forex cycle missing", str(late))
    webhook.await_note("forex cycle missing", str(hanging))
    innocent = {"done": done, "failed": failed, "cancelled": cancelled, "monday": monday}
    assert [name for name, run in innocent.items() if webhook.about("forex cycle missing", str(run))] == []
    await runs.client.delete_flow_run(late)


async def test_a_decision_that_waits_for_the_gpu_pool_is_told(runs: Runs, webhook: Webhook) -> None:
    await runs.ended("decide", "gpu", Completed(message="decided in time"))
    await runs.due("grade-decisions", "grade-decisions", datetime.now(UTC) - timedelta(seconds=1))
    late = await runs.due("decide", "gpu", datetime.now(UTC) - timedelta(seconds=1))
    note = webhook.await_note("gpu late")
    assert f"/runs/flow-run/{late}" in note["message"]
    assert "is Late." in note["message"]
    assert len(webhook.about("gpu late")) == 1


async def heartbeat(client: PrefectClient, run: UUID) -> None:
    """As the engine of a flow run makes it (`FlowRunEngine._build_heartbeat_event_template`)."""
    flow_run = await client.read_flow_run(run)
    event = Event(
        event="prefect.flow-run.heartbeat",
        resource=Resource({"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.name": flow_run.name}),
        related=[
            RelatedResource({"prefect.resource.id": f"prefect.{kind}.{each}", "prefect.resource.role": kind})
            for kind, each in (("flow", flow_run.flow_id), ("deployment", flow_run.deployment_id))
        ],
    )
    await client.request("POST", "/events", json=[event.model_dump(mode="json")])


async def test_a_run_whose_heartbeat_is_lost_is_set_to_crashed_and_no_other(runs: Runs, webhook: Webhook) -> None:
    dead, alive, ended = [await runs.through("backfill-bars", "backfill-bars", Pending(), Running()) for _ in range(3)]
    for run in (dead, alive, ended):
        await heartbeat(runs.client, run)
    await runs.client.set_flow_run_state(ended, named("ChunksFailed"), force=True)
    deadline = time.monotonic() + 60
    while not webhook.about("zombie run", str(dead)):
        assert time.monotonic() < deadline
        await heartbeat(runs.client, alive)
        time.sleep(2)
    time.sleep(QUIET)
    states = [(await runs.client.read_flow_run(run)).state for run in (dead, alive, ended)]
    assert [None if state is None else state.name for state in states] == ["Crashed", "Running", "ChunksFailed"]
    assert [state.message for state in states[:1] if state is not None] == [ZOMBIE_MESSAGE]
    # Of a run that has ended a late heartbeat may still be told; the server refuses to change it.
    assert webhook.about("zombie run", str(alive)) == []


async def test_a_run_that_never_stops_cancelling_is_set_to_cancelled(runs: Runs, webhook: Webhook) -> None:
    cancelling = State[None](type=StateType.CANCELLING)
    ended = await runs.through("decide", "gpu", Pending(), Running(), cancelling, Cancelled())
    stuck = await runs.through("decide", "gpu", Pending(), Running(), cancelling)
    webhook.await_note("stuck cancelling", str(stuck))
    found = await runs.client.read_flow_run(stuck)
    assert found.state is not None
    assert (found.state.name, found.state.message) == ("Cancelled", STUCK_MESSAGE)
    assert webhook.about("stuck cancelling", str(ended)) == []


def test_the_kill_switch_is_told_once_for_each_time_it_is_set(runs: Runs, webhook: Webhook) -> None:
    at = datetime.now(UTC)
    first = KillSwitch(state=SwitchState.REDUCE_ONLY, reason="daily loss 3.1 % over 3 %", by="daily-loss", at=at)
    for _ in range(3):
        tripped(first)
    tripped(KillSwitch(state=SwitchState.NORMAL, reason="looked at it", by="person", at=at + timedelta(seconds=1)))
    halted = at + timedelta(seconds=2)
    tripped(KillSwitch(state=SwitchState.HALT, reason="enough", by="person", at=halted))
    webhook.await_note("kill switch tripped", "enough")
    note = webhook.await_note("kill switch tripped", "daily loss 3.1 % over 3 %")
    assert "is at reduce-only since" in note["message"]
    assert "by daily-loss" in note["message"]
    time.sleep(QUIET)
    assert len(webhook.about("kill switch tripped")) == 2


@pytest.mark.parametrize(
    ("alarm", "flow", "state"),
    [
        ("reality broken", "reality-check", "InvariantsBroken"),
        ("reconcile difference", "reconcile", "DifferencesRemain"),
        ("preflight failed", "preflight", "PreflightFailed"),
    ],
)
async def test_a_check_is_told_when_it_fails_and_when_it_could_not_run(
    alarm: str, flow: str, state: str, runs: Runs, webhook: Webhook
) -> None:
    await runs.ended(flow, flow, Completed(message=f"{flow} is well"))
    await runs.ended(flow, flow, named(state, f"{flow} found three"))
    await runs.ended(flow, flow, Failed(message=f"{flow} could not run"))
    webhook.await_note(alarm, f"is {state}.", f"{flow} found three")
    webhook.await_note(alarm, "is Failed.", f"{flow} could not run")
    assert not webhook.about(f"{flow} is well")


async def test_no_address_can_be_read_from_the_api_nor_from_the_servers_log_when_a_note_fails(
    served: FullServer, webhook: Webhook
) -> None:
    await apply_definitions(NotifySettings(webhook=SecretStr(f"{webhook.url}/broken?token=query-canary")), SHORT)
    async with get_client() as client:
        runs = Runs(client)
        await runs.ended("trading-cycle", "unheard", Failed(message="nobody hears this"))
        await_true(lambda: bool(webhook.refused), "note that is refused")
        assert all(path.endswith("/broken?token=query-canary") for path in webhook.refused)
        failed = {"filter": {"event": {"name": ["prefect.automation.action.failed"]}}, "limit": 50}
        events = await client.request("POST", "/events/filter", json=failed)
        deadline = time.monotonic() + 60
        while not events.json()["events"]:
            assert time.monotonic() < deadline
            time.sleep(QUIET)
            events = await client.request("POST", "/events/filter", json=failed)
        documents = await client.request("POST", "/block_documents/filter", json={})
    for text in (documents.text, events.text, served.log.read_text()):
        assert SECRET_PATH not in text
        assert "query-canary" not in text


async def test_a_channel_that_is_no_longer_set_loses_its_block(served: FullServer, webhook: Webhook) -> None:
    every = NotifySettings(
        slack_webhook=SecretStr("https://hooks.slack.com/services/TAAAAAAAA/BAAAAAAAA/aaaaaaaaaaaaaaaaaaaaaaaa"),
        webhook=SecretStr(webhook.url),
        email=SecretStr("mailtos://mail.example.com?user=u&pass=mail-canary&from=ffe@example.com&to=you@example.com"),
    )
    assert (await apply_definitions(every, SHORT)).channels == ("ffe-slack", "ffe-webhook", "ffe-email")
    async with get_client() as client:
        documents = await client.request("POST", "/block_documents/filter", json={})
        assert "mail-canary" not in documents.text
        await apply_definitions(NotifySettings(), SHORT)
        documents = await client.request("POST", "/block_documents/filter", json={})
        assert documents.json() == []


async def test_an_address_that_is_none_is_refused_by_the_name_of_its_variable(served: FullServer) -> None:
    with pytest.raises(ConfigurationError, match="FFE_NOTIFY__WEBHOOK is no address"):
        await apply_definitions(NotifySettings(webhook=SecretStr("wherever you like")), SHORT)


@pytest.mark.parametrize("name", [alarms.CRYPTO_CYCLE_MISSING, alarms.FOREX_CYCLE_MISSING, alarms.ZOMBIE_RUN])
def test_every_proactive_trigger_is_armed_by_an_event_of_its_own(name: str) -> None:
    """Without `after`, or without `for_each`, the server fires in every window."""
    (trigger,) = [each.trigger for each in definitions([]) if each.name == name]
    assert isinstance(trigger, EventTrigger)
    assert trigger.after
    assert trigger.for_each


def test_the_windows_of_production_are_two_periods_of_each_market() -> None:
    assert crypto_missing(Windows().crypto_cycle).within == timedelta(minutes=10)
    assert Windows().forex_cycle == timedelta(minutes=15)


def test_the_module_is_a_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "deployments.automations", "apply", "--help"], capture_output=True, text=True, check=True
    )
    assert "--no-pause" in shown.stdout


async def test_what_is_sent_holds_no_template_that_reads_parameters(served: FullServer) -> None:
    text = json.dumps([each.model_dump(mode="json") for each in definitions([uuid4()])])
    assert "parameters" not in text
