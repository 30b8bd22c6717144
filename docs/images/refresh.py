"""Takes the pictures of this folder afresh: `python docs/images/refresh.py`. Needs `chromium` on the path; about three minutes.

It starts `ffe up` on a folder of its own, runs one cycle that ends well and one whose venue is out, and photographs what a person
then sees in the Prefect UI. The simulated venues and the packaged model answer; nothing is drawn by hand.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
# Milliseconds of page time: the UI asks its API for every part of a page.
PATIENCE = 25_000
WIDTH, HEIGHT = 1500, 1100


class Stage:
    """A running `ffe up`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._data = folder, folder / "data"
        self._browser = shutil.which("chromium") or sys.exit("chromium is not on the path")
        environment = dict(os.environ) | {"FFE_DATA_DIR": str(self._data)}
        self._up = subprocess.Popen([BIN / "ffe", "up", "--port", "0"], env=environment, cwd=HERE.parents[1])
        document = self._announced()
        self.api, self._control = document["api_url"], document["control"]
        self._client = httpx.Client(base_url=self.api, trust_env=False, timeout=30)

    def _announced(self) -> dict[str, Any]:
        path = self._data / "up.json"
        for _ in range(600):
            if path.exists() and path.stat().st_size:
                return dict(json.loads(path.read_text()))
            if self._up.poll() is not None:
                sys.exit(f"ffe up ended with exit code {self._up.returncode}")
            time.sleep(0.5)
        sys.exit("ffe up was not ready after 300 s")

    def ask(self, path: str, **body: Any) -> Any:
        reply = self._client.post(path, json=body) if body else self._client.get(path)
        reply.raise_for_status()
        return reply.json()

    def deployment(self, name: str) -> str:
        return str(self._client.get(f"/deployments/name/{name}").raise_for_status().json()["id"])

    def run(self, name: str, **parameters: Any) -> str:
        """Id of a run of this deployment once it has ended."""
        path = f"/deployments/{self.deployment(name)}/create_flow_run"
        run = str(self.ask(path, state={"type": "SCHEDULED"}, parameters=parameters)["id"])
        while self.ask(f"/flow_runs/{run}")["state_type"] not in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
            time.sleep(0.5)
        return run

    def outage(self, venue: str) -> None:
        headers = {"Authorization": f"Bearer {self._control['token']}"}
        url = f"{self._control['base_url']}/outage"
        httpx.post(url, json={"venue": venue}, headers=headers, trust_env=False).raise_for_status()

    def artifact(self, prefix: str, run: str) -> str:
        """Id of the newest artifact of a run whose key begins so."""
        wanted = {"flow_run_id": {"any_": [run]}, "key": {"like_": prefix}}
        return str(self.ask("/artifacts/filter", artifacts=wanted, sort="CREATED_DESC")[0]["id"])

    def failed_task(self, run: str) -> str:
        """Id of a run's first task that failed."""
        wanted = {"flow_run_id": {"any_": [run]}, "state": {"type": {"any_": ["FAILED"]}}}
        return str(self.ask("/task_runs/filter", task_runs=wanted)[0]["id"])

    def photograph_when(self, text: str, name: str, path: str) -> None:
        """A page of the UI as `name`.png once `text` is on it: logs come long after the page is drawn."""
        profile = self._folder / f"chromium-{name}"
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={profile}"]
        flags += [f"--window-size={WIDTH},{HEIGHT}", "--remote-debugging-port=0"]
        page = f"{self.api.removesuffix('/api')}{path}"
        browser = subprocess.Popen([self._browser, *flags, page], stderr=subprocess.DEVNULL)
        try:
            with connect(_devtools(profile / "DevToolsActivePort"), max_size=None) as tab:
                _shown(tab, text)
                shot = _called(tab, "Page.captureScreenshot", format="png")
                (HERE / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
        finally:
            browser.terminate()
            browser.wait(30)
        print(HERE / f"{name}.png")

    def photograph(self, name: str, path: str) -> None:
        """A page of the UI as `name`.png."""
        profile, picture = self._folder / f"chromium-{name}", HERE / f"{name}.png"
        page = f"{self.api.removesuffix('/api')}{path}"
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={profile}"]
        flags += [f"--window-size={WIDTH},{HEIGHT}", f"--virtual-time-budget={PATIENCE}", f"--screenshot={picture}"]
        subprocess.run([self._browser, *flags, page], check=True, capture_output=True, timeout=120)
        print(picture)

    def close(self) -> None:
        self._client.close()
        self._up.terminate()
        self._up.wait(60)


def _devtools(file: Path) -> str:
    """Address of the browser's one tab, from the file that it writes when it listens."""
    for _ in range(120):
        if file.exists() and file.read_text().count("\n"):
            port = file.read_text().splitlines()[0]
            tabs = httpx.get(f"http://127.0.0.1:{port}/json", trust_env=False).json()
            if pages := [tab for tab in tabs if tab["type"] == "page"]:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.5)
    sys.exit("the browser opened no page within 60 s")


def _called(tab: ClientConnection, method: str, **params: Any) -> dict[str, Any]:
    tab.send(json.dumps({"id": 1, "method": method, "params": params}))
    while True:
        answer = json.loads(tab.recv(timeout=60))
        if answer.get("id") == 1:
            return dict(answer["result"])


def _shown(tab: ClientConnection, text: str) -> None:
    for _ in range(120):
        seen = _called(tab, "Runtime.evaluate", expression="document.body.innerText", returnByValue=True)
        if text in str(seen["result"].get("value")):
            time.sleep(1)
            return
        time.sleep(0.5)
    sys.exit(f"{text!r} was not on the page within 60 s")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ffe-images-", ignore_cleanup_errors=True) as folder:
        stage = Stage(Path(folder))
        try:
            good = stage.run("trading-cycle/forex")
            check = stage.run("reality-check/reality-check")
            stage.outage("coinbase")
            bad = stage.run("trading-cycle/crypto")
            stage.photograph("dashboard", "/dashboard")
            stage.photograph("cycle", f"/runs/flow-run/{good}")
            stage.photograph("cycle-artifact", f"/artifacts/artifact/{stage.artifact('cycle-', good)}")
            stage.photograph("reality-check", f"/artifacts/artifact/{stage.artifact('reality-check', check)}")
            stage.photograph("incident", f"/artifacts/artifact/{stage.artifact('incident-', bad)}")
            stage.photograph_when("Traceback", "failed-task", f"/runs/task-run/{stage.failed_task(bad)}")
            stage.photograph("run-form", f"/deployments/deployment/{stage.deployment('trading-cycle/crypto')}/run")
        finally:
            stage.close()


if __name__ == "__main__":
    main()
