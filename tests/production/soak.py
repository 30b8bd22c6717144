"""A plant at 20 times its normal rate: what it did, what it holds, and what of that is wrong.

Normal is what prefect.yaml schedules: a crypto cycle and a reconciliation every 5 minutes, a forex cycle every 15, exits every minute.
The simulator's clock runs 20 times as fast too, so that each cycle meets a bar of its own and decides anew. Two shared cores can't start
that many processes: a run that finds the one before it still running is cancelled, as prefect.yaml wants it, and counted.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from accounts import Account, account_for
from logbook import unexpected
from plant import Plant
from prefect_view import until
from resources import LONG_LIVED, Recorder, Sample, grown, rss_per_hour

from ffe.clock import SystemClock

TIMES_NORMAL = 20
NORMAL_SECONDS: Mapping[str, int] = {"crypto": 300, "forex": 900, "reconcile": 300, "watch-exits": 60}
# What was due and not yet taken, on a machine that could not keep up.
SETTLE_SECONDS = 300.0
SAMPLE_SECONDS = 2.0


@dataclass
class Soak:
    """`faults` empty: nothing was wrong. `growth` in MiB an hour by process."""

    minutes: float
    account: Account
    growth: dict[str, float]
    counts: dict[str, int]
    samples: list[Sample]
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bounds:
    """`mib_per_hour` of a process that stays, `more` of any count from quiet to quiet; what is not named may not grow at all."""

    mib_per_hour: float
    more: Mapping[str, int]


# 3 MiB an hour at the normal rate, 2 GiB in a month: less than what a restart with every deployment of a new version takes back.
BOUNDS = Bounds(mib_per_hour=60.0, more={})
# The judged half of three minutes: 15 MiB, where server and worker still fill their caches after 40 runs.
SHORT = Bounds(mib_per_hour=600.0, more={})


def soak(plant: Plant, minutes: float, bounds: Bounds) -> Soak:
    """Warms up, runs `minutes` by schedule, lets everything end, and takes stock."""
    rates = {name: seconds // TIMES_NORMAL for name, seconds in NORMAL_SECONDS.items()}
    warm_up(plant, list(rates))
    plant.venue.control("/clock", rate=TIMES_NORMAL)
    recorder = Recorder(plant, SAMPLE_SECONDS)
    before = recorder.quiet()
    began = SystemClock().now()
    ended = began + timedelta(minutes=minutes)
    for name, seconds in rates.items():
        plant.prefect.schedule(name, seconds, ended)
    recorder.start()
    time.sleep(minutes * 60)
    await_ends(plant)
    recorder.stop()
    assert not recorder.lost, f"ended during the soak: {recorder.lost}"
    plant.venue.control("/clock", rate=1)
    after = recorder.quiet(before)
    result = Soak(
        minutes,
        account_for(plant, rates, began + timedelta(seconds=max(rates.values())), ended),
        {role: rss_per_hour(recorder.samples, role) for role in LONG_LIVED},
        grown(before, after),
        recorder.samples,
    )
    result.faults = result.account.faults + _leaks(result, bounds) + unexpected(plant)
    return result


def warm_up(plant: Plant, deployments: list[str]) -> None:
    """Each deployment once, by hand. Raises AssertionError when one does not complete."""
    for name in deployments:
        run = plant.prefect.ended(plant.prefect.run(name))
        assert run["state_name"] == "Completed", f"{name} ended {run['state_name']}: {run['state']['message']}"


def await_ends(plant: Plant) -> None:
    """Until every run that was due has its end. Raises AssertionError when one has none by SETTLE_SECONDS."""
    unfinished = {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]}}
    until(lambda: None if plant.prefect.runs(state=unfinished) else True, SETTLE_SECONDS, "every run to end", pause=2)
    assert not plant.prefect.late()


def _leaks(result: Soak, bounds: Bounds) -> list[str]:
    faults = [
        f"{role} grows by {rate:.0f} MiB an hour, bound {bounds.mib_per_hour:.0f}"
        for role, rate in result.growth.items()
        if rate > bounds.mib_per_hour
    ]
    return faults + [
        f"{name}: {more} more than before the soak, at most {bounds.more.get(name, 0)} allowed"
        for name, more in result.counts.items()
        if more > bounds.more.get(name, 0)
    ]


def document(result: Soak) -> dict[str, Any]:
    """The report as JSON; times in seconds, memory in MiB."""
    first, last = result.samples[0], result.samples[-1]
    return {
        "minutes": result.minutes,
        "faults": result.faults,
        "runs": {name: dict(states) for name, states in result.account.runs.items()},
        "decisions": dict(result.account.decisions),
        "orders": dict(result.account.orders),
        "rss_mib": {role: [round(first.held[role].rss, 1), round(last.held[role].rss, 1)] for role in LONG_LIVED},
        "rss_mib_per_hour": {role: round(rate, 1) for role, rate in result.growth.items()},
        "more_than_before": result.counts,
        "sampled_seconds": round(last.at - first.at, 1),
    }


def table(result: Soak) -> str:
    """The report as markdown."""
    told = document(result)
    lines = [f"Soak of {result.minutes:g} minutes at {TIMES_NORMAL} x the normal rate: {len(result.faults)} faults", ""]
    lines += ["| deployment | runs |", "| --- | --- |"]
    lines += [
        f"| {name} | {', '.join(f'{n} {state}' for state, n in states.items())} |"
        for name, states in told["runs"].items()
    ]
    lines += [
        "",
        "| process | RSS first, last (MiB) | MiB an hour | more files, threads |",
        "| --- | --- | --- | --- |",
    ]
    for role, (first, last) in told["rss_mib"].items():
        counts = f"{result.counts[f'{role} files']}, {result.counts[f'{role} threads']}"
        lines.append(f"| {role} | {first:.0f}, {last:.0f} | {told['rss_mib_per_hour'][role]:.0f} | {counts} |")
    shared = ", ".join(f"{name} {more:+}" for name, more in result.counts.items() if name in result.samples[0].shared)
    lines += ["", f"{shared}; decisions {told['decisions']}; orders {told['orders']}", ""]
    return "\n".join(lines + [f"- {fault}" for fault in result.faults])
