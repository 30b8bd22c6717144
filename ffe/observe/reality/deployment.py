"""The deployment around the engine, as Prefect's API sees it: alarms wired, workers alive, nothing paused.

A command beside no server, or a flow that runs in a person's own process, belongs to no deployment: then nothing is claimed either way.
"""

from collections.abc import Callable

from ffe.clock import SystemClock
from ffe.observe.alarms import DEPLOYMENTS
from ffe.observe.prefect_api import Api, AutomationSeen, distance
from ffe.observe.reality.case import Case, Check, Exempt, Finding
from ffe.observe.reality.models import Row
from ffe.settings import Mode

NO_API = "no Prefect API: this run belongs to no deployment"

Asked = Callable[[Case, Api], Finding]


def _of_deployment(judge: Asked) -> Callable[[Case], Finding | Exempt]:
    return lambda case: Exempt(NO_API) if case.api is None else judge(case, case.api)


def alarms_wired(case: Case, api: Api) -> Finding:
    """Every automation that production has to have is there, enabled, and tells somebody; in sim it may tell nobody."""
    there = {each.name: each for each in api.automations()}
    silent = sum(name in there and not there[name].notifies for name in case.automations)
    needed = case.engine.settings.mode is not Mode.SIM
    reasons = {name: _unwired(there.get(name), notified=needed) for name in case.automations}
    rows: list[Row] = [{"automation": name, "why": why} for name, why in reasons.items() if why is not None]
    if not case.automations:
        rows.append({"automation": "-", "why": "no automation is expected: nothing would be told"})
    said = f" ({silent} notify nobody: FFE_NOTIFY__* names no channel)" if silent else ""
    looked = f"{len(case.automations)} automations, {len(there)} on the server{said},"
    return Finding(looked, "would not raise an alarm", rows)


def _unwired(seen: AutomationSeen | None, *, notified: bool) -> str | None:
    """Why nobody would hear of it; None: it is wired."""
    if seen is None:
        return "not on the server"
    if not seen.enabled:
        return "disabled"
    return "notifies nobody" if notified and not seen.notifies else None


def workers_alive(case: Case, api: Api) -> Finding:
    """Each pool has a worker that was heard lately. By the wall clock, which is Prefect's, whatever day the engine trades on."""
    limit, now = case.engine.settings.health.worker_seconds, SystemClock().now()
    rows: list[Row] = []
    for pool in case.pools:
        ages = [(now - each.last_heartbeat).total_seconds() for each in api.workers(pool) if each.last_heartbeat]
        if not ages:
            rows.append({"pool": pool, "why": "no worker was ever heard"})
        elif all(abs(age) > limit for age in ages):
            rows.append({"pool": pool, "why": f"last heard {distance(min(ages, key=abs))}, limit {limit:.0f} s"})
    return Finding(f"{len(case.pools)} work pools", "have no live worker", rows)


def deployments_running(case: Case, api: Api) -> Finding:
    """All that come by themselves are there and scheduled, and none is paused: not by an automation after failures, not by a person."""
    del case
    there = {each.name: each for each in api.deployments()}
    names = dict.fromkeys([*DEPLOYMENTS, *there])
    rows: list[Row] = []
    for name in names:
        seen = there.get(name)
        if seen is None:
            rows.append({"deployment": name, "why": "not on the server"})
        elif seen.paused:
            rows.append({"deployment": name, "why": "paused"})
        elif name in DEPLOYMENTS and not seen.scheduled:
            rows.append({"deployment": name, "why": "no active schedule"})
    return Finding(f"{len(names)} deployments", "do not run", rows)


CHECKS = (
    Check("alarms-wired", _of_deployment(alarms_wired)),
    Check("workers-alive", _of_deployment(workers_alive)),
    Check("deployments-running", _of_deployment(deployments_running)),
)
