"""A process that places one order and kills itself at the named place: `drill_worker.py LEDGER_URL VENUE_FILE DEDUPES PLACE`."""

import os
import signal
import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from builders import AT, intent
from scripted import ScriptedBroker, SleepingClock, Venue

from ffe.ledger.ledger import Ledger
from ffe.orders.service import OrderService


def main(url: str, venue_file: str, dedupes: str, place: str) -> None:
    def die_at(here: str) -> None:
        if here == place:
            os.kill(os.getpid(), signal.SIGKILL)

    clock = SleepingClock(AT)
    venue = Venue.load(Path(venue_file), dedupes=dedupes == "True")
    broker = ScriptedBroker(venue, clock, on_wire=lambda side: die_at(f"wire {side}"))
    OrderService(Ledger.open(url), broker, clock, sleep=clock.sleep, on_step=die_at).execute(intent(), Decimal(10_000))


if __name__ == "__main__":
    main(*sys.argv[1:])
