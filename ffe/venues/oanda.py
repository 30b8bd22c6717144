"""OANDA v20 as a `Broker`: a margin account whose every change is a numbered transaction.

HTTP success is not a fill: a market order answers 201 with a fill or with a cancel and its reason. OANDA does not dedupe
client order ids of market orders (the same body fills twice), so nothing is ever resent: outcomes are read from the
transactions since the checkpoint. Our id is also put on the trade, which stops a second opening fill while the first is open.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ffe.clock import Clock
from ffe.errors import OrderRejectedError, VenueError, VenueReadError
from ffe.market.models import Instrument, parse_instrument
from ffe.money import ZERO
from ffe.orders.models import OrderState
from ffe.venues import oanda_activity, oanda_orders, oanda_resting, reply
from ffe.venues.clients import OandaClient
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

SPEC_EXPIRY = timedelta(minutes=15)
CAPABILITIES = Capabilities(
    short=True,
    margin=True,
    dedupes_client_order_id=False,
    part_fills=False,
    protection="attached",
    protection_follows_position=True,
    trailing_stop=True,
    protection_holds_units=False,
)


class OandaBroker:
    """One OANDA account. Prices and units are Decimal texts both ways; short units are negative at the venue."""

    venue = "oanda"

    def __init__(self, client: OandaClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._specs: dict[str, tuple[datetime, InstrumentSpec]] = {}
        self._home: str | None = None

    def close(self) -> None:
        self._client.close()

    @property
    def account(self) -> str:
        return self._client.account_id

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def account_state(self, instruments: Sequence[Instrument]) -> AccountState:
        """NAV as equity, marginAvailable as available; conversions to the home currency as the venue quotes them."""
        from oandapyV20.endpoints.accounts import AccountSummary

        account = reply.need(self._client.read(AccountSummary(self.account)), "account")
        home = self._home = reply.text(account, "currency")
        available, used = reply.number(account, "marginAvailable"), reply.number(account, "marginUsed")
        return AccountState(
            venue=self.venue,
            account=self.account,
            currency=home,
            equity=reply.number(account, "NAV"),
            available=available,
            balances=(Balance(currency=home, available=available, hold=used),),
            conversions=self._conversions(instruments, home),
            source="oanda accounts/summary NAV, marginAvailable",
            time=self._clock.now(),
        )

    def _conversions(self, instruments: Sequence[Instrument], home: str) -> dict[str, Conversion]:
        one = Decimal(1)
        known = {home: Conversion(gain=one, loss=one, position=one)}
        if instruments:
            answer = self._pricing([item.venue_symbol for item in instruments], conversions=True)
            for entry in reply.entries(answer, "homeConversions"):
                known[reply.text(entry, "currency")] = Conversion(
                    gain=reply.number(entry, "accountGain"),
                    loss=reply.number(entry, "accountLoss"),
                    position=reply.number(entry, "positionValue"),
                )
        for item in instruments:
            if item.quote not in known:
                raise VenueReadError(f"oanda gives no conversion from {item.quote} to {home} for {item.symbol}")
        return known

    def _pricing(self, names: list[str], *, conversions: bool = False) -> dict[str, Any]:
        from oandapyV20.endpoints.pricing import PricingInfo

        params = {"instruments": ",".join(names)} | ({"includeHomeConversions": "true"} if conversions else {})
        return self._client.read(PricingInfo(self.account, params=params))

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        """The venue's rules, kept for 15 minutes. Whether it trades right now is the quote's word, not the spec's."""
        now = self._clock.now()
        kept = self._specs.get(instrument.symbol)
        if kept is None or not timedelta(0) <= now - kept[0] < SPEC_EXPIRY:
            kept = (now, self._fetch_spec(instrument, now))
            self._specs[instrument.symbol] = kept
        return kept[1]

    def _fetch_spec(self, instrument: Instrument, now: datetime) -> InstrumentSpec:
        from oandapyV20.endpoints.accounts import AccountInstruments

        endpoint = AccountInstruments(self.account, params={"instruments": instrument.venue_symbol})
        found = _named(self._client.read(endpoint), "instruments", "name", instrument.venue_symbol)
        return InstrumentSpec(
            instrument=instrument.symbol,
            venue=self.venue,
            price_increment=Decimal(1).scaleb(-reply.integer(found, "displayPrecision")),
            size_increment=Decimal(1).scaleb(-reply.integer(found, "tradeUnitsPrecision")),
            min_size=reply.number(found, "minimumTradeSize"),
            max_size=reply.limit(found, "maximumOrderUnits"),
            min_notional=None,
            max_notional=None,
            margin_rate=reply.number(found, "marginRate"),
            taker_fee_rate=ZERO,
            pip=Decimal(1).scaleb(reply.integer(found, "pipLocation")),
            tradeable=True,
            status="listed",
            fetched_at=now,
            min_trailing_distance=reply.number(found, "minimumTrailingStopDistance"),
        )

    def quote(self, instrument: Instrument) -> Quote:
        """Best bid and ask. Raises VenueReadError when either side is empty: no price is an error, not an old price."""
        price = _named(self._pricing([instrument.venue_symbol]), "prices", "instrument", instrument.venue_symbol)
        bids, asks = reply.entries(price, "bids"), reply.entries(price, "asks")
        tradeable = reply.flag(price, "tradeable")
        if not bids or not asks:
            raise VenueReadError(f"oanda has no two-sided price for {instrument.symbol} (tradeable: {tradeable})")
        return Quote(
            instrument=instrument.symbol,
            bid=reply.number(bids[0], "price"),
            ask=reply.number(asks[0], "price"),
            time=reply.moment(price, "time"),
            tradeable=tradeable,
            status=reply.first_text(price, "status") or ("tradeable" if tradeable else "non-tradeable"),
        )

    def position(self, instrument: Instrument) -> VenuePosition:
        flat = VenuePosition(instrument=instrument.symbol, units=ZERO, average_price=None)
        return next((held for held in self.positions() if held.instrument == instrument.symbol), flat)

    def positions(self) -> list[VenuePosition]:
        """Every open position, with the stop and target orders that hang on its trades."""
        from oandapyV20.endpoints.positions import OpenPositions

        held = reply.entries(self._client.read(OpenPositions(self.account)), "positions")
        trades = oanda_resting.open_trades(self._client) if held else []
        return [_position(item, trades) for item in held]

    def checkpoint(self) -> str:
        from oandapyV20.endpoints.accounts import AccountSummary

        return str(reply.integer(self._client.read(AccountSummary(self.account)), "lastTransactionID"))

    def submit(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        """Sends once; fill or cancel are in the same answer. Protection is read after it, and reading it can't undo the fill.

        A refusal because the same order is there already is answered with that order, where it is newer than `checkpoint`.
        """
        from oandapyV20.endpoints.orders import OrderCreate

        with before_the_wire():
            instrument = parse_instrument(request.instrument)
            body = oanda_orders.market_order(request, instrument.venue_symbol, self.spec(instrument))
            home = self._home_currency()
        with on_the_wire():
            try:
                answer = self._client.send(OrderCreate(self.account, data=body))
                order = oanda_orders.placed(request, answer, home)
            except OrderRejectedError as error:
                earlier = self._sent_before(request, checkpoint, error.reason)
                if earlier is None:
                    raise
                return earlier
            return self._sent_before(request, checkpoint, order.reason) or self._with_protection(request, order)

    def _sent_before(self, request: OrderRequest, checkpoint: str, reason: str | None) -> VenueOrder | None:
        """The first copy of an order whose second copy was refused; None when that is not the reason, or there is none."""
        if reason not in oanda_orders.SENT_BEFORE:
            return None
        earlier = self.lookup(request, checkpoint)
        ended_empty = {OrderState.CANCELLED, OrderState.REJECTED}
        return None if earlier is None or earlier.state in ended_empty else earlier

    def lookup(self, request: OrderRequest, checkpoint: str) -> VenueOrder | None:
        """From the transactions since `checkpoint`. Two fills under one id are both reported: the ledger must hold the truth."""
        order = oanda_orders.found(
            request, oanda_activity.transactions(self._client, checkpoint), self._home_currency()
        )
        return None if order is None else self._with_protection(request, order)

    def resendable(self) -> bool:
        return self.capabilities.dedupes_client_order_id

    def working_orders(self) -> list[WorkingOrder]:
        return oanda_resting.working_orders(self._client)

    def activity(self, since: str) -> Activity:
        return oanda_activity.activity(self._client, since)

    def protect(self, protection: Protection) -> tuple[str, ...]:
        with before_the_wire():
            spec = self.spec(parse_instrument(protection.instrument))
        return oanda_resting.protect(self._client, protection, spec)

    def cancel(self, venue_order_ids: Sequence[str]) -> None:
        oanda_resting.cancel(self._client, venue_order_ids)

    def _home_currency(self) -> str:
        return self._home or self.account_state(()).currency

    def _with_protection(self, request: OrderRequest, order: VenueOrder) -> VenueOrder:
        """Adds the stop and target orders of the trade it opened. Unreadable counts as unprotected: someone must look."""
        wanted = (request.stop_loss, request.take_profit, request.trailing_distance)
        if not order.fills or all(each is None for each in wanted):
            return order
        try:
            trades = oanda_resting.open_trades(self._client)
            ours = [trade for trade in trades if oanda_orders.client_id(trade) == request.client_order_id]
            return order.model_copy(update={"protection_ids": oanda_resting.protection_ids(ours)})
        except VenueError:
            return order


def _named(answer: dict[str, Any], key: str, name_key: str, name: str) -> dict[str, Any]:
    """The entry of that name in a list of them; its absence is an error."""
    for item in reply.entries(answer, key):
        if item.get(name_key) == name:
            return item
    raise reply.malformed(f"{name} is not among the {key}", answer)


def _position(held: dict[str, Any], trades: list[dict[str, Any]]) -> VenuePosition:
    name = reply.text(held, "instrument")
    sides = [reply.need(held, "long"), reply.need(held, "short")]
    units = [reply.number(side, "units") for side in sides]
    if all(units):
        raise VenueReadError(f"oanda holds {name} long and short at once (hedging); one net position is expected")
    side = sides[0] if units[0] else sides[1]
    return VenuePosition(
        instrument=reply.canonical(name),
        units=sum(units, ZERO),
        average_price=reply.number(side, "averagePrice") if any(units) else None,
        protection=oanda_resting.protection_ids([trade for trade in trades if reply.text(trade, "instrument") == name]),
    )
