"""What every broker can do. Reads retry inside the adapter; `submit` sends exactly once."""

from collections.abc import Sequence
from typing import Protocol

from ffe.market.models import Instrument
from ffe.venues.models import (
    AccountState,
    Activity,
    Capabilities,
    InstrumentSpec,
    OrderRequest,
    Protection,
    Quote,
    VenueOrder,
    VenuePosition,
    WorkingOrder,
)


class Broker(Protocol):
    """Every method has a total deadline. Errors are `ffe.errors.VenueError` and its children, never an SDK's own."""

    venue: str

    @property
    def account(self) -> str:
        """Stable id of the account at the venue; part of every client order id."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Constant; asks nobody."""
        ...

    def account_state(self, instruments: Sequence[Instrument]) -> AccountState:
        """Balances and the conversions that `instruments` need. An unreadable balance raises; it never reads as zero."""
        ...

    def spec(self, instrument: Instrument) -> InstrumentSpec: ...

    def quote(self, instrument: Instrument) -> Quote: ...

    def position(self, instrument: Instrument) -> VenuePosition:
        """Flat is `units` zero. A failed query raises; it is never flat."""
        ...

    def positions(self) -> list[VenuePosition]: ...

    def working_orders(self) -> list[WorkingOrder]:
        """Every order that rests at the venue in this account, ours or not."""
        ...

    def activity(self, since: str) -> Activity:
        """What happened after the checkpoint `since` (OANDA: exclusive; Coinbase: from two minutes before it, so repeats are normal)."""
        ...

    def protect(self, protection: Protection) -> tuple[str, ...]:
        """Places stop and target for a held position; the venue's ids of what now works for it. Asking twice places one.

        Raises:
            NotSentError, OrderRejectedError, OutcomeUnknownError: as `submit`. A venue that can't hold protection rejects.
        """
        ...

    def cancel(self, venue_order_ids: Sequence[str]) -> None:
        """Cancels resting orders and waits until each is gone. One that had ended before is no error unless it filled.

        Raises:
            NotSentError: one of them still works, or has filled.
            OutcomeUnknownError: nobody knows.
        """
        ...

    def checkpoint(self) -> str:
        """The venue's place in time before an order is sent: OANDA's last transaction id, Coinbase's server time."""
        ...

    def submit(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        """Sends once and reports what the venue answered.

        Raises:
            NotSentError: certainly not at the venue.
            OrderRejectedError: the venue refused it.
            OutcomeUnknownError: anything else after sending.
        """
        ...

    def lookup(self, request: OrderRequest, checkpoint: str) -> VenueOrder | None:
        """What became of an order sent after `checkpoint`; None when the venue has never heard of it. Read only."""
        ...

    def resendable(self) -> bool:
        """Whether the venue dedupes the client order id, so that the identical body may be sent again after a lookup found nothing."""
        ...

    def close(self) -> None:
        """Closes the connections that are kept open."""
        ...
