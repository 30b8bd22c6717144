"""A ledger with at least one row in every table, and its rows in a form that two databases can be compared by."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from builders import (
    ACCOUNT,
    AT,
    BAR,
    calibration,
    context,
    evaluation,
    fill,
    grade,
    intent,
    record_chain,
    shadow_decision,
    spec,
    venue_order,
)
from sqlalchemy import Connection

from ffe.decision.verdict import Verdict
from ffe.ledger.backup_format import kind_of
from ffe.ledger.database import Database
from ffe.ledger.ledger import Ledger
from ffe.ledger.schema import METADATA
from ffe.orders.models import Order, OrderState
from ffe.orders.switch import SwitchState

# What a database may take for something else: key order, integral floats, a negative zero, an exponent, no ASCII.
AWKWARD = {"z": 1e16, "a": [1.0, -0.0, 1e-07, 10**20], "é": {"y": None, "b": "\U0001f4b9\n"}}
VALUES: dict[str, Any] = {
    "text": 'é"\\\n\u2028',
    "int": 7,
    "bool": True,
    "float": 0.1,
    "amount": Decimal("-0.000000010"),
    "moment": AT + timedelta(microseconds=1),
    "json": AWKWARD,
    "ordered": AWKWARD,
}


def traded(ledger: Ledger) -> Order:
    """A decision with its whole chain, its filled order, and what became of it."""
    made = record_chain(ledger)
    order, _ = ledger.plan(intent(), AT)
    ledger.reserve(order.id, "USD", order.reserve_amount, order.reserve_amount, AT)
    ledger.transition(order.id, OrderState.SUBMITTING, AT, checkpoint="6410")
    booked = ledger.book(order.id, venue_order(order, OrderState.FILLED, fill(price="1.227200000000")), AT)
    ledger.record_verdict(made.cycle_id, context(), Verdict(calls=(), answer=None, error="x"), AT)
    ledger.record_grade(grade())
    ledger.record_calibration(calibration())
    ledger.record_eval(evaluation())
    ledger.record_shadows([shadow_decision(made.cycle_id)])
    ledger.record_spec(spec())
    ledger.record_incident(type="X", message="m", traceback="t", at=AT, order_id=order.id)
    ledger.set_switch(SwitchState.REDUCE_ONLY, "looking", "person", AT)
    ledger.begin_cursor("oanda", ACCOUNT, "6409", BAR)
    return booked


def seeded(ledger: Ledger) -> None:
    """`traded`, and a row made of awkward values in every table that is still empty."""
    traded(ledger)
    with ledger.database.writing_connection() as connection:
        for table in METADATA.sorted_tables:
            if connection.execute(table.select().limit(1)).first() is None:
                connection.execute(table.insert().values({c.name: VALUES[kind_of(c.type)] for c in table.columns}))


def rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, in the order of its key."""
    with database.engine.connect() as connection:
        return {table.name: _rows(connection, table.name) for table in METADATA.sorted_tables}


def _rows(connection: Connection, name: str) -> list[dict[str, Any]]:
    table = METADATA.tables[name]
    keys = [column.name for column in table.primary_key.columns]
    found = [dict(row) for row in connection.execute(table.select()).mappings()]
    return sorted(found, key=lambda row: [str(row[key]) for key in keys])


def without_halt(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without the line that a restore adds to the switch's history, and with amounts digit for digit."""
    kept = spelled(found)
    assert kept["kill_switch"][-1]["by"] == "restore"
    return kept | {"kill_switch": kept["kill_switch"][:-1]}


def spelled(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without when each account was last read, which a restore forgets on purpose."""
    return {name: [_spelled(row, "at" if name == "cursor" else None) for row in rows] for name, rows in found.items()}


def _spelled(row: dict[str, Any], but: str | None) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in row.items() if name != but}
