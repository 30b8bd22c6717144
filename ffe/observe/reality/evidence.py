"""What orders rest on: bars that passed, bars that were young, bars that were real."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, select

from ffe.clock import parse_time, rfc3339
from ffe.ledger.schema import METADATA
from ffe.market.freshness import FUTURE_TOLERANCE, check_freshness
from ffe.market.models import INSTRUMENTS, Timeframe
from ffe.observe.reality.case import CYCLES, DECISIONS, ORDERS, Case, Check, Finding
from ffe.observe.reality.models import Row
from ffe.orders.models import Leg, OrderState
from ffe.settings import Mode
from ffe.sources.alphavantage import NAME as ALPHA_VANTAGE

REPORTS, BATCHES, EVENTS = (METADATA.tables[name] for name in ("quality_report", "bar_batch", "order_event"))
# Legs that a decision on bars leads to; a close by a gate or by the kill switch rests on none.
DECIDED = (Leg.ENTRY.value, Leg.EXIT.value)
# Between the last look at the bars' age and the claim lies one question to the venue, with its retries.
ON_ITS_WAY = timedelta(seconds=30)
REAL_SOURCES = frozenset({"coinbase", "oanda", ALPHA_VANTAGE})


def passed_batch(case: Case) -> Finding:
    """Order -> decision -> batch -> report: passed, of exactly that batch, and made before the order."""
    orders = case.recent(ORDERS, "created_at", ORDERS.c.leg.in_(DECIDED))
    query = (
        select(
            orders.c.client_order_id,
            orders.c.instrument,
            orders.c.created_at,
            DECISIONS.c.batch_id,
            DECISIONS.c.quality_report_id,
            REPORTS.c.batch_id.label("judged"),
            REPORTS.c.passed,
            REPORTS.c.checked_at,
        )
        .outerjoin_from(orders, DECISIONS, DECISIONS.c.id == orders.c.decision_id)
        .outerjoin(REPORTS, REPORTS.c.id == DECISIONS.c.quality_report_id)
    )
    found = case.read(query)
    rows = [_named(row, why) for row in found if (why := _unproved(row)) is not None]
    return Finding(case.said(len(found), "orders of decisions"), "rest on no passed report of exactly their bars", rows)


def _unproved(row: dict[str, Any]) -> str | None:
    if row["batch_id"] is None:
        return "its decision names no batch"
    if row["passed"] is None:
        return f"no report {row['quality_report_id'] or ''} on batch {row['batch_id'][:12]}"
    if row["judged"] != row["batch_id"]:
        return f"decided on batch {row['batch_id'][:12]}, its report is of {row['judged'][:12]}"
    if not row["passed"]:
        return f"report {row['quality_report_id']} on its batch did not pass"
    if row["checked_at"] > row["created_at"] + FUTURE_TOLERANCE:
        return f"its report was made at {rfc3339(row['checked_at'])}, after the order"
    return None


def _named(row: dict[str, Any], why: str) -> Row:
    return {
        "order": row["client_order_id"],
        "instrument": row["instrument"],
        "created_at": rfc3339(row["created_at"]),
        "why": why,
    }


def fresh_bars(case: Case) -> Finding:
    """The recorded verdict on the bars' age was fresh, and they were within that limit when the order was claimed for the wire."""
    orders = case.recent(ORDERS, "created_at", ORDERS.c.leg.in_(DECIDED), ORDERS.c.submitted_at.is_not(None))
    claimed = and_(
        EVENTS.c.order_id == orders.c.id,
        EVENTS.c.from_state == OrderState.RESERVED.value,
        EVENTS.c.to_state == OrderState.SUBMITTING.value,
    )
    query = (
        select(
            *(orders.c[name] for name in ("client_order_id", "instrument", "timeframe", "bar_close", "created_at")),
            orders.c.submitted_at,
            EVENTS.c.at.label("claimed_at"),
            REPORTS.c.freshness,
        )
        .outerjoin_from(orders, EVENTS, claimed)
        .outerjoin(DECISIONS, DECISIONS.c.id == orders.c.decision_id)
        .outerjoin(REPORTS, REPORTS.c.id == DECISIONS.c.quality_report_id)
    )
    found = case.read(query)
    rows = [_named(row, why) for row in found if (why := _stale(case, row)) is not None]
    return Finding(case.said(len(found), "orders sent"), "were sent on bars that were stale or of unknown age", rows)


def _stale(case: Case, row: dict[str, Any]) -> str | None:
    freshness = row["freshness"]
    if freshness is None:
        return "no age of its bars is on record"
    if not freshness["fresh"]:
        return f"its bars were stale by the record: {freshness['message']}"
    if parse_time(freshness["bar_close"]) != row["bar_close"]:
        return f"the recorded age is of the bar {freshness['bar_close']}, the order of {rfc3339(row['bar_close'])}"
    sent = row["claimed_at"] or row["submitted_at"]
    age, limit = _age(case, row, sent, freshness["limit_seconds"])
    if limit is None or age <= limit + ON_ITS_WAY.total_seconds():
        return None
    return f"its bar was {age:.0f} s old at {rfc3339(sent)}, limit {limit:.0f} s"


def _age(case: Case, row: dict[str, Any], sent: datetime, limit: float | None) -> tuple[float, float | None]:
    """Market time since the bar's close, and the recorded limit; a daily bar has none and is held against the calendar."""
    calendar = case.engine.calendar(INSTRUMENTS[row["instrument"]])
    if limit is not None:
        return calendar.open_seconds(row["bar_close"], sent), limit
    frame, limits = Timeframe(row["timeframe"]), case.engine.settings.freshness
    said = check_freshness(row["bar_close"], frame, sent, calendar, limits)
    return said.age_seconds, None if said.fresh else 0.0


def real_bars(case: Case) -> Finding:
    """Outside `sim`, bars come from the known sources, and none of them was seen in `sim` before."""
    decisions = case.recent(DECISIONS, "decided_at", DECISIONS.c.batch_id.is_not(None))
    query = (
        select(decisions.c.id, decisions.c.instrument, decisions.c.batch_id, BATCHES.c.source, CYCLES.c.mode)
        .outerjoin_from(decisions, BATCHES, BATCHES.c.id == decisions.c.batch_id)
        .outerjoin(CYCLES, CYCLES.c.id == decisions.c.cycle_id)
    )
    found = case.read(query)
    simulated = {row["batch_id"] for row in found if row["mode"] == Mode.SIM.value}
    outside = [row for row in found if row["mode"] != Mode.SIM.value]
    rows = [_unreal(row) for row in outside if row["source"] not in REAL_SOURCES or row["batch_id"] in simulated]
    looked = f"{len(outside)} decisions outside sim, among {case.said(len(found), 'decisions on bars')},"
    return Finding(looked, "rest on bars of no real source", rows)


def _unreal(row: dict[str, Any]) -> Row:
    why = "its bars were used in sim too" if row["source"] in REAL_SOURCES else f"source {row['source']}"
    return {"decision": row["id"], "instrument": row["instrument"], "mode": str(row["mode"]), "why": why}


CHECKS = (
    Check("passed-batch", passed_batch),
    Check("fresh-bars", fresh_bars),
    Check("real-bars", real_bars),
)
