"""What both kinds of paper account share: the price an order gets, and what happens to resting orders when somebody looks.

Nothing watches the market between two looks. A stop, target or trailing stop is met by the quote that a look brings with it, and is
filled at that quote: behind the stop when the market has run through it. What was reached and left again in between is not seen.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal

from ffe.errors import OrderRejectedError
from ffe.market.models import Instrument
from ffe.money import round_down, round_up
from ffe.orders.models import Fill, OrderState, Side
from ffe.venues.models import (
    AccountState,
    Capabilities,
    InstrumentSpec,
    OrderRequest,
    Protection,
    Quote,
    VenueOrder,
    VenuePosition,
)
from ffe.venues.paper_models import PaperAccount, Prices, Resting, Sheet

BASIS_POINT = Decimal("0.0001")


class Desk(ABC):
    """The rules of one kind of account. Every method works on the account it is given, inside the book's transaction."""

    capabilities: Capabilities

    def __init__(self, venue: str, account: str, slippage_bps: Decimal) -> None:
        self.venue, self.account, self._slippage = venue, account, slippage_bps * BASIS_POINT

    @abstractmethod
    def fill(self, account: PaperAccount, request: OrderRequest, order_id: str, prices: Prices) -> VenueOrder:
        """Fills the request whole, or ends it CANCELLED or REJECTED with the venue's own word for why."""

    @abstractmethod
    def protect(self, account: PaperAccount, protection: Protection, prices: Prices) -> tuple[str, ...]:
        """Ids of what works now. Raises OrderRejectedError."""

    @abstractmethod
    def state(self, account: PaperAccount, instruments: Sequence[Instrument], prices: Prices) -> AccountState: ...

    @abstractmethod
    def positions(self, account: PaperAccount) -> list[VenuePosition]: ...

    @abstractmethod
    def needs(self, account: PaperAccount, valued: Sequence[Instrument]) -> set[str]:
        """Symbols without whose prices this account can't be looked at; `valued` are those whose worth is asked for."""

    @abstractmethod
    def closed_by(self, account: PaperAccount, order: Resting, price: Decimal, prices: Prices) -> None:
        """Books the fill of a resting order that was met, and takes it off."""

    def price(self, side: Side, sheet: Sheet) -> Decimal:
        """The far side of the spread, made worse by the slippage, on the venue's grid."""
        if side is Side.BUY:
            return round_up(sheet.quote.ask * (1 + self._slippage), sheet.spec.price_increment)
        return round_down(sheet.quote.bid * (1 - self._slippage), sheet.spec.price_increment)

    def settle(self, account: PaperAccount, prices: Prices) -> None:
        """Meets every resting order with the quotes of now. A closed market meets nothing."""
        for order_id in [order.id for order in account.resting]:
            order = next((order for order in account.resting if order.id == order_id), None)
            if order is not None and prices.sheets[order.instrument].open:
                self._meet(account, order, prices)

    def _meet(self, account: PaperAccount, order: Resting, prices: Prices) -> None:
        sheet = prices.sheets[order.instrument]
        now = trailed(order, sheet.quote)
        account.resting[account.resting.index(order)] = now
        price = self._met(now, sheet)
        if price is not None:
            self.closed_by(account, now, price, prices)

    def _met(self, order: Resting, sheet: Sheet) -> Decimal | None:
        """The price that the order gets now; None while it rests. A target is a limit: slippage never takes it below its price."""
        seen, price = closing_price(order.side, sheet.quote), self.price(order.side, sheet)
        sign = order.side.sign
        if order.stop is not None and (seen - order.stop) * sign >= 0:
            return price
        if order.target is not None and (order.target - seen) * sign >= 0:
            return min(price, order.target) if order.side is Side.BUY else max(price, order.target)
        return None


def closing_price(side: Side, quote: Quote) -> Decimal:
    """What a closing order of this side would trade at: the ask for a buy."""
    return quote.ask if side is Side.BUY else quote.bid


def trailed(order: Resting, quote: Quote) -> Resting:
    """A trailing stop moved up behind the best price seen; it never moves back."""
    if order.distance is None:
        return order
    sign = order.side.sign
    level = closing_price(order.side, quote) + sign * order.distance
    if order.stop is not None and (level - order.stop) * sign >= 0:
        return order
    return order.model_copy(update={"stop": level})


def beyond_bound(request: OrderRequest, price: Decimal) -> bool:
    if request.price_bound is None:
        return False
    return (price - request.price_bound) * request.side.sign > 0


def size_refusal(units: Decimal, spec: InstrumentSpec, small: str, large: str) -> str | None:
    if units < spec.min_size:
        return small
    if spec.max_size is not None and units > spec.max_size:
        return large
    return None


def outcome(
    request: OrderRequest,
    order_id: str,
    state: OrderState,
    reason: str | None = None,
    *,
    fills: tuple[Fill, ...] = (),
    protection: tuple[str, ...] = (),
) -> VenueOrder:
    return VenueOrder(
        client_order_id=request.client_order_id,
        venue_order_id=order_id,
        state=state,
        reason=reason,
        fills=fills,
        protection_ids=protection,
    )


def rejected(venue: str, instrument: str, reason: str) -> OrderRejectedError:
    return OrderRejectedError(f"paper {venue} refused {instrument}: {reason}", reason=reason)
