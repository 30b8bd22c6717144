"""Coinbase's order as it goes out, and what an order document says became of it. Pure: dicts in, records out.

`success: true` is acceptance, not a fill. What was executed is read from the fills; a final status whose fills have not all
appeared yet is reported as still working, so that nobody books an order as done before its money is.
"""

from collections.abc import Sequence
from typing import Any

from ffe.errors import NotSentError, OutcomeUnknownError
from ffe.money import ZERO
from ffe.orders.models import Fill, OrderState
from ffe.venues import reply
from ffe.venues.models import InstrumentSpec, OrderRequest, VenueOrder
from ffe.venues.sending import exact_price, exact_units, same_order

_WORKING = frozenset({"PENDING", "QUEUED", "OPEN", "EDIT_QUEUED", "CANCEL_QUEUED"})
_ENDED = {
    "FILLED": OrderState.FILLED,
    "CANCELLED": OrderState.CANCELLED,
    "EXPIRED": OrderState.CANCELLED,
    "FAILED": OrderState.REJECTED,
}
ALREADY_PLACED = "DUPLICATE_CLIENT_ORDER_ID"
_PROTECTIVE = ("trigger_bracket_gtc", "trigger_bracket_gtd", "stop_limit_stop_limit_gtc", "stop_limit_stop_limit_gtd")


def new_order(request: OrderRequest, product: str, spec: InstrumentSpec) -> dict[str, Any]:
    """Arguments of `create_order`: immediate-or-cancel up to the price bound, a market order without one.

    Stop and target become one bracket that the venue attaches after the fill and sizes to it.
    """
    if request.trailing_distance is not None:
        raise NotSentError("coinbase has no trailing stop: an entry that counts on one would be unprotected")
    size: dict[str, Any] = {"base_size": exact_units(request, spec)}
    if request.price_bound is None:
        configuration = {"market_market_ioc": size}
    else:
        configuration = {"sor_limit_ioc": size | {"limit_price": exact_price(request.price_bound, spec)}}
    order: dict[str, Any] = {
        "client_order_id": request.client_order_id,
        "product_id": product,
        "side": request.side.value,
        "order_configuration": configuration,
    }
    if request.stop_loss is not None and request.take_profit is not None:
        bracket = {
            "limit_price": exact_price(request.take_profit, spec),
            "stop_trigger_price": exact_price(request.stop_loss, spec),
        }
        order["attached_order_configuration"] = {"trigger_bracket_gtc": bracket}
    return order


def refusal(answer: dict[str, Any]) -> str | None:
    """The venue's code in a `success: false`; None when it was accepted. Placeholders (`UNKNOWN_...`) give way to a real code."""
    if reply.flag(answer, "success"):
        return None
    error = reply.need(answer, "error_response")
    keys = ("new_order_failure_reason", "error", "preview_failure_reason")
    codes = [code for key in keys if (code := reply.first_text(error, key)) is not None]
    named = [code for code in codes if not code.startswith("UNKNOWN")]
    return next(iter(named + codes), None) or reply.first_text(error, "message") or "UNKNOWN_FAILURE_REASON"


def venue_order(request: OrderRequest, order: dict[str, Any], fills: tuple[Fill, ...]) -> VenueOrder:
    """An order document and its fills in our terms.

    Raises:
        OutcomeUnknownError: it is another order under our client id, or has a status nobody has heard of.
    """
    status = reply.text(order, "status")
    product, side = reply.canonical(reply.text(order, "product_id")), reply.text(order, "side")
    configuration = next(iter(reply.need(order, "order_configuration").values()), None)
    same_order(request, product, side, reply.number(configuration, "base_size"), reply.canonical(request.instrument))
    if status not in _WORKING and status not in _ENDED:
        raise OutcomeUnknownError(f"coinbase order status {status!r} is none that we know", response=str(order))
    booked = sum((fill.units for fill in fills), ZERO)
    state = _ENDED.get(status)
    if state is None or booked != reply.number(order, "filled_size"):
        state = OrderState.PARTIAL if fills else OrderState.ACCEPTED
    return VenueOrder(
        client_order_id=request.client_order_id,
        venue_order_id=reply.text(order, "order_id"),
        state=state,
        reason=_reason(order, status) if state in {OrderState.CANCELLED, OrderState.REJECTED} else None,
        fills=fills,
    )


def fills_of(items: Sequence[dict[str, Any]], quote_currency: str) -> tuple[Fill, ...]:
    """Fill records, oldest first; commissions are in the quote currency."""
    records = [fill(item, quote_currency) for item in items]
    return tuple(sorted(records, key=lambda each: (each.time, each.venue_fill_id)))


def is_protection(order: dict[str, Any]) -> bool:
    """Whether an open order is a stop or a bracket that sells what is held."""
    configuration = reply.need(order, "order_configuration")
    return reply.text(order, "side") == "SELL" and any(kind in configuration for kind in _PROTECTIVE)


def fill(item: dict[str, Any], quote_currency: str) -> Fill:
    if item.get("size_in_quote") is True:
        raise reply.malformed("a fill in quote units, which none of our orders can have", item)
    return Fill(
        venue_fill_id=reply.text(item, "entry_id"),
        units=reply.number(item, "size"),
        price=reply.number(item, "price"),
        fee=reply.number(item, "commission"),
        fee_currency=quote_currency,
        time=reply.moment(item, "trade_time"),
    )


def _reason(order: dict[str, Any], status: str) -> str:
    return reply.first_text(order, "reject_reason", "reject_message", "cancel_message") or status
