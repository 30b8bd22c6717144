"""What may go to the wire: the last look before an order is sent, in the transaction that says it is.

A close is checked where its money would be reserved: units on their way out are set aside like money, so that two workers can't
close one position twice.
"""

from datetime import datetime
from decimal import Decimal

from sqlmodel import Session, col, select

from ffe.errors import HaltedError, NothingToCloseError
from ffe.ledger.differences import blocking
from ffe.ledger.kill_switch import hold_gate, switch
from ffe.ledger.order_tables import OrderRow, PositionRow
from ffe.ledger.orders import move, resending
from ffe.ledger.positions import lock_position
from ffe.ledger.rows import exact_sum, locked, record_of
from ffe.money import ZERO, plain
from ffe.orders.models import Leg, Order, OrderState, Side

# Sent or about to be. A planned close claims nothing yet: of two planned ones the first to reserve gets the units.
_ON_THEIR_WAY = tuple(state.value for state in OrderState if not state.final and state is not OrderState.PLANNED)
# Nobody sent the entry's own stop or target, and it rests until it is cancelled or hit: it takes no units away from a close.
_NOT_SENT_BY_US = (Leg.ENTRY.value, Leg.PROTECTION.value)


def claim(session: Session, order_id: str, at: datetime, checkpoint: str) -> Order:
    """RESERVED -> SUBMITTING, unless the kill switch or an open difference stands in between.

    Raises:
        HaltedError: the order stays RESERVED; `state` is the switch's, or `difference`.
        IllegalTransitionError: another worker has it.
    """
    row = locked(session, OrderRow, order_id)
    _pass_gate(session, row)
    row.checkpoint = checkpoint
    move(session, row, OrderState.SUBMITTING, at)
    return record_of(Order, row)


def claim_again(session: Session, order_id: str, at: datetime, reason: str) -> Order:
    """Lets the identical request of an order of unknown outcome go to the wire once more, under the same conditions as the first.

    Raises:
        HaltedError: as `claim`; the order stays as it is.
        IllegalTransitionError: its outcome is not unknown, or not any more.
    """
    _pass_gate(session, locked(session, OrderRow, order_id))
    return resending(session, order_id, at, reason)


def _pass_gate(session: Session, row: OrderRow) -> None:
    """The kill switch and the open differences, read under the gate; that its own outcome is unknown does not stop an order."""
    hold_gate(session, shared=True)
    standing, leg = switch(session), Leg(row.leg)
    if not standing.allows(leg):
        raise HaltedError(
            f"order {row.id}: the kill switch is at {standing.state} ({standing.reason}), which stops an {leg}",
            state=standing.state,
        )
    found = blocking(session, row.venue, row.account, row.instrument) if leg.opens else []
    others = [each for each in found if each.key != row.client_order_id]
    if others:
        raise HaltedError(f"order {row.id}: difference {others[0].id}: {others[0].message}", state="difference")


def check_close(session: Session, row: OrderRow) -> None:
    """Units of a close against the units that are ours and not on their way out already. FLATTEN closes what the venue holds.

    Raises:
        NothingToCloseError: too many units, or the wrong side; both numbers in the message.
    """
    leg = Leg(row.leg)
    if leg.opens or leg is Leg.FLATTEN:
        return
    held = lock_position(session, row.venue, row.account, row.instrument)
    units = ZERO if held is None else held.units
    if held is None or units * Side(row.side).sign >= 0:
        raise NothingToCloseError(f"{row.side} closes nothing: the ledger holds {plain(units)} {row.instrument}")
    leaving = _leaving(session, row, held)
    if exact_sum((row.units, leaving)) > abs(units):
        raise NothingToCloseError(
            f"{plain(row.units)} {row.instrument} to close, {plain(abs(units) - leaving)} held "
            f"({plain(abs(units))} less {plain(leaving)} on their way out)"
        )


def _leaving(session: Session, row: OrderRow, held: PositionRow) -> Decimal:
    """Unfilled units of the other closes of this position, which is locked: no fill can move between the two readings."""
    query = select(OrderRow).where(
        OrderRow.venue == held.venue,
        OrderRow.account == held.account,
        OrderRow.instrument == held.instrument,
        OrderRow.id != row.id,
        col(OrderRow.state).in_(_ON_THEIR_WAY),
        col(OrderRow.leg).not_in(_NOT_SENT_BY_US),
    )
    return exact_sum(other.units - other.filled_units for other in session.exec(query).all())
