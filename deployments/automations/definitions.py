"""Every automation of a production server: what it waits for and what it does. docs/automations.md is the same as a table, with the why.

Notes go to every channel that is set. Three automations do more than notify: repeated crashes pause the deployment that crashes; a run
whose heartbeat is lost is set to Crashed, and one that never stops cancelling to Cancelled, since nobody else would ever end them.
"""

from collections.abc import Sequence
from uuid import UUID

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing, PauseDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger

from deployments.automations import triggers
from deployments.automations.triggers import BROKEN_OFF, DEPLOYMENT, RUN, Windows, flow_run, of_flow, title
from ffe.observe import alarms
from tasks import events

TAG = "ffe"
RUNBOOK = "docs/operations.md"
STATE = "prefect.state-name"
RUN_NOTE = """{{ flow.name }}: run {{ flow_run.name }} is {{ flow_run.state.name }}.
{{ (flow_run.state.message or "no message") | truncate(600) }}
{{ (flow_run | ui_url) or flow_run.id }}"""
MISSING_NOTE = "No cycle has ended for too long. The last that was heard of:\n" + RUN_NOTE.replace(
    "flow_run.state.name", 'event.resource["prefect.state-name"]'
)
SWITCH_NOTE = """The kill switch is at {{ event.payload.state }} since {{ event.payload.at }}, by {{ event.payload.by }}:
{{ event.payload.reason }}"""
STUCK_MESSAGE = "It was told to cancel, and nobody was left to say that it has ended."
ZOMBIE_MESSAGE = "Its heartbeat was lost: the process or its machine is gone. Nothing was repeated; the next reconcile settles its orders."


class Notes:
    """Makes the notify actions of one automation; `channels` are the ids of the blocks to notify by."""

    def __init__(self, channels: Sequence[UUID]) -> None:
        self._channels = tuple(channels)

    def actions(self, name: str, body: str) -> list[ActionTypes]:
        """One note a channel; without a channel the automation still fires, and its event shows in the UI's event feed."""
        if not self._channels:
            return [DoNothing()]
        text = f"{body}\n\nWhat to do: {RUNBOOK}#{name.removeprefix(alarms.PREFIX)}"
        return [
            SendNotification(block_document_id=each, subject=f"ffe: {title(name)}", body=text)
            for each in self._channels
        ]


def definitions(
    channels: Sequence[UUID], windows: Windows | None = None, *, pause: bool = True
) -> tuple[AutomationCore, ...]:
    """All of `ffe.observe.alarms.AUTOMATIONS`, in that order; `pause` False: nothing pauses a deployment."""
    notes, within = Notes(channels), Windows() if windows is None else windows
    made = (*_cycles(notes, within, pause=pause), *_runs(notes, within), *_states(notes, within))
    order = {name: place for place, name in enumerate(alarms.AUTOMATIONS)}
    return tuple(sorted(made, key=lambda each: order[each.name]))


def _automation(name: str, why: str, trigger: EventTrigger, actions: list[ActionTypes]) -> AutomationCore:
    return AutomationCore(name=name, description=why, tags=[TAG], trigger=trigger, actions=actions)


def _cycles(notes: Notes, within: Windows, *, pause: bool) -> list[AutomationCore]:
    cycle = of_flow("trading-cycle")
    crashing = notes.actions(alarms.CYCLE_CRASHING, RUN_NOTE)
    return [
        _automation(
            alarms.CYCLE_FAILED,
            "A trading cycle failed, wholly or for some instruments, or crashed. Told once in a while for each deployment and state.",
            flow_run(
                cycle,
                BROKEN_OFF | {f"{RUN}InstrumentsFailed"},
                within=within.again_cycle,
                for_each=frozenset({DEPLOYMENT, STATE}),
            ),
            notes.actions(alarms.CYCLE_FAILED, RUN_NOTE),
        ),
        _automation(
            alarms.CYCLE_CRASHING,
            f"The trading cycle of one deployment crashed {triggers.CRASHES} times in a short while; its schedule is paused.",
            flow_run(
                cycle,
                frozenset({f"{RUN}Crashed"}),
                within=within.crashes,
                for_each=frozenset({DEPLOYMENT}),
                threshold=triggers.CRASHES,
            ),
            [*([PauseDeployment(source="inferred")] if pause else []), *crashing],
        ),
        _automation(
            alarms.CRYPTO_CYCLE_MISSING,
            "No crypto cycle has ended for two periods.",
            triggers.crypto_missing(within.crypto_cycle),
            notes.actions(alarms.CRYPTO_CYCLE_MISSING, MISSING_NOTE),
        ),
        _automation(
            alarms.FOREX_CYCLE_MISSING,
            "A forex cycle was due a period ago and has not ended; in market hours only, since none is due outside.",
            triggers.forex_missing(within.forex_cycle),
            notes.actions(alarms.FOREX_CYCLE_MISSING, MISSING_NOTE),
        ),
    ]


def _runs(notes: Notes, within: Windows) -> list[AutomationCore]:
    return [
        _automation(
            alarms.GPU_LATE,
            "A decision waits for the gpu pool: its worker is away, or one decision takes longer than a cycle.",
            flow_run(of_flow("decide", "gpu"), frozenset({f"{RUN}Late"}), within=within.again_cycle),
            notes.actions(alarms.GPU_LATE, RUN_NOTE),
        ),
        _automation(
            alarms.ZOMBIE_RUN,
            "A run's heartbeat was lost. It is set to Crashed, or it would stay Running for ever and hold its deployment's only slot.",
            triggers.zombie(within.heartbeat),
            [
                ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=ZOMBIE_MESSAGE),
                *notes.actions(alarms.ZOMBIE_RUN, RUN_NOTE),
            ],
        ),
        _automation(
            alarms.STUCK_CANCELLING,
            "A run was told to cancel and did not: its worker was away. It is set to Cancelled, or it would hold its slot of the pool.",
            triggers.stuck_cancelling(within.cancelling),
            [
                ChangeFlowRunState(state=StateType.CANCELLED, name="Cancelled", message=STUCK_MESSAGE),
                *notes.actions(alarms.STUCK_CANCELLING, RUN_NOTE),
            ],
        ),
    ]


def _states(notes: Notes, within: Windows) -> list[AutomationCore]:
    checks = (
        (alarms.REALITY_BROKEN, "reality-check", "InvariantsBroken", "A standing invariant does not hold"),
        (alarms.RECONCILE_DIFFERENCE, "reconcile", "DifferencesRemain", "Ledger and venue differ"),
        (
            alarms.PREFLIGHT_FAILED,
            "preflight",
            "PreflightFailed",
            "A provider refuses us, or a key may do what it must not",
        ),
    )
    switch = _automation(
        alarms.KILL_SWITCH_TRIPPED,
        "The kill switch was set, by a rule or by a person. Told once for each time.",
        triggers.own_event(events.TRIPPED, events.RESOURCE),
        notes.actions(alarms.KILL_SWITCH_TRIPPED, SWITCH_NOTE),
    )
    return [
        switch,
        *(
            _automation(
                name,
                f"{meaning}, or flow {flow} could not find out.",
                flow_run(
                    of_flow(flow),
                    BROKEN_OFF | {f"{RUN}{state}"},
                    within=within.again_check,
                    for_each=frozenset({STATE}),
                ),
                notes.actions(name, RUN_NOTE),
            )
            for name, flow, state, meaning in checks
        ),
    ]
