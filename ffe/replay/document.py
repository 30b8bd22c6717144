"""A replay as plain JSON: one document an instrument, as `ffe replay --json` prints it and `replay.json` keeps it.

What is undefined (no trade, no variance) is null: a NaN is no JSON, and a zero would be a claim. Money is a number here, not text: the
document is read by people and plots, never traded from. `seconds` and `started_at` are the only parts that a second run changes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from ffe.clock import rfc3339
from ffe.replay.models import Compared, Stats
from ffe.replay.report_verdict import Verdict, verdicts
from ffe.replay.request import ReplayRun


def document(run: ReplayRun, report: Path | None = None) -> dict[str, Any] | list[dict[str, Any]]:
    """The document of one instrument, or a list of them where several were replayed. `report`: the folder that was written."""
    found = documents(run, report)
    return found[0] if len(found) == 1 else found


def documents(run: ReplayRun, report: Path | None = None) -> list[dict[str, Any]]:
    """One document an instrument, in the order of `run.feeds`."""
    return [
        _required(run, at, report) | _additions(run, at, verdict)
        for at, verdict in zip(range(len(run.feeds)), verdicts(run), strict=True)
    ]


def plain(value: Any) -> Any:
    """`value` in JSON's own types. NaN and infinity are None; a field like `return_` loses its underscore; times are RFC 3339.

    Raises:
        TypeError: of a kind that no report shows.
    """
    if value is None or (isinstance(value, bool | str | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float | Decimal):
        number = math.nan if isinstance(value, Decimal) and not value.is_finite() else float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_asdict"):
        return [plain(each) for each in value]
    return plain(_simpler(value))


def epoch(seconds: int) -> str:
    """RFC 3339 of epoch seconds."""
    return rfc3339(datetime.fromtimestamp(int(seconds), UTC))


def _simpler(value: Any) -> Any:
    """One step nearer to JSON."""
    if is_dataclass(value):
        return {each.name.rstrip("_"): getattr(value, each.name) for each in fields(value)}
    if hasattr(value, "_asdict"):
        return value._asdict()
    for kind, simpler in _SIMPLER.items():
        if isinstance(value, kind):
            return simpler(value)
    raise TypeError(f"{type(value).__name__} has no place in a report")


_SIMPLER: Mapping[type, Callable[[Any], Any]] = {
    Enum: attrgetter("value"),
    np.generic: methodcaller("item"),
    np.ndarray: methodcaller("tolist"),
    BaseModel: methodcaller("model_dump"),
    datetime: rfc3339,
    timedelta: methodcaller("total_seconds"),
    Path: str,
}


def _required(run: ReplayRun, at: int, report: Path | None) -> dict[str, Any]:
    """The keys that others rely on. `from` is the open of the first bar, `to` the close of the last one; both null without bars."""
    bars = run.feeds[at].bars
    return {
        "instrument": bars.instrument.symbol,
        "timeframe": run.timeframe.value,
        "strategy": run.strategy,
        "from": epoch(bars.times[0]) if len(bars) else None,
        "to": epoch(bars.closes_at[-1]) if len(bars) else None,
        "bars": len(bars),
        "seconds": plain(run.result.seconds),
        "contaminated": bool(run.contaminated[at]),
        "data_sha256": bars.sha256,
        "stats": stats_document(run.stats[at]),
        "baselines": [_compared(each) for each in run.baselines[at]],
        "report": None if report is None else str(report),
    }


def _additions(run: ReplayRun, at: int, verdict: Verdict) -> dict[str, Any]:
    result = run.result
    return {
        "verdict": {"answer": verdict.answer.value, "reasons": list(verdict.reasons)},
        "watermark": run.watermark if run.contaminated[at] else None,
        "costs": run.costs,
        "quoted": run.feeds[at].bars.quoted,
        "engine": result.engine,
        "params": plain(run.params),
        "capital": plain(result.capital),
        "halted_at": None if result.halted_at is None else epoch(result.halted_at),
        "orders": int(result.orders[at]),
        "holds": plain(result.holds[at]),
        "denials": plain(result.denials[at]),
        "lookahead": _own(run.lookahead, at),
        "warm_up": _own(run.warm_up, at),
        "monte_carlo": _own(run.monte_carlo, at),
        "regimes": _own(run.regimes, at),
        "notes": list(run.notes),
        "plan": plain(run.plan),
        "command": run.command,
        "started_at": rfc3339(run.started_at),
        "versions": plain(run.versions),
    }


def stats_document(stats: Stats) -> dict[str, Any]:
    """Every field under its name, `return_` as `return`; `intervals_95` holds [low, high] by name."""
    known: dict[str, Any] = plain(stats)
    intervals = known.pop("intervals")
    return known | {"intervals_95": {name.rstrip("_"): [each["low"], each["high"]] for name, each in intervals.items()}}


def _compared(each: Compared) -> dict[str, Any]:
    return {
        "strategy": each.strategy,
        "stats": stats_document(each.stats),
        "difference": plain(each.difference),
        "interval_95": [plain(each.low), plain(each.high)],
    }


def _own(found: tuple[Any, ...], at: int) -> Any:
    """This instrument's part of what was not always asked for."""
    return plain(found[at]) if found else None
