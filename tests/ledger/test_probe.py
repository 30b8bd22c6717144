"""A write that reaches the disk, always of the same row; and the schema's name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from ffe.errors import LedgerError
from ffe.ledger.migrations import HEAD
from ffe.ledger.probe import KIND, schema_revision, write_probe

AT = datetime(2024, 5, 15, tzinfo=UTC)


def test_a_probe_writes_one_row_however_often_it_is_made(ledger: Any) -> None:
    for minutes in range(3):
        write_probe(ledger.database, AT + timedelta(minutes=minutes))
    (row,) = ledger.checks(KIND)
    assert row.at == AT + timedelta(minutes=2)
    assert ledger.checks("preflight") == []


def test_a_ledger_that_refuses_the_write_says_so(ledger: Any) -> None:
    with ledger.database.writing_connection() as connection:
        connection.execute(text("DROP TABLE check_run"))
    with pytest.raises(LedgerError, match="check_run"):
        write_probe(ledger.database, AT)


def test_the_schema_is_at_the_newest_revision(ledger: Any) -> None:
    assert schema_revision(ledger.database) == HEAD
