"""Orders that rest at Coinbase: what is open, a bracket put on units that are held already, taking orders away."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError
from ffe.orders.models import Side
from ffe.venues import coinbase_orders, reply
from ffe.venues.clients import CoinbaseClient
from ffe.venues.coinbase_activity import parent_name
from ffe.venues.coinbase_pages import OrderDocuments, order_document, paged
from ffe.venues.models import InstrumentSpec, OrderRequest, Protection, WorkingKind, WorkingOrder
from ffe.venues.sending import before_the_wire, exact_price, exact_units, on_the_wire

# The venue's own word for what it can't hold.
UNSUPPORTED = "UNSUPPORTED_ORDER_CONFIGURATION"
_ENDED = frozenset({"CANCELLED", "EXPIRED", "FAILED"})
# Seconds before each reading of an order that is being cancelled.
CANCEL_POLLS = (0.0, 0.2, 0.5, 1.0, 2.0)


def working_orders(client: CoinbaseClient) -> list[WorkingOrder]:
    """Every open order of the portfolio, in all products."""
    documents = OrderDocuments(client)
    return [_working(order, documents) for order in paged(client, "list_orders", "orders", order_status=["OPEN"])]


def _working(order: dict[str, Any], documents: OrderDocuments) -> WorkingOrder:
    """A stop that was triggered and has not filled is a stop no more: what rests is a limit order that the market may have passed."""
    name, configuration = next(iter(reply.need(order, "order_configuration").items()))
    kind, stop, target = WorkingKind.OTHER, None, None
    if name.startswith("trigger_bracket"):
        kind = WorkingKind.BRACKET
        stop, target = reply.number(configuration, "stop_trigger_price"), reply.number(configuration, "limit_price")
    elif name.startswith("stop_limit"):
        kind, stop = WorkingKind.STOP_LOSS, reply.number(configuration, "stop_price")
    if order.get("trigger_status") == "STOP_TRIGGERED":
        stop, target = None, None
    size = configuration.get("base_size")
    left = None if size is None else reply.number(configuration, "base_size") - reply.number(order, "filled_size")
    return WorkingOrder(
        venue_order_id=reply.text(order, "order_id"),
        client_order_id=reply.first_text(order, "client_order_id"),
        protects=parent_name(order, documents),
        instrument=reply.canonical(reply.text(order, "product_id")),
        kind=kind,
        side=Side(reply.text(order, "side")),
        units=left,
        stop=stop,
        target=target,
    )


def protect(client: CoinbaseClient, protection: Protection, spec: InstrumentSpec, product: str) -> tuple[str, ...]:
    """One bracket under the protection's own client id, which the venue dedupes: asking twice places one.

    Raises:
        OrderRejectedError: the venue refused it, or it would need a bracket with one side only.
        NotSentError, OutcomeUnknownError: as `Broker.protect`.
    """
    if protection.trailing_distance is not None:
        raise OrderRejectedError("coinbase has no trailing stop", reason=UNSUPPORTED)
    if protection.stop_loss is None or protection.take_profit is None:
        raise OrderRejectedError("coinbase holds a stop and a target only together", reason=UNSUPPORTED)
    with before_the_wire():
        body = _bracket(protection, spec, product, (protection.stop_loss, protection.take_profit))
    with on_the_wire():
        answer = client.send("create_order", **body)
        reason = coinbase_orders.refusal(answer)
        if reason == coinbase_orders.ALREADY_PLACED:
            return _placed_before(client, protection.client_order_id)
        if reason is not None:
            raise OrderRejectedError(
                f"coinbase refused to protect {protection.instrument}: {reason}", reason=reason, response=str(answer)
            )
        order_id = reply.text(reply.need(answer, "success_response"), "order_id")
        order = order_document(client, order_id)
    status = reply.text(order, "status")
    if status in _ENDED:
        raise OrderRejectedError(f"coinbase ended bracket {order_id} as {status}", reason=status, response=str(order))
    return (order_id,)


def _placed_before(client: CoinbaseClient, client_order_id: str) -> tuple[str, ...]:
    ids = tuple(each.venue_order_id for each in working_orders(client) if each.client_order_id == client_order_id)
    if not ids:
        raise OutcomeUnknownError(f"coinbase has bracket {client_order_id} already, and it does not work")
    return ids


def _bracket(
    protection: Protection, spec: InstrumentSpec, product: str, levels: tuple[Decimal, Decimal]
) -> dict[str, Any]:
    stop, target = levels
    sized = OrderRequest(
        client_order_id=protection.client_order_id,
        instrument=protection.instrument,
        side=protection.side,
        units=protection.units,
    )
    bracket = {
        "base_size": exact_units(sized, spec),
        "limit_price": exact_price(target, spec),
        "stop_trigger_price": exact_price(stop, spec),
    }
    return {
        "client_order_id": protection.client_order_id,
        "product_id": product,
        "side": protection.side.value,
        "order_configuration": {"trigger_bracket_gtc": bracket},
    }


def cancel(client: CoinbaseClient, order_ids: Sequence[str], sleep: Callable[[float], None]) -> None:
    """Cancels and waits until each is gone.

    Raises:
        NotSentError: one of them is still there, or has filled (a stop that has just sold).
    """
    if not order_ids:
        return
    client.send("cancel_orders", order_ids=list(order_ids))
    waiting = dict.fromkeys(order_ids, "unread")
    for pause in CANCEL_POLLS:
        sleep(pause)
        read = {order_id: reply.text(order_document(client, order_id), "status") for order_id in waiting}
        waiting = {order_id: status for order_id, status in read.items() if status not in _ENDED}
        if not waiting:
            return
        if "FILLED" in waiting.values():
            break
    states = ", ".join(f"{order_id} is {status}" for order_id, status in waiting.items())
    raise NotSentError(f"coinbase orders were not cancelled: {states}")
