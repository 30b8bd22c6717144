"""How long a scrape takes on a ledger of years: `python -m benchmarks.metrics`. Prints medians and what each part costs; asserts nothing.

The rows are put in by SQL, shaped like those of real cycles (four instruments, a summary of some kilobytes, prompts and contexts of their
usual size): recording a hundred thousand decisions one by one would take hours and measure something else.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from ffe.clock import FixedClock
from ffe.ledger.account_tables import EquityMarkRow
from ffe.ledger.feedback_tables import GradeRow, VerdictRow
from ffe.ledger.ledger import Ledger
from ffe.ledger.operations_tables import ApiUsageRow
from ffe.ledger.order_tables import AccountRow, IncidentRow, OrderRow, ReservationRow
from ffe.ledger.schema import METADATA
from ffe.ledger.tables import CycleRow, DecisionRow, ModelCallRow
from ffe.observe.metrics import LedgerMetrics
from ffe.observe.metrics.server import registry_of
from ffe.settings import load_settings

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SYMBOLS = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD")
STEP = timedelta(minutes=5)
SUMMARY = {
    "timings_ms": dict.fromkeys(("reconcile", "bars", "quality", "model", "decide", "orders", "publish"), 100.0),
    "instruments": [{"instrument": name, "error": None, "decision": {"reasoning": "x" * 600}} for name in SYMBOLS],
}
Rows = Iterator[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--url", help="a PostgreSQL with an empty database; a SQLite file of its own if left out")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Ledger.open(asked.url or f"sqlite:///{folder}/ledger.sqlite")) as ledger,
    ):
        _fill(ledger, asked.decisions // len(SYMBOLS))
        clock = FixedClock(NOW)
        registry = registry_of(LedgerMetrics(ledger, clock, load_settings(data_dir=Path(folder))))
        first = _timed(lambda: generate_latest(registry))
        later = []
        for _ in range(asked.rounds):
            clock.advance(timedelta(seconds=15))
            later.append(_timed(lambda: generate_latest(registry)))
        dialect = ledger.database.engine.dialect.name
    print(f"{asked.decisions} decisions, {dialect}; ms of wall clock, and of this process's CPU")
    print(f"first scrape, which reads old rows once: {first[0]:.0f}, {first[1]:.0f}")
    for name, place in (("wall", 0), ("CPU", 1)):
        taken = [each[place] for each in later]
        print(
            f"each later one, {name}: median {statistics.median(taken):.0f}, min {min(taken):.0f}, max {max(taken):.0f}"
        )


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of wall clock and of CPU: on a shared machine the first is the neighbours' too."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def _fill(ledger: Ledger, cycles: int) -> None:
    tables: tuple[tuple[Any, Rows], ...] = (
        (AccountRow, ({"venue": venue, "account": "1"} for venue in ("coinbase", "oanda"))),
        (CycleRow, _cycles(cycles)),
        (DecisionRow, _decisions(cycles)),
        (ModelCallRow, _calls(cycles)),
        (VerdictRow, _verdicts(cycles)),
        (OrderRow, _orders(cycles)),
        (ReservationRow, _reservations(cycles)),
        (EquityMarkRow, _marks(cycles)),
        (GradeRow, _grades(cycles)),
        (IncidentRow, _incidents(cycles // 20)),
        (ApiUsageRow, _usage(90 * 24)),
    )
    with ledger.database.writing_connection() as connection:
        for row, values in tables:
            table = METADATA.tables[str(row.__tablename__)]
            batch: list[dict[str, Any]] = []
            for each in values:
                batch.append(each)
                if len(batch) == 2000:
                    connection.execute(table.insert(), batch)
                    batch = []
            if batch:
                connection.execute(table.insert(), batch)
    with ledger.database.writing_connection() as connection:
        connection.exec_driver_sql("ANALYZE")


def _at(number: int, cycles: int) -> datetime:
    return NOW - (cycles - number) * STEP


def _cycles(cycles: int) -> Rows:
    for number in range(cycles):
        at = _at(number, cycles)
        end = at + timedelta(seconds=8)
        yield {
            "id": f"c{number}",
            "mode": "sim",
            "timeframe": "5m",
            "started_at": at,
            "finished_at": end,
            "summary": SUMMARY,
        }


def _each(cycles: int) -> Iterator[tuple[int, int, str, datetime]]:
    for number in range(cycles):
        for place, symbol in enumerate(SYMBOLS):
            yield number, place, symbol, _at(number, cycles)


def _decisions(cycles: int) -> Rows:
    for number, place, symbol, at in _each(cycles):
        held = (number + place) % 3 > 0
        yield {
            "id": f"d{number}-{place}",
            "cycle_id": f"c{number}",
            "instrument": symbol,
            "timeframe": "5m",
            "bar_close": at,
            "action": "HOLD" if held else "BUY",
            "confidence": 70,
            "decided_by": ("model", "risk-gate", "data-gate")[(number + place) % 3],
            "reason_code": ("model", "drawdown", "stale")[(number + place) % 3],
            "reasoning": "y" * 400,
            "decided_at": at + timedelta(seconds=6),
            "latency_ms": 900.0,
        }


def _calls(cycles: int) -> Rows:
    prompt = [{"role": "user", "content": "z" * 3000}]
    for number, place, symbol, at in _each(cycles):
        yield {
            "id": f"m{number}-{place}",
            "cycle_id": f"c{number}",
            "instrument": symbol,
            "bar_close": at,
            "attempt": 1,
            "prompt_version": "v1",
            "prompt_sha256": "5" * 64,
            "messages": prompt,
            "answer_schema": {},
            "sampling": {},
            "identity": {"model": "smollm2"},
            "model_digest": "d1",
            "raw_text": "{}",
            "finish_reason": "stop",
            "prompt_tokens": 400,
            "completion_tokens": 40,
            "latency_ms": 900.0,
            "started_at": at + timedelta(seconds=2),
            "content_sha256": "6" * 64,
            "member": "model",
            "tokens": [],
            "load_ms": 0.0,
        }


def _verdicts(cycles: int) -> Rows:
    asked = json.loads(json.dumps({"last_close": "1.2271", "pulse": "p" * 3000}))
    for number, place, symbol, at in _each(cycles):
        yield {
            "cycle_id": f"c{number}",
            "instrument": symbol,
            "bar_close": at,
            "context": asked,
            "recorded_at": at + timedelta(seconds=5 + place),
        }


def _orders(cycles: int) -> Rows:
    for number in range(0, cycles, 2):
        at = _at(number, cycles)
        money = dict.fromkeys(("units", "reference_price", "reserve_amount", "filled_units", "fees"), 1)
        yield money | {
            "id": f"o{number}",
            "client_order_id": f"k{number}",
            "decision_id": f"d{number}-0",
            "venue": "coinbase",
            "account": "1",
            "instrument": "BTCUSD",
            "timeframe": "5m",
            "bar_close": at,
            "leg": "entry",
            "side": "BUY",
            "reserve_currency": "USD",
            "confidence": 70,
            "cancel_first": [],
            "state": "FILLED",
            "protection_ids": [],
            "submitted_at": at,
            "dead_protection": 0,
            "watched": False,
            "created_at": at,
            "updated_at": at,
        }


def _reservations(cycles: int) -> Rows:
    for number in range(0, cycles, 2):
        at = _at(number, cycles)
        place = {"venue": "coinbase", "account": "1", "currency": "USD", "amount": 1}
        yield place | {"order_id": f"o{number}", "created_at": at, "released_at": at, "used": True}


def _marks(cycles: int) -> Rows:
    for number in range(cycles):
        for venue in ("coinbase", "oanda"):
            place = {"venue": venue, "account": "1", "currency": "USD"}
            yield place | {"equity": 10_000 + number % 997, "at": _at(number, cycles), "epoch": 0}


def _grades(cycles: int) -> Rows:
    shares = dict.fromkeys(("cost", "net_return", "long_return", "short_return", "regret"), 0.0)
    for number, place, symbol, at in _each(cycles):
        yield shares | {
            "decision_id": f"d{number}-{place}",
            "instrument": symbol,
            "timeframe": "5m",
            "bar_close": at,
            "action": "HOLD",
            "decided_by": "model",
            "horizon_bars": 12,
            "known_at": at + timedelta(hours=1),
            "entry_price": 1,
            "exit_price": 1,
            "exit": "time",
            "paid": False,
            "graded_at": at + timedelta(hours=2),
        }


def _incidents(count: int) -> Rows:
    for number in range(count):
        at = _at(20 * number, 20 * count)
        texts = {"type": "VenueReadError", "message": "HTTP 503", "traceback": "t" * 3000, "fingerprint": "f"}
        yield texts | {"id": f"i{number}", "attempts": [], "created_at": at, "last_at": at, "count": 1}


def _usage(hours: int) -> Rows:
    for number in range(hours):
        hour = NOW - timedelta(hours=number)
        for source in ("coinbase", "oanda", "embedded"):
            yield {"source": source, "hour": hour, "calls": 100, "errors": 1, "seconds": 12.5}


if __name__ == "__main__":
    main()
