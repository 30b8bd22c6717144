"""A process that reserves 3.00 of 100.00 for each order id of its command line and prints how many it got."""

import sys
from datetime import UTC, datetime
from decimal import Decimal

from ffe.errors import InsufficientAvailableError
from ffe.ledger.ledger import Ledger


def main(url: str, *order_ids: str) -> None:
    ledger = Ledger.open(url)
    approved = 0
    for order_id in order_ids:
        try:
            ledger.reserve(order_id, "USD", Decimal(3), Decimal(100), datetime(2018, 4, 4, tzinfo=UTC))
            approved += 1
        except InsufficientAvailableError:
            continue
    ledger.close()
    print(approved)


if __name__ == "__main__":
    main(*sys.argv[1:])
