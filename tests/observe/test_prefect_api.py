"""What the engine asks of Prefect, of a real server; and of servers that answer otherwise."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from ffe.clock import SystemClock
from ffe.errors import ConfigurationError, RefusedError
from ffe.observe.prefect_api import Api, AutomationSeen, DeploymentSeen, WorkerSeen

Answer = tuple[int, Any]


@pytest.fixture
def scripted() -> Iterator[Callable[..., Api]]:
    """An API whose answers `answer(method, path, headers)` gives, as (status, document); text is sent as it is."""
    servers: list[HTTPServer] = []

    def serve(answer: Callable[[str, str, Any], Answer]) -> Api:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer("POST")

            def do_GET(self) -> None:
                self._answer("GET")

            def _answer(self, method: str) -> None:
                status, document = answer(method, self.path, self.headers)
                body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return Api(f"http://127.0.0.1:{servers[-1].server_port}/api")

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    return httpx.post(f"{url}/{path}", json=body, trust_env=False, timeout=20).raise_for_status().json()


@pytest.mark.slow
def test_a_real_server_tells_workers_deployments_automations_and_late_runs(prefect_api: str) -> None:
    api = Api(prefect_api)
    api.healthy()
    httpx.post(f"{prefect_api}/work_pools/", json={"name": "seen", "type": "process"}, trust_env=False, timeout=20)
    assert api.workers("seen") == ()
    beat = {"name": "one", "heartbeat_interval_seconds": 30}
    httpx.post(f"{prefect_api}/work_pools/seen/workers/heartbeat", json=beat, trust_env=False, timeout=20)
    (worker,) = api.workers("seen")
    assert (worker.name, worker.status) == ("one", "ONLINE")
    assert worker.last_heartbeat is not None
    assert abs(SystemClock().now() - worker.last_heartbeat) < timedelta(minutes=1)
    with pytest.raises(ConfigurationError, match="has no work pool nowhere"):
        api.workers("nowhere")

    flow = post(prefect_api, "flows/", {"name": "seen-flow"})
    made = post(prefect_api, "deployments/", {"name": "seen", "flow_id": flow["id"], "paused": True})
    assert DeploymentSeen("seen-flow/seen", paused=True, scheduled=False) in api.deployments()
    every = {"schedule": {"cron": "0 0 1 1 *", "timezone": "UTC"}}
    for active in (False, True):
        post(prefect_api, f"deployments/{made['id']}/schedules", [every | {"active": active}])
        assert DeploymentSeen("seen-flow/seen", paused=True, scheduled=active) in api.deployments()

    before = api.late_runs()
    late = {"type": "SCHEDULED", "name": "Late", "state_details": {"scheduled_time": "2024-01-01T00:00:00Z"}}
    run = post(prefect_api, "flow_runs/", {"flow_id": flow["id"], "deployment_id": made["id"], "state": late})
    assert api.late_runs() == before + 1
    httpx.delete(f"{prefect_api}/flow_runs/{run['id']}", trust_env=False, timeout=20)

    trigger = {"type": "event", "expect": ["nothing.at-all"], "posture": "Reactive", "threshold": 1, "within": 0}
    automation = {"name": "seen-automation", "enabled": False, "trigger": trigger, "actions": [{"type": "do-nothing"}]}
    seen = post(prefect_api, "automations/", automation)
    assert AutomationSeen("seen-automation", enabled=False, notifies=False) in api.automations()
    httpx.delete(f"{prefect_api}/automations/{seen['id']}", trust_env=False, timeout=20)


def test_every_page_of_a_long_list_is_read(scripted: Any) -> None:
    pages = [[{"name": str(number), "enabled": True} for number in range(200)], [{"name": "last", "enabled": False}]]
    api = scripted(lambda *_: (200, pages.pop(0)))
    found = api.automations()
    assert len(found) == 201
    assert (found[-1].name, found[-1].enabled) == ("last", False)


@pytest.mark.parametrize(
    ("actions", "notifies"),
    [
        ([{"type": "do-nothing"}], False),
        ([{"type": "pause-deployment"}, {"type": "send-notification"}], True),
        ([], False),
    ],
)
def test_an_automation_notifies_when_one_of_its_actions_sends_a_note(
    scripted: Any, actions: Any, notifies: bool
) -> None:
    api = scripted(lambda *_: (200, [{"name": "one", "enabled": True, "actions": actions}]))
    assert api.automations() == (AutomationSeen("one", enabled=True, notifies=notifies),)


def test_a_worker_that_was_never_heard_has_no_heartbeat(scripted: Any) -> None:
    api = scripted(lambda *_: (200, [{"name": "new", "last_heartbeat_time": None, "status": "OFFLINE"}]))
    assert api.workers("cpu") == (WorkerSeen("new", None, "OFFLINE"),)
    heard = scripted(lambda *_: (200, [{"name": "old", "last_heartbeat_time": "2024-05-15T12:00:00Z"}]))
    assert heard.workers("cpu")[0].last_heartbeat == datetime(2024, 5, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "document", "text"),
    [
        (401, {}, "401"),
        (503, {}, "503"),
        (200, "<html>", "something else than JSON"),
        (200, {"detail": "no"}, "dict, not a number"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_its_reason(
    scripted: Any, status: int, document: Any, text: str
) -> None:
    api = scripted(lambda *_: (status, document))
    with pytest.raises(RefusedError, match=text):
        api.healthy()


def test_a_list_that_is_none_is_refused(scripted: Any) -> None:
    with pytest.raises(RefusedError, match="int, not a list"):
        scripted(lambda *_: (200, 3)).automations()


def test_nobody_there_is_refused() -> None:
    with pytest.raises(RefusedError, match="does not answer"):
        Api("http://127.0.0.1:9/api").healthy()


def test_a_server_with_csrf_protection_gets_its_token_once_and_again_when_it_has_run_out(scripted: Any) -> None:
    tokens, good = iter(("first", "second")), ["first"]
    fetched: list[str] = []

    def answer(method: str, path: str, headers: Any) -> Answer:
        if method == "GET":
            fetched.append(path)
            return 200, {"token": next(tokens)}
        return (200, 7) if headers.get("Prefect-Csrf-Token") == good[0] else (403, {"detail": "Missing CSRF token."})

    api = scripted(answer)
    assert (api.late_runs(), api.late_runs(), len(fetched)) == (7, 7, 1)
    good[0] = "second"
    assert (api.late_runs(), len(fetched)) == (7, 2)
    assert len(set(fetched)) == 1, "one client id for the whole process"


@pytest.mark.parametrize("given", [(422, {"detail": "disabled"}), (200, "<html>"), (200, {}), (200, [])])
def test_a_refusal_of_a_server_without_csrf_protection_stays_one(scripted: Any, given: Answer) -> None:
    api = scripted(lambda method, *_: given if method == "GET" else (403, {}))
    with pytest.raises(RefusedError, match="403"):
        api.healthy()


def test_a_wrong_password_is_said_as_one_also_behind_csrf_protection(scripted: Any) -> None:
    api = scripted(lambda method, *_: (401, {}) if method == "GET" else (403, {}))
    with pytest.raises(RefusedError, match="401"):
        api.healthy()


def test_without_a_url_there_is_no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    assert Api.find() is None
    with pytest.raises(ConfigurationError, match="PREFECT_API_URL is not set"):
        Api.from_environment()


def test_a_url_is_taken_with_the_key_or_the_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api/")
    assert Api.find() == Api("http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:pass")
    assert Api.from_environment().headers == {"Authorization": "Basic bWU6cGFzcw=="}
    monkeypatch.setenv("PREFECT_API_KEY", "key")
    assert Api.at("http://127.0.0.1:9/api").headers == {"Authorization": "Bearer key"}
    assert "key" not in repr(Api.find())
