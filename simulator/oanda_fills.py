"""One fill at OANDA: trades reduced or closed, a trade opened with its protection, the balance booked, all in one ORDER_FILL."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from ffe.money import ZERO, plain
from simulator.instruments import ForexPair
from simulator.margin import Trade, money
from simulator.oanda_protection import STOP, TARGET, TRAILING, Ledger
from simulator.oanda_request import MarketOrder
from simulator.oanda_rows import Order
from simulator.web import Json

NO_MONEY = "0.0000"


@dataclass(frozen=True)
class Execution:
    """What a fill does: trades to reduce (with signed units of each, as the trade is signed) and signed units to open."""

    reductions: list[tuple[Trade, Decimal]] = field(default_factory=list)
    opening: Decimal = ZERO

    @property
    def units(self) -> Decimal:
        """Signed units of the order that this fills: a long is reduced by selling."""
        return self.opening - sum((units for _, units in self.reductions), ZERO)


@dataclass(frozen=True)
class Deal:
    """At what price, when and why an order fills; `request` carries what a newly opened trade brings with it."""

    pair: ForexPair
    price: Decimal
    at: datetime
    reason: str
    request: MarketOrder | None = None


class Fills:
    def __init__(self, ledger: Ledger) -> None:
        self._account, self._log = ledger.account, ledger.log
        self._orders, self._protections = ledger.orders, ledger.protections

    def fill(self, order: Order, execution: Execution, deal: Deal) -> Json:
        """Books `execution` on the terms of `deal`; returns the ORDER_FILL transaction."""
        fill_id = self._log.next_id
        reduced = [self._reduce(trade, units, fill_id, deal) for trade, units in execution.reductions]
        opened = None if execution.opening == 0 else self._open(execution.opening, fill_id, deal)
        closed = [part for part in reduced if self._account.trades[part["tradeID"]].units == 0]
        partial = next((part for part in reduced if part not in closed), None)
        moved = {"tradeOpened": opened, "tradesClosed": closed or None, "tradeReduced": partial}
        row = self._record(order, execution, deal, moved)
        self._account.filled(deal.at)
        self._orders.put(
            replace(
                order,
                state="FILLED",
                ended_by=fill_id,
                ended_at=deal.at,
                opened_trade=None if opened is None else fill_id,
                reduced_trade=None if partial is None else partial["tradeID"],
                closed_trades=tuple(part["tradeID"] for part in closed),
            )
        )
        self._unprotect(closed, deal.at)
        if opened is not None and deal.request is not None:
            self._protect(fill_id, deal, deal.request)
        return row

    def _record(self, order: Order, execution: Execution, deal: Deal, moved: Json) -> Json:
        parts = [*(moved["tradesClosed"] or []), *([moved["tradeReduced"]] if moved["tradeReduced"] else [])]
        profit = sum((Decimal(part["realizedPL"]) for part in parts), ZERO)
        return self._log.record(
            "ORDER_FILL",
            deal.at,
            orderID=order.id,
            clientOrderID=order.client_id,
            instrument=deal.pair.name,
            units=plain(execution.units),
            requestedUnits=order.body.get("units", plain(execution.units)),
            price=plain(deal.price),
            fullVWAP=plain(deal.price),
            reason=deal.reason,
            pl=plain(money(profit)),
            financing=NO_MONEY,
            commission=NO_MONEY,
            guaranteedExecutionFee=NO_MONEY,
            accountBalance=plain(self._account.row.balance),
            halfSpreadCost=self._half_spread(deal.pair, execution.units),
            **moved,
            **self._factors(deal.pair),
        )

    def _reduce(self, trade: Trade, units: Decimal, fill_id: str, deal: Deal) -> Json:
        _, profit = self._account.reduce(trade, units, deal.price, fill_id, deal.at)
        return {
            "tradeID": trade.id,
            "units": plain(-units),
            "price": plain(deal.price),
            "realizedPL": plain(profit),
            "financing": NO_MONEY,
            "guaranteedExecutionFee": NO_MONEY,
            "halfSpreadCost": self._half_spread(deal.pair, units),
        }

    def _open(self, units: Decimal, trade_id: str, deal: Deal) -> Json:
        margin = self._account.margin(deal.pair, units)
        client = deal.request.trade_client if deal.request is not None else None
        trade = Trade(trade_id, deal.pair.name, deal.price, deal.at, units, units, margin, client)
        self._account.trades.put(trade_id, trade)
        document = {
            "tradeID": trade_id,
            "units": plain(units),
            "price": plain(deal.price),
            "guaranteedExecutionFee": NO_MONEY,
            "halfSpreadCost": self._half_spread(deal.pair, units),
            "initialMarginRequired": plain(margin),
        }
        return document if client is None else document | {"clientExtensions": client}

    def _unprotect(self, closed: list[Json], at: datetime) -> None:
        for part in closed:
            for kind in (TARGET, STOP, TRAILING):
                self._protections.remove(part["tradeID"], kind, "LINKED_TRADE_CLOSED", at)

    def _protect(self, trade_id: str, deal: Deal, request: MarketOrder) -> None:
        sign = 1 if self._account.trades[trade_id].units > 0 else -1
        for kind, wanted in ((TARGET, request.target), (STOP, request.stop)):
            if wanted is not None:
                level = wanted.level(deal.price, sign)
                self._protections.create(trade_id, kind, level, "ON_FILL", client=wanted.client, fill_id=trade_id)
        trailing = request.trailing
        if trailing is not None and trailing.distance is not None:
            level = self._protections.begin_trailing(trade_id, trailing.distance)
            self._protections.create(
                trade_id,
                TRAILING,
                level,
                "ON_FILL",
                client=trailing.client,
                fill_id=trade_id,
                distance=trailing.distance,
            )

    def _half_spread(self, pair: ForexPair, units: Decimal) -> str:
        """Half the spread on that many units, in home money; zero where the market is crossed."""
        quote, factors = self._account.quote(pair), self._account.factors(pair.quote)
        return plain(money(max(ZERO, quote.ask - quote.bid) / 2 * factors.position * abs(units)))

    def _factors(self, pair: ForexPair) -> Json:
        factors = self._account.factors(pair.quote)
        return {
            "gainQuoteHomeConversionFactor": plain(factors.gain),
            "lossQuoteHomeConversionFactor": plain(factors.loss),
        }
