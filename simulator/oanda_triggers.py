"""When the market meets a working stop or target at OANDA, its trade is closed at that price: a gap fills at the bar's open."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from ffe.money import round_nearest
from simulator.book import Due, cross_down, cross_up
from simulator.oanda_fills import Deal, Execution, Fills
from simulator.oanda_protection import STOP, Ledger
from simulator.oanda_rows import Order


class Triggers:
    """The margin account as settlement sees it."""

    def __init__(self, ledger: Ledger, fills: Fills) -> None:
        self._book, self._account, self._orders, self._fills = ledger.book, ledger.account, ledger.orders, fills

    def due(self, settled: datetime, until: datetime) -> Due | None:
        events = [event for order in self._orders.pending() if (event := self._event(order, settled, until))]
        return min(events, key=lambda due: (due.time, due.rank), default=None)

    def _event(self, order: Order, settled: datetime, until: datetime) -> Due | None:
        if order.trade_id is None or order.level is None or order.watched_from is None:
            return None
        trade = self._account.trades[order.trade_id]
        pair = self._book.pairs[trade.instrument]
        start = max(order.watched_from, settled)
        if start >= until or self._book.halted(pair.symbol):
            return None
        long = trade.units > 0
        cross = cross_down if long == (order.kind == STOP) else cross_up
        met = cross(self._book.minutes(pair.symbol, start, until), order.level, "bid" if long else "ask")
        return None if met is None else Due(met[0], 0 if order.kind == STOP else 1, self._closing(order, *met))

    def _closing(self, order: Order, at: datetime, price: Decimal) -> Callable[[], None]:
        def fire() -> None:
            trade = self._account.trades[str(order.trade_id)]
            pair = self._book.pairs[trade.instrument]
            execution = Execution([(trade, trade.units)])
            deal = Deal(pair, round_nearest(price, pair.tick), at, f"{order.kind}_ORDER")
            self._fills.fill(order, execution, deal)

        return fire
