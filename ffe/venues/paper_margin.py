"""Paper trading in the manner of OANDA: margin, one net position, trades netted first in first out, stops on each trade.

There is no financing and no margin close-out. `paper_valuation` has the formulas.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ffe.market.models import Instrument, parse_instrument
from ffe.money import ZERO
from ffe.orders.models import Fill, OrderState, Side
from ffe.venues.models import (
    AccountState,
    Balance,
    Capabilities,
    OrderRequest,
    Protection,
    VenueOrder,
    VenuePosition,
    WorkingKind,
)
from ffe.venues.paper_desk import Desk, beyond_bound, outcome, rejected, size_refusal, trailed
from ffe.venues.paper_models import HOME, PaperAccount, Prices, Resting, Sheet, Terms, Trade
from ffe.venues.paper_valuation import equity, fee_of, home, margin, margin_used

_WORDS = {
    WorkingKind.STOP_LOSS: "STOP_LOSS_ORDER",
    WorkingKind.TAKE_PROFIT: "TAKE_PROFIT_ORDER",
    WorkingKind.TRAILING_STOP: "TRAILING_STOP_LOSS_ORDER",
}


class MarginDesk(Desk):
    capabilities = Capabilities(
        short=True,
        margin=True,
        dedupes_client_order_id=True,
        part_fills=False,
        protection="attached",
        protection_follows_position=True,
        trailing_stop=True,
        protection_holds_units=False,
    )

    def fill(self, account: PaperAccount, request: OrderRequest, order_id: str, prices: Prices) -> VenueOrder:
        sheet = prices.sheets[request.instrument]
        wrong_size = size_refusal(request.units, sheet.spec, "UNITS_MIMIMUM_NOT_MET", "UNITS_LIMIT_EXCEEDED")
        if wrong_size is not None:
            return outcome(request, order_id, OrderState.REJECTED, wrong_size)
        price, netted = self.price(request.side, sheet), netting(account, request)
        reason = _refusal(account, request, price, netted, prices)
        if reason is not None:
            return outcome(request, order_id, OrderState.CANCELLED, reason)
        terms = Terms.of_request(request, order_id, "MARKET_ORDER", price, prices.now)
        fills = [_reduce(account, trade, units, terms, prices) for trade, units in netted.closing]
        if netted.opening != 0:
            fills.append(_open(account, request, netted.opening, terms, prices))
        protection = account.protecting(request.client_order_id)
        return outcome(request, order_id, OrderState.FILLED, fills=tuple(fills), protection=protection)

    def closed_by(self, account: PaperAccount, order: Resting, price: Decimal, prices: Prices) -> None:
        """The whole trade goes; its other orders go with it."""
        trade = next(trade for trade in account.trades if trade.id == order.trade_id)
        account.end([order], "FILLED")
        terms = Terms.of_resting(order, _WORDS[order.kind], price, prices.now)
        _reduce(account, trade, trade.units, terms, prices)

    def protect(self, account: PaperAccount, protection: Protection, prices: Prices) -> tuple[str, ...]:
        """Sets the levels on every open trade of the entry; what stands there already at the same level is left."""
        entry = protection.entry_client_order_id
        trades = [trade for trade in account.trades if trade.client_order_id == entry]
        if not trades:
            raise rejected(self.venue, protection.instrument, "NO_SUCH_TRADE")
        levels = _levels(protection.stop_loss, protection.take_profit, protection.trailing_distance)
        sheet = prices.sheets[protection.instrument]
        reason = _distance_refusal(protection.trailing_distance, sheet)
        if reason is not None:
            raise rejected(self.venue, protection.instrument, reason)
        for trade in trades:
            _set(account, trade, levels, protection.client_order_id, sheet)
        return account.protecting(entry)

    def state(self, account: PaperAccount, instruments: Sequence[Instrument], prices: Prices) -> AccountState:
        del instruments
        used = margin_used(account, prices)
        worth = equity(account, prices)
        available = max(ZERO, worth - used)
        return AccountState(
            venue=self.venue,
            account=self.account,
            currency=HOME,
            equity=worth,
            available=available,
            balances=(Balance(currency=HOME, available=available, hold=used),),
            conversions=prices.conversions,
            source=f"{self.venue} paper book: balance and trades at the venue's quotes",
            time=prices.now,
        )

    def needs(self, account: PaperAccount, valued: Sequence[Instrument]) -> set[str]:
        """Resting orders hang on trades."""
        del valued
        return {trade.instrument for trade in account.trades}

    def positions(self, account: PaperAccount) -> list[VenuePosition]:
        names = sorted({trade.instrument for trade in account.trades})
        return [_position(account, name) for name in names]


@dataclass(frozen=True)
class Netting:
    """Trades to reduce, oldest first, with units signed like the trade; and the signed units that are left to open."""

    closing: list[tuple[Trade, Decimal]]
    opening: Decimal


def netting(account: PaperAccount, request: OrderRequest) -> Netting:
    left, closing = request.units * request.side.sign, []
    for trade in account.trades:
        if trade.instrument != request.instrument or trade.units * left >= 0:
            continue
        units = trade.units if abs(trade.units) <= abs(left) else -left
        closing.append((trade, units))
        left += units
    return Netting(closing, left)


def _refusal(
    account: PaperAccount, request: OrderRequest, price: Decimal, netted: Netting, prices: Prices
) -> str | None:
    """The venue's reason for a cancel; None when the order fills."""
    sheet = prices.sheets[request.instrument]
    if not sheet.open:
        return "MARKET_HALTED"
    if request.reduce_only and netted.opening != 0:
        return "INSUFFICIENT_LIQUIDITY"
    if beyond_bound(request, price):
        return "BOUNDS_VIOLATION"
    if netted.opening == 0:
        return None
    freed = sum((margin(request.instrument, units, prices) for _, units in netted.closing), ZERO)
    free = equity(account, prices) - margin_used(account, prices) + freed
    if margin(request.instrument, netted.opening, prices) > free:
        return "INSUFFICIENT_MARGIN"
    return _protection_refusal(request, sheet, price)


def _open(account: PaperAccount, request: OrderRequest, units: Decimal, terms: Terms, prices: Prices) -> Fill:
    fee = fee_of(units, terms, prices)
    fill = account.execute(terms, abs(units), fee=fee, fee_currency=HOME, moved={HOME: -fee})
    trade = Trade(
        id=fill.venue_fill_id,
        client_order_id=request.client_order_id,
        instrument=request.instrument,
        units=units,
        price=terms.price,
    )
    account.trades.append(trade)
    levels = _levels(request.stop_loss, request.take_profit, request.trailing_distance)
    _set(account, trade, levels, None, prices.sheets[request.instrument])
    return fill


def _reduce(account: PaperAccount, trade: Trade, units: Decimal, terms: Terms, prices: Prices) -> Fill:
    """Closes `units`, signed like the trade, and books the profit. A closed trade takes its resting orders with it."""
    fee = fee_of(units, terms, prices)
    profit = home(parse_instrument(trade.instrument).quote, (terms.price - trade.price) * units, prices)
    moved = {HOME: profit - fee}
    fill = account.execute(terms, abs(units), fee=fee, fee_currency=HOME, moved=moved, closes=trade.client_order_id)
    place = account.trades.index(trade)
    if units == trade.units:
        del account.trades[place]
        account.end([order for order in account.resting if order.trade_id == trade.id], "CANCELLED")
    else:
        account.trades[place] = trade.model_copy(update={"units": trade.units - units})
    return fill


def _closing_side(trade: Trade) -> Side:
    return Side.SELL if trade.units > 0 else Side.BUY


def _position(account: PaperAccount, instrument: str) -> VenuePosition:
    trades = [trade for trade in account.trades if trade.instrument == instrument]
    units = sum((trade.units for trade in trades), ZERO)
    value = sum((trade.units * trade.price for trade in trades), ZERO)
    protection = tuple(order.id for order in account.resting if order.instrument == instrument)
    return VenuePosition(instrument=instrument, units=units, average_price=value / units, protection=protection)


Level = tuple[WorkingKind, Decimal]


def _levels(stop: Decimal | None, target: Decimal | None, distance: Decimal | None) -> list[Level]:
    asked = (
        (WorkingKind.STOP_LOSS, stop),
        (WorkingKind.TAKE_PROFIT, target),
        (WorkingKind.TRAILING_STOP, distance),
    )
    return [(kind, value) for kind, value in asked if value is not None]


def _set(
    account: PaperAccount, trade: Trade, levels: Iterable[Level], client_order_id: str | None, sheet: Sheet
) -> None:
    """One order of each kind hangs on a trade: another level replaces it, the same one leaves it alone."""
    for kind, value in levels:
        standing = [order for order in account.resting if order.trade_id == trade.id and order.kind is kind]
        if any(_level(order) == value for order in standing):
            continue
        account.end(standing, "CANCELLED")
        account.rest(_resting(trade, kind, value, client_order_id, sheet))


def _level(order: Resting) -> Decimal | None:
    if order.kind is WorkingKind.TRAILING_STOP:
        return order.distance
    return order.target if order.kind is WorkingKind.TAKE_PROFIT else order.stop


def _resting(trade: Trade, kind: WorkingKind, value: Decimal, client_order_id: str | None, sheet: Sheet) -> Resting:
    order = Resting(
        id="",
        client_order_id=client_order_id,
        protects=trade.client_order_id,
        trade_id=trade.id,
        instrument=trade.instrument,
        kind=kind,
        side=_closing_side(trade),
        units=None,
        stop=value if kind is WorkingKind.STOP_LOSS else None,
        target=value if kind is WorkingKind.TAKE_PROFIT else None,
        distance=value if kind is WorkingKind.TRAILING_STOP else None,
    )
    return trailed(order, sheet.quote)


def _protection_refusal(request: OrderRequest, sheet: Sheet, price: Decimal) -> str | None:
    """A stop that the closing side has reached already, a target that is no profit, a trailing stop that is too near."""
    sign = request.side.sign
    near = sheet.quote.bid if request.side is Side.BUY else sheet.quote.ask
    if request.stop_loss is not None and (near - request.stop_loss) * sign <= 0:
        return "STOP_LOSS_ON_FILL_LOSS"
    if request.take_profit is not None and (request.take_profit - price) * sign <= 0:
        return "TAKE_PROFIT_ON_FILL_LOSS"
    return _distance_refusal(request.trailing_distance, sheet)


def _distance_refusal(distance: Decimal | None, sheet: Sheet) -> str | None:
    least = sheet.spec.min_trailing_distance
    if distance is None or least is None or distance >= least:
        return None
    return "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MINIMUM_NOT_MET"
