"""The kill switch's line as a Prefect event: once, confirmed, and never the end of what watches the exits."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prefect import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from ffe.orders.switch import NEVER_SET, KillSwitch, SwitchState
from tasks import events
from tasks.events import RESUMED, TOLD, TRIPPED, tripped

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def posted(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events that went to the API, each of which it took."""
    assert prefect_api
    made: list[dict[str, Any]] = []
    make = events._event

    def kept(*args: Any) -> Any:
        event = make(*args)
        made.append(event.model_dump(mode="json"))
        return event

    monkeypatch.setattr(events, "_event", kept)
    with get_client(sync_client=True) as client:
        if client.read_variable_by_name(TOLD) is not None:
            client.delete_variable_by_name(TOLD)
    return made


class Page(BaseHTTPRequestHandler):
    """A page for people, whatever was asked: what a proxy gives in place of the API."""

    def do_GET(self) -> None:
        body = b"<html>please log in</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def page() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
        thread.join()


def line(state: SwitchState, minutes: int, reason: str = "because") -> KillSwitch:
    return KillSwitch(state=state, reason=reason, by="daily-loss", at=AT + timedelta(minutes=minutes))


def test_a_switch_that_was_never_set_is_not_told(posted: list[dict[str, Any]]) -> None:
    tripped(NEVER_SET)
    assert posted == []


def test_each_line_is_told_once_however_often_it_is_looked_at(posted: list[dict[str, Any]]) -> None:
    for switch in (
        line(SwitchState.REDUCE_ONLY, 1),
        line(SwitchState.REDUCE_ONLY, 1),
        line(SwitchState.NORMAL, 2),
        line(SwitchState.NORMAL, 2),
        line(SwitchState.REDUCE_ONLY, 3),
    ):
        tripped(switch)
    assert [event["event"] for event in posted] == [TRIPPED, RESUMED, TRIPPED]
    assert len({event["id"] for event in posted}) == 3
    assert posted[0]["payload"] == {
        "state": "reduce-only",
        "by": "daily-loss",
        "at": "2026-03-04T12:01:00Z",
        "reason": "because",
    }


def test_a_secret_in_the_reason_is_masked(posted: list[dict[str, Any]]) -> None:
    tripped(line(SwitchState.HALT, 4, "their answer was token=abcdef123456"))
    assert posted[0]["payload"]["reason"] == "their answer was token=<masked>"


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    told = logging.getLogger("prefect.ffe.events")
    told.addHandler(caplog.handler)
    told.setLevel(logging.WARNING)
    yield caplog
    told.removeHandler(caplog.handler)


def test_without_an_answer_it_is_only_logged_and_told_the_next_time(
    posted: list[dict[str, Any]], warned: pytest.LogCaptureFixture
) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        tripped(line(SwitchState.HALT, 5))
    assert "could not be told" in warned.text
    assert posted == []
    tripped(line(SwitchState.HALT, 5))
    assert [event["event"] for event in posted] == [TRIPPED]


def test_an_answer_that_is_no_json_is_only_logged_too(page: str, warned: pytest.LogCaptureFixture) -> None:
    with temporary_settings({PREFECT_API_URL: page, PREFECT_CLIENT_MAX_RETRIES: 0}):
        tripped(line(SwitchState.HALT, 6))
    assert "could not be told" in warned.text
