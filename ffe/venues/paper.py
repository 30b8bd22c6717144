"""The paper broker: real quotes and rules of a venue, fills in a book of our own, the same protocol as the venue's broker.

Every look first meets the resting orders with the quotes of now; without a quote for everything that is held or rests, the look
fails: no price is ever made up. Prices are read before the book is locked, so that a slow venue keeps no other process waiting.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

from ffe.clock import Clock
from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError, VenueError, VenueReadError
from ffe.market.models import Instrument, parse_instrument
from ffe.money import ZERO
from ffe.orders.models import OrderState
from ffe.settings import PaperSettings
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
from ffe.venues.paper_book import Page, PaperBook
from ffe.venues.paper_data import MarketData
from ffe.venues.paper_desk import Desk, rejected
from ffe.venues.paper_margin import MarginDesk
from ffe.venues.paper_models import Kept, LineKind, Prices
from ffe.venues.paper_prices import read_prices
from ffe.venues.paper_wallets import WalletDesk
from ffe.venues.sending import before_the_wire, exact_price, exact_units, same_order

T = TypeVar("T")
LOOKS = 3
DESKS: dict[str, type[Desk]] = {"oanda": MarginDesk, "coinbase": WalletDesk}


class PaperBroker:
    """One paper account at the market of `data`; `book` names the account."""

    def __init__(self, data: MarketData, book: PaperBook, clock: Clock, settings: PaperSettings) -> None:
        self.venue = data.venue
        self._data, self._book, self._clock = data, book, clock
        self._desk = DESKS[data.venue](data.venue, book.account, settings.slippage_bps)
        self._needed: frozenset[str] = frozenset()

    def close(self) -> None:
        self._data.close()

    @property
    def account(self) -> str:
        return self._book.account

    @property
    def capabilities(self) -> Capabilities:
        return self._desk.capabilities

    def resendable(self) -> bool:
        return self.capabilities.dedupes_client_order_id

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        """The venue's own."""
        return self._data.spec(instrument)

    def quote(self, instrument: Instrument) -> Quote:
        """The venue's own."""
        return self._data.quote(instrument)

    def account_state(self, instruments: Sequence[Instrument]) -> AccountState:
        return self._look(lambda page, prices: self._desk.state(page.account, instruments, prices), valued=instruments)

    def position(self, instrument: Instrument) -> VenuePosition:
        flat = VenuePosition(instrument=instrument.symbol, units=ZERO, average_price=None)
        return next((held for held in self.positions() if held.instrument == instrument.symbol), flat)

    def positions(self) -> list[VenuePosition]:
        return self._look(lambda page, _: self._desk.positions(page.account))

    def working_orders(self) -> list[WorkingOrder]:
        return self._look(lambda page, _: [order.working() for order in page.account.resting])

    def checkpoint(self) -> str:
        """The name of this book and the number of its last line."""
        return self._look(lambda page, _: page.account.checkpoint)

    def activity(self, since: str) -> Activity:
        """Raises VenueReadError for a checkpoint of another book: a book started anew knows nothing of what was before."""
        return self._look(lambda page, _: _activity(page, since))

    def submit(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        """Fills, cancels or refuses at the quote of now. A client order id that is known gets the order that it had."""
        del checkpoint
        with before_the_wire():
            instrument = parse_instrument(request.instrument)
            spec = self.spec(instrument)
            exact_units(request, spec)
            _check_prices(request, spec)
            if request.trailing_distance is not None and not self.capabilities.trailing_stop:
                raise NotSentError(f"{self.venue} has no trailing stop for {request.instrument}")
        with _whole_or_not_at_all():
            order = self._look(lambda page, prices: self._placed(page, request, prices), (instrument,))
        if order.state is OrderState.REJECTED:
            raise rejected(self.venue, request.instrument, str(order.reason))
        return order

    def _placed(self, page: Page, request: OrderRequest, prices: Prices) -> VenueOrder:
        earlier = _kept(page, request)
        if earlier is not None:
            return earlier
        account = page.account
        if self.capabilities.protection_holds_units:
            _cancel(page, request.cancel_first)
        order_id = account.add(LineKind.SENT, request.client_order_id, request)
        order = self._desk.fill(account, request, order_id, prices)
        account.add(LineKind.ORDER, request.client_order_id, Kept(request=request, order=order))
        return order

    def lookup(self, request: OrderRequest, checkpoint: str) -> VenueOrder | None:
        """By client order id, however old."""
        del checkpoint
        return self._look(lambda page, _: _kept(page, request))

    def protect(self, protection: Protection) -> tuple[str, ...]:
        with before_the_wire():
            instrument = parse_instrument(protection.instrument)
            _check_prices(protection, self.spec(instrument))
        with _whole_or_not_at_all():
            return self._look(lambda page, prices: self._desk.protect(page.account, protection, prices), (instrument,))

    def cancel(self, venue_order_ids: Sequence[str]) -> None:
        with _whole_or_not_at_all():
            self._look(lambda page, _: _cancel(page, venue_order_ids))

    def _look(
        self, work: Callable[[Page, Prices], T], traded: Sequence[Instrument] = (), valued: Sequence[Instrument] = ()
    ) -> T:
        """Settles, does `work` and commits, all in one transaction, on prices of everything that is traded, held or rests.

        `work` raises before it changes anything; what was settled is kept even then, for it was what made it raise.

        Raises:
            VenueReadError: a price is missing, the book can't be used, or others kept changing what is held.
        """
        for _ in range(LOOKS):
            asked = {item.symbol for item in traded} | self._needed
            prices = read_prices(self._data, asked, valued, self._clock.now(), margin=self.capabilities.margin)
            with self._book.transaction(self._clock.now()) as page:
                self._needed = frozenset(self._desk.needs(page.account, valued))
                if not self._needed <= prices.sheets.keys():
                    continue
                self._desk.settle(page.account, prices)
                try:
                    return work(page, prices)
                except VenueError as error:
                    refusal = error
            raise refusal
        raise VenueReadError(f"the paper account {self.account} changed {LOOKS} times while its prices were read")


@contextmanager
def _whole_or_not_at_all() -> Iterator[None]:
    """What failed before the commit changed nothing."""
    try:
        yield
    except (NotSentError, OrderRejectedError, OutcomeUnknownError):
        raise
    except VenueError as error:
        raise NotSentError(f"not sent: {error}") from error


def _check_prices(terms: OrderRequest | Protection, spec: InstrumentSpec) -> None:
    """Raises NotSentError for a price that is finer than the venue's increment."""
    bound = terms.price_bound if isinstance(terms, OrderRequest) else None
    for price in (bound, terms.stop_loss, terms.take_profit, terms.trailing_distance):
        if price is not None:
            exact_price(price, spec)


def _kept(page: Page, request: OrderRequest) -> VenueOrder | None:
    """The order of this client id as it is now. Raises OutcomeUnknownError when another one goes by that id."""
    body = page.find(LineKind.ORDER, request.client_order_id)
    if body is None:
        return None
    kept = Kept.model_validate_json(body)
    asked = kept.request
    same_order(request, asked.instrument, asked.side.value, asked.units, request.instrument)
    protection = page.account.protecting(request.client_order_id)
    return kept.order.model_copy(update={"protection_ids": protection})


def _cancel(page: Page, order_ids: Sequence[str]) -> None:
    """Raises NotSentError for an id that has filled, or that the book has never heard of."""
    resting = {order.id: order for order in page.account.resting}
    ended = {order_id: page.find(LineKind.ENDED, order_id) for order_id in order_ids if order_id not in resting}
    wrong = [f"{order_id} is {how or 'unknown'}" for order_id, how in ended.items() if how != "CANCELLED"]
    if wrong:
        raise NotSentError(f"not cancelled: {', '.join(wrong)}")
    page.account.end([resting[order_id] for order_id in order_ids if order_id in resting], "CANCELLED")


def _activity(page: Page, since: str) -> Activity:
    account = page.account
    name, _, number = since.rpartition("-")
    if name != account.book or not number.isdecimal() or int(number) > account.number:
        raise VenueReadError(
            f"checkpoint {since!r} is none of the paper book {account.book}, which stands at {account.number}",
            transient=False,
        )
    lines = page.booked(int(number))
    moved: dict[str, Decimal] = {}
    for line in lines:
        for currency, amount in line.moved.items():
            moved[currency] = moved.get(currency, ZERO) + amount
    return Activity(
        executions=tuple(line.execution for line in lines if line.execution is not None),
        cash=tuple(line.cash for line in lines if line.cash is not None),
        totals=dict(account.cash),
        moved=moved,
        checkpoint=account.checkpoint,
    )
