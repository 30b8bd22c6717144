"""The Prefect API as anybody outside sees it: runs, states, deployments, schedules, artifacts and logs, over plain HTTP."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

PAGE = 200
FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
Document = dict[str, Any]
T = TypeVar("T")


class PrefectView:
    """Every answer is the API's own JSON. Raises httpx.HTTPError where the server does not answer."""

    def __init__(self, api_url: str) -> None:
        self.url = api_url
        self._client = httpx.Client(base_url=api_url, trust_env=False, timeout=30)

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        reply = self._client.request(method, path, json=body)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def deployments(self) -> dict[str, Document]:
        """By name: a deployment's own name, which prefect.yaml makes unique."""
        return {each["name"]: each for each in self.call("POST", "/deployments/filter", {})}

    def run(self, deployment: str, **parameters: Any) -> str:
        """Submits a run and returns its id."""
        found = self.deployments()[deployment]
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.call("POST", f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def flow_run(self, run_id: str) -> Document:
        document: Document = self.call("GET", f"/flow_runs/{run_id}")
        return document

    def ended(self, run_id: str, seconds: float = 180) -> Document:
        """The run once its state is final."""
        return until(lambda: _final(self.flow_run(run_id)), seconds, f"run {run_id} to end")

    def runs(self, deployment: str | None = None, **conditions: Any) -> list[Document]:
        """All that fit, oldest start first; conditions are those of Prefect's flow run filter."""
        body: Document = {"flow_runs": conditions, "sort": "EXPECTED_START_TIME_ASC"}
        if deployment is not None:
            body["deployments"] = {"name": {"any_": [deployment]}}
        return list(self._all("/flow_runs/filter", body))

    def late(self) -> list[Document]:
        return self.runs(state={"name": {"any_": ["Late"]}})

    def artifacts(self, run_id: str) -> list[Document]:
        return list(self._all("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}}))

    def incidents(self, run_id: str) -> list[Document]:
        """The incident pages of a run."""
        return [each for each in self.artifacts(run_id) if str(each["key"]).startswith("incident-")]

    def errors(self) -> list[Document]:
        """Log lines of flow and task runs at ERROR and above."""
        return list(self._all("/logs/filter", {"logs": {"level": {"ge_": 40}}}))

    def pause(self, deployment: str) -> None:
        """No new runs by schedule; those that have not started are dropped by the server."""
        self.call("POST", f"/deployments/{self.deployments()[deployment]['id']}/pause_deployment")

    def schedule(self, deployment: str, seconds: int, until: datetime) -> None:
        """One run every so many seconds from now until then, in place of whatever schedule it has.

        It ends by itself: pausing deletes what has not begun, under the hands of a worker that has taken it already.
        """
        found = self.deployments()[deployment]
        for each in found["schedules"]:
            self.call("DELETE", f"/deployments/{found['id']}/schedules/{each['id']}")
        begin, end = (f"{moment:%Y%m%dT%H%M%SZ}" for moment in (datetime.now(UTC), until))
        rule = f"DTSTART:{begin}\nRRULE:FREQ=SECONDLY;INTERVAL={seconds};UNTIL={end}"
        schedule = {"active": True, "schedule": {"rrule": rule, "timezone": "UTC"}}
        self.call("POST", f"/deployments/{found['id']}/schedules", [schedule])
        self.call("POST", f"/deployments/{found['id']}/resume_deployment")

    def _all(self, path: str, body: Document) -> Iterator[Document]:
        offset = 0
        while True:
            page = self.call("POST", path, body | {"limit": PAGE, "offset": offset})
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE


def until(look: Callable[[], T | None], seconds: float, what: str, pause: float = 0.25) -> T:
    """The first answer that is not None. Raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(pause)


def _final(run: Document) -> Document | None:
    return run if run["state_type"] in FINAL else None
