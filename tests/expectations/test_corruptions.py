"""Each way of spoiling real bars that we know of is caught as critical; the same bars untouched pass."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ffe.market.quality import QualityReport
from ffe.sources.models import BAR_SCHEMA

Rows = list[dict[str, Any]]
MINUTE = timedelta(minutes=1)
SYMBOLS = ("BTCUSD", "EURUSD")


def set_value(column: str, value: Any, at: int = 200) -> Callable[[Rows], Rows]:
    def spoil(rows: Rows) -> Rows:
        rows[at] = rows[at] | {column: value(rows[at]) if callable(value) else value}
        return rows

    return spoil


def swap(first: int, second: int) -> Callable[[Rows], Rows]:
    def spoil(rows: Rows) -> Rows:
        rows[first], rows[second] = rows[second], rows[first]
        return rows

    return spoil


def shift(step: timedelta) -> Callable[[Rows], Rows]:
    return lambda rows: [row | {"time": row["time"] + step} for row in rows]


# name -> (how, the check that must name it)
ROW_CORRUPTIONS: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "no bars": (lambda rows: [], "enough-bars"),
    "too few bars": (lambda rows: rows[-59:], "enough-bars"),
    "newest first": (lambda rows: rows[::-1], "increasing-times"),
    "two bars swapped": (swap(100, 101), "increasing-times"),
    "a bar moved to the end": (lambda rows: [*rows[:100], *rows[101:], rows[100]], "increasing-times"),
    "a bar twice": (lambda rows: [*rows[:100], rows[100], *rows[100:]], "unique-times"),
    "the newest bar twice": (lambda rows: [*rows, rows[-1]], "unique-times"),
    "a time twice with other prices": (
        lambda rows: [*rows[:100], rows[100] | {"close": rows[100]["high"]}, *rows[100:]],
        "unique-times",
    ),
    "the whole feed twice": (lambda rows: [*rows, *rows], "unique-times"),
    "all times off the grid": (shift(timedelta(seconds=-17)), "aligned-times"),
    "one time off the grid": (set_value("time", lambda row: row["time"] + timedelta(seconds=30)), "aligned-times"),
    "one time off by a microsecond": (
        set_value("time", lambda row: row["time"] + timedelta(microseconds=1)),
        "aligned-times",
    ),
    "feed an hour ahead": (shift(timedelta(hours=1)), "not-from-the-future"),
    "newest bar still forming": (shift(MINUTE), "not-from-the-future"),
    "newest bar in the future": (
        lambda rows: [*rows[:-1], rows[-1] | {"time": rows[-1]["time"] + timedelta(hours=2)}],
        "not-from-the-future",
    ),
    "a hole of an hour": (lambda rows: [*rows[:200], *rows[260:]], "gaps"),
    "a hole before the newest bars": (lambda rows: [*rows[:-16], *rows[-6:]], "gaps"),
    "only the newest bar after a hole": (lambda rows: [*rows[:-20], rows[-1]], "gaps"),
    "every fifth pair of bars lost": (lambda rows: [row for i, row in enumerate(rows) if i % 10 > 1], "gaps"),
    "a time decades ago": (lambda rows: [rows[0] | {"time": rows[0]["time"].replace(year=1971)}, *rows[1:]], "gaps"),
    "close of zero": (set_value("close", Decimal(0)), "positive"),
    "negative close": (set_value("close", Decimal(-1)), "positive"),
    "all prices negative": (
        lambda rows: [row | {name: -row[name] for name in ("open", "high", "low", "close")} for row in rows],
        "positive",
    ),
    "negative volume": (set_value("volume", Decimal(-1)), "positive"),
    "high below low": (
        lambda rows: [*rows[:-1], rows[-1] | {"high": rows[-1]["low"] - 1, "low": rows[-1]["high"]}],
        "ohlc-consistent",
    ),
    "high below close": (set_value("close", lambda row: row["high"] + 1), "ohlc-consistent"),
    "low above open": (set_value("open", lambda row: row["low"] - Decimal("0.1")), "ohlc-consistent"),
    "high and low exchanged everywhere": (
        lambda rows: [row | {"high": row["low"], "low": row["high"]} for row in rows],
        "ohlc-consistent",
    ),
    "one price a hundredfold": (set_value("high", lambda row: row["high"] / 100), "ohlc-consistent"),
}


def test_the_list_is_long_enough() -> None:
    assert len(ROW_CORRUPTIONS) + len(TABLE_CORRUPTIONS) >= 40


@pytest.mark.parametrize("symbol", ["BTCUSD", "ETHUSD", "EURUSD", "GBPUSD"])
def test_untouched_real_bars_pass(
    symbol: str, real_rows: Callable[[str], Rows], validate: Callable[..., QualityReport]
) -> None:
    report = validate(symbol, real_rows(symbol))
    assert report.critical == []
    assert report.passed


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("name", ROW_CORRUPTIONS)
def test_spoilt_rows_are_critical_and_named(
    name: str, symbol: str, real_rows: Callable[[str], Rows], validate: Callable[..., QualityReport]
) -> None:
    spoil, check = ROW_CORRUPTIONS[name]
    clean = real_rows(symbol)
    report = validate(symbol, spoil(real_rows(symbol)), clean[-1]["time"] + MINUTE)
    assert not report.passed
    assert check in {finding.check for finding in report.critical}


def replace_column(name: str, make: Callable[[pa.ChunkedArray], Any]) -> Callable[[pa.Table], pa.Table]:
    def spoil(table: pa.Table) -> pa.Table:
        column = make(table.column(name))
        return table.set_column(table.column_names.index(name), pa.field(name, column.type), column)

    return spoil


def with_value(value: Any, kind: pa.DataType, at: int = 10) -> Callable[[pa.ChunkedArray], pa.Array]:
    """The column as `kind` with one value replaced; None leaves a null."""

    def spoilt(column: pa.ChunkedArray) -> pa.Array:
        values = column.cast(kind).to_pylist()
        return pa.array([*values[:at], value, *values[at + 1 :]], kind)

    return spoilt


PRICE, TIME = BAR_SCHEMA.field("close").type, BAR_SCHEMA.field("time").type
TABLE_CORRUPTIONS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    **{
        f"null in {name}": (replace_column(name, with_value(None, PRICE)), "whole")
        for name in ("open", "high", "low", "close", "volume")
    },
    "null in time": (replace_column("time", with_value(None, TIME)), "whole"),
    "NaN volume as a float": (replace_column("volume", with_value(float("nan"), pa.float64())), "types"),
    "infinite close as a float": (replace_column("close", with_value(float("inf"), pa.float64())), "types"),
    "prices as floats": (replace_column("close", lambda column: column.cast(pa.float64())), "types"),
    "prices as text": (replace_column("close", lambda column: column.cast(pa.string())), "types"),
    "a word among prices": (replace_column("open", with_value("n/a", pa.string())), "types"),
    "prices as whole numbers": (
        replace_column("volume", lambda column: pa.array([1] * len(column), pa.int64())),
        "types",
    ),
    "naive times": (replace_column("time", lambda column: column.cast(pa.timestamp("us"))), "types"),
    "New York times": (replace_column("time", lambda c: c.cast(pa.timestamp("us", "America/New_York"))), "types"),
    "times as text": (replace_column("time", lambda column: column.cast(pa.string())), "types"),
    "times as Unix seconds": (replace_column("time", lambda column: column.cast(pa.int64())), "types"),
    "no volume column": (lambda table: table.drop_columns(["volume"]), "columns"),
    "no time column": (lambda table: table.drop_columns(["time"]), "columns"),
    "an unknown column": (lambda table: table.append_column("vwap", table.column("close")), "columns"),
    "only one side of the quotes": (lambda table: table.append_column("bid_close", table.column("low")), "columns"),
}


@pytest.mark.parametrize("name", TABLE_CORRUPTIONS)
def test_a_spoilt_table_is_critical_and_named(
    name: str, real_rows: Callable[[str], Rows], validate: Callable[..., QualityReport]
) -> None:
    rows = real_rows("BTCUSD")
    spoil, check = TABLE_CORRUPTIONS[name]
    table = spoil(pa.Table.from_pylist(rows, schema=BAR_SCHEMA))
    report = validate("BTCUSD", table, rows[-1]["time"] + MINUTE)
    assert not report.passed
    assert check in {finding.check for finding in report.critical}


def test_a_crossed_newest_bar_is_critical(
    real_rows: Callable[[str], Rows], validate: Callable[..., QualityReport]
) -> None:
    rows = real_rows("EURUSD")
    rows[-1] |= {"bid_close": rows[-1]["ask_close"] + Decimal("0.0001")}
    (finding,) = validate("EURUSD", rows).critical
    assert finding.check == "uncrossed"
    assert finding.message == "1 of 1 bars: newest bar is crossed, bid > ask"


def test_forex_bars_without_quotes_are_judged_as_plain_bars(
    real_rows: Callable[[str], Rows], validate: Callable[..., QualityReport]
) -> None:
    rows = [{key: row[key] for key in BAR_SCHEMA.names} for row in real_rows("EURUSD")]
    assert validate("EURUSD", rows).passed
