"""The running of it: incidents, API calls, differences, standing checks, and the health that they tell of.

Health is read from what was last written down. A scrape asks no venue, model or server: it would be as slow as the slowest of them,
and every monitor would be one more client of theirs. `ffe health` and `ffe preflight` ask.

A standing check counts when it is of these settings' mode and not of the future: two modes may share a ledger, and one that a wrong clock
dated would stay the newest.
"""

import math
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric
from sqlmodel import Session

from ffe.ledger import monitoring
from ffe.ledger.models import CheckRun
from ffe.ledger.monitoring_recent import incidents_since
from ffe.ledger.operations import checks
from ffe.observe.metrics.families import Labels, alone, measured, one_of
from ffe.settings import Settings

PREFLIGHT, REALITY = "preflight", "reality-check"
OUTCOMES = ("ready", "signal-only", "refused")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MEGABYTE = 2**20


def incidents(session: Session, now: datetime) -> Iterator[Metric]:
    for name, window in (("incidents_1h", HOUR), ("incidents_24h", DAY)):
        found = incidents_since(session, now - window)
        yield measured(name, {(kind,): count for kind, count in found.items()})


def api_calls(session: Session, now: datetime) -> Iterator[Metric]:
    """Counted from midnight UTC on: hours are deleted in time, so a sum over all of them would fall by some and not to zero."""
    totals = monitoring.api_usage_since(session, now.replace(hour=0, minute=0, second=0, microsecond=0))
    yield measured("api_calls_total", {(source,): usage.calls for source, usage in totals.items()})
    yield measured("api_errors_total", {(source,): usage.errors for source, usage in totals.items()})
    yield measured("api_seconds_total", {(source,): usage.seconds for source, usage in totals.items()})


def differences(session: Session) -> Metric:
    return measured("differences_open", monitoring.open_differences(session))


def standing_checks(session: Session, now: datetime, mode: str) -> Iterator[Metric]:
    newest = {kind: next(iter(checks(session, kind, 1, mode, now)), None) for kind in (PREFLIGHT, REALITY)}
    ran = {kind: run for kind, run in newest.items() if run is not None}
    yield measured("check_passed", {(kind,): run.passed for kind, run in ran.items()})
    yield measured("check_broken", {(kind,): run.broken for kind, run in ran.items()})
    ages = {kind: math.inf if run is None else (now - run.at).total_seconds() for kind, run in newest.items()}
    yield measured("check_age_seconds", {(kind,): age for kind, age in ages.items()})
    preflight, reality = newest[PREFLIGHT], newest[REALITY]
    if preflight is not None:
        yield one_of("preflight_outcome", preflight.document["outcome"], OUTCOMES)
    if reality is not None:
        yield measured("invariant_holds", _invariants(reality))


def _invariants(reality: CheckRun) -> dict[Labels, float]:
    """Those that do not apply are left out."""
    said = {each["name"]: each["holds"] for each in reality.document["invariants"]}
    return {(name,): holds == "yes" for name, holds in said.items() if holds != "not-applicable"}


def health(session: Session, settings: Settings, now: datetime) -> Iterator[Metric]:
    """Without a data folder (a ledger on PostgreSQL, seen from another machine) nothing is said of its disk."""
    components: dict[Labels, float] = {("ledger",): True}
    limit = settings.health.min_free_mb * MEGABYTE
    if Path(settings.data_dir).is_dir():
        free = shutil.disk_usage(settings.data_dir).free
        yield alone("disk_free_bytes", free)
        yield alone("disk_free_limit_bytes", limit)
        components["disk",] = free >= limit
    for run in checks(session, PREFLIGHT, 1, settings.mode.value, now):
        needed = [provider for provider in run.document["providers"] if provider["needed"]]
        components |= {(provider["provider"],): _answers(provider) for provider in needed}
    yield measured("component_healthy", components)


def _answers(provider: dict[str, Any]) -> bool:
    answers = [answer["says"] for answer in provider.values() if isinstance(answer, dict)]
    return not provider["refusals"] and all(says in {"yes", "not-needed"} for says in answers)
