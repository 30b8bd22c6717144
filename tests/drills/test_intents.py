"""A hundred intents from four processes against one balance, through the whole order path: never more than there is."""

import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))
sys.path.insert(0, str(Path(__file__).parent.parent / "orders"))

from builders import bare_decision
from intents_worker import AVAILABLE, INTENTS, PROCESSES
from scripted import Venue

from ffe.ledger.ledger import Ledger
from ffe.orders.models import OrderState

PRICE = Decimal("98.17")


def test_a_hundred_intents_from_four_processes_spend_one_balance_once(tmp_path: Path) -> None:
    url, venue_file = f"sqlite:///{tmp_path}/ledger.sqlite", tmp_path / "venue.json"
    ledger = Ledger.open(url)
    bare_decision(ledger)
    script = str(Path(__file__).parent / "intents_worker.py")
    workers = [
        subprocess.Popen(
            [sys.executable, script, url, str(venue_file), str(share)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for share in range(PROCESSES)
    ]
    said = Counter[str]()
    # All of them are let go at once.
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        said.update(worker.communicate(timeout=120)[0].splitlines())
    affordable = int(AVAILABLE / PRICE)
    assert said == {"FILLED None": affordable, "DENIED insufficient_available_balance": INTENTS - affordable}
    assert len(Venue.load(venue_file, dedupes=False).placed) == affordable
    filled = [order for order in ledger.orders(INTENTS) if order.state is OrderState.FILLED]
    assert sum((order.reserve_amount for order in filled), Decimal(0)) <= AVAILABLE
    assert ledger.open_reservations() == []
    ledger.close()
