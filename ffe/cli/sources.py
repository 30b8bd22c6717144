"""`ffe sources`: may each bar source be asked now, what did it use of its budget, and what did it say last."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from ffe.cli.metrics import market_clock
from ffe.cli.options import JsonOption, ModeOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.clock import rfc3339
from ffe.ledger.ledger import Ledger
from ffe.settings import Settings
from ffe.sources.factory import budget_of
from ffe.sources.health import Circuit, Health, SourceState, Usage, day_of

COLUMNS = ("source", "state", "until", "failures", "requests", "today", "last_success")


def sources(mode: ModeOption = None, as_json: JsonOption = False) -> None:
    """Health and budget of every bar source of a mode, as all processes share them."""
    settings = settings_from(mode=mode)
    ledger = Ledger.open(settings.resolved_ledger_url)
    try:
        now = market_clock(settings, ledger).now()
        known = {state.source: state for state in ledger.source_states(settings.mode.value, now)}
    finally:
        ledger.close()
    rows = [_row(settings, known.get(name) or _never_asked(settings, name, now)) for name in _names(settings)]
    if as_json:
        print(json.dumps(rows))
    else:
        _print(rows)


def _print(rows: Sequence[dict[str, Any]]) -> None:
    """A table that fits 80 columns, and below it what went wrong last."""
    print_rows("sources", [_short(row) for row in rows], COLUMNS)
    for row in rows:
        if row["last_error"] is not None:
            console().print(Text(f"{row['source']}: {row['last_error']}"), soft_wrap=True)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """`today`: answered, failed and skipped fetches of the UTC day."""
    counted = None if row["limit"] is None else f"{row['requests']} of {row['limit']}"
    today = f"{row['answered']} / {row['failed']} / {row['skipped']}"
    return row | {"requests": counted, "today": today}


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
