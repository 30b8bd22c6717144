"""`ffe sources`: may each bar source be asked now, what did it use of its budget, and what did it say last."""

import json
from datetime import datetime
from typing import Any

from ffe.cli.options import JsonOption, ModeOption, settings_from
from ffe.cli.tables import print_rows
from ffe.clock import OffsetClock, SystemClock, rfc3339
from ffe.ledger.ledger import Ledger
from ffe.settings import Settings
from ffe.sources.factory import budget_of
from ffe.sources.health import Circuit, Health, SourceState, Usage, day_of

COLUMNS = (
    "source",
    "serves",
    "state",
    "until",
    "failures",
    "requests",
    "limit",
    "answered",
    "failed",
    "skipped",
    "last_success",
    "last_error",
)


def sources(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """Health and budget of every bar source of a mode, as all processes share them."""
    settings = settings_from(mode=mode)
    now = (SystemClock() if settings.clock is None else OffsetClock(settings.clock)).now()
    ledger = Ledger.open(settings.resolved_ledger_url)
    try:
        known = {state.source: state for state in ledger.source_states(settings.mode.value, now)}
    finally:
        ledger.close()
    rows = [_row(settings, known.get(name) or _never_asked(settings, name, now)) for name in _names(settings)]
    if as_json:
        print(json.dumps(rows))
    else:
        print_rows("sources", rows, COLUMNS)


def _names(settings: Settings) -> list[str]:
    return list(dict.fromkeys((*settings.sources.crypto, *settings.sources.forex)))


def _never_asked(settings: Settings, name: str, now: datetime) -> SourceState:
    return SourceState(feed=settings.mode.value, source=name, at=now, health=Health(), today=Usage(day=day_of(now)))


def _row(settings: Settings, state: SourceState) -> dict[str, Any]:
    """Times are RFC 3339 or None. `limit` None: requests are not counted. `state` `spent`: the service's own quota is used up."""
    health, today = state.health, state.today
    budget = budget_of(settings, state.source)
    serves = [kind for kind in ("crypto", "forex") if state.source in getattr(settings.sources, kind)]
    return {
        "source": state.source,
        "serves": ", ".join(serves),
        "state": state.circuit.value,
        "until": _until(state),
        "failures": health.failures,
        "requests": None if budget is None else today.requests,
        "limit": None if budget is None else budget.per_day,
        "answered": today.answered,
        "failed": today.failed,
        "skipped": today.skipped,
        "last_success": _said(health.last_success_at),
        "last_error": None if health.last_error is None else f"{_said(health.last_error_at)} {health.last_error}",
    }


def _until(state: SourceState) -> str | None:
    """End of the open time, or of a quota that the service says is spent; None while the source may be asked."""
    if state.circuit is Circuit.OPEN:
        return _said(state.health.until)
    stopped = state.health.stopped_until
    return f"{_said(stopped)} (quota)" if stopped is not None and stopped > state.at else None


def _said(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment.replace(microsecond=0))
