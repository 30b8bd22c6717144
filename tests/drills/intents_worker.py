"""A process that carries every fourth of a hundred intents through the order path: `intents_worker.py LEDGER_URL VENUE_FILE SHARE`.

All of them want 98.17 of the same 1,000 and are sent in one burst; it says how each of its own ended. Each process trades an
instrument of its own: an order on its way blocks the others on its instrument, which is not what is tried here.
"""

import logging
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))
sys.path.insert(0, str(Path(__file__).parent.parent / "orders"))

from builders import AT, BAR, intent
from scripted import ScriptedBroker, SleepingClock, Venue

from ffe.ledger.ledger import Ledger
from ffe.orders.service import OrderService

INTENTS, PROCESSES = 100, 4
AVAILABLE = Decimal(1000)
SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD", "NZDUSD")


def main(url: str, venue_file: str, share: str) -> None:
    logging.disable(logging.CRITICAL)
    ledger, clock = Ledger.open(url), SleepingClock(AT)
    broker = ScriptedBroker(Venue.load(Path(venue_file), dedupes=False), clock)
    service = OrderService(ledger, broker, clock, sleep=clock.sleep)
    sys.stdin.readline()
    for number in range(int(share), INTENTS, PROCESSES):
        wanted = intent(instrument=SYMBOLS[int(share)], bar_close=BAR - timedelta(minutes=5 * number))
        # What the fills of the others have spent since this reading counts against it.
        order = service.execute(wanted, AVAILABLE, AT - timedelta(seconds=1))
        print(order.state.value, order.reason, flush=True)
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
