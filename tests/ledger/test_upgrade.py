"""A ledger of the first schema, with money in it, goes on in the newest one."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from alembic import command
from builders import ACCOUNT, AT, fill, intent, record_chain, venue_order
from sqlalchemy import Connection, column, inspect, table

from ffe.ledger.database import Database
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import config, revision, upgrade
from ffe.ledger.migrations import HEAD
from ffe.ledger.schema import METADATA
from ffe.orders.models import Leg, Order, OrderState, Side
from ffe.orders.switch import NEVER_SET

LATER = AT + timedelta(minutes=5)


def traded(ledger: Ledger) -> Order:
    """A ledger with a whole chain in it, as the first version wrote one."""
    record_chain(ledger)
    order, _ = ledger.plan(intent(), AT)
    ledger.reserve(order.id, "USD", order.reserve_amount, order.reserve_amount, AT)
    ledger.transition(order.id, OrderState.SUBMITTING, AT, checkpoint="6410")
    ledger.record_incident(type="X", message="m", traceback="t", at=AT, order_id=order.id)
    return ledger.book(order.id, venue_order(order, OrderState.FILLED, fill(), protection_ids=("21",)), AT)


def rows_of(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables that there are, with the columns that they have."""
    names = inspect(connection).get_table_names()
    found = {}
    for known in METADATA.sorted_tables:
        if known.name in names:
            columns = [each["name"] for each in inspect(connection).get_columns(known.name)]
            query = known.select().with_only_columns(*(known.c[name] for name in columns))
            found[known.name] = [dict(row._mapping) for row in connection.execute(query)]
    return found


@pytest.fixture
def first_url(ledger: Ledger, empty_url: str) -> str:
    """URL of a ledger of revision 0001 that holds what `traded` wrote."""
    traded(ledger)
    with ledger.database.engine.connect() as connection:
        wanted = rows_of(connection)
    database = Database(empty_url)
    with database.writing_connection() as connection:
        command.upgrade(config(connection), "0001")
        for name, rows in rows_of(connection).items():
            assert rows == []
            columns = {each["name"] for each in inspect(connection).get_columns(name)}
            if name in {"order_event", "fill"}:
                columns.remove("id")
            # A bare table: the model's own would add the defaults of columns that are not there yet.
            bare = table(name, *(column(key, METADATA.tables[name].c[key].type) for key in sorted(columns)))
            for row in wanted[name]:
                connection.execute(bare.insert().values({key: row[key] for key in columns}))
    database.close()
    return empty_url


def test_every_row_of_the_first_schema_is_still_there(first_url: str) -> None:
    database = Database(first_url)
    with database.engine.connect() as connection:
        before = rows_of(connection)
        assert revision(connection) == "0001"
    assert upgrade(first_url) is True
    with database.engine.connect() as connection:
        after = rows_of(connection)
        assert revision(connection) == HEAD
    database.close()
    assert sum(len(rows) for rows in before.values()) >= 14
    for name, rows in before.items():
        kept = [{key: row[key] for key in rows[0]} for row in after[name]] if rows else after[name]
        assert kept == rows, name


def test_an_upgraded_ledger_goes_on_with_what_it_holds(first_url: str, ledger: Ledger) -> None:
    (before,) = ledger.orders()
    upgraded = Ledger.open(first_url)
    (order,) = upgraded.orders()
    assert order == before
    assert (order.dead_protection, order.watched, order.trailing_distance) == (0, False, None)
    assert upgraded.switch() == NEVER_SET
    assert upgraded.open_entry("oanda", ACCOUNT, "EURUSD") == order
    leaving, _ = upgraded.plan(intent(leg=Leg.EXIT, side=Side.SELL), LATER)
    upgraded.reserve(leaving.id, "USD", Decimal(0), Decimal(0), LATER)
    upgraded.claim(leaving.id, LATER, "6411")
    upgraded.book(leaving.id, venue_order(leaving, OrderState.FILLED, fill(2, price="1.2282")), LATER)
    (trade,) = upgraded.closed_trades("oanda", ACCOUNT)
    assert (trade.realised, trade.decision_id) == (Decimal("4.0000"), order.decision_id)
    found = upgraded.explain(order.id)
    assert found is not None
    assert (found["missing"], found["sizing"]["verdicts"]) == ([], None)
    upgraded.close()
