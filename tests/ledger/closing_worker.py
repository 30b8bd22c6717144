"""A process that tries to close 0.2 of each order id of its command line, carries every second close through, and counts them."""

import sys
from datetime import UTC, datetime
from decimal import Decimal

from ffe.errors import NothingToCloseError
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Fill, OrderState
from ffe.venues.models import VenueOrder

AT = datetime(2018, 4, 4, 16, tzinfo=UTC)


def main(url: str, *order_ids: str) -> None:
    ledger = Ledger.open(url)
    closed = 0
    for number, order_id in enumerate(order_ids):
        try:
            ledger.reserve(order_id, "USD", Decimal(0), Decimal(0), AT)
        except NothingToCloseError:
            continue
        closed += 1
        if number % 2 == 0:
            carry_through(ledger, order_id)
    ledger.close()
    print(closed)


def carry_through(ledger: Ledger, order_id: str) -> None:
    order = ledger.claim(order_id, AT, "1")
    fill = Fill(
        venue_fill_id=order_id, units=order.units, price=Decimal(7000), fee=Decimal(1), fee_currency="USD", time=AT
    )
    report = VenueOrder(
        client_order_id=order.client_order_id,
        venue_order_id=order_id,
        state=OrderState.FILLED,
        reason=None,
        fills=(fill,),
    )
    ledger.book(order_id, report, AT)


if __name__ == "__main__":
    main(*sys.argv[1:])
