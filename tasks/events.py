"""Prefect events of our own, for automations to fire on.

`ffe.kill-switch.tripped` and `ffe.kill-switch.resumed` are made once for each line of the switch's history, whoever looks and how often:
a Prefect variable remembers the newest line that was told. The event goes out before the variable is set, so that a process killed in
between tells it twice rather than never, and as a request with an answer: the event stream of Prefect's client loses what it has not
sent when its process ends.
"""

from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.events import Event, Resource
from prefect.exceptions import PrefectException
from prefect.logging import get_logger

from ffe.clock import SystemClock, rfc3339
from ffe.observe.masking import masked
from ffe.orders.switch import KillSwitch, SwitchState

TRIPPED = "ffe.kill-switch.tripped"
RESUMED = "ffe.kill-switch.resumed"
RESOURCE = "ffe.kill-switch"
TOLD = "ffe_kill_switch_told"
MOST_CHARACTERS = 500


def tripped(switch: KillSwitch) -> None:
    """Tells the newest line of the kill switch's history, unless it was told; never raises, the next minute tries again.

    A reply that is no JSON, or JSON of something else, is a ValueError of the client.
    """
    if switch.at is None:
        return
    try:
        with get_client(sync_client=True) as client:
            _tell_once(client, switch, switch.at)
    except (httpx.HTTPError, PrefectException, ValueError) as error:
        get_logger("ffe.events").warning("the kill switch's position could not be told: %r", error)


def _tell_once(client: SyncPrefectClient, switch: KillSwitch, at: datetime) -> None:
    line = f"{rfc3339(at)} {switch.state}"
    told = client.read_variable_by_name(TOLD)
    if told is not None and told.value == line:
        return
    client.request("POST", "/events", json=[_event(switch, at, line).model_dump(mode="json")]).raise_for_status()
    if told is None:
        client.create_variable(VariableCreate(name=TOLD, value=line))
    else:
        client.update_variable(VariableUpdate(name=TOLD, value=line))


def _event(switch: KillSwitch, at: datetime, line: str) -> Event:
    """The reason comes from a person, who may paste anything."""
    return Event(
        id=uuid5(NAMESPACE_URL, f"{RESOURCE}/{line}"),
        occurred=SystemClock().now(),
        event=RESUMED if switch.state is SwitchState.NORMAL else TRIPPED,
        resource=Resource({"prefect.resource.id": RESOURCE, "prefect.resource.name": "kill switch"}),
        payload={
            "state": switch.state.value,
            "by": switch.by,
            "at": rfc3339(at),
            "reason": masked(switch.reason, MOST_CHARACTERS),
        },
    )
