"""The kill switch: one append-only history for all accounts. The newest line stands.

A claim holds the gate's row shared and a change of the switch holds it alone: a change that has committed is seen by every later
claim, and a change waits for claims that are just going through.
"""

from datetime import datetime

from sqlmodel import Session, col, select

from ffe.ledger.account_tables import KillSwitchRow
from ffe.ledger.order_tables import AccountRow
from ffe.ledger.rows import insert_once, locked, record_of, records_of
from ffe.orders.switch import NEVER_SET, KillSwitch, SwitchState

PERSON = "person"
# The account row that stands for all accounts; no venue has this name.
GATE = ("*", "*")


def hold_gate(session: Session, *, shared: bool) -> None:
    venue, account = GATE
    insert_once(session, AccountRow(venue=venue, account=account))
    locked(session, AccountRow, *GATE, shared=shared)


def switch(session: Session) -> KillSwitch:
    row = session.exec(select(KillSwitchRow).order_by(col(KillSwitchRow.id).desc()).limit(1)).first()
    return NEVER_SET if row is None else record_of(KillSwitch, row)


def set_switch(session: Session, state: SwitchState, reason: str, by: str, at: datetime) -> KillSwitch:
    """Appends a line and returns it. A rule only ever trips a switch that is `normal`; otherwise what stands stays."""
    hold_gate(session, shared=False)
    standing = switch(session)
    if by != PERSON and (standing.state is not SwitchState.NORMAL or state is SwitchState.NORMAL):
        return standing
    session.add(KillSwitchRow(state=state, reason=reason, by=by, at=at))
    session.flush()
    return switch(session)


def switch_history(session: Session, limit: int) -> list[KillSwitch]:
    """Newest first."""
    query = select(KillSwitchRow).order_by(col(KillSwitchRow.id).desc()).limit(limit)
    return records_of(KillSwitch, session.exec(query).all())


def resumes(session: Session) -> int:
    """How often a person set the switch back to normal. It counts epochs: clocks of switch and engine may differ, lines don't."""
    lines = session.exec(select(KillSwitchRow.state, KillSwitchRow.by).order_by(col(KillSwitchRow.id))).all()
    before, count = SwitchState.NORMAL.value, 0
    for state, by in lines:
        count += by == PERSON and state == SwitchState.NORMAL and before != SwitchState.NORMAL
        before = state
    return count
