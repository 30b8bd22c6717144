"""Runs every check. One that fails to look is `unknown` and stops no other: a venue that can't be asked is never taken as fine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ffe.cycle.engine import Engine
from ffe.observe.masking import masked
from ffe.observe.prefect_api import Api
from ffe.observe.reality import authors, columns, deployment, evidence, grid, life, money, venue
from ffe.observe.reality.case import Case, Check, Exempt, Finding, Window
from ffe.observe.reality.models import ROWS_KEPT, Holds, Invariant, Reality, Row

CHECKS: tuple[Check, ...] = (
    *evidence.CHECKS,
    *grid.CHECKS,
    *money.CHECKS,
    *venue.CHECKS,
    *life.CHECKS,
    *columns.CHECKS,
    *authors.CHECKS,
    *deployment.CHECKS,
)
POOLS = ("cpu", "gpu")
# A venue may show a balance before it lists the fill that made it.
SECOND_LOOK = 1.0
MOST_WORDS = 500


def check_reality(
    engine: Engine,
    api: Api | None = None,
    expected_automations: Sequence[str] = (),
    *,
    pools: Sequence[str] = POOLS,
    window: Window | None = None,
    sleep: Callable[[float], None] = time.sleep,
    checks: Sequence[Check] = CHECKS,
) -> Reality:
    """Every standing invariant of ledger, venues and deployment, by name. Changes nothing, and raises for none of them.

    `api` None: no deployment belongs to this run, and what is asked of one is `not-applicable`. `window` None: 30 days and 10,000 rows
    of a kind, or as far back as the settings keep what a decision rests on.
    """
    started, at = time.monotonic(), engine.clock.now()
    bounds = _kept(engine) if window is None else window

    def case() -> Case:
        return Case(engine, engine.clock.now(), bounds, api, tuple(expected_automations), tuple(pools))

    found = [_looked(check, case, sleep) for check in checks]
    took = round(1000 * (time.monotonic() - started), 1)
    return Reality(at=at, mode=engine.settings.mode.value, took_ms=took, invariants=tuple(found))


def _looked(check: Check, case: Callable[[], Case], sleep: Callable[[float], None]) -> Invariant:
    """One look; of a check that compares two sides, what a second one still finds, whatever the numbers are by then."""
    first = _look(check, case())
    if isinstance(first, Invariant) or not (check.twice and first.rows):
        return _judged(check.name, first)
    sleep(SECOND_LOOK)
    second = _look(check, case())
    if isinstance(second, Invariant):
        return second
    seen = [_place(row) for row in first.rows]
    return _judged(check.name, replace(second, rows=[row for row in second.rows if _place(row) in seen]))


def _place(row: Row) -> Row:
    """What a row is about, without what was found there."""
    return {key: value for key, value in row.items() if key != "why"}


def _kept(engine: Engine) -> Window:
    """No further back than retention keeps bars and model calls: what it deleted is not missing."""
    retention, usual = engine.settings.retention, Window()
    days = [each for each in (retention.bars_days, retention.model_calls_days) if each is not None]
    return Window(days=min(usual.days, *days), most=usual.most) if days else usual


def _look(check: Check, case: Case) -> Finding | Invariant:
    """What there is to judge, or the invariant at once where there is nothing."""
    try:
        found = check.judge(case)
    except Exception as error:  # noqa: BLE001 - fail closed: a check that could not look is no yes, and stops no other
        detail = masked(f"could not be looked at: {type(error).__name__}: {error}", most=MOST_WORDS)
        return Invariant(name=check.name, holds=Holds.UNKNOWN, detail=detail)
    if isinstance(found, Exempt):
        return Invariant(name=check.name, holds=Holds.NOT_APPLICABLE, detail=found.reason)
    return found


def _judged(name: str, found: Finding | Invariant) -> Invariant:
    if isinstance(found, Invariant):
        return found
    rows = tuple({key: masked(value) for key, value in row.items()} for row in found.rows[:ROWS_KEPT])
    return Invariant(
        name=name,
        holds=Holds.BROKEN if found.rows else Holds.YES,
        detail=f"{len(found.rows)} of {found.looked} {found.rule}",
        count=len(found.rows),
        rows=rows,
    )
