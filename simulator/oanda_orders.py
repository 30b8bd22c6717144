"""OANDA's order desk: market orders filled at the far side of the spread, and every way in which one is cancelled instead.

HTTP success is not a fill: an accepted order becomes a fill or a cancel, both in the same batch of transactions.
"""

from dataclasses import dataclass
from decimal import Decimal

from ffe.money import ZERO, plain
from simulator.instruments import ForexPair
from simulator.market import SimQuote
from simulator.oanda_fills import Deal, Execution, Fills
from simulator.oanda_protection import Ledger
from simulator.oanda_request import MarketOrder, RejectedError
from simulator.oanda_rows import Order
from simulator.web import Json

MAX_OPEN_TRADES = 1000


@dataclass(frozen=True)
class Purpose:
    """Why a market order exists: the reasons of its create and its fill, and what it names to close."""

    reason: str
    fill_reason: str
    closes: Json


ORDINARY = Purpose("CLIENT_ORDER", "MARKET_ORDER", {})


class OrderDesk:
    def __init__(self, ledger: Ledger, fills: Fills) -> None:
        self._book, self._account, self._log = ledger.book, ledger.account, ledger.log
        self._orders, self._fills = ledger.orders, fills

    def place(self, request: MarketOrder) -> Json:
        """Records the order and its outcome; returns the reply's transactions. Raises RejectedError before anything is recorded."""
        if not self._account.convertible(request.pair):
            raise RejectedError("INSTRUMENT_PRICE_UNKNOWN")
        if request.client is not None and self._orders.pending_client(request.client.get("id")) is not None:
            raise RejectedError("CLIENT_ORDER_ID_ALREADY_EXISTS")
        return self.execute(request, self.netting(request))

    def execute(self, request: MarketOrder, execution: Execution, purpose: Purpose = ORDINARY) -> Json:
        """The order as a create, then `execution` as its fill, or the cancel that the market makes of it."""
        order, created = self._create(request, purpose)
        quote = self._book.quote(request.pair.symbol)
        refusal = "MARKET_HALTED" if quote is None else self._refusal(request, execution, quote)
        if quote is None or refusal is not None:
            cancel = self._orders.cancel(order, refusal or "MARKET_HALTED")
            return {"orderCreateTransaction": created, "orderCancelTransaction": cancel}
        price, now = quote.ask if request.units > 0 else quote.bid, self._book.clock.now()
        deal = Deal(request.pair, price, now, purpose.fill_reason, request)
        fill = self._fills.fill(order, self._within_depth(request, execution), deal)
        return {"orderCreateTransaction": created, "orderFillTransaction": fill}

    def _create(self, request: MarketOrder, purpose: Purpose) -> tuple[Order, Json]:
        asked = (
            "priceBound",
            "stopLossOnFill",
            "takeProfitOnFill",
            "trailingStopLossOnFill",
            "clientExtensions",
            "tradeClientExtensions",
        )
        body: Json = {
            "instrument": request.pair.name,
            "units": plain(request.units),
            "timeInForce": request.time_in_force,
            "positionFill": request.position_fill,
            **{name: request.raw[name] for name in asked if name in request.raw},
            **purpose.closes,
        }
        created = self._log.record("MARKET_ORDER", None, reason=purpose.reason, **body)
        order = Order(created["id"], self._book.clock.now(), {"type": "MARKET", **body})
        return self._orders.put(order), created

    def netting(self, request: MarketOrder) -> Execution:
        """First in, first out against what is open on the other side; the rest opens unless the order may only reduce."""
        left, reductions = request.units, []
        for trade in self._account.open_trades(request.pair.name):
            if trade.units * left >= 0:
                continue
            units = trade.units if abs(trade.units) <= abs(left) else -left
            reductions.append((trade, units))
            left += units
        if request.position_fill == "REDUCE_ONLY":
            return Execution(reductions)
        return Execution(reductions, left)

    def _refusal(self, request: MarketOrder, execution: Execution, quote: SimQuote) -> str | None:
        """The cancel reason, or None when the order may fill."""
        price = quote.ask if request.units > 0 else quote.bid
        checks = (
            (not quote.open, "MARKET_HALTED"),
            (self._book.switches.oanda_cancel_reason is not None, self._book.switches.oanda_cancel_reason),
            (self._short_of(request, execution), "INSUFFICIENT_LIQUIDITY"),
            (_beyond(price, request), "BOUNDS_VIOLATION"),
        )
        reason = next((name for failed, name in checks if failed), None)
        if reason is not None or execution.opening == 0:
            return reason
        return self._opening_refusal(request, execution, quote, price)

    def _opening_refusal(
        self, request: MarketOrder, execution: Execution, quote: SimQuote, price: Decimal
    ) -> str | None:
        account, sign = self._account, 1 if execution.opening > 0 else -1
        near = quote.bid if sign > 0 else quote.ask
        freed = sum((account.margin(request.pair, units) for _, units in execution.reductions), ZERO)
        needed = account.margin(request.pair, execution.opening)
        protected = request.stop is not None or request.target is not None
        checks = (
            (self._trade_id_taken(request), "CLIENT_TRADE_ID_ALREADY_EXISTS"),
            (protected and self._same_size(request.pair, execution.opening), "FIFO_VIOLATION"),
            (len(account.open_trades()) >= MAX_OPEN_TRADES, "OPEN_TRADES_ALLOWED_EXCEEDED"),
            (needed > account.equity() - account.margin_used() + freed, "INSUFFICIENT_MARGIN"),
            (
                request.target is not None and (request.target.level(price, sign) - price) * sign <= 0,
                "TAKE_PROFIT_ON_FILL_LOSS",
            ),
            (
                request.stop is not None and (near - request.stop.level(price, sign)) * sign <= 0,
                "STOP_LOSS_ON_FILL_LOSS",
            ),
        )
        return next((name for failed, name in checks if failed), None)

    def _trade_id_taken(self, request: MarketOrder) -> bool:
        wanted = (request.trade_client or {}).get("id")
        return wanted is not None and any((t.client or {}).get("id") == wanted for t in self._account.open_trades())

    def _same_size(self, pair: ForexPair, units: Decimal) -> bool:
        """US accounts: a protected trade must have a size of its own in its pair."""
        if not self._book.switches.oanda_us_account:
            return False
        return any(abs(trade.units) == abs(units) for trade in self._account.open_trades(pair.name))

    def _short_of(self, request: MarketOrder, execution: Execution) -> bool:
        depth = self._book.depth(request.pair.symbol)
        if execution.units == 0 or depth == 0:
            return True
        # A FOK order that may only reduce, larger than the position: the venue's reason is unconfirmed; nothing fills.
        whole = execution.units == request.units and (depth is None or abs(request.units) <= depth)
        return request.time_in_force == "FOK" and not whole

    def _within_depth(self, request: MarketOrder, execution: Execution) -> Execution:
        """What of it the top of the book can fill: reductions first, then the opening part."""
        depth = self._book.depth(request.pair.symbol)
        if depth is None or abs(execution.units) <= depth:
            return execution
        left, reductions = depth, []
        for trade, units in execution.reductions:
            part = min(abs(units), left).copy_sign(units)
            reductions.append((trade, part))
            left -= abs(part)
        opening = min(abs(execution.opening), left).copy_sign(execution.opening)
        return Execution([pair for pair in reductions if pair[1] != 0], opening if left else ZERO)


def _beyond(price: Decimal, request: MarketOrder) -> bool:
    if request.bound is None:
        return False
    return price > request.bound if request.units > 0 else price < request.bound
