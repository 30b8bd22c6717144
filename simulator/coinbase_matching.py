"""Coinbase's matching: immediate orders at the top of the book, resting ones when a later minute meets them, holds and fees booked exactly.

An accepted order is only a promise: it is matched after the configured number of reads (or two simulated seconds). A triggered stop
becomes a limit order 5 % through its trigger, as the venue documents; it is therefore not a guaranteed exit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from uuid import uuid4

from ffe.money import ZERO, plain, round_down, round_nearest
from simulator.book import MINUTE, Book, Due, cross_down, cross_up, next_minute
from simulator.coinbase_rows import SpotFill, SpotOrder, SpotOrders
from simulator.instruments import Product
from simulator.market import SimQuote
from simulator.wallets import NoFundsError, Wallets

TAKER, MAKER = Decimal("0.006"), Decimal("0.004")
UNIT = Decimal("1E-8")
STOP_THROUGH = Decimal("0.05")
UNREAD = timedelta(seconds=2)


def money(value: Decimal) -> Decimal:
    return value.quantize(UNIT, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Match:
    size: Decimal
    price: Decimal
    at: datetime
    maker: bool = False


class Matching:
    """The spot account as settlement sees it."""

    def __init__(self, book: Book, wallets: Wallets, orders: SpotOrders) -> None:
        self._book, self._wallets, self._orders = book, wallets, orders

    def product(self, order: SpotOrder) -> Product:
        return self._book.products[order.product_id]

    def poll(self, order: SpotOrder) -> None:
        """One read of an order: the read that it waited for matches it, and shows the outcome."""
        if order.status != "PENDING":
            return
        left = self._orders.update(order.id, polls=order.polls - 1)
        if left.polls <= 0:
            self.match(left)

    def unread(self) -> None:
        """Matches what nobody has read for two seconds."""
        now = self._book.clock.now()
        for order in self._orders.live():
            if order.status == "PENDING" and now - order.created >= UNREAD:
                self.match(order)

    def match(self, order: SpotOrder) -> None:
        """Meets a new order with the market now: fills it, cancels it, or leaves it resting."""
        quote = self._book.quote(self.product(order).symbol)
        if order.stop is not None:
            self._orders.update(order.id, status="OPEN")
        elif quote is None or not quote.open:
            self._without_market(order)
        else:
            self._meet(order, quote)

    def _without_market(self, order: SpotOrder) -> None:
        if order.immediate:
            self.end(order, "CANCELLED", "Market is halted")
        else:
            self._orders.update(order.id, status="OPEN")

    def _meet(self, order: SpotOrder, quote: SimQuote) -> None:
        price = quote.ask if order.side == "BUY" else quote.bid
        wanted = self._wanted(order, price)
        depth = self._book.depth(self.product(order).symbol)
        size = wanted if depth is None else min(wanted, depth)
        crossed = order.limit is None or (price <= order.limit if order.side == "BUY" else price >= order.limit)
        if order.kind == "limit_limit_fok" and (not crossed or size < wanted):
            self.end(order, "CANCELLED", "Fill or kill order could not be filled")
        elif crossed and size > 0 and self._fill(order, Match(size, price, self._book.clock.now())):
            self._after_fill(self._orders.rows[order.id], whole=size == wanted)
        elif self._orders.rows[order.id].live:
            self._rest(self._orders.rows[order.id])

    def _rest(self, order: SpotOrder) -> None:
        if order.immediate:
            self.end(order, "CANCELLED", "Immediate or cancel order could not be filled")
        else:
            self._orders.update(order.id, status="OPEN")

    def _wanted(self, order: SpotOrder, price: Decimal) -> Decimal:
        if order.base_size is not None:
            return order.base_size - order.filled
        return round_down((order.quote_size or ZERO) / price, self.product(order).base_increment)

    def _after_fill(self, order: SpotOrder, *, whole: bool) -> None:
        if whole:
            self.end(order, "FILLED", "")
        else:
            self._rest(order)

    def _fill(self, order: SpotOrder, match: Match) -> bool:
        """Books one execution; False when the wallet could not pay, which fails the order."""
        product, value = self.product(order), money(match.size * match.price)
        fee = money(value * (MAKER if match.maker else TAKER))
        spent = value + fee if order.side == "BUY" else match.size
        held = min(order.held, spent)
        try:
            self._wallets.move(order.hold_currency, available=held - spent, hold=-held)
        except NoFundsError:
            self._orders.update(order.id, reject_reason="REJECT_REASON_INSUFFICIENT_FUNDS")
            self.end(self._orders.rows[order.id], "FAILED", "")
            return False
        if order.side == "BUY":
            self._wallets.move(product.base, available=match.size)
        else:
            self._wallets.move(product.quote, available=value - fee)
        self._book_fill(order, match, value, fee, held)
        return True

    def _book_fill(self, order: SpotOrder, match: Match, value: Decimal, fee: Decimal, held: Decimal) -> None:
        number = len(self._orders.fills) + 1
        fill = SpotFill(
            str(uuid4()),
            str(number),
            order.id,
            order.product_id,
            order.side,
            match.price,
            match.size,
            fee,
            match.at,
            match.maker,
        )
        self._orders.fills.put(str(number), fill)
        self._orders.update(
            order.id,
            held=order.held - held,
            filled=order.filled + match.size,
            value=order.value + value,
            fees=order.fees + fee,
            fills=order.fills + 1,
            last_fill=match.at,
        )

    def end(self, order: SpotOrder, status: str, message: str) -> None:
        """Gives back what is left of the hold; a parent that bought anything leaves its bracket working."""
        self._wallets.move(order.hold_currency, available=order.held, hold=-order.held)
        ended = self._orders.update(order.id, status=status, held=ZERO, cancel_message=message)
        if ended.attached is not None and ended.filled > 0:
            self._attach(ended)

    def _attach(self, parent: SpotOrder) -> None:
        configuration = {**(parent.attached or {})["trigger_bracket_gtc"], "base_size": plain(parent.filled)}
        now, base = self._book.clock.now(), self.product(parent).base
        self._wallets.hold(base, parent.filled)
        self._orders.put(
            SpotOrder(
                id=str(parent.attached_id),
                client_id=str(uuid4()),
                product_id=parent.product_id,
                side="SELL",
                kind="trigger_bracket_gtc",
                configuration={"trigger_bracket_gtc": configuration},
                created=now,
                hold_currency=base,
                held=parent.filled,
                watched_from=next_minute(now),
                status="OPEN",
                base_size=parent.filled,
                limit=Decimal(configuration["limit_price"]),
                stop=Decimal(configuration["stop_trigger_price"]),
                parent_id=parent.id,
                trigger_status="STOP_PENDING",
            )
        )

    def due(self, settled: datetime, until: datetime) -> Due | None:
        events = [due for order in self._orders.live() for due in self._events(order, settled, until)]
        return min(events, key=lambda due: (due.time, due.rank), default=None)

    def _events(self, order: SpotOrder, settled: datetime, until: datetime) -> list[Due]:
        product, start = self.product(order), max(order.watched_from, settled)
        if order.status != "OPEN" or start >= until or self._book.halted(product.symbol):
            return []
        bars, found = self._book.minutes(product.symbol, start, until), []
        side = "bid" if order.side == "SELL" else "ask"
        if order.stop is not None:
            met = (cross_up if order.stop_up else cross_down)(bars, order.stop, side)
            found += [] if met is None else [Due(met[0], 0, self._triggering(order, *met))]
        if order.limit is not None and (order.stop is None or order.kind == "trigger_bracket_gtc"):
            met = (cross_up if order.side == "SELL" else cross_down)(bars, order.limit, side)
            found += [] if met is None else [Due(met[0], 1, self._filling(order, *met))]
        return found

    def _triggering(self, order: SpotOrder, at: datetime, price: Decimal) -> Callable[[], None]:
        """The stop goes; a limit order stays, met at once by the price that triggered it or by a later minute."""

        def fire() -> None:
            limit = order.limit
            if order.kind == "trigger_bracket_gtc" and order.stop is not None:
                away = -STOP_THROUGH if order.side == "SELL" else STOP_THROUGH
                limit = round_nearest(order.stop * (1 + away), self.product(order).price_increment)
            changed = self._orders.update(
                order.id, stop=None, limit=limit, trigger_status="STOP_TRIGGERED", watched_from=at + MINUTE
            )
            reached = limit is None or (price >= limit if order.side == "SELL" else price <= limit)
            if reached:
                self._filling(changed, at, price)()

        return fire

    def _filling(self, order: SpotOrder, at: datetime, price: Decimal) -> Callable[[], None]:
        def fire() -> None:
            product = self.product(order)
            size = (order.base_size or ZERO) - order.filled
            maker = order.trigger_status != "STOP_TRIGGERED"
            if self._fill(order, Match(size, round_nearest(price, product.price_increment), at, maker)):
                self.end(self._orders.rows[order.id], "FILLED", "")

        return fire
