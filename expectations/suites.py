"""Suites as code: one factory, literal parameters, a versioned name per timeframe.

Literal values (the moment, the calendar's name) rather than suite parameters: Great Expectations parses those with one global parser
that threads can break. `meta["check"]` names the rule in reports. Where two expectations share a check, the critical one speaks
for both. Severity critical stops the trade, warning reaches the prompt, info the log.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from great_expectations import ExpectationSuite
from great_expectations.expectations.core.expect_column_max_to_be_between import ExpectColumnMaxToBeBetween
from great_expectations.expectations.core.expect_column_values_to_be_increasing import ExpectColumnValuesToBeIncreasing
from great_expectations.expectations.core.expect_column_values_to_be_unique import ExpectColumnValuesToBeUnique
from great_expectations.expectations.core.expect_table_columns_to_match_set import ExpectTableColumnsToMatchSet
from great_expectations.expectations.core.expect_table_row_count_to_be_between import ExpectTableRowCountToBeBetween
from great_expectations.expectations.expectation import Expectation

from expectations import custom
from expectations.rules import ENOUGH_BARS, suite_name
from ffe.market.freshness import FUTURE_TOLERANCE
from ffe.market.models import Timeframe


def bar_suite(
    timeframe: Timeframe, columns: Sequence[str], calendar: str, now: datetime, *, crypto: bool
) -> ExpectationSuite:
    """Suite over `to_frame` of a bar table with these `columns`, judged at `now` by the calendar of that name.

    A newest bar that would close later than five seconds after `now` has not been seen complete by anyone.
    """
    return ExpectationSuite(
        name=suite_name(timeframe),
        expectations=[
            *_shape(columns),
            *_times(timeframe, now + FUTURE_TOLERANCE - timeframe.duration),
            *_prices(timeframe),
            *_hours(timeframe.value, calendar),
            *([custom.ExpectBarsToBeTraded(**_as("traded", "info"))] if crypto else []),
        ],
    )


def _as(check: str, severity: str = "critical") -> dict[str, Any]:
    return {"meta": {"check": check}, "severity": severity}


def _shape(columns: Sequence[str]) -> list[Expectation]:
    return [
        ExpectTableColumnsToMatchSet(column_set=list(columns), exact_match=True, **_as("columns")),
        ExpectTableRowCountToBeBetween(min_value=ENOUGH_BARS, **_as("enough-bars")),
        custom.ExpectBarColumnsToBeTyped(columns=list(columns), **_as("types")),
        custom.ExpectBarsToBeWhole(**_as("whole")),
    ]


def _times(timeframe: Timeframe, newest_open: datetime) -> list[Expectation]:
    return [
        ExpectColumnValuesToBeUnique(column="time", **_as("unique-times")),
        ExpectColumnValuesToBeIncreasing(column="time", strictly=True, **_as("increasing-times")),
        ExpectColumnMaxToBeBetween(column="time", max_value=newest_open, **_as("not-from-the-future")),
        custom.ExpectBarTimesToBeAligned(timeframe=timeframe.value, **_as("aligned-times")),
    ]


def _prices(timeframe: Timeframe) -> list[Expectation]:
    return [
        custom.ExpectBarsToBePositive(**_as("positive")),
        custom.ExpectOhlcToBeConsistent(**_as("ohlc-consistent")),
        custom.ExpectNewestBarToBeUncrossed(**_as("uncrossed")),
        custom.ExpectBarsToBeUncrossed(**_as("uncrossed", "warning")),
        custom.ExpectBarsNotToSpike(timeframe=timeframe.value, **_as("spike", "warning")),
    ]


def _hours(timeframe: str, calendar: str) -> list[Expectation]:
    where: dict[str, Any] = {"timeframe": timeframe, "calendar": calendar}
    return [
        custom.ExpectBarsWithoutSeriousGaps(**where, **_as("gaps")),
        custom.ExpectBarsWithoutGaps(**where, **_as("gaps", "warning")),
        custom.ExpectBarsInMarketHours(**where, **_as("market-hours", "warning")),
    ]
