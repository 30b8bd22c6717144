"""Coinbase Advanced Trade as a `Broker`: spot wallets, orders that are deduped by their client order id.

An entry carries a bracket (target and stop) that the venue attaches after the fill. The bracket holds the base units, so a
close first cancels it and waits until it reads CANCELLED; if that fails nothing is sold.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ffe.clock import Clock, parse_time, rfc3339
from ffe.errors import OrderRejectedError, OutcomeUnknownError, VenueError, VenueReadError
from ffe.market.models import CRYPTO, Instrument, parse_instrument
from ffe.money import ZERO
from ffe.orders.models import Fill, OrderState
from ffe.venues import coinbase_activity, coinbase_orders, coinbase_resting, reply
from ffe.venues.clients import CoinbaseClient
from ffe.venues.coinbase_pages import order_document, paged
from ffe.venues.models import (
    AccountState,
    Activity,
    Balance,
    Capabilities,
    Conversion,
    InstrumentSpec,
    OrderRequest,
    Protection,
    Quote,
    VenueOrder,
    VenuePosition,
    WorkingOrder,
)
from ffe.venues.sending import before_the_wire, on_the_wire

FEE_EXPIRY = timedelta(minutes=15)
LOOKUP_MARGIN = timedelta(seconds=120)
CAPABILITIES = Capabilities(
    short=False,
    margin=False,
    dedupes_client_order_id=True,
    part_fills=True,
    protection="attached",
    protection_follows_position=False,
    trailing_stop=False,
    protection_holds_units=True,
)
_PAGE = 250
_HALTS = ("is_disabled", "trading_disabled", "cancel_only", "limit_only", "post_only", "auction_mode")


class CoinbaseBroker:
    """The wallets of the portfolio that the key belongs to."""

    venue = "coinbase"

    def __init__(self, client: CoinbaseClient, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client, self._clock, self._sleep = client, clock, sleep
        self._account: str | None = None
        self._fee: tuple[datetime, Decimal] | None = None

    def close(self) -> None:
        self._client.close()

    @property
    def account(self) -> str:
        if self._account is None:
            self._account = reply.text(self._client.read("get_api_key_permissions"), "portfolio_uuid")
        return self._account

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def account_state(self, instruments: Sequence[Instrument]) -> AccountState:
        """Equity is cash plus (available + hold) x bid of the instruments' bases; one quote currency for all of them.

        Raises:
            VenueReadError: no wallet in the quote currency, or instruments quoted in several currencies.
        """
        quotes = sorted({item.quote for item in instruments}) or ["USD"]
        if len(quotes) > 1:
            raise VenueReadError(f"one account state can't be in {' and '.join(quotes)}", transient=False)
        balances = self._balances()
        cash = balances.get(quotes[0])
        if cash is None:
            raise VenueReadError(f"coinbase shows no {quotes[0]} wallet", transient=False)
        equity = cash.available + cash.hold
        for item in instruments:
            held = balances.get(item.base)
            if held is not None and held.available + held.hold != 0:
                equity += (held.available + held.hold) * self.quote(item).bid
        one = Decimal(1)
        return AccountState(
            venue=self.venue,
            account=self.account,
            currency=quotes[0],
            equity=equity,
            available=cash.available,
            balances=tuple(balances.values()),
            conversions={quotes[0]: Conversion(gain=one, loss=one, position=one)},
            source=f"coinbase accounts {quotes[0]} available_balance",
            time=self._clock.now(),
        )

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        """The product as it is now: its flags can change at any moment. Only the fee rate is kept, for 15 minutes."""
        product = self._client.read("get_product", product_id=instrument.venue_symbol)
        if reply.text(product, "product_id") != instrument.venue_symbol:
            raise reply.malformed(f"it is not {instrument.venue_symbol}", product)
        status = _status(product)
        price_key = "price_increment" if product.get("price_increment") else "quote_increment"
        return InstrumentSpec(
            instrument=instrument.symbol,
            venue=self.venue,
            price_increment=reply.number(product, price_key),
            size_increment=reply.number(product, "base_increment"),
            min_size=reply.number(product, "base_min_size"),
            max_size=reply.limit(product, "base_max_size"),
            min_notional=reply.limit(product, "quote_min_size"),
            max_notional=reply.limit(product, "quote_max_size"),
            margin_rate=None,
            taker_fee_rate=self._taker_fee(),
            pip=reply.number(product, price_key),
            tradeable=status == "online",
            status=status,
            fetched_at=self._clock.now(),
        )

    def _taker_fee(self) -> Decimal:
        now = self._clock.now()
        if self._fee is None or not timedelta(0) <= now - self._fee[0] < FEE_EXPIRY:
            tier = reply.need(self._client.read("get_transaction_summary"), "fee_tier")
            self._fee = (now, reply.number(tier, "taker_fee_rate"))
        return self._fee[1]

    def quote(self, instrument: Instrument) -> Quote:
        """Best bid and ask. Raises VenueReadError when either side is empty: no price is an error, not an old price."""
        answer = self._client.read("get_best_bid_ask", product_ids=[instrument.venue_symbol])
        books = [
            book for book in reply.entries(answer, "pricebooks") if book.get("product_id") == instrument.venue_symbol
        ]
        bids, asks = (reply.entries(books[0], side) if books else [] for side in ("bids", "asks"))
        if not bids or not asks:
            raise VenueReadError(f"coinbase has no two-sided price for {instrument.symbol}")
        return Quote(
            instrument=instrument.symbol,
            bid=reply.number(bids[0], "price"),
            ask=reply.number(asks[0], "price"),
            time=reply.moment(books[0], "time"),
            tradeable=True,
            status="online",
        )

    def position(self, instrument: Instrument) -> VenuePosition:
        """All units of the base, also those that protection holds: a close cancels it first. The venue knows no entry price."""
        held = self._balances().get(instrument.base)
        units = ZERO if held is None else held.available + held.hold
        protection = self._protection(instrument.venue_symbol) if units else ()
        return VenuePosition(instrument=instrument.symbol, units=units, average_price=None, protection=protection)

    def positions(self) -> list[VenuePosition]:
        """Every crypto wallet that holds anything, as its USD pair."""
        held = [item for item in self._balances().values() if item.currency in CRYPTO and item.available + item.hold]
        return [self.position(parse_instrument(f"{item.currency}USD")) for item in held]

    def checkpoint(self) -> str:
        """Server time, RFC 3339."""
        return rfc3339(reply.moment(self._client.read("get_unix_time"), "iso"))

    def submit(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        """Cancels what must go first, sends once, and reads the accepted order once: acceptance is not a fill."""
        with before_the_wire():
            instrument = parse_instrument(request.instrument)
            body = coinbase_orders.new_order(request, instrument.venue_symbol, self.spec(instrument))
            coinbase_resting.cancel(self._client, request.cancel_first, self._sleep)
        with on_the_wire():
            answer = self._client.send("create_order", **body)
            reason = coinbase_orders.refusal(answer)
            if reason == coinbase_orders.ALREADY_PLACED:
                return self._already_placed(request, checkpoint)
            if reason is not None:
                raise OrderRejectedError(
                    f"coinbase refused {request.instrument}: {reason}", reason=reason, response=str(answer)
                )
            order_id = reply.text(reply.need(answer, "success_response"), "order_id")
            return self._after_acceptance(request, order_id)

    def _after_acceptance(self, request: OrderRequest, order_id: str) -> VenueOrder:
        try:
            order = order_document(self._client, order_id)
            return self._described(request, order)
        except OutcomeUnknownError:
            raise
        except VenueError as error:
            # It was accepted: a failed read after that is no doubt about it.
            return VenueOrder(
                client_order_id=request.client_order_id,
                venue_order_id=order_id,
                state=OrderState.ACCEPTED,
                reason=f"accepted; reading it failed: {error}",
                fills=(),
            )

    def _already_placed(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        earlier = self.lookup(request, checkpoint)
        if earlier is None:
            raise OutcomeUnknownError(f"coinbase has {request.client_order_id} already but does not list it")
        return earlier

    def lookup(self, request: OrderRequest, checkpoint: str) -> VenueOrder | None:
        """Scans the product's orders since two minutes before `checkpoint`; the venue has no filter for the client id."""
        start = rfc3339(parse_time(checkpoint) - LOOKUP_MARGIN)
        product = parse_instrument(request.instrument).venue_symbol
        for order in self._orders(product_ids=[product], start_date=start):
            if order.get("client_order_id") == request.client_order_id:
                return self._described(request, order)
        return None

    def resendable(self) -> bool:
        return self.capabilities.dedupes_client_order_id

    def working_orders(self) -> list[WorkingOrder]:
        return coinbase_resting.working_orders(self._client)

    def activity(self, since: str) -> Activity:
        return coinbase_activity.activity(self._client, since, self._balances)

    def protect(self, protection: Protection) -> tuple[str, ...]:
        with before_the_wire():
            instrument = parse_instrument(protection.instrument)
            spec = self.spec(instrument)
        return coinbase_resting.protect(self._client, protection, spec, instrument.venue_symbol)

    def cancel(self, venue_order_ids: Sequence[str]) -> None:
        with on_the_wire():
            coinbase_resting.cancel(self._client, venue_order_ids, self._sleep)

    def _described(self, request: OrderRequest, order: dict[str, Any]) -> VenueOrder:
        quote_currency = parse_instrument(request.instrument).quote
        fills: tuple[Fill, ...] = ()
        if reply.number(order, "filled_size"):
            items = list(paged(self._client, "get_fills", "fills", order_ids=[reply.text(order, "order_id")]))
            fills = coinbase_orders.fills_of(items, quote_currency)
        described = coinbase_orders.venue_order(request, order, fills)
        attached = reply.first_text(order, "attached_order_id")
        if fills and attached is not None and self._reads_open(attached):
            return described.model_copy(update={"protection_ids": (attached,)})
        return described

    def _reads_open(self, order_id: str) -> bool:
        """Protection counts only while it reads OPEN; unreadable counts as missing, so that someone looks."""
        try:
            return reply.text(order_document(self._client, order_id), "status") == "OPEN"
        except VenueError:
            return False

    def _protection(self, product: str) -> tuple[str, ...]:
        orders = self._orders(product_ids=[product], order_status=["OPEN"])
        return tuple(reply.text(order, "order_id") for order in orders if coinbase_orders.is_protection(order))

    def _balances(self) -> dict[str, Balance]:
        """Wallets by currency; several of one currency are added up."""
        found: dict[str, Balance] = {}
        for wallet in paged(self._client, "get_accounts", "accounts", limit=_PAGE):
            available, hold = reply.need(wallet, "available_balance"), reply.need(wallet, "hold")
            currency = reply.text(available, "currency")
            kept = found.get(currency, Balance(currency=currency, available=ZERO, hold=ZERO))
            found[currency] = Balance(
                currency=currency,
                available=kept.available + reply.number(available, "value"),
                hold=kept.hold + reply.number(hold, "value"),
            )
        return found

    def _orders(self, **filters: Any) -> Iterator[dict[str, Any]]:
        return paged(self._client, "list_orders", "orders", **filters)


def _status(product: dict[str, Any]) -> str:
    """`online`, or the venue's word for why this product can't be traded with immediate orders right now."""
    halts = [name for name in _HALTS if reply.flag(product, name)]
    if product.get("view_only") is True:
        halts.append("view_only")
    stated = reply.need(product, "status")
    if stated not in {"online", ""}:
        halts.append(str(stated))
    return ", ".join(halts) or "online"
