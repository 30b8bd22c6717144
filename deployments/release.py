"""A new version into production, and back: `python -m deployments.release deploy | rollback | list`.

    ask the server what it has             first: without an answer nothing is changed anywhere
    back up the ledger                     <data folder>/backups, while everything goes on
    upgrade its schema                     only ever forward, before any code that needs it runs
    write down what the server had         <data folder>/releases: that is what a rollback goes back to
    bootstrap, prefect deploy, automations
    ask `ffe health` until it says well    otherwise: roll back, exit 3

A rollback puts definitions back, not code: workers run what is installed beside them. It says so, and whether older code can read the
ledger. The server is that of PREFECT_API_URL, and a rollback takes only releases to that one; run it from a checkout of the version that is to be deployed.
"""

import argparse
import asyncio
import importlib.metadata
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient

from deployments.releases import Release, definitions, reapply, releases, save, server
from ffe.clock import Clock, SystemClock, rfc3339
from ffe.errors import FfeError, RefusedError
from ffe.ledger.backup import backup
from ffe.ledger.migrate import upgrade
from ffe.ledger.status import status
from ffe.settings import Settings, load_settings

CHECKOUT = Path(__file__).resolve().parents[1]
HEALTH = (sys.executable, "-m", "ffe.cli.main", "health", "--json")
# `ffe health`: 0 healthy, 3 degraded (a GPU worker away, say), 4 unhealthy.
WELL = frozenset({0, 3})
HEALTH_SECONDS, ASK_SECONDS = 120.0, 5.0
KEPT_BACKUPS = 10

Made = TypeVar("Made")
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


class UnhealthyError(FfeError):
    """Deployed, and not well: what was there before is back."""

    exit_code = 3


def deploy(
    settings: Settings,
    *,
    health_seconds: float = HEALTH_SECONDS,
    health: Sequence[str] = HEALTH,
    run: Run | None = None,
    clock: Clock | None = None,
) -> Release:
    """All of it. `health_seconds` 0 skips the question after health, for a first deployment before its workers are there.

    Raises:
        UnhealthyError: a step failed or health did not come, and the definitions are back.
        FfeError: backup, upgrade or reading the server failed; nothing was changed at the server.
    """
    go = run or _run
    release = _prepared(settings, (clock or SystemClock()).now())
    say(
        f"release {rfc3339(release.at)} of version {release.version}: schema {release.schema_before} -> {release.schema_after}"
    )
    try:
        _succeed(go, [sys.executable, "-m", "deployments.bootstrap"])
        _succeed(go, [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"])
        _succeed(go, [sys.executable, "-m", "deployments.automations", "apply"])
        _await_health(go, health, health_seconds)
    except Exception as error:
        say(f"rolling back: {error}")
        rollback(settings, clock=clock)
        raise UnhealthyError(f"rolled back, because {error}") from error
    return release


def rollback(settings: Settings, *, clock: Clock | None = None) -> Release:
    """What the server had before the newest release to it that still stands.

    Raises:
        RefusedError: there is none, or the server has not taken a definition.
        FfeError: the server can't be asked.
    """
    folder, here = settings.data_dir / "releases", server()
    standing = [each for each in releases(folder) if each.undone is None]
    release = next((each for each in standing if each.server == here), None)
    if release is None:
        newest = f"; the newest is of {standing[0].server or 'a server that it does not name'}" if standing else ""
        raise RefusedError(f"no release in {folder} to go back from at {here}{newest}")

    async def back(client: PrefectClient) -> list[str]:
        return await reapply(client, release.before)

    for line in _asked(back):
        say(line)
    undone = release.model_copy(update={"undone": (clock or SystemClock()).now()})
    save(folder, undone)
    for line in what_is_left(undone):
        say(line)
    return undone


def what_is_left(release: Release) -> list[str]:
    """What a rollback can't do by itself, in sentences."""
    lines = ["now install the version from before and restart the workers: definitions are back, code is not"]
    if release.schema_before is not None and release.schema_before != release.schema_after:
        lines.append(
            f"the ledger's schema is {release.schema_after}; code that knows {release.schema_before} at most refuses it. Stay with this "
            f"code where you can. If not: `ffe halt`, `ffe db restore {release.backup} --force` with the older code, `ffe reconcile`, "
            "`ffe resume`; what the ledger has recorded since is lost, the orders since are found at the venue"
        )
    return lines


def _prepared(settings: Settings, at: datetime) -> Release:
    """The server's definitions, backup, upgrade, and the release on disk."""
    there = _asked(definitions)
    url, copies = settings.resolved_ledger_url, settings.data_dir / "backups"
    kept = before = None
    try:
        before = status(url).revision
    except RefusedError:
        say("there is no ledger yet: nothing to back up")
    if before is not None:
        kept = str(backup(url, copies / f"{at:%Y%m%dT%H%M%S.%f}Z.zip", force=True).path)
        for old in sorted(copies.glob("*Z.zip"))[:-KEPT_BACKUPS]:
            old.unlink()
        say(f"the ledger is backed up: {kept}")
    upgrade(url)
    release = Release(
        at=at,
        version=importlib.metadata.version("finance-feedback-engine"),
        server=server(),
        schema_before=before,
        schema_after=status(url).revision,
        backup=kept,
        before=there,
    )
    save(settings.data_dir / "releases", release)
    return release


def _asked(question: Callable[[PrefectClient], Awaitable[Made]]) -> Made:
    """Raises FfeError when no server answers, or something that is none."""

    async def ask() -> Made:
        async with get_client() as client:
            return await question(client)

    try:
        return asyncio.run(ask())
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        raise FfeError(f"the Prefect server at {server()} can't be asked: {error}") from error


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def _succeed(run: Run, command: Sequence[str]) -> None:
    say(" ".join(command[1:]))
    done = run(command)
    if done.returncode != 0:
        raise FfeError(f"{' '.join(command[1:])} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _await_health(run: Run, command: Sequence[str], seconds: float) -> None:
    """Asks until it is well. Raises FfeError with the last answer when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while seconds > 0:
        done = run(command)
        if done.returncode in WELL:
            say("healthy" if done.returncode == 0 else f"degraded: {done.stdout.strip()}")
            return
        if time.monotonic() + ASK_SECONDS > deadline:
            raise FfeError(f"not healthy within {seconds:.0f} s: {done.stdout.strip() or done.stderr.strip()}")
        time.sleep(ASK_SECONDS)


def _listed(settings: Settings) -> None:
    for each in releases(settings.data_dir / "releases"):
        document = each.model_dump(mode="json", exclude={"before"}) | {"deployments": sorted(each.before.deployments)}
        print(json.dumps(document))


def say(text: str) -> None:
    print(f"release: {text}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m deployments.release")
    commands = parser.add_subparsers(dest="command", required=True)
    deploying = commands.add_parser(
        "deploy", help="back up, upgrade, deploy, ask after health; roll back when it is not well"
    )
    deploying.add_argument("--health-seconds", type=float, default=HEALTH_SECONDS, help="0 does not ask")
    commands.add_parser("rollback", help="what the server had before the newest release")
    commands.add_parser("list", help="one JSON line for each release, newest first")
    given = parser.parse_args(argv)
    settings = load_settings()
    try:
        if given.command == "deploy":
            deploy(settings, health_seconds=given.health_seconds)
        elif given.command == "rollback":
            rollback(settings)
        else:
            _listed(settings)
    except FfeError as error:
        say(str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
