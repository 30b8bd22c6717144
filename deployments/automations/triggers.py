"""When each automation fires. Windows are parameters, so that the tests wait seconds for what production waits minutes for.

What the server does with a window, read and measured on Prefect 3.8.8:
- Reactive with `within`: fires at the first event, then not again for that key until the window is over. That is the throttle here.
- Proactive with `after`: armed by an event of `after`, fires once when the window ends without an event of `expect`, and then waits for
  the next arming event. Without `after` it would fire in every window, also at weekends; without `for_each` too, whatever is in `after`,
  since the server then opens a window of its own each time it looks (`proactive_evaluation`).
- Proactive, one event in both sets: each such event ends the window and begins the next.
- The event of a state change is named by the state's name, so a named state (`InvariantsBroken`) has an event of its own.
"""

from datetime import timedelta

from prefect.events.schemas.automations import EventTrigger, Posture, ResourceSpecificationDict
from pydantic import BaseModel, ConfigDict

from ffe.observe.alarms import PREFIX

RUN = "prefect.flow-run."
# A cycle that served what it could counts as one that ran: its failures have an alarm of their own.
SERVED = frozenset({f"{RUN}Completed", f"{RUN}InstrumentsFailed"})
# Nobody could work: a check that could not run is a failed check.
BROKEN_OFF = frozenset({f"{RUN}Failed", f"{RUN}Crashed", f"{RUN}TimedOut"})
# What a scheduled run does when it is due: it is taken by a worker, or the server finds it late.
DUE = frozenset({f"{RUN}Pending", f"{RUN}Late"})
ENDED = SERVED | BROKEN_OFF | {f"{RUN}Cancelled"}
DEPLOYMENT = "related:deployment:prefect.resource.id"
# A run that belongs to any deployment.
DEPLOYED: ResourceSpecificationDict = {
    "prefect.resource.role": "deployment",
    "prefect.resource.id": "prefect.deployment.*",
}


class Windows(BaseModel):
    """`crypto_cycle`: two periods of 5 minutes. `forex_cycle`: one period of 15 from when a run is due, two from the last that ran.

    `heartbeat`: eight of the runs' heartbeats, every 30 s by the pools' templates, and more than one of Prefect's default of 180 s: a server
    that is restarted must not take live runs for dead, and the slot of a dead one's deployment is leased for 300 s anyway.
    `cancelling`: a worker needs seconds to end a run that is told to.
    `crashes`: three in it pause the deployment.
    `again_cycle`, `again_check`: how long the same alarm is not repeated.
    """

    model_config = ConfigDict(frozen=True)

    crypto_cycle: timedelta = timedelta(minutes=10)
    forex_cycle: timedelta = timedelta(minutes=15)
    heartbeat: timedelta = timedelta(seconds=240)
    cancelling: timedelta = timedelta(seconds=120)
    crashes: timedelta = timedelta(minutes=30)
    again_cycle: timedelta = timedelta(minutes=30)
    again_check: timedelta = timedelta(hours=1)


CRASHES = 3


def related(role: str, name: str) -> ResourceSpecificationDict:
    return {"prefect.resource.role": role, "prefect.resource.name": name}


def of_flow(name: str, deployment: str | None = None) -> list[ResourceSpecificationDict]:
    return [related("flow", name)] + ([] if deployment is None else [related("deployment", deployment)])


def flow_run(
    flow: list[ResourceSpecificationDict],
    expect: frozenset[str],
    *,
    within: timedelta = timedelta(0),
    for_each: frozenset[str] = frozenset(),
    threshold: int = 1,
) -> EventTrigger:
    """Fires when a run of the flow gets into one of the states."""
    return EventTrigger(
        match={"prefect.resource.id": f"{RUN}*"},
        match_related=list(flow),
        expect=set(expect),
        for_each=set(for_each),
        posture=Posture.Reactive,
        threshold=threshold,
        within=within,
    )


def _silence(
    related: ResourceSpecificationDict | list[ResourceSpecificationDict],
    *,
    after: set[str] | frozenset[str],
    expect: set[str] | frozenset[str],
    within: timedelta,
    for_each: str = "prefect.resource.id",
) -> EventTrigger:
    """Fires when, `within` after an event of `after`, none of `expect` has come; for each run unless `for_each` says otherwise."""
    return EventTrigger(
        match={"prefect.resource.id": f"{RUN}*"},
        match_related=related,
        after=set(after),
        expect=set(expect),
        for_each={for_each},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )


def crypto_missing(window: timedelta) -> EventTrigger:
    """No cycle ran for `window` after the last one that did, or after one that was due. Crypto is open always, so nothing disarms it."""
    cycle = of_flow("trading-cycle", "crypto")
    return _silence(cycle, after=DUE | SERVED, expect=SERVED, within=window, for_each=DEPLOYMENT)


def forex_missing(window: timedelta) -> EventTrigger:
    """A cycle that was due and has not ended within `window`. Outside market hours none is scheduled, so none is due and nothing is armed."""
    return _silence(of_flow("trading-cycle", "forex"), after=DUE, expect=ENDED, within=window)


def zombie(window: timedelta) -> EventTrigger:
    """A run of a deployment that had a heartbeat, and then neither another one nor any change of state for `window`.

    Any change of state counts, whatever its name: a list of final states would forget a named one, and a run that had ended as
    `InstrumentsFailed` would be set to Crashed.
    """
    return _silence(DEPLOYED, after={f"{RUN}heartbeat"}, expect={f"{RUN}*"}, within=window)


def stuck_cancelling(window: timedelta) -> EventTrigger:
    """A run of a deployment that was told to cancel and is not Cancelled after `window`; the server lets it become nothing else."""
    return _silence(DEPLOYED, after={f"{RUN}Cancelling"}, expect={f"{RUN}Cancelled"}, within=window)


def own_event(event: str, resource: str) -> EventTrigger:
    return EventTrigger(match={"prefect.resource.id": resource}, expect={event}, posture=Posture.Reactive, threshold=1)


def title(name: str) -> str:
    """`ffe-cycle-failed` -> `cycle failed`."""
    return name.removeprefix(PREFIX).replace("-", " ")
