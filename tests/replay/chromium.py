"""A page in headless Chromium without any network, driven through the DevTools protocol: what it logged, asked for, shows and answers."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

READY = 60


def browser() -> str:
    """Path of the browser; a machine that has none can't run these tests, and they say so instead of being skipped."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found is not None, "no Chromium on the path: these tests look at the report in a browser"
    return found


class Page:
    """One tab. `events`: everything that the browser told of it, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last, self.events = socket, 0, list[dict[str, Any]]()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv(READY))
            if told.get("id") == self._last:
                assert "error" not in told, f"{method}: {told['error']}"
                return dict(told["result"])
            self.events.append(told)

    def open(self, path: Path) -> Self:
        """Loads the file and waits until it has loaded; what was told of another one before is forgotten."""
        self.events.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while not any(each["method"] == "Page.loadEventFired" for each in self.events):
            self.events.append(json.loads(self._socket.recv(READY)))
        return self

    def js(self, expression: str) -> Any:
        """Value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def sized(self, width: int, height: int = 900, *, dark: bool = False, script: bool = True) -> None:
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)

    def complaints(self) -> list[dict[str, Any]]:
        """Errors and warnings of the console, exceptions, and requests that failed."""
        wrong = {"Runtime.exceptionThrown", "Network.loadingFailed", "Runtime.consoleAPICalled", "Log.entryAdded"}
        return [each for each in self.events if each["method"] in wrong]

    def requested(self) -> list[str]:
        """Addresses that were asked for, without those that are data themselves."""
        sent = (
            each["params"]["request"]["url"] for each in self.events if each["method"] == "Network.requestWillBeSent"
        )
        return [url for url in sent if not url.startswith("data:")]

    def picture(self, **parameters: Any) -> bytes:
        return base64.b64decode(self.ask("Page.captureScreenshot", **parameters)["data"])


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A browser of its own, with no name that resolves; nothing of it is left."""
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        "--no-first-run",
    ]
    flags += ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}"]
    running = subprocess.Popen(
        [browser(), *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with connect(_tab(profile, running), max_size=None, proxy=None) as socket:
            yield Page(socket)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait(READY)


def _tab(profile: Path, running: subprocess.Popen[bytes]) -> str:
    """Address of the first tab's socket."""
    known = profile / "DevToolsActivePort"
    deadline = time.monotonic() + READY
    while not known.exists() or len(known.read_text().splitlines()) < 2:
        assert running.poll() is None, f"Chromium ended with {running.returncode}"
        assert time.monotonic() < deadline, "Chromium was not ready"
        time.sleep(0.05)
    port, root = known.read_text().splitlines()[:2]
    with connect(f"ws://127.0.0.1:{port}{root}", proxy=None) as socket:
        socket.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        tabs = json.loads(socket.recv(READY))["result"]["targetInfos"]
    tab = next(each["targetId"] for each in tabs if each["type"] == "page")
    return f"ws://127.0.0.1:{port}/devtools/page/{tab}"
