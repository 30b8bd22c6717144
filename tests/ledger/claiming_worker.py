"""A process that claims the orders of its command line one after the other and says what became of each.

It waits for a line on its input before the last `HELD_BACK` of them.
"""

import sys
from datetime import UTC, datetime

from ffe.errors import HaltedError
from ffe.ledger.ledger import Ledger

HELD_BACK = 5


def main(url: str, *order_ids: str) -> None:
    ledger = Ledger.open(url)
    for number, order_id in enumerate(order_ids):
        if number == len(order_ids) - HELD_BACK:
            sys.stdin.readline()
        try:
            ledger.claim(order_id, datetime(2018, 4, 4, tzinfo=UTC), "1")
            print("claimed", flush=True)
        except HaltedError:
            print("halted", flush=True)
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
