"""When the market meets a working stop or target at OANDA, its trade is closed at that price: a gap fills at the bar's open.

A trailing stop follows the best price of each minute that did not meet it. Whether a minute saw its high or its low first is not
known, so a minute is first held against the stop as it stood before.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from ffe.money import round_nearest
from simulator.book import Due, cross_down, cross_up
from simulator.margin import Trade
from simulator.market import SimBar
from simulator.oanda_fills import Deal, Execution, Fills
from simulator.oanda_protection import STOP, TARGET, TRAILING, Ledger
from simulator.oanda_rows import Order


class Triggers:
    """The margin account as settlement sees it."""

    def __init__(self, ledger: Ledger, fills: Fills) -> None:
        self._book, self._account, self._orders, self._fills = ledger.book, ledger.account, ledger.orders, fills

    def due(self, settled: datetime, until: datetime) -> Due | None:
        """The first event, or None; then trailing stops stand where these minutes moved them."""
        pending = self._orders.pending()
        events = [event for order in pending if (event := self._event(order, settled, until))]
        if not events:
            for order in pending:
                self._trail(order, settled, until)
        return min(events, key=lambda due: (due.time, due.rank), default=None)

    def _trail(self, order: Order, settled: datetime, until: datetime) -> None:
        watched = self._watched(order, settled, until)
        if order.kind != TRAILING or watched is None or order.level is None:
            return
        trade, start = watched
        distance = Decimal(order.body["distance"])
        bars = self._book.minutes(self._book.pairs[trade.instrument].symbol, start, until)
        level = _trailed(bars, order.level, distance, long=trade.units > 0)
        self._orders.put(replace(order, level=level, watched_from=until))

    def _watched(self, order: Order, settled: datetime, until: datetime) -> tuple[Trade, datetime] | None:
        """The order's trade, and from when on its minutes count; None when none of them does."""
        if order.trade_id is None or order.watched_from is None:
            return None
        trade, start = self._account.trades[order.trade_id], max(order.watched_from, settled)
        if start >= until or self._book.halted(self._book.pairs[trade.instrument].symbol):
            return None
        return trade, start

    def _event(self, order: Order, settled: datetime, until: datetime) -> Due | None:
        watched = self._watched(order, settled, until)
        if watched is None or order.level is None:
            return None
        trade, start = watched
        bars = self._book.minutes(self._book.pairs[trade.instrument].symbol, start, until)
        long = trade.units > 0
        if order.kind == TRAILING:
            met = _met_trailing(bars, order.level, Decimal(order.body["distance"]), long=long)
        else:
            cross = cross_down if long == (order.kind == STOP) else cross_up
            met = cross(bars, order.level, "bid" if long else "ask")
        return None if met is None else Due(met[0], 1 if order.kind == TARGET else 0, self._closing(order, *met))

    def _closing(self, order: Order, at: datetime, price: Decimal) -> Callable[[], None]:
        def fire() -> None:
            trade = self._account.trades[str(order.trade_id)]
            pair = self._book.pairs[trade.instrument]
            execution = Execution([(trade, trade.units)])
            deal = Deal(pair, round_nearest(price, pair.tick), at, f"{order.kind}_ORDER")
            self._fills.fill(order, execution, deal)

        return fire


def _trailed(bars: Sequence[SimBar], level: Decimal, distance: Decimal, *, long: bool) -> Decimal:
    """The stop after these minutes: it only ever moves towards the market."""
    for bar in bars:
        level = max(level, bar.bid.high - distance) if long else min(level, bar.ask.low + distance)
    return level


def _met_trailing(
    bars: Sequence[SimBar], level: Decimal, distance: Decimal, *, long: bool
) -> tuple[datetime, Decimal] | None:
    """When and at what price the market fell back to the stop."""
    for bar in bars:
        met = cross_down([bar], level, "bid") if long else cross_up([bar], level, "ask")
        if met is not None:
            return met
        level = _trailed([bar], level, distance, long=long)
    return None
