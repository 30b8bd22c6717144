"""OANDA's market order as it goes out, and what its transactions say became of it. Pure: dicts in, records out."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ffe.errors import OutcomeUnknownError
from ffe.money import ZERO
from ffe.orders.models import Fill, OrderState, Side
from ffe.venues import reply
from ffe.venues.models import InstrumentSpec, OrderRequest, VenueOrder
from ffe.venues.sending import exact_price, exact_units, same_order

# The venue's words for a second copy of an order: the first one is pending, or the trade that it opened is open.
SENT_BEFORE = frozenset({"CLIENT_ORDER_ID_ALREADY_EXISTS", "CLIENT_TRADE_ID_ALREADY_EXISTS"})


def market_order(request: OrderRequest, name: str, spec: InstrumentSpec) -> dict[str, Any]:
    """Body of POST orders: fill-or-kill, never filled in part, with the stop and the target in the same transaction."""
    sign = "-" if request.side is Side.SELL else ""
    order: dict[str, Any] = {
        "type": "MARKET",
        "instrument": name,
        "units": sign + exact_units(request, spec),
        "timeInForce": "FOK",
        "positionFill": "REDUCE_ONLY" if request.reduce_only else "DEFAULT",
        "clientExtensions": {"id": request.client_order_id},
    }
    if not request.reduce_only:
        order["tradeClientExtensions"] = {"id": request.client_order_id}
    if request.price_bound is not None:
        order["priceBound"] = exact_price(request.price_bound, spec)
    for key, price in (("stopLossOnFill", request.stop_loss), ("takeProfitOnFill", request.take_profit)):
        if price is not None:
            order[key] = {"price": exact_price(price, spec), "timeInForce": "GTC"}
    if request.trailing_distance is not None:
        distance = exact_price(request.trailing_distance, spec)
        order["trailingStopLossOnFill"] = {"distance": distance, "timeInForce": "GTC"}
    return {"order": order}


def placed(request: OrderRequest, answer: dict[str, Any], home: str) -> VenueOrder:
    """What the 201 of the order says. Neither fill nor cancel in it is an outcome that nobody knows."""
    created = reply.need(answer, "orderCreateTransaction")
    ends = [reply.optional_entry(answer, key) for key in ("orderFillTransaction", "orderCancelTransaction")]
    order = _settled(request, [created], [end for end in ends if end is not None], home)
    if order.state is OrderState.ACCEPTED:
        raise OutcomeUnknownError(f"oanda order {order.venue_order_id} was created, neither filled nor cancelled")
    return order


def found(request: OrderRequest, transactions: Sequence[dict[str, Any]], home: str) -> VenueOrder | None:
    """The order of our client id among `transactions`; None when there is none."""
    ours = [item for item in transactions if client_id(item) == request.client_order_id]
    created = [item for item in ours if item.get("type") == "MARKET_ORDER"]
    if created:
        ids = {reply.text(item, "id") for item in created}
        ends = [item for item in transactions if _ends(item, ids, request.client_order_id)]
        return _settled(request, created, ends, home)
    rejected = [item for item in ours if item.get("type") == "MARKET_ORDER_REJECT"]
    if not rejected:
        return None
    reason = reply.text(rejected[-1], "rejectReason")
    return _order(request, reply.text(rejected[-1], "id"), OrderState.REJECTED, reason)


def client_id(item: dict[str, Any]) -> str | None:
    """Our id on a transaction or a trade."""
    extensions = reply.optional_entry(item, "clientExtensions")
    return None if extensions is None else reply.first_text(extensions, "id")


def _ends(item: dict[str, Any], order_ids: set[str], client_order_id: str) -> bool:
    if item.get("type") not in {"ORDER_FILL", "ORDER_CANCEL"}:
        return False
    return item.get("orderID") in order_ids or item.get("clientOrderID") == client_order_id


def _settled(request: OrderRequest, created: list[dict[str, Any]], ends: list[dict[str, Any]], home: str) -> VenueOrder:
    for item in created:
        _check_same(request, item)
    order_id = reply.text(created[0], "id")
    filled = tuple(fill for end in ends if end.get("type") == "ORDER_FILL" for fill in fills(end, home))
    cancels = [reply.text(end, "reason") for end in ends if end.get("type") == "ORDER_CANCEL"]
    if filled:
        return _order(request, order_id, OrderState.FILLED, None, filled)
    if cancels:
        return _order(request, order_id, OrderState.CANCELLED, cancels[0])
    return _order(request, order_id, OrderState.ACCEPTED, None)


def _order(
    request: OrderRequest, order_id: str, state: OrderState, reason: str | None, fills: tuple[Fill, ...] = ()
) -> VenueOrder:
    return VenueOrder(
        client_order_id=request.client_order_id, venue_order_id=order_id, state=state, reason=reason, fills=fills
    )


def _check_same(request: OrderRequest, created: dict[str, Any]) -> None:
    units = reply.number(created, "units")
    side = Side.BUY if units > 0 else Side.SELL
    name = reply.canonical(reply.text(created, "instrument"))
    same_order(request, name, side.value, abs(units), reply.canonical(request.instrument))


def fills(transaction: dict[str, Any], home: str) -> list[Fill]:
    """One fill for each trade it opened, reduced or closed; the real prices are there. The fee goes with the first part."""
    number = reply.text(transaction, "id")
    time = reply.moment(transaction, "time")
    cost = fee(transaction)
    found: list[Fill] = []
    for part in parts(transaction):
        found.append(
            Fill(
                venue_fill_id=f"{number}-{reply.text(part, 'tradeID')}",
                units=abs(reply.number(part, "units")),
                price=reply.number(part, "price"),
                fee=ZERO if found else cost,
                fee_currency=home,
                time=time,
            )
        )
    total = sum((fill.units for fill in found), ZERO)
    if total != abs(reply.number(transaction, "units")):
        raise reply.malformed(f"its parts sum to {total} units", transaction)
    return found


def parts(transaction: dict[str, Any]) -> list[dict[str, Any]]:
    closed = reply.entries(transaction, "tradesClosed") if transaction.get("tradesClosed") is not None else []
    single = [reply.optional_entry(transaction, key) for key in ("tradeReduced", "tradeOpened")]
    return closed + [part for part in single if part is not None]


def fee(transaction: dict[str, Any]) -> Decimal:
    """What the fill cost beside its price; a venue that names no fee took none."""
    kinds = ("commission", "guaranteedExecutionFee")
    return sum((reply.number(transaction, kind) for kind in kinds if transaction.get(kind) is not None), ZERO)
