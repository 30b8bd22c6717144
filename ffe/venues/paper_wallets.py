"""Paper trading in the manner of Coinbase: spot wallets, a taker fee on every fill, a bracket that holds the units it would sell.

A bracket is placed where an entry brings both stop and target; the venue has no half of one. A met stop is sold at the quote, where
the venue would leave a limit order 5 % through it.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from ffe.errors import VenueReadError
from ffe.market.models import CRYPTO, Instrument, parse_instrument
from ffe.money import ZERO
from ffe.orders.models import Fill, OrderState, Side
from ffe.venues.models import (
    AccountState,
    Balance,
    Capabilities,
    Conversion,
    OrderRequest,
    Protection,
    VenueOrder,
    VenuePosition,
    WorkingKind,
)
from ffe.venues.paper_desk import Desk, beyond_bound, outcome, rejected, size_refusal
from ffe.venues.paper_models import PaperAccount, Prices, Resting, Sheet, Terms

UNIT = Decimal("1E-8")
_NO_FILL = "Immediate or cancel order could not be filled"


class WalletDesk(Desk):
    capabilities = Capabilities(
        short=False,
        margin=False,
        dedupes_client_order_id=True,
        part_fills=False,
        protection="attached",
        protection_follows_position=False,
        trailing_stop=False,
        protection_holds_units=True,
    )

    def fill(self, account: PaperAccount, request: OrderRequest, order_id: str, prices: Prices) -> VenueOrder:
        sheet = prices.sheets[request.instrument]
        reason = self._refusal(account, request, sheet)
        if reason is not None:
            return outcome(request, order_id, OrderState.REJECTED, reason)
        price = self.price(request.side, sheet)
        if beyond_bound(request, price):
            return outcome(request, order_id, OrderState.CANCELLED, _NO_FILL)
        cause = "MARKET" if request.price_bound is None else "LIMIT"
        terms = Terms.of_request(request, order_id, cause, price, prices.now)
        fill = _execute(account, terms, request.units, prices)
        if request.side is Side.BUY and request.stop_loss is not None and request.take_profit is not None:
            account.rest(_bracket(request, request.client_order_id, None))
        protection = account.protecting(request.client_order_id)
        return outcome(request, order_id, OrderState.FILLED, fills=(fill,), protection=protection)

    def _refusal(self, account: PaperAccount, request: OrderRequest, sheet: Sheet) -> str | None:
        """The venue's code, None when it accepts. Funds are held at the bound, fee included, as the venue holds them."""
        spec, price = sheet.spec, self.price(request.side, sheet)
        if not sheet.open:
            return "PRODUCT_TRADING_HALTED"
        value = request.units * (request.price_bound or price)
        wrong_size = size_refusal(
            request.units, spec, "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"
        )
        if wrong_size is None and spec.min_notional is not None and value < spec.min_notional:
            wrong_size = "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"
        if wrong_size is None and spec.max_notional is not None and value > spec.max_notional:
            wrong_size = "PREVIEW_INVALID_QUOTE_SIZE_TOO_LARGE"
        return (
            wrong_size
            or self._unpayable(account, request, value, spec.taker_fee_rate)
            or _wrong_bracket(request, sheet)
        )

    def _unpayable(self, account: PaperAccount, request: OrderRequest, value: Decimal, fee_rate: Decimal) -> str | None:
        instrument = parse_instrument(request.instrument)
        buying = request.side is Side.BUY
        currency = instrument.quote if buying else instrument.base
        needed = _money(value) + _money(_money(value) * fee_rate) if buying else request.units
        return "INSUFFICIENT_FUND" if needed > available(account, currency) else None

    def closed_by(self, account: PaperAccount, order: Resting, price: Decimal, prices: Prices) -> None:
        account.end([order], "FILLED")
        terms = Terms.of_resting(order, "BRACKET", price, prices.now)
        _execute(account, terms, order.units or ZERO, prices)

    def protect(self, account: PaperAccount, protection: Protection, prices: Prices) -> tuple[str, ...]:
        """One bracket for free units of the base."""
        trails = protection.trailing_distance is not None
        if trails or protection.side is not Side.SELL or None in {protection.stop_loss, protection.take_profit}:
            raise rejected(self.venue, protection.instrument, "UNSUPPORTED_ORDER_CONFIGURATION")
        placed = [order.id for order in account.resting if order.client_order_id == protection.client_order_id]
        if placed:
            return tuple(placed)
        sheet = prices.sheets[protection.instrument]
        small, large = "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"
        reason = size_refusal(protection.units, sheet.spec, small, large)
        if protection.units % sheet.spec.size_increment != 0:
            reason = "INVALID_SIZE_PRECISION"
        if reason is None and protection.units > available(account, parse_instrument(protection.instrument).base):
            reason = "INSUFFICIENT_FUND"
        if reason is not None:
            raise rejected(self.venue, protection.instrument, reason)
        account.rest(_bracket(protection, protection.entry_client_order_id, protection.client_order_id))
        return (account.resting[-1].id,)

    def state(self, account: PaperAccount, instruments: Sequence[Instrument], prices: Prices) -> AccountState:
        """Equity is cash plus holdings of the instruments' bases at the bid; one quote currency for all of them.

        Raises:
            VenueReadError: no wallet in the quote currency, or instruments quoted in several currencies.
        """
        quotes = sorted({item.quote for item in instruments}) or ["USD"]
        if len(quotes) > 1:
            raise VenueReadError(f"one account state can't be in {' and '.join(quotes)}", transient=False)
        currency, one = quotes[0], Decimal(1)
        if currency not in account.cash:
            raise VenueReadError(f"the paper book shows no {currency} wallet", transient=False)
        held = (
            (account.cash[item.base], item.symbol) for item in instruments if account.cash.get(item.base, ZERO) != 0
        )
        worth = account.cash[currency] + sum((units * prices.sheets[name].quote.bid for units, name in held), ZERO)
        return AccountState(
            venue=self.venue,
            account=self.account,
            currency=currency,
            equity=worth,
            available=available(account, currency),
            balances=tuple(_balance(account, name) for name in account.cash),
            conversions={currency: Conversion(gain=one, loss=one, position=one)},
            source=f"{self.venue} paper book: wallets at the venue's bid",
            time=prices.now,
        )

    def needs(self, account: PaperAccount, valued: Sequence[Instrument]) -> set[str]:
        held = {item.symbol for item in valued if account.cash.get(item.base, ZERO) != 0}
        return held | {order.instrument for order in account.resting}

    def positions(self, account: PaperAccount) -> list[VenuePosition]:
        """Every crypto wallet that holds anything, as its USD pair. A wallet knows no entry price."""
        held = [(name, units) for name, units in account.cash.items() if name in CRYPTO and units != 0]
        return [
            VenuePosition(
                instrument=f"{name}USD",
                units=units,
                average_price=None,
                protection=tuple(order.id for order in account.resting if order.instrument == f"{name}USD"),
            )
            for name, units in held
        ]


def _execute(account: PaperAccount, terms: Terms, units: Decimal, prices: Prices) -> Fill:
    instrument, sign = parse_instrument(terms.instrument), terms.side.sign
    value = _money(units * terms.price)
    fee = _money(value * prices.sheets[terms.instrument].spec.taker_fee_rate)
    moved = {instrument.base: units * sign, instrument.quote: -value * sign - fee}
    return account.execute(terms, units, fee=fee, fee_currency=instrument.quote, moved=moved)


def available(account: PaperAccount, currency: str) -> Decimal:
    return account.cash.get(currency, ZERO) - account.held_back(currency)


def _balance(account: PaperAccount, currency: str) -> Balance:
    return Balance(currency=currency, available=available(account, currency), hold=account.held_back(currency))


def _bracket(terms: OrderRequest | Protection, entry: str, client_order_id: str | None) -> Resting:
    return Resting(
        id="",
        client_order_id=client_order_id,
        protects=entry,
        trade_id=None,
        instrument=terms.instrument,
        kind=WorkingKind.BRACKET,
        side=Side.SELL,
        units=terms.units,
        stop=terms.stop_loss,
        target=terms.take_profit,
    )


def _wrong_bracket(request: OrderRequest, sheet: Sheet) -> str | None:
    """A sell brings no bracket; a stop or a target must not have been reached yet."""
    if request.stop_loss is None or request.take_profit is None:
        return None
    if request.side is Side.SELL:
        return "INVALID_ORDER_SIDE_FOR_ATTACHED_TPSL"
    if request.stop_loss >= sheet.quote.bid:
        return "INVALID_ATTACHED_STOP_LOSS_PRICE"
    if request.take_profit <= sheet.quote.ask:
        return "INVALID_ATTACHED_TAKE_PROFIT_PRICE"
    return None


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(UNIT, rounding=ROUND_HALF_EVEN)
