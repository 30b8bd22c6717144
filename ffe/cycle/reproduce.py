"""The command that does a failed step again, as a person types it. Each is one that `ffe` or Prefect parses; a test holds them to that."""

import shlex
from collections.abc import Mapping
from typing import Any

from ffe.cycle.subjects import Subject
from ffe.settings import Settings

# Flows and tasks whose work is a command of its own. Everything else of a cycle is done again by a cycle.
BACKFILL = ("backfill", "backfill-bars")
GRADING = ("grade", "grade-decisions", "grade-market", "fit-calibrations", "publish-grades")
RECONCILING = ("reconcile", "reconcile-venue", "publish-reconciliation", "ffe reconcile")
CHECKS = {"preflight": "ffe preflight", "reality-check": "ffe reality-check", "ffe flatten": "ffe flatten"}
CYCLE = (
    "trading-cycle",
    "decide",
    "fetch-bars",
    "check-bars",
    "ask-model",
    "plan-order",
    "submit-order",
    "resume-order",
    "publish-report",
    "publish-quality",
    "publish-trend",
    "source-failover",
)


def command(name: str, subject: Subject, settings: Settings, parameters: Mapping[str, Any] | None = None) -> str:
    """For the flow or task `name`: on the same instrument, timeframe, mode and model where it has them; its deployment where it has no command."""
    given = parameters or {}
    mode = ["--mode", settings.mode.value]
    if name in CYCLE:
        frame = settings.timeframe if subject.timeframe is None else subject.timeframe
        return _joined(
            "ffe", "run", *_instruments(subject, given), "--timeframe", frame.value, *mode, "--model", settings.model
        )
    if name in RECONCILING:
        return _joined("ffe", "reconcile", *mode)
    if name in GRADING:
        return _joined("ffe", "grade", *mode)
    if name in BACKFILL:
        return _joined("ffe", "backfill", *_instruments(subject, given), *_frames(subject, given), *_days(given), *mode)
    if name in CHECKS:
        return _joined(*CHECKS[name].split(), *(mode if name == "ffe flatten" else []))
    # What a person typed has no deployment.
    return name if name.startswith("ffe ") else _joined("prefect", "deployment", "run", f"{name}/{name}")


def _joined(*words: str) -> str:
    return shlex.join(words)


def _instruments(subject: Subject, given: Mapping[str, Any]) -> list[str]:
    if subject.instrument is not None:
        return [subject.instrument]
    named = given.get("instruments")
    return [str(each) for each in named] if isinstance(named, list | tuple) else []


def _frames(subject: Subject, given: Mapping[str, Any]) -> list[str]:
    named = given.get("timeframes")
    frames = [subject.timeframe.value] if subject.timeframe is not None else named if isinstance(named, list) else []
    return [word for frame in frames for word in ("--timeframe", str(frame))]


def _days(given: Mapping[str, Any]) -> list[str]:
    days = given.get("days")
    return ["--days", str(days)] if isinstance(days, int) else []
