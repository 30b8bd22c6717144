"""No secret anywhere: cycles with a canary for every credential, through every kind of trouble, and then everything they left is searched."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import psutil
import pytest

from ffe.cli.surroundings import await_healthy
from ffe.ledger.ledger import Ledger
from ffe.processes import Child

# The cycles are made once, in the fixture of the first test.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
CASES = (
    "model",
    "crash",
    "plain",
    "401",
    "403",
    "500",
    "no json",
    "refused",
    "timeout",
    "ledger refuses",
    "ledger away",
)
# Each has a word of its own, so that what is found says where it comes from. The venues' own come from the simulator.
CANARIES = {
    "PREFECT_API_AUTH_STRING": "operator:canary-prefect/pass+word",
    "FFE_NOTIFY__SLACK_WEBHOOK": "https://hooks.slack.com/services/T0CANARY00/B0CANARY00/canaryslackpath0000",
    "FFE_NOTIFY__WEBHOOK": "https://alerts.example.com/hook?key=canary-webhook-key",
    "FFE_NOTIFY__EMAIL": "mailtos://robot:canary-mail-pass@mail.example.com?to=me@example.com",
    "FFE_METRICS__OTLP_HEADERS": "x-otlp-key=canary-otlp-value",
    "DRILL_LEDGER_URL": "postgresql://ffe:canary-ledger-pass@127.0.0.1:9/ledger",
}
# What of them is secret; the rest are names and addresses.
PARTS = (
    "canary-prefect/pass+word",
    "canaryslackpath0000",
    "canary-webhook-key",
    "canary-mail-pass",
    "canary-otlp-value",
    "canary-ledger-pass",
)


class Echo(BaseHTTPRequestHandler):
    """Answers with all that it was sent, headers too, under the status or in the shape that the path names."""

    protocol_version = "HTTP/1.0"

    def _answer(self) -> None:
        mode = self.path.split("/")[1]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        if mode == "hang":
            time.sleep(1.0)
            return
        echoed = {"path": self.path, "headers": dict(self.headers), "body": body, "errorMessage": str(self.headers)}
        text = str(echoed) if mode == "text" else json.dumps(echoed)
        self.send_response(int(mode) if mode.isdigit() else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_: Any) -> None:
        return


@dataclass
class Ran:
    """Everything that the cycles left behind."""

    secrets: dict[str, str]
    folder: Path
    home: Path
    said: list[dict[str, Any]]
    api: dict[str, list[Any]]
    commands: set[str] = field(default_factory=set)

    @property
    def forms(self) -> dict[str, str]:
        """Form to the name of its secret."""
        found = {form: name for name, secret in self.secrets.items() for form in _forms(secret)}
        return found | {form: part for part in PARTS for form in _forms(part)}


def _forms(secret: str) -> Iterator[str]:
    """As it is, line by line where it has lines, and as JSON, a URL and base64 write it. Written anew here: what masks is not its own judge."""
    whole = secret.strip().replace("\\n", "\n")
    lines = [line for line in whole.splitlines() if len(line) >= 16 and "-----" not in line]
    for text in ([whole] if "\n" not in whole else []) + lines:
        yield from {
            text,
            json.dumps(text)[1:-1],
            json.dumps(json.dumps(text))[3:-3],
            quote(text, safe=""),
            quote_plus(text),
        }
        yield base64.b64encode(text.encode()).decode().rstrip("=")[:-1]
    yield base64.b64encode(whole.encode()).decode()[: 4 * (len(whole) // 3)]


def leaks(forms: dict[str, str], texts: Iterable[tuple[str, bytes]]) -> list[str]:
    """`where: whose` of every form that is found."""
    needles = {form.encode(): name for form, name in forms.items()}
    return sorted({f"{where}: {name}" for where, text in texts for needle, name in needles.items() if needle in text})


def files(*folders: Path) -> Iterator[tuple[str, bytes]]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                yield str(path.relative_to(folder.parent)), path.read_bytes()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, recorded_bars: Path) -> Iterator[Ran]:
    root = tmp_path_factory.mktemp("canaries")
    folder, home = root / "data", root / "prefect-data"
    folder.mkdir()
    home.mkdir()
    echo = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=echo.serve_forever, daemon=True).start()
    children = []
    try:
        venue = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(root / "venue")]
        command = [*venue, "--bars", str(recorded_bars), "--alpha-vantage-plan", "premium"]
        with (root / "venue.log").open("w") as log:
            simulator = Child.spawn("simulator", command, env=dict(os.environ), log=log, read=True)
        children.append(simulator)
        api_url, server = _serve_prefect(home)
        children.append(server)
        ready = simulator.ready(60) | {"echo": f"http://127.0.0.1:{echo.server_port}"}
        await_healthy(api_url, server)
        yield _run(ready, folder, home, api_url)
    finally:
        echo.shutdown()
        echo.server_close()
        for child in reversed(children):
            child.close()
        shutil.rmtree(root, ignore_errors=True)


def _serve_prefect(home: Path) -> tuple[str, Child]:
    """An API that wants a password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tasks.local_api", "--data-dir", str(home), "--port", str(port)]
    environment = _clean() | {"PREFECT_SERVER_API_AUTH_STRING": CANARIES["PREFECT_API_AUTH_STRING"]}
    with (home / "server.log").open("w") as log:
        child = Child.spawn("prefect api", command, env=environment, log=log)
    return f"http://127.0.0.1:{port}/api", child


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("FFE_", "PREFECT_"))}


def _run(ready: dict[str, Any], folder: Path, home: Path, api_url: str) -> Ran:
    venues = {name: value for name, value in ready["env"].items() if name.endswith(("TOKEN", "KEY", "SECRET"))}
    secrets = venues | CANARIES
    environment = _clean() | ready["env"] | CANARIES
    environment |= {
        "DRILL_CANARIES": json.dumps(list(secrets)),
        "FFE_SOURCES__DEADLINE_SECONDS": "2",
        "FFE_SOURCES__CROSS_CHECK": "false",
        "FFE_INCIDENTS__LOCALS": "true",
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    # The credentials for itself are the simulator's to hand over; of the process under test only the names may be seen.
    told = {"env": dict.fromkeys(ready["env"], ""), "control": ready["control"], "echo": ready["echo"]}
    command = [sys.executable, str(HERE / "canary_cycles.py"), json.dumps(told), str(folder)]
    with (folder / "stdout.log").open("w") as out, (folder / "stderr.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=log, cwd=folder)
        commands = _watch(process)
    said = [json.loads(line) for line in (folder / "stdout.log").read_text().splitlines() if line.startswith("{")]
    return Ran(secrets, folder, home, said, _everything(api_url), commands)


def _watch(process: "subprocess.Popen[bytes]") -> set[str]:
    """The arguments of the process and of all that it starts, for as long as it runs."""
    seen: set[str] = set()
    deadline = time.monotonic() + 400
    while process.poll() is None and time.monotonic() < deadline:
        try:
            mine = psutil.Process(process.pid)
            seen |= {"\0".join(each.cmdline()) for each in (mine, *mine.children(recursive=True))}
        except psutil.Error:
            continue
        time.sleep(0.1)
    if process.poll() is None:
        process.kill()
        process.wait()
    return seen


def _everything(api_url: str) -> dict[str, list[Any]]:
    """All that the Prefect API tells: runs with their parameters, states, logs, artifacts and events."""
    user, password = CANARIES["PREFECT_API_AUTH_STRING"].split(":", 1)
    found: dict[str, list[Any]] = {}
    with httpx.Client(base_url=api_url, auth=(user, password), trust_env=False, timeout=30) as client:
        assert httpx.post(f"{api_url}/flow_runs/filter", json={}, trust_env=False).status_code == 401
        for kind in ("flow_runs", "task_runs", "logs", "artifacts", "deployments", "block_documents", "variables"):
            found[kind] = []
            while True:
                page = client.post(f"/{kind}/filter", json={"limit": 200, "offset": len(found[kind])})
                page.raise_for_status()
                found[kind] += page.json()
                if len(page.json()) < 200:
                    break
        found["states"] = [
            state
            for kind in ("flow_run", "task_run")
            for run in found[f"{kind}s"]
            for state in client.get(f"/{kind}_states/", params={f"{kind}_id": run["id"]}).json()
        ]
    return found


def test_every_trouble_happened_and_left_its_incident(ran: Ran) -> None:
    states = {each["case"]: each["state"] for each in ran.said}
    assert tuple(states) == CASES, (ran.folder / "stderr.log").read_text()[-3000:]
    assert states["plain"] == "Completed"
    assert {states[case] for case in ("401", "403", "500", "no json", "refused", "timeout", "model", "crash")} == {
        "InstrumentsFailed"
    }
    ledger = Ledger.open(f"sqlite:///{ran.folder / 'ledger.sqlite'}")
    try:
        kept = ledger.incidents(500)
    finally:
        ledger.close()
    assert {"AuthenticationError", "RuntimeError", "ModelUnavailableError"} <= {each.type for each in kept}
    assert any("<masked>" in each.traceback for each in kept)
    assert list((ran.folder / "incidents").glob("*.json")) or len(kept) > 8


def test_no_canary_is_in_any_file_of_the_data_folder_or_of_prefect(ran: Ran) -> None:
    assert leaks(ran.forms, files(ran.folder, ran.home)) == []


@pytest.mark.parametrize("kind", ["flow_runs", "task_runs", "states", "logs", "artifacts"])
def test_no_canary_is_in_what_the_api_tells(ran: Ran, kind: str) -> None:
    assert ran.api[kind]
    assert leaks(ran.forms, ((kind, json.dumps(each, ensure_ascii=False).encode()) for each in ran.api[kind])) == []


def test_no_canary_is_in_any_row_of_the_ledger(ran: Ran) -> None:
    import sqlite3

    with sqlite3.connect(ran.folder / "ledger.sqlite") as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [(name, repr(row).encode()) for name in tables for row in connection.execute(f"SELECT * FROM {name}")]
    assert {name for name, _ in rows} >= {"incident", "decision", "cycle", "bar_batch"}
    assert leaks(ran.forms, rows) == []


def test_no_canary_is_an_argument_of_a_process(ran: Ran) -> None:
    assert any("canary_cycles.py" in command for command in ran.commands)
    assert leaks(ran.forms, (("arguments", command.encode()) for command in ran.commands)) == []


def test_no_canary_is_in_what_commands_print_metrics_too(ran: Ran) -> None:
    environment = _clean() | CANARIES | {"FFE_DATA_DIR": str(ran.folder)}
    for arguments in (("incidents", "--json"), ("incidents",), ("decisions", "--json"), ("metrics", "print")):
        done = subprocess.run(
            [sys.executable, "-m", "ffe.cli.main", *arguments],
            env=environment,
            cwd=ran.folder,
            capture_output=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert leaks(ran.forms, [("stdout", done.stdout), ("stderr", done.stderr)]) == []


def test_one_planted_canary_is_found_in_each_of_its_forms(ran: Ran, tmp_path: Path) -> None:
    for name, secret in ran.secrets.items():
        for form in _forms(secret):
            (tmp_path / "a.log").write_text(f"2018-04-04 said |{form}| to somebody")
            assert any(name in found for found in leaks(ran.forms, files(tmp_path))), (name, form)
    assert leaks(ran.forms, [("clean", b"nothing to see")]) == []
