"""Writes go to a SQLite server one after the other; what reads waits for nobody."""

import asyncio
from typing import Any

import pytest

from tasks.one_writer import OneWriter


class App:
    """Counts who is inside at the same time."""

    def __init__(self) -> None:
        self.inside = self.most = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.01)
        self.inside -= 1
        if scope.get("fails"):
            raise OSError("gone")


async def ask(writer: OneWriter, method: str, path: str, **more: Any) -> None:
    await writer({"type": "http", "method": method, "path": path, **more}, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [
        ("POST", "/api/task_runs/", 1),
        ("PATCH", "/api/flow_runs/1", 1),
        ("DELETE", "/api/artifacts/1", 1),
        ("POST", "/api/flow_runs/1/set_state", 1),
        ("POST", "/api/flow_runs/filter", 5),
        ("POST", "/api/events/count-by/day", 5),
        ("GET", "/api/health", 5),
    ],
)
async def test_only_what_writes_waits_for_its_turn(method: str, path: str, most: int) -> None:
    app = App()
    writer = OneWriter(app)
    await asyncio.gather(*(ask(writer, method, path) for _ in range(5)))
    assert app.most == most


async def test_a_write_that_fails_lets_the_next_one_in() -> None:
    app = App()
    writer = OneWriter(app)
    with pytest.raises(OSError, match="gone"):
        await ask(writer, "POST", "/api/task_runs/", fails=True)
    async with asyncio.timeout(5):
        await ask(writer, "POST", "/api/task_runs/")


async def test_a_websocket_passes_while_somebody_writes() -> None:
    app = App()
    writer = OneWriter(app)
    socket = writer({"type": "websocket", "path": "/api/events/in"}, None, None)  # type: ignore[arg-type]
    await asyncio.gather(ask(writer, "POST", "/api/task_runs/"), socket)
    assert app.most == 2
