"""The ledger's methods about accounts: kill switch, positions, what reconciliation keeps, differences, trades and equity."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from ffe.ledger import differences, kill_switch, marks, positions, protections, reconciling, trades
from ffe.ledger.database import Database
from ffe.ledger.models import Adjustment, ClosedTrade, Cursor, EquityMark, Position
from ffe.ledger.protections import Closing
from ffe.orders.differences import Difference
from ffe.orders.switch import KillSwitch, SwitchState
from ffe.venues.models import CashEvent


class AccountLedger:
    """What is true of an account beside its orders. Every method raises LedgerError when the database refuses."""

    database: Database

    # kill switch

    def switch(self) -> KillSwitch:
        with self.database.read() as session:
            return kill_switch.switch(session)

    def set_switch(self, state: SwitchState, reason: str, by: str, at: datetime) -> KillSwitch:
        """Appends a line and returns it; a rule (`by` is not `person`) changes nothing unless the switch is normal."""
        with self.database.write() as session:
            return kill_switch.set_switch(session, state, reason, by, at)

    def switch_history(self, limit: int = 50) -> list[KillSwitch]:
        """Newest first."""
        with self.database.read() as session:
            return kill_switch.switch_history(session, limit)

    # positions and what came of them

    def positions(self) -> list[Position]:
        with self.database.read() as session:
            return positions.positions(session)

    def position(self, venue: str, account: str, instrument: str) -> Position:
        """Flat when nothing was ever booked."""
        with self.database.read() as session:
            return positions.position(session, venue, account, instrument)

    def closed_trades(
        self, venue: str, account: str, *, since: datetime | None = None, limit: int = 200
    ) -> list[ClosedTrade]:
        """What each closing order realised of a round trip, newest first; computed from the fills."""
        with self.database.read() as session:
            return trades.closed_trades(session, venue, account, since=since, limit=limit)

    def mark_equity(self, venue: str, account: str, currency: str, equity: Decimal, at: datetime) -> None:
        """Appends a mark unless the newest one says the same."""
        with self.database.write() as session:
            marks.mark_equity(session, venue, account, currency, equity=equity, at=at)

    def equity_marks(self, venue: str, account: str, since: datetime) -> list[EquityMark]:
        """Oldest first, of the time since a person last resumed trading."""
        with self.database.read() as session:
            return marks.equity_marks(session, venue, account, since)

    # reconciliation

    def cursor(self, venue: str, account: str) -> Cursor | None:
        """How far the venue was read; None when it never was."""
        with self.database.read() as session:
            return reconciling.cursor(session, venue, account)

    def unread(self, venue: str, account: str) -> bool:
        """Whether this ledger came out of a backup and the account has not been reconciled since: trades that look like a stranger's may be ours."""
        with self.database.read() as session:
            return reconciling.unread(session, venue, account)

    def move_cursor(self, venue: str, account: str, checkpoint: str, totals: dict[str, Decimal], at: datetime) -> None:
        """Nothing is written when neither checkpoint nor totals are news."""
        with self.database.write() as session:
            reconciling.move_cursor(session, venue, account, checkpoint, totals=totals, at=at)

    def first_checkpoint(self, venue: str, account: str) -> str | None:
        """Of the account's oldest order that has one."""
        with self.database.read() as session:
            return reconciling.first_checkpoint(session, venue, account)

    def begin_cursor(self, venue: str, account: str, checkpoint: str, at: datetime) -> Cursor:
        """The cursor as it stands; one without totals at `checkpoint` when there is none, so that everybody begins at the same place."""
        with self.database.write() as session:
            return reconciling.begin_cursor(session, venue, account, checkpoint, at=at)

    def adjust(self, adjustment: Adjustment, closing: Closing | None = None) -> bool:
        """Counts units that are not ours, once by id; False when they are counted already.

        `closing` is what the same trade closed of ours: both are booked, or neither.
        """
        with self.database.write() as session:
            new = reconciling.adjust(session, adjustment)
            if new and closing is not None:
                protections.adopt_protection(session, *closing)
            return new

    def adjustments(self, venue: str, account: str) -> list[Adjustment]:
        """Oldest first."""
        with self.database.read() as session:
            return reconciling.adjustments(session, venue, account)

    def record_cash(self, venue: str, account: str, event: CashEvent) -> bool:
        """Once by the venue's id; False when it is known."""
        with self.database.write() as session:
            return reconciling.record_cash(session, venue, account, event)

    def cash_events(self, venue: str, account: str, limit: int = 50) -> list[CashEvent]:
        """Newest first."""
        with self.database.read() as session:
            return reconciling.cash_events(session, venue, account, limit)

    # differences

    def observe(self, venue: str, account: str, found: Sequence[Difference], at: datetime) -> list[Difference]:
        """Opens what is new or came back, settles what is gone; returns the account's open ones, oldest first."""
        with self.database.write() as session:
            return differences.observe(session, venue, account, found, at)

    def differences(self, *, open_only: bool = True, limit: int = 200) -> list[Difference]:
        """Of every account, oldest first."""
        with self.database.read() as session:
            return differences.differences(session, open_only=open_only, limit=limit)

    def accept(self, difference_id: str, at: datetime, note: str) -> Difference:
        """A person's acknowledgement, by id or by a unique prefix of 6 or more characters.

        Raises:
            LedgerError: unknown or ambiguous.
        """
        with self.database.write() as session:
            return differences.accept(session, difference_id, at, note)

    def blocking(self, venue: str, account: str, instrument: str) -> list[Difference]:
        """Open differences that stand before an entry on this instrument: its own and the whole account's."""
        with self.database.read() as session:
            return differences.blocking(session, venue, account, instrument)
