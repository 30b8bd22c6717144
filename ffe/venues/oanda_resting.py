"""Orders that rest at OANDA: what works, putting a stop and a target on a trade, taking orders away."""

from collections.abc import Sequence
from typing import Any

from ffe.errors import NotSentError, OrderRejectedError, VenueError
from ffe.orders.models import Side
from ffe.venues import oanda_orders, reply
from ffe.venues.clients import OandaClient
from ffe.venues.models import InstrumentSpec, Protection, WorkingKind, WorkingOrder
from ffe.venues.sending import before_the_wire, exact_price, on_the_wire

PROTECTION = ("stopLossOrder", "takeProfitOrder", "trailingStopLossOrder", "guaranteedStopLossOrder")
_KINDS = {
    "STOP_LOSS": WorkingKind.STOP_LOSS,
    "GUARANTEED_STOP_LOSS": WorkingKind.STOP_LOSS,
    "TAKE_PROFIT": WorkingKind.TAKE_PROFIT,
    "TRAILING_STOP_LOSS": WorkingKind.TRAILING_STOP,
}


def open_trades(client: OandaClient) -> list[dict[str, Any]]:
    from oandapyV20.endpoints.trades import OpenTrades

    return reply.entries(client.read(OpenTrades(client.account_id)), "trades")


def protection_ids(trades: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Ids of the stop and target orders that hang on these trades."""
    orders = [reply.optional_entry(trade, kind) for trade in trades for kind in PROTECTION]
    return tuple(reply.text(order, "id") for order in orders if order is not None)


def working_orders(client: OandaClient) -> list[WorkingOrder]:
    """Every pending order; a stop or target is described by the trade that it hangs on, which it only names."""
    from oandapyV20.endpoints.orders import OrdersPending

    pending = reply.entries(client.read(OrdersPending(client.account_id)), "orders")
    trades = {reply.text(trade, "id"): trade for trade in open_trades(client)} if pending else {}
    return [order for item in pending if (order := _working(item, trades)) is not None]


def _working(item: dict[str, Any], trades: dict[str, dict[str, Any]]) -> WorkingOrder | None:
    """None for protection whose trade has closed between the two reads: it is going with it."""
    kind = _KINDS.get(reply.text(item, "type"), WorkingKind.OTHER)
    number, client_id = reply.text(item, "id"), oanda_orders.client_id(item)
    if kind is WorkingKind.OTHER:
        units = reply.number(item, "units")
        return WorkingOrder(
            venue_order_id=number,
            client_order_id=client_id,
            protects=None,
            instrument=reply.canonical(reply.text(item, "instrument")),
            kind=kind,
            side=Side.BUY if units > 0 else Side.SELL,
            units=abs(units),
        )
    trade = trades.get(reply.text(item, "tradeID"))
    if trade is None:
        return None
    level = reply.number(item, "trailingStopValue" if kind is WorkingKind.TRAILING_STOP else "price")
    return WorkingOrder(
        venue_order_id=number,
        client_order_id=client_id,
        protects=oanda_orders.client_id(trade),
        instrument=reply.canonical(reply.text(trade, "instrument")),
        kind=kind,
        side=Side.SELL if reply.number(trade, "currentUnits") > 0 else Side.BUY,
        units=None,
        stop=None if kind is WorkingKind.TAKE_PROFIT else level,
        target=level if kind is WorkingKind.TAKE_PROFIT else None,
    )


def protect(client: OandaClient, protection: Protection, spec: InstrumentSpec) -> tuple[str, ...]:
    """Sets the dependent orders of the entry's trades: setting them twice leaves one of each.

    Raises:
        OrderRejectedError: the venue refused a price, or no open trade carries the entry's id.
        NotSentError, OutcomeUnknownError: as `Broker.protect`.
    """
    from oandapyV20.endpoints.trades import TradeCRCDO

    with before_the_wire():
        body = _dependents(protection, spec)
        ours = _trades_of(client, protection.entry_client_order_id)
    if not ours:
        raise OrderRejectedError(
            f"oanda has no open trade of {protection.entry_client_order_id}", reason="NO_SUCH_TRADE"
        )
    for trade in ours:
        with on_the_wire():
            client.send(TradeCRCDO(client.account_id, tradeID=reply.text(trade, "id"), data=body))
    with on_the_wire():
        return protection_ids(_trades_of(client, protection.entry_client_order_id))


def _trades_of(client: OandaClient, client_order_id: str) -> list[dict[str, Any]]:
    return [trade for trade in open_trades(client) if oanda_orders.client_id(trade) == client_order_id]


def _dependents(protection: Protection, spec: InstrumentSpec) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for key, price in (("stopLoss", protection.stop_loss), ("takeProfit", protection.take_profit)):
        if price is not None:
            body[key] = {"price": exact_price(price, spec), "timeInForce": "GTC"}
    if protection.trailing_distance is not None:
        body["trailingStopLoss"] = {
            "distance": exact_price(protection.trailing_distance, spec),
            "timeInForce": "GTC",
        }
    return body


def cancel(client: OandaClient, venue_order_ids: Sequence[str]) -> None:
    """One request each; a refusal counts only while the order still works, or has filled."""
    from oandapyV20.endpoints.orders import OrderCancel, OrdersPending

    for number in venue_order_ids:
        try:
            with on_the_wire():
                client.send(OrderCancel(client.account_id, orderID=number))
        except OrderRejectedError as error:
            _check_gone(client, number, error)
    if not venue_order_ids:
        return
    with on_the_wire():
        pending = reply.entries(client.read(OrdersPending(client.account_id)), "orders")
    left = {reply.text(item, "id") for item in pending} & set(venue_order_ids)
    if left:
        raise NotSentError(f"oanda orders {', '.join(sorted(left))} still work after their cancellation")


def _check_gone(client: OandaClient, number: str, refused: OrderRejectedError) -> None:
    from oandapyV20.endpoints.orders import OrderDetails

    try:
        order = reply.need(client.read(OrderDetails(client.account_id, orderID=number)), "order")
    except VenueError as error:
        raise NotSentError(f"oanda order {number} was not cancelled ({refused}) and can't be read: {error}") from error
    if reply.text(order, "state") != "CANCELLED":
        raise NotSentError(f"oanda order {number} was not cancelled: it is {order['state']}") from refused
