"""What goes into a column comes out of it, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from builders import AT, spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, select
from sqlalchemy.exc import StatementError

from ffe.ledger.ledger import Ledger
from ffe.ledger.types import ExactDecimal, Json, OrderedJson, PlainText, UtcDateTime

SCRATCH = Table(
    "scratch",
    MetaData(),
    Column("amount", ExactDecimal),
    Column("moment", UtcDateTime),
    Column("document", Json),
    Column("ordered", OrderedJson),
    Column("words", PlainText),
)
SHARED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**15), max_value=10**15)


@pytest.fixture
def there_and_back(ledger: Ledger) -> Any:
    SCRATCH.create(ledger.database.engine)

    def run(**values: Any) -> Any:
        with ledger.database.engine.begin() as connection:
            connection.execute(SCRATCH.delete())
            connection.execute(SCRATCH.insert().values(**values))
            return connection.execute(select(*(SCRATCH.c[name] for name in values))).one()

    return run


@SHARED
@given(amount=MONEY)
def test_every_digit_and_the_sign_of_money_survive(there_and_back: Any, amount: Decimal) -> None:
    (back,) = there_and_back(amount=amount)
    assert back == amount
    assert back.as_tuple().digits == amount.as_tuple().digits


@pytest.mark.parametrize("text", ["1E-8", "1E+3", "-0.000000000000000001", "123456789012345678901234567890.123456789"])
def test_odd_decimals_survive(there_and_back: Any, text: str) -> None:
    assert there_and_back(amount=Decimal(text))[0] == Decimal(text)


@pytest.mark.parametrize("bad", [1.5, Decimal("NaN"), Decimal("Infinity"), True])
def test_money_that_is_no_exact_number_is_refused(there_and_back: Any, bad: Any) -> None:
    with pytest.raises((StatementError, ValueError)):
        there_and_back(amount=bad)


@SHARED
@given(moment=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_times_keep_their_microseconds_and_come_back_in_utc(there_and_back: Any, moment: datetime) -> None:
    (back,) = there_and_back(moment=moment.astimezone(timezone(timedelta(hours=-5))))
    assert back == moment
    assert back.utcoffset() == timedelta(0)


def test_a_naive_time_is_refused(there_and_back: Any) -> None:
    with pytest.raises((StatementError, ValueError), match="no UTC offset"):
        there_and_back(moment=datetime(2018, 4, 4))


def test_json_takes_decimals_times_and_tuples(there_and_back: Any) -> None:
    (back,) = there_and_back(document={"amount": Decimal("1.10"), "at": AT, "ids": ("a", "b"), "none": None})
    assert back == {"amount": "1.10", "at": "2018-04-04T15:30:20Z", "ids": ["a", "b"], "none": None}


def test_ordered_json_keeps_the_order_of_its_keys(there_and_back: Any) -> None:
    (back,) = there_and_back(ordered={"reasoning": 1, "action": 2, "a": {"z": 1, "b": 2}})
    assert list(back) == ["reasoning", "action", "a"]
    assert list(back["a"]) == ["z", "b"]


def test_text_that_no_database_takes_is_made_storable(there_and_back: Any) -> None:
    words, document = there_and_back(words="a\0b\ud800", document={"k\0": ["x\0", 1]})
    assert words == "a\ufffdb?"
    assert document == {"k\ufffd": ["x\ufffd", 1]}


def test_nothing_stays_nothing(there_and_back: Any) -> None:
    row = there_and_back(amount=None, moment=None, document=None, ordered=None, words=None)
    assert tuple(row) == (None, None, None, None, None)


def test_specs_are_recorded_only_when_the_venue_changes_them(ledger: Ledger) -> None:
    for minutes, size in ((0, 1), (5, 1), (10, 2), (15, 2), (20, 1)):
        ledger.record_spec(spec(min_size=Decimal(size), fetched_at=AT + timedelta(minutes=minutes)))
    with ledger.database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT min_size FROM instrument_spec ORDER BY id").all()
    assert [Decimal(row[0]) for row in rows] == [1, 2, 1]


def test_a_trailing_distance_belongs_to_the_rules_of_an_instrument(ledger: Ledger) -> None:
    for minutes, distance in ((0, None), (5, "0.0005"), (10, "0.0005")):
        least = None if distance is None else Decimal(distance)
        ledger.record_spec(spec(min_trailing_distance=least, fetched_at=AT + timedelta(minutes=minutes)))
    with ledger.database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT min_trailing_distance FROM instrument_spec ORDER BY id").all()
    assert [row[0] if row[0] is None else Decimal(row[0]) for row in rows] == [None, Decimal("0.0005")]
