"""A release on a real Prefect server, and the way back from it."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from servers import free_port
from sqlalchemy import text

from deployments import release
from deployments import releases as released
from deployments.automations.definitions import TAG
from deployments.release import UnhealthyError, deploy, rollback, what_is_left
from deployments.releases import Definitions, definitions, reapply, releases
from ffe.errors import ConfigurationError, FfeError, RefusedError
from ffe.ledger.backup import verify
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrations import HEAD
from ffe.observe.alarms import PREFIX
from ffe.settings import Settings, load_settings

Said = subprocess.CompletedProcess[str]
COMMAND = {"type": "object", "properties": {"command": {"type": "string", "default": "x"}}}
OURS = (f"{PREFIX}release", f"{PREFIX}other", f"{PREFIX}added")
BOOTSTRAP, DEPLOY, AUTOMATIONS, HEALTH = "deployments.bootstrap", "prefect", "deployments.automations", "ffe.cli.main"


@pytest.fixture
def settings(served: str, tmp_path: Path) -> Settings:
    assert served
    os.environ["FFE_DATA_DIR"] = str(tmp_path / "data")
    return load_settings(data_dir=tmp_path / "data")


def now() -> Definitions:
    return release._asked(definitions)


def at_the_server(change: Callable[[PrefectClient], Any]) -> Any:
    return release._asked(change)


class Commands:
    """What a release runs, in place of the real commands: `act` is what `prefect deploy` does, `fails` the one that ends with 1."""

    def __init__(
        self, act: Callable[[PrefectClient], Any] | None = None, *, fails: str = "", health: Sequence[int] = (0,)
    ):
        self.ran: list[str] = []
        self._act, self._fails, self._health = act, fails, list(health)

    def __call__(self, command: Sequence[str]) -> Said:
        name = command[2]
        self.ran.append(name)
        if name == DEPLOY and self._act is not None:
            at_the_server(self._act)
        if name == HEALTH:
            code = self._health.pop(0) if len(self._health) > 1 else self._health[0]
            return subprocess.CompletedProcess(command, code, json.dumps({"health": code}), "")
        return subprocess.CompletedProcess(command, int(name == self._fails), "", "no such thing")


async def _set_up(client: PrefectClient) -> None:
    """Two deployments and an automation, with every field that a definition has."""
    template = {"job_configuration": {"command": "{{ command }}"}, "variables": COMMAND}
    pool = {"name": "release-pool", "type": "process", "base_job_template": template, "concurrency_limit": 3}
    try:
        await client.request("POST", "/work_pools/", json=pool)
    except Exception:  # noqa: BLE001 - it is there from another test
        await client.request("PATCH", "/work_pools/release-pool", json={"base_job_template": template})  # type: ignore[arg-type]
    flow = (await client.request("POST", "/flows/", json={"name": "release-flow"})).json()
    schedules = [
        {"slug": "cron", "schedule": {"cron": "*/5 * * * *", "timezone": "UTC"}, "parameters": {"n": 2}},
        {"slug": "rrule", "schedule": {"rrule": "FREQ=HOURLY", "timezone": "America/New_York"}, "active": False},
    ]
    first = {
        "name": "first",
        "flow_id": flow["id"],
        "description": "what it does",
        "version": "abc123",
        "entrypoint": "flows.reconcile.reconcile",
        "parameters": {"n": 1, "deep": {"b": [1, 2], "a": None}},
        "parameter_openapi_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "enforce_parameter_schema": False,
        "tags": ["operations", "a"],
        "paused": False,
        "schedules": schedules,
        "work_pool_name": "release-pool",
        "work_queue_name": "default",
        "job_variables": {"command": "python -m ffe.warm prefect.engine"},
        "concurrency_limit": 1,
        "concurrency_options": {"collision_strategy": "CANCEL_NEW"},
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": "."}}],
    }
    await client.request("POST", "/deployments/", json=first)
    # `prefect deploy` always gives a schema; one that the server made up itself it does not take back.
    second = {"name": "second", "flow_id": flow["id"], "paused": True, "parameter_openapi_schema": {"type": "object"}}
    await client.request("POST", "/deployments/", json=second)
    event = {"type": "event", "expect": ["x"], "posture": "Reactive", "threshold": 1, "within": 0}
    trigger = {"type": "compound", "require": "all", "within": 60, "triggers": [event, event | {"expect": ["z"]}]}
    for name in OURS[:2]:
        await client.request(
            "POST",
            "/automations/",
            json={"name": name, "trigger": trigger, "actions": [{"type": "do-nothing"}], "tags": [TAG]},
        )


async def _change(client: PrefectClient) -> None:
    """What a release may do: every field other, one deployment gone, one new; the pool's template and the automations too."""
    first = await client.read_deployment_by_name("release-flow/first")
    changed = {
        "description": "something else",
        "version": "def456",
        "entrypoint": "flows.decide.decide",
        "parameters": {"n": 3},
        "tags": [],
        "paused": True,
        "schedules": [{"slug": "daily", "schedule": {"cron": "0 0 * * *", "timezone": "UTC"}}],
        "job_variables": {},
        "concurrency_limit": 5,
        "concurrency_options": {"collision_strategy": "ENQUEUE"},
        "pull_steps": [],
    }
    await client.request("PATCH", f"/deployments/{first.id}", json=changed)  # type: ignore[arg-type]
    second = await client.read_deployment_by_name("release-flow/second")
    await client.delete_deployment(second.id)
    new = {"name": "new", "flow_id": str(first.flow_id), "schedules": changed["schedules"]}
    await client.request("POST", "/deployments/", json=new)
    template = {"job_configuration": {"command": "false {{ command }}"}, "variables": COMMAND}
    pool = {"base_job_template": template, "concurrency_limit": 9}
    await client.request("PATCH", "/work_pools/release-pool", json=pool)  # type: ignore[arg-type]
    there = {each.name: each for each in await client.read_automations()}
    await client.pause_automation(there[f"{PREFIX}release"].id)
    await client.delete_automation(there[f"{PREFIX}other"].id)
    trigger = {"type": "event", "expect": ["y"], "posture": "Reactive", "threshold": 1, "within": 0}
    added = {"name": f"{PREFIX}added", "trigger": trigger, "actions": [{"type": "do-nothing"}], "tags": [TAG]}
    await client.request("POST", "/automations/", json=added)


async def _clean(client: PrefectClient) -> None:
    """Other tests share the server: only what is of these goes."""
    for name in ("first", "second", "new"):
        with contextlib.suppress(ObjectNotFound):
            await client.delete_deployment((await client.read_deployment_by_name(f"release-flow/{name}")).id)
    for automation in await client.read_automations():
        if automation.name in OURS:
            await client.delete_automation(automation.id)


@pytest.fixture
def before(settings: Settings) -> Definitions:
    """What the server has when a test begins: two deployments, a pool, two automations."""
    assert settings
    at_the_server(_clean)
    at_the_server(_set_up)
    return now()


def test_a_rollback_makes_every_definition_what_it_was(settings: Settings, before: Definitions) -> None:
    Ledger.open(settings.resolved_ledger_url).close()
    commands = Commands(_change)
    done = deploy(settings, run=commands)
    assert commands.ran == [BOOTSTRAP, DEPLOY, AUTOMATIONS, HEALTH]
    assert done.before == before
    changed = now()
    assert changed.deployments["release-flow/first"]["concurrency_limit"] == 5
    assert "release-flow/second" not in changed.deployments
    began = time.monotonic()
    undone = rollback(settings)
    assert time.monotonic() - began < 300
    after = now()
    new = after.deployments.pop("release-flow/new")
    assert new["paused"] is True
    assert after == before
    assert after.deployments["release-flow/first"]["concurrency_limit"] == 1
    assert [each["slug"] for each in after.deployments["release-flow/first"]["schedules"]] == ["cron", "rrule"]
    assert undone.undone is not None


def test_a_rollback_goes_one_release_back_at_a_time(settings: Settings, before: Definitions) -> None:
    deploy(settings, run=Commands(_change))
    changed = now()
    deploy(settings, run=Commands(_set_up_first_anew))
    assert now() != changed
    rollback(settings)
    assert now() == changed
    rollback(settings)
    after = now()
    del after.deployments["release-flow/new"]
    assert after == before
    with pytest.raises(RefusedError, match=r"no release in .* to go back from"):
        rollback(settings)


async def _set_up_first_anew(client: PrefectClient) -> None:
    first = await client.read_deployment_by_name("release-flow/first")
    await client.request("PATCH", f"/deployments/{first.id}", json={"description": "third"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        (Commands(_change, health=(4,)), 'not healthy within .* s: {"health": 4}'),
        (Commands(_change, health=(2,)), "not healthy within"),
        (Commands(_change, fails=DEPLOY), "-m prefect --no-prompt deploy --all ended with 1:\nno such thing"),
        (Commands(_change, fails=AUTOMATIONS), "-m deployments.automations apply ended with 1"),
    ],
)
def test_what_is_not_well_is_rolled_back_by_itself(
    settings: Settings, before: Definitions, commands: Commands, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "ASK_SECONDS", 0.1)
    with pytest.raises(UnhealthyError, match=f"rolled back, because {why}") as caught:
        deploy(settings, run=commands, health_seconds=0.3)
    assert caught.value.exit_code == 3
    after = now()
    del after.deployments["release-flow/new"]
    assert after == before
    (kept,) = releases(settings.data_dir / "releases")
    assert kept.undone is not None


def test_health_may_come_late_and_degraded_is_well_enough(
    settings: Settings, before: Definitions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "ASK_SECONDS", 0.05)
    commands = Commands(_change, health=(4, 4, 3))
    deploy(settings, run=commands, health_seconds=30)
    assert commands.ran.count(HEALTH) == 3
    assert 'degraded: {"health": 3}' in capsys.readouterr().err
    assert now() != before


def test_nothing_is_asked_where_there_is_nobody_to_be_healthy_yet(settings: Settings, before: Definitions) -> None:
    commands = Commands()
    deploy(settings, run=commands, health_seconds=0)
    assert HEALTH not in commands.ran
    assert now() == before


def test_the_ledger_is_backed_up_before_it_is_upgraded(settings: Settings, before: Definitions) -> None:
    ledger = Ledger.open(settings.resolved_ledger_url)
    ledger.close()
    copies = settings.data_dir / "backups"
    copies.mkdir()
    for number in range(release.KEPT_BACKUPS + 2):
        (copies / f"19990101T0000{number:02}.000000Z.zip").touch()
    (copies / "by hand.zip").touch()
    done = deploy(settings, run=Commands())
    assert (done.schema_before, done.schema_after) == (HEAD, HEAD)
    assert done.backup is not None
    assert verify(Path(done.backup)).revision == HEAD
    kept = sorted(path.name for path in copies.glob("*.zip"))
    assert len(kept) == release.KEPT_BACKUPS + 1
    assert {Path(done.backup).name, "by hand.zip"} <= set(kept)


def test_without_a_ledger_there_is_nothing_to_back_up(settings: Settings, before: Definitions) -> None:
    done = deploy(settings, run=Commands())
    assert (done.schema_before, done.schema_after, done.backup) == (None, HEAD, None)
    assert len(what_is_left(done)) == 1


def test_older_code_than_the_ledger_deploys_nothing(settings: Settings, before: Definitions) -> None:
    ledger = Ledger.open(settings.resolved_ledger_url)
    with ledger.database.writing_connection() as connection:
        connection.execute(text("UPDATE ledger_version SET version_num = '9999'"))
    ledger.close()
    commands = Commands(_change)
    with pytest.raises(ConfigurationError, match="the ledger's schema 9999 is of a newer version"):
        deploy(settings, run=commands)
    assert commands.ran == []
    assert now() == before


def test_a_rollback_says_what_older_code_can_not_read(settings: Settings, before: Definitions) -> None:
    done = deploy(settings, run=Commands()).model_copy(update={"schema_before": "0004", "backup": "b.zip"})
    lines = what_is_left(done)
    assert "code is not" in lines[0]
    assert f"the ledger's schema is {HEAD}; code that knows 0004 at most refuses it" in lines[1]
    assert "`ffe db restore b.zip --force`" in lines[1]


def test_a_definition_that_the_server_does_not_take_is_named(
    before: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = before.deployments["release-flow/first"]
    other = first | {"work_pool_name": "nowhere"}
    with pytest.raises(RefusedError, match="refused POST /deployments/"):
        at_the_server(
            lambda client: reapply(client, before.model_copy(update={"deployments": {"release-flow/first": other}}))
        )

    async def careless(client: PrefectClient, name: str, wanted: dict[str, Any]) -> str:
        return f"{name} {wanted['name']}"

    monkeypatch.setattr(released, "_deploy", careless)
    otherwise = {"release-flow/first": first | {"description": "new", "version": "new"}}
    wanted = before.model_copy(update={"deployments": otherwise})
    with pytest.raises(
        RefusedError, match=r"not as they were: deployments release-flow/first \(description, version\)"
    ):
        at_the_server(lambda client: reapply(client, wanted))


def test_a_work_pool_that_is_gone_comes_back(settings: Settings, before: Definitions) -> None:
    async def remove(client: PrefectClient) -> None:
        await client.delete_work_pool("release-pool")

    deploy(settings, run=Commands(remove))
    assert "release-pool" not in now().pools
    rollback(settings)
    assert now() == before


def test_without_a_server_nothing_is_changed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """The server is asked first: the ledger is neither backed up nor upgraded, and no release is on record."""
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        with pytest.raises(FfeError, match=r"the Prefect server at http://127\.0\.0\.1:\d+/api can't be asked"):
            deploy(settings, run=Commands())
        with pytest.raises(SystemExit) as caught:
            release.main(["deploy"])
    assert caught.value.code == 1
    assert "can't be asked" in capsys.readouterr().err
    assert not settings.data_dir.exists()


def test_a_server_that_is_none_is_named(settings: Settings) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        do_POST = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with (
            temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{other.server_port}/api"}),
            pytest.raises(FfeError, match=r"the Prefect server at http://127\.0\.0\.1:\d+/api can't be asked"),
        ):
            deploy(settings, run=Commands())
        other.shutdown()
    assert not settings.data_dir.exists()


def test_a_rollback_leaves_another_server_alone(
    settings: Settings, before: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(settings, run=Commands(_change))
    changed, here = now(), PREFECT_API_URL.value()
    assert releases(settings.data_dir / "releases")[0].server == here
    monkeypatch.setattr(release, "server", lambda: "https://other.example/api")
    with pytest.raises(RefusedError, match=rf"to go back from at https://other\.example/api; the newest is of {here}"):
        rollback(settings)
    assert now() == changed
    monkeypatch.undo()
    rollback(settings)
    assert now() != changed


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://127.0.0.1:4200/api/", "http://127.0.0.1:4200/api"),
        ("HTTPS://user:word@Prefect.example/api", "https://prefect.example/api"),
        (None, ""),
    ],
)
def test_a_server_has_one_name_without_a_password(url: str | None, named: str) -> None:
    with temporary_settings({PREFECT_API_URL: url}):
        assert released.server() == named


def test_an_automation_of_somebody_else_is_left_alone(settings: Settings, before: Definitions) -> None:
    """It has our prefix and not our tag."""
    trigger = {"type": "event", "expect": ["y"], "posture": "Reactive", "threshold": 1, "within": 0}
    theirs = {"name": OURS[2], "trigger": trigger, "actions": [{"type": "do-nothing"}], "tags": ["theirs"]}

    async def add(client: PrefectClient) -> None:
        await client.request("POST", "/automations/", json=theirs)  # type: ignore[arg-type]

    async def names(client: PrefectClient) -> set[str]:
        return {each.name for each in await client.read_automations()}

    deploy(settings, run=Commands(add))
    assert now() == before
    rollback(settings)
    assert OURS[2] in at_the_server(names)


def test_a_damaged_record_is_named(settings: Settings) -> None:
    folder = settings.data_dir / "releases"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{}")
    with pytest.raises(RefusedError, match=r"x\.json is no record of a release"):
        rollback(settings)


def test_releases_are_listed_newest_first(
    settings: Settings, before: Definitions, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        deploy(settings, run=Commands())
    rollback(settings)
    capsys.readouterr()
    release.main(["list"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["undone"] is None for line in lines] == [False, True]
    assert lines[0]["at"] > lines[1]["at"]
    assert {"release-flow/first", "release-flow/second"} <= set(lines[0]["deployments"])


def test_the_command_ends_as_its_error_says(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        release.main(["rollback"])
    assert caught.value.code == 4
    assert "release: no release in" in capsys.readouterr().err


def test_the_command_deploys(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(release, "deploy", lambda settings, **options: given.update(options, at=settings.data_dir))
    release.main(["deploy", "--health-seconds", "7"])
    assert given == {"health_seconds": 7.0, "at": settings.data_dir}


@pytest.mark.slow
def test_the_real_commands_deploy_everything_and_a_change_is_rolled_back(settings: Settings) -> None:
    """`prefect deploy --all` of this checkout; health is said to be well, then not."""
    well = (sys.executable, "-c", "print('{}')")
    done = deploy(settings, health=well)
    assert done.undone is None
    whole = now()
    assert {"trading-cycle/crypto", "trading-cycle/forex", "decide/gpu", "reconcile/reconcile"} <= set(
        whole.deployments
    )

    async def change(client: PrefectClient) -> None:
        crypto = await client.read_deployment_by_name("trading-cycle/crypto")
        await client.request("PATCH", f"/deployments/{crypto.id}", json={"paused": True, "tags": ["mine"]})  # type: ignore[arg-type]

    with pytest.raises(UnhealthyError, match="not healthy within 1 s"):
        deploy(settings, run=Commands(change, health=(4,)), health_seconds=1)
    assert now() == whole
    with pytest.raises(FfeError, match="ended with"):
        release._succeed(release._run, [sys.executable, "-m", "deployments.release", "rollback", "--what"])
