"""Who decided: one of the six, the model only with its answer on record, and nobody but the model ever opens anything."""

from typing import Any

from sqlalchemy import and_, func, or_, select

from ffe.decision.models import Action, Author
from ffe.ledger.schema import METADATA
from ffe.observe.reality.case import CYCLES, DECISIONS, Case, Check, Finding
from ffe.observe.reality.models import Row

CALLS = METADATA.tables["model_call"]
AUTHORS = tuple(author.value for author in Author)
MODEL = Author.MODEL.value
# The mode of the cycles that closes without a model are recorded under.
CLOSE = "close"


def known_authors(case: Case) -> Finding:
    """Every decision has an author; the model's has its answer; a gate, an outage or a switch says HOLD, or closes."""
    decisions = case.recent(DECISIONS, "decided_at")
    unanswered = and_(decisions.c.decided_by == MODEL, CALLS.c.raw_text.is_(None))
    opened = and_(
        decisions.c.decided_by != MODEL, decisions.c.action != Action.HOLD.value, CYCLES.c.mode.is_distinct_from(CLOSE)
    )
    query = (
        select(
            *(decisions.c[name] for name in ("id", "instrument", "action", "decided_by", "model_call_id")),
            CYCLES.c.mode,
        )
        .outerjoin_from(decisions, CALLS, CALLS.c.id == decisions.c.model_call_id)
        .outerjoin(CYCLES, CYCLES.c.id == decisions.c.cycle_id)
        .where(or_(decisions.c.decided_by.not_in(AUTHORS), unanswered, opened))
    )
    (counted,) = case.read(select(func.count().label("rows")).select_from(decisions))
    rows = [_row(row) for row in case.read(query)]
    return Finding(case.said(counted["rows"], "decisions"), "have no author who may have made them", rows)


def _row(row: dict[str, Any]) -> Row:
    said = {
        "decision": row["id"],
        "instrument": row["instrument"],
        "action": row["action"],
        "author": row["decided_by"],
    }
    if row["decided_by"] not in AUTHORS:
        return said | {"why": f"{row['decided_by']!r} is none of the {len(AUTHORS)} authors"}
    if row["decided_by"] == MODEL:
        return said | {"why": f"no answer of model call {row['model_call_id']} is on record"}
    return said | {"why": f"only the model may say {row['action']} in a cycle of mode {row['mode']}"}


CHECKS = (Check("known-authors", known_authors),)
