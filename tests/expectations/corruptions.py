"""Ways of spoiling real bars, each with the check that has to name it: functions of rows, and of typed tables."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from excerpts import OF_OTHERS, PRICES, Excerpt, Rows, Spoil

from ffe.sources.models import BAR_SCHEMA

PRICED = (*PRICES, "bid_close", "ask_close")
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Corruption:
    """`spoil` is given the kind of bars, so that it can say what it does to rows. `to` says whether it can be done to that kind."""

    spoil: Callable[[Excerpt], Spoil]
    check: str
    to: Callable[[Excerpt], bool] = lambda kind: True


def plainly(spoil: Spoil, check: str) -> Corruption:
    return Corruption(lambda kind: spoil, check)


def in_middle(change: Callable[[dict[str, Any]], dict[str, Any]], bars: int = 1) -> Spoil:
    def spoil(rows: Rows) -> Rows:
        first = len(rows) // 2
        return [row | change(row) if first <= at < first + bars else row for at, row in enumerate(rows)]

    return spoil


def every(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Spoil:
    return lambda rows: [row | change(row) for row in rows]


def of_newest(change: Callable[[dict[str, Any]], dict[str, Any]], bars: int = 1) -> Spoil:
    return lambda rows: [*rows[:-bars], *(row | change(row) for row in rows[-bars:])]


def times(factor: str, *names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {name: row[name] * Decimal(factor) for name in names or PRICED if name in row}


def later(step: timedelta) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {"time": row["time"] + step}


def middle_cut(share: float) -> Spoil:
    def spoil(rows: Rows) -> Rows:
        first = len(rows) // 2
        return [*rows[:first], *rows[first + int(share * len(rows)) :]]

    return spoil


def middle_moved(to: Callable[[int], int], *, copy: bool = False) -> Spoil:
    """The bar in the middle put elsewhere, or there as well."""

    def spoil(rows: Rows) -> Rows:
        at = len(rows) // 2
        rest = rows if copy else [*rows[:at], *rows[at + 1 :]]
        place = to(len(rest))
        return [*rest[:place], rows[at], *rest[place:]]

    return spoil


def copies(bars: int) -> Spoil:
    def spoil(rows: Rows) -> Rows:
        frozen = rows[-bars]
        return [*rows[:-bars], *(frozen | {"time": row["time"]} for row in rows[-bars:])]

    return spoil


def interpolated(rows: Rows) -> Rows:
    """Twenty bars in the middle on lines between their neighbours."""
    first, count = len(rows) // 2, 20
    before, after = rows[first - 1], rows[first + count]
    # Neighbours with equal closes would make a flat line, which is another flaw.
    after = after | {"close": after["close"] + before["close"] / 500}
    made = [
        row
        | {
            name: round(before[name] + (after[name] - before[name]) * (step + 1) / (count + 1), 12)
            for name in PRICED
            if name in row
        }
        for step, row in enumerate(rows[first : first + count])
    ]
    fitted = [row | {"high": max(row[n] for n in PRICES), "low": min(row[n] for n in PRICES)} for row in made]
    return [*rows[:first], *fitted, *rows[first + count :]]


def spliced(kind: Excerpt) -> Spoil:
    """Twenty bars in the middle with the prices of another instrument."""
    other = OF_OTHERS[kind.symbol].rows()

    def spoil(rows: Rows) -> Rows:
        first = len(rows) // 2
        foreign = [
            row | {name: theirs[name] for name in PRICES} for row, theirs in zip(rows[first:], other, strict=False)
        ]
        return [*rows[:first], *foreign[:20], *rows[first + 20 :]]

    return spoil


def rounded(digits: int) -> Spoil:
    return every(lambda row: {name: round(row[name], digits) for name in PRICED if name in row})


def tick(factor: str, bars: int = 1) -> Spoil:
    return in_middle(times(factor), bars)


def lost(keep: Callable[[int], bool]) -> Spoil:
    return lambda rows: [row for at, row in enumerate(rows) if keep(at)]


def still_running(kind: Excerpt) -> Spoil:
    return lambda rows: [*rows[1:], rows[-1] | {"time": rows[-1]["time"] + kind.bars.duration}]


def forex(kind: Excerpt) -> bool:
    return kind.forex


def quoted(kind: Excerpt) -> bool:
    return kind.quoted


def ranged(kind: Excerpt) -> bool:
    """The recorded quotes are snapshots: open, high, low and close are one price."""
    return "quotes" not in kind.file


def traded(kind: Excerpt) -> bool:
    return not kind.quoted


EXCHANGED = {"bid_close": "ask_close", "ask_close": "bid_close"}
ROWS: dict[str, Corruption] = {
    # too few, too many, in the wrong order
    "no bars": plainly(lambda rows: [], "enough-bars"),
    "too few bars": plainly(lambda rows: rows[-59:], "enough-bars"),
    "newest first": plainly(lambda rows: rows[::-1], "increasing-times"),
    "two bars swapped": plainly(middle_moved(lambda count: (count + 1) // 2 + 1), "increasing-times"),
    "a bar moved to the end": plainly(middle_moved(lambda count: count), "increasing-times"),
    "a bar twice": plainly(middle_moved(lambda count: count // 2, copy=True), "unique-times"),
    "the newest bar twice": plainly(lambda rows: [*rows, rows[-1]], "unique-times"),
    "a time twice with other prices": plainly(
        lambda rows: [*rows[:50], rows[50] | {"close": rows[50]["high"]}, *rows[50:]], "unique-times"
    ),
    "the whole feed twice": plainly(lambda rows: [*rows, *rows], "unique-times"),
    # times
    "all times off the grid": plainly(every(later(timedelta(seconds=-17))), "aligned-times"),
    "one time off the grid": plainly(in_middle(later(timedelta(seconds=30))), "aligned-times"),
    "one time off by a microsecond": plainly(in_middle(later(timedelta(microseconds=1))), "aligned-times"),
    "feed an hour ahead": plainly(every(later(timedelta(hours=1))), "not-from-the-future"),
    "feed on Indian time": plainly(every(later(timedelta(hours=5.5))), "not-from-the-future"),
    "newest bar still running": Corruption(still_running, "not-from-the-future"),
    "newest bar in the future": plainly(of_newest(later(timedelta(hours=8))), "not-from-the-future"),
    "a time decades ago": plainly(
        lambda rows: [rows[0] | {"time": rows[0]["time"] - timedelta(days=15_000)}, *rows[1:]], "gaps"
    ),
    # missing bars
    "a long hole": plainly(middle_cut(0.16), "gaps"),
    "a hole before the newest bars": plainly(lambda rows: [*rows[:-16], *rows[-6:]], "gaps"),
    "only the newest bar after a hole": plainly(lambda rows: [*rows[:-20], rows[-1]], "gaps"),
    "every fifth pair of bars lost": plainly(lost(lambda at: at % 10 > 1), "gaps"),
    "every other bar lost": plainly(lambda rows: rows[1::2], "gaps"),
    # prices of one bar
    "close of zero": plainly(in_middle(times("0", "close")), "positive"),
    "negative close": plainly(in_middle(times("-1", "close")), "positive"),
    "all prices negative": plainly(every(times("-1", *PRICES)), "positive"),
    "high below low": plainly(
        of_newest(lambda row: {"high": row["low"] * Decimal("0.99"), "low": row["high"]}), "ohlc-consistent"
    ),
    "high below close": plainly(in_middle(lambda row: {"close": row["high"] * Decimal("1.001")}), "ohlc-consistent"),
    "low above open": plainly(in_middle(lambda row: {"open": row["low"] * Decimal("0.999")}), "ohlc-consistent"),
    "high and low exchanged everywhere": Corruption(
        lambda kind: every(lambda row: {"high": row["low"], "low": row["high"]}), "ohlc-consistent", ranged
    ),
    "high a hundredth": plainly(in_middle(times("0.01", "high")), "ohlc-consistent"),
    "volume and close exchanged": Corruption(
        lambda kind: in_middle(lambda row: {"volume": row["close"], "close": row["volume"]}), "ohlc-consistent", traded
    ),
    # prices against their neighbours
    "one bar a hundredfold": plainly(tick("100"), "bad-tick"),
    "one bar a hundredth": plainly(tick("0.01"), "bad-tick"),
    "the newest bar a hundredfold": plainly(of_newest(times("100")), "bad-tick"),
    "a reverted spike": Corruption(lambda kind: tick("1.1" if kind.forex else "1.3"), "bad-tick"),
    "a reverted dip": Corruption(lambda kind: tick("0.9" if kind.forex else "0.75"), "bad-tick"),
    "three bad bars in a row": Corruption(lambda kind: tick("1.1" if kind.forex else "1.3", 3), "bad-tick"),
    "a low that nobody traded": plainly(in_middle(times("0.5", "low")), "bad-tick"),
    "a high that nobody traded": plainly(of_newest(times("1.5", "high")), "bad-tick"),
    "decimal point moved in the newest bars": plainly(of_newest(times("10"), 20), "bad-tick"),
    "decimal point moved in the oldest bars": plainly(
        lambda rows: [row | times("0.1")(row) if at < 20 else row for at, row in enumerate(rows)], "bad-tick"
    ),
    "another instrument's bars in between": Corruption(spliced, "bad-tick"),
    "two feeds in turns": plainly(
        lambda rows: [row | times("1.05")(row) if at % 2 else row for at, row in enumerate(rows)], "bad-tick"
    ),
    # invented prices
    "newest bars are copies of one": plainly(copies(40), "flat-line"),
    "newest bars are one price": plainly(
        lambda rows: [
            *rows[:-40],
            *(row | dict.fromkeys((n for n in PRICED if n in row), rows[-41]["close"]) for row in rows[-40:]),
        ],
        "flat-line",
    ),
    "a hole filled by straight lines": plainly(interpolated, "interpolated"),
    "prices rounded to whole numbers": Corruption(lambda kind: rounded(0), "precise", forex),
    "prices rounded to two digits": Corruption(lambda kind: rounded(2), "precise", forex),
    # volume
    "negative volume": plainly(in_middle(times("-1", "volume")), "positive"),
    "no volume at all": plainly(every(times("0", "volume")), "traded"),
    "no volume in most bars": plainly(
        lambda rows: [row | times("0", "volume")(row) if at % 3 else row for at, row in enumerate(rows)], "traded"
    ),
    # quotes
    "newest bar crossed": Corruption(
        lambda kind: of_newest(lambda row: {"bid_close": row["ask_close"] * Decimal("1.0001")}), "uncrossed", quoted
    ),
    "bid and ask exchanged": Corruption(
        lambda kind: every(lambda row: {name: row[other] for name, other in EXCHANGED.items()}), "uncrossed", quoted
    ),
    "quotes of another price": Corruption(
        lambda kind: every(times("1.01", "bid_close", "ask_close")), "quotes", quoted
    ),
    "an ask a hundredfold": Corruption(lambda kind: in_middle(times("100", "ask_close")), "quotes", quoted),
}


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
TABLES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
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
    "volume as whole numbers": (
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
    "only one side of the quotes": (
        lambda table: table.append_column(
            "bid_close" if "bid_close" not in table.column_names else "bid", table.column("low")
        ),
        "columns",
    ),
}
