"""Runs of standing checks as the ledger keeps them, and the way of an older ledger to the schema that has them."""

from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from builders import AT, bare_decision, dump, intent
from sqlalchemy import Connection, inspect, text

from ffe.errors import LedgerError
from ffe.ledger.database import Database
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import config, revision, upgrade
from ffe.ledger.migrations import HEAD
from ffe.ledger.schema import METADATA

DOCUMENT: dict[str, Any] = {
    "mode": "sim",
    "broken": ["z", "a"],
    "invariants": [{"name": "z", "rows": [{"order": "1"}]}],
}
ADDED = {"check_run", "api_usage"}
INCIDENT_COLUMNS = ("name", "run_id", "flow_run_id", "batch_id", "reproduce", "parameters", "holds")


def recorded(ledger: Ledger, kind: str, minutes: int, broken: int = 0, mode: str = "sim") -> Any:
    document = DOCUMENT | {"minutes": minutes, "mode": mode}
    at = AT + timedelta(minutes=minutes)
    return ledger.record_check(kind, at, passed=broken == 0, broken=broken, document=document)


def test_a_check_comes_back_as_it_was_recorded_with_its_keys_in_order(ledger: Ledger) -> None:
    made = recorded(ledger, "reality-check", 0, broken=2)
    (kept,) = ledger.checks("reality-check")
    assert kept == made
    assert (kept.kind, kept.at, kept.passed, kept.broken) == ("reality-check", AT, False, 2)
    assert kept.document == DOCUMENT | {"minutes": 0}
    assert list(kept.document) == ["mode", "broken", "invariants", "minutes"]


def test_checks_are_listed_newest_first_by_kind_and_bounded(ledger: Ledger) -> None:
    for minutes in (10, 0, 20):
        recorded(ledger, "reality-check", minutes)
    recorded(ledger, "preflight", 30)
    assert [each.document["minutes"] for each in ledger.checks("reality-check")] == [20, 10, 0]
    assert [each.document["minutes"] for each in ledger.checks("reality-check", 2)] == [20, 10]
    assert [each.document["minutes"] for each in ledger.checks("preflight", 1)] == [30]
    assert ledger.checks("nobody-runs-this") == []


def test_checks_of_another_mode_or_of_the_future_hide_none(ledger: Ledger) -> None:
    for minutes, mode in ((0, "practice"), (10, "paper"), (20, "practice"), (30, "paper")):
        recorded(ledger, "reality-check", minutes, mode=mode)
    ledger.record_check("reality-check", AT + timedelta(hours=1), passed=True, broken=0, document={})

    def minutes_of(**bounds: Any) -> list[int]:
        return [each.document["minutes"] for each in ledger.checks("reality-check", **bounds)]

    assert minutes_of(mode="practice") == [20, 0]
    assert minutes_of(mode="practice", limit=1) == [20]
    assert minutes_of(until=AT + timedelta(minutes=20)) == [20, 10, 0]
    assert minutes_of(mode="paper", until=AT + timedelta(minutes=29)) == [10]
    assert minutes_of(mode="live") == []


def test_two_runs_of_one_moment_are_both_kept(ledger: Ledger) -> None:
    first, second = recorded(ledger, "reality-check", 0), recorded(ledger, "reality-check", 0)
    assert first.id != second.id
    assert {each.id for each in ledger.checks("reality-check")} == {first.id, second.id}


def test_what_is_no_json_is_refused_and_nothing_is_kept(ledger: Ledger) -> None:
    with pytest.raises((LedgerError, ValueError)):
        ledger.record_check("reality-check", AT, passed=True, broken=0, document={"ratio": float("nan")})
    assert ledger.checks("reality-check") == []


def filled(connection: Connection) -> None:
    """What a ledger of revision 0004 may hold: an incident as it was written then, with values in every old column."""
    columns = [each["name"] for each in inspect(connection).get_columns("incident")]
    assert not set(INCIDENT_COLUMNS) & set(columns)
    values = {
        "id": "i1",
        "fingerprint": "f",
        "type": "VenueReadError",
        "message": "502",
        "traceback": "t",
        "attempts": '[{"run": "r", "task": "fetch-bars", "attempts": 3}]',
        "created_at": "2018-04-04 15:30:20.000000",
        "last_at": "2018-04-04 15:30:20.000000",
        "count": 3,
    }
    names = ", ".join(values)
    # The parameters are typed by their column, so the moments and the list need no cast of their own.
    marks = ", ".join(_mark(connection, name) for name in values)
    connection.execute(text(f"INSERT INTO incident ({names}) VALUES ({marks})"), values)


def _mark(connection: Connection, name: str) -> str:
    if connection.dialect.name == "sqlite":
        return f":{name}"
    kinds = {"attempts": "jsonb", "created_at": "timestamptz", "last_at": "timestamptz"}
    return f"CAST(:{name} AS {kinds[name]})" if name in kinds else f":{name}"


@pytest.fixture
def fourth_url(empty_url: str) -> str:
    """URL of a ledger of revision 0004 with a row in it."""
    database = Database(empty_url)
    with database.writing_connection() as connection:
        command.upgrade(config(connection), "0004")
        filled(connection)
    database.close()
    return empty_url


def test_a_ledger_of_the_fourth_schema_keeps_its_incidents_and_gets_the_new_tables(fourth_url: str) -> None:
    database = Database(fourth_url)
    with database.engine.connect() as connection:
        assert revision(connection) == "0004"
        assert not ADDED & set(inspect(connection).get_table_names())
    assert upgrade(fourth_url) is True
    with database.engine.connect() as connection:
        assert revision(connection) == HEAD
        assert not ADDED - set(inspect(connection).get_table_names())
        assert {each["name"] for each in inspect(connection).get_indexes("check_run")} == {"ix_check_run_kind_at"}
    database.close()
    assert upgrade(fourth_url) is False
    ledger = Ledger.open(fourth_url)
    (old,) = ledger.incidents()
    assert (old.id, old.count, old.attempts[0]["attempts"]) == ("i1", 3, 3)
    assert [getattr(old, name) for name in INCIDENT_COLUMNS] == [None] * 7
    recorded(ledger, "reality-check", 0)
    bare_decision(ledger)
    assert ledger.plan(intent(), AT)[1]
    ledger.close()


def test_an_upgraded_schema_is_the_one_that_the_tables_say(fourth_url: str) -> None:
    upgrade(fourth_url)
    database = Database(fourth_url)
    with database.engine.connect() as connection:
        for name in (*ADDED, "incident"):
            stored = {each["name"]: each["nullable"] for each in inspect(connection).get_columns(name)}
            assert stored == {column.name: column.nullable for column in METADATA.tables[name].columns}, name
    database.close()


def test_the_check_writes_nothing_but_its_run(ledger: Ledger) -> None:
    before = dump(ledger)
    recorded(ledger, "reality-check", 0)
    after = dump(ledger)
    assert {name for name in after if after[name] != before[name]} == {"check_run"}
