"""The ledger's methods about orders: each is one transaction over the functions of `orders`, `fills`, `claims` and `reservations`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe.ledger import claims, fills, orders, protections, reservations, trades
from ffe.ledger.database import Database
from ffe.ledger.models import OrderEvent, Reservation
from ffe.ledger.order_tables import OrderRow
from ffe.ledger.rows import locked
from ffe.market.models import Timeframe
from ffe.orders.models import Fill, Intent, Leg, Order, OrderState, Side, check_transition
from ffe.venues.models import VenueOrder


class OrderLedger:
    """Orders, their fills, their protection and what is set aside for them. Every method raises LedgerError when the database refuses."""

    database: Database

    def plan(self, intent: Intent, at: datetime) -> tuple[Order, bool]:
        """The order of this intent's key, PLANNED when it is new (True), or as it stands."""
        with self.database.write() as session:
            return orders.plan(session, intent, at)

    def transition(
        self,
        order_id: str,
        to: OrderState,
        at: datetime,
        *,
        reason: str | None = None,
        venue_order_id: str | None = None,
        checkpoint: str | None = None,
        detail: dict[str, Any] | None = None,
        only_from: Collection[OrderState] | None = None,
    ) -> Order:
        """One step of the state table with its event; a final one releases the reservation.

        `only_from` are the states that the caller still believes it to be in: what another process has moved on is left alone.

        Raises:
            IllegalTransitionError: not in the table, or not in `only_from`.
        """
        with self.database.write() as session:
            return orders.transition(
                session,
                order_id,
                to,
                at,
                reason=reason,
                venue_order_id=venue_order_id,
                checkpoint=checkpoint,
                detail=detail,
                only_from=only_from,
            )

    def claim(self, order_id: str, at: datetime, checkpoint: str) -> Order:
        """RESERVED -> SUBMITTING in one transaction with the look at the kill switch: only the caller that gets it may send.

        Raises:
            HaltedError: the switch does not allow this leg, or an open difference stands before an entry (`difference`).
            IllegalTransitionError: another worker has it.
        """
        with self.database.write() as session:
            return claims.claim(session, order_id, at, checkpoint)

    def book(self, order_id: str, venue_order: VenueOrder, at: datetime) -> Order:
        """Fills, position, state and reservation of one venue report, once each."""
        with self.database.write() as session:
            return fills.book(session, order_id, venue_order, at)

    def resending(self, order_id: str, at: datetime, reason: str) -> Order:
        """The identical request may go out once more, if kill switch and differences let it.

        Raises:
            HaltedError: they do not.
            IllegalTransitionError: its outcome is not unknown any more.
        """
        with self.database.write() as session:
            return claims.claim_again(session, order_id, at, reason)

    def note(self, order_id: str, at: datetime, reason: str) -> Order:
        with self.database.write() as session:
            return orders.note(session, order_id, at, reason)

    def order(self, order_id: str) -> Order:
        with self.database.read() as session:
            return orders.order(session, order_id)

    def order_for(
        self, account: str, instrument: str, timeframe: Timeframe, bar_close: datetime, leg: Leg
    ) -> Order | None:
        with self.database.read() as session:
            return orders.order_for(session, account, instrument, timeframe=timeframe, bar_close=bar_close, leg=leg)

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        """None when no order of ours has it."""
        with self.database.read() as session:
            return orders.by_client_id(session, client_order_id)

    def open_orders(self, venue: str | None = None, account: str | None = None) -> list[Order]:
        """Orders that are not in a final state, oldest first."""
        with self.database.read() as session:
            return orders.open_orders(session, venue, account)

    def orders(self, limit: int = 50) -> list[Order]:
        with self.database.read() as session:
            return orders.orders(session, limit)

    def order_events(self, order_id: str) -> list[OrderEvent]:
        with self.database.read() as session:
            return orders.events(session, order_id)

    def fills(self, order_id: str) -> list[Fill]:
        with self.database.read() as session:
            return fills.fills_of(session, order_id)

    # protection

    def adopt_protection(self, entry_id: str, venue_order: VenueOrder, side: Side, at: datetime) -> Order:
        """Books what a stop or target at the venue filled, once by fill id, into the entry's order of leg PROTECTION.

        Raises:
            LedgerError: nothing is filled yet, or `side` is the entry's own.
        """
        with self.database.write() as session:
            return protections.adopt_protection(session, entry_id, venue_order, side, at)

    def set_protection(self, order_id: str, ids: Sequence[str], at: datetime, reason: str) -> Order:
        """The venue's ids that protect the entry now. Those that are gone count as `dead_protection`; no news writes nothing."""
        with self.database.write() as session:
            return protections.set_protection(session, order_id, ids, at, reason)

    def watch(self, order_id: str, at: datetime, reason: str) -> Order:
        """Marks the entry's exit as watched by us, once."""
        with self.database.write() as session:
            return protections.watch(session, order_id, at, reason)

    def open_entry(self, venue: str, account: str, instrument: str) -> Order | None:
        """The newest entry with fills while our own position is not flat; None when it is."""
        with self.database.read() as session:
            return trades.open_entry(session, venue, account, instrument)

    # reservations

    def reserve(
        self,
        order_id: str,
        currency: str,
        amount: Decimal,
        available: Decimal,
        at: datetime,
        *,
        available_at: datetime | None = None,
    ) -> None:
        """Sets `amount` aside and takes the order PLANNED -> RESERVED. Once: a RESERVED order keeps what it has.

        `available_at` is when `available` was read; reservations used up by fills since then count against it too. A close
        sets its units aside in the same way: they must be ours, and not on their way out already. FLATTEN may close anything.

        Raises:
            InsufficientAvailableError: it does not fit; the order stays PLANNED.
            NothingToCloseError: a close of more units than are left, or to the wrong side; the order stays PLANNED.
            IllegalTransitionError: the order is beyond RESERVED.
        """
        with self.database.write() as session:
            row = locked(session, OrderRow, order_id)
            if row.state != OrderState.RESERVED:
                check_transition(order_id, OrderState(row.state), OrderState.RESERVED)
                reservations.lock_account(session, row.venue, row.account)
                claims.check_close(session, row)
                reservations.take(
                    session, row, currency=currency, amount=amount, available=available, at=at, read_at=available_at
                )
                orders.move(session, row, OrderState.RESERVED, at)

    def reserved(self, venue: str, account: str, currency: str) -> Decimal:
        """Sum of the open reservations."""
        with self.database.read() as session:
            return reservations.held(session, venue, account, currency)

    def open_reservations(self) -> list[Reservation]:
        with self.database.read() as session:
            return reservations.open_reservations(session)
