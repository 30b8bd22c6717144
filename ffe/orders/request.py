"""The request that an order in the ledger stands for: a pure function of it, so that a resend after a restart is the identical one."""

from ffe.orders.models import Intent, Order
from ffe.venues.models import OrderRequest


def request_for(order: Intent | Order) -> OrderRequest:
    return OrderRequest(
        client_order_id=order.client_order_id,
        instrument=order.instrument,
        side=order.side,
        units=order.units,
        price_bound=order.price_bound,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        reduce_only=not order.leg.opens,
        cancel_first=order.cancel_first,
        trailing_distance=order.trailing_distance,
    )
