"""Suites as code: one for each timeframe family and market, with literal parameters and a versioned name.

Literal values (the moment, the calendar's name) rather than suite parameters: Great Expectations parses those with one global parser
that threads can break. `meta["check"]` names the rule in reports. Where two expectations share a check, the critical one speaks
for both. Severity critical stops the trade, warning reaches the prompt, info the log. `snapshots/` holds each suite as reviewed JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from great_expectations import ExpectationSuite
from great_expectations.expectations.core.expect_table_columns_to_match_set import ExpectTableColumnsToMatchSet
from great_expectations.expectations.core.expect_table_row_count_to_be_between import ExpectTableRowCountToBeBetween
from great_expectations.expectations.expectation import Expectation

from expectations import activity, custom, families, rules, schedule
from ffe.clock import rfc3339
from ffe.market.freshness import FUTURE_TOLERANCE
from ffe.market.models import AssetClass, Instrument, Timeframe
from ffe.market.quality import CROSS_CHECK, Reference


@dataclass(frozen=True)
class Judged:
    """What the bars are: it decides which suite they are held to. `columns` are the ones that must be there, and no others."""

    instrument: Instrument
    timeframe: Timeframe
    columns: tuple[str, ...]
    now: datetime
    calendar: str
    references: tuple[Reference, ...] = ()
    history: bool = False

    @property
    def quoted(self) -> bool:
        return "bid_close" in self.columns

    @property
    def limits(self) -> families.Limits:
        return families.LIMITS[families.family_of(self.timeframe).name, self.instrument.asset_class]


def bar_suite(judged: Judged) -> ExpectationSuite:
    """Suite over `to_frame` of a bar table.

    Bars judged as history may be few and may have gaps; a bar that is not complete is refused even so. Without references no other
    source is asked about, without a volume column no volume.
    """
    expectations = [
        *_shape(judged),
        *_times(judged),
        *_prices(judged),
        *(_quotes() if judged.quoted else []),
        *_series(judged),
        *_hours(judged),
        *(_volume(judged.instrument.asset_class) if "volume" in judged.columns else []),
        *_others(judged.references),
    ]
    name = families.suite_name(judged.timeframe, judged.instrument.asset_class)
    return ExpectationSuite(name=name, expectations=expectations)


def _as(check: str, severity: str = "critical") -> dict[str, Any]:
    return {"meta": {"check": check}, "severity": severity}


def _shape(judged: Judged) -> list[Expectation]:
    columns = list(judged.columns)
    enough = ExpectTableRowCountToBeBetween(min_value=rules.ENOUGH_BARS, **_as("enough-bars"))
    return [
        ExpectTableColumnsToMatchSet(column_set=columns, exact_match=True, **_as("columns")),
        *([] if judged.history else [enough]),
        custom.ExpectBarColumnsToBeTyped(columns=columns, **_as("types")),
        custom.ExpectBarsToBeWhole(**_as("whole")),
    ]


def _times(judged: Judged) -> list[Expectation]:
    timeframe, now = judged.timeframe.value, rfc3339(judged.now + FUTURE_TOLERANCE)
    return [
        custom.ExpectBarTimesToBeUnique(**_as("unique-times")),
        custom.ExpectBarTimesToIncrease(**_as("increasing-times")),
        custom.ExpectBarsToBeComplete(timeframe=timeframe, now=now, **_as("not-from-the-future")),
        custom.ExpectBarTimesToBeAligned(timeframe=timeframe, **_as("aligned-times")),
    ]


def _prices(judged: Judged) -> list[Expectation]:
    return [
        custom.ExpectBarsToBePositive(**_as("positive")),
        custom.ExpectOhlcToBeConsistent(**_as("ohlc-consistent")),
        custom.ExpectPricesToBePrecise(step=judged.limits.step, **_as("precise")),
    ]


def _quotes() -> list[Expectation]:
    return [
        custom.ExpectBarsToBeTradable(share=rules.CROSSED_SHARE, **_as("uncrossed")),
        custom.ExpectBarsToBeUncrossed(**_as("uncrossed", "warning")),
        custom.ExpectClosesToLieBetweenQuotes(slack=rules.QUOTE_SLACK, **_as("quotes")),
    ]


def _series(judged: Judged) -> list[Expectation]:
    family, limits = families.family_of(judged.timeframe), judged.limits
    equal: dict[str, Any] = {"flat": family.flat, "copied": family.copied}
    return [
        custom.ExpectNoBadTicks(excursion=limits.excursion, jump=limits.jump, **_as("bad-tick")),
        custom.ExpectPricesToMove(**equal, newest_only=True, **_as("flat-line")),
        custom.ExpectPricesToMove(**equal, newest_only=False, **_as("flat-line", "warning")),
        custom.ExpectPricesNotToBeInterpolated(**_as("interpolated")),
        custom.ExpectBarsNotToSpike(timeframe=judged.timeframe.value, **_as("spike", "warning")),
    ]


def _hours(judged: Judged) -> list[Expectation]:
    where: dict[str, Any] = {"timeframe": judged.timeframe.value, "calendar": judged.calendar}
    grave = "warning" if judged.history else "critical"
    return [
        custom.ExpectBarsWithoutSeriousGaps(**where, **_as("gaps", grave)),
        custom.ExpectBarsWithoutGaps(**where, **_as("gaps", "warning")),
        custom.ExpectBarsInMarketHours(**where, minutes=schedule.CLOSED_MINUTES, **_as("market-hours")),
        custom.ExpectBarsInMarketHours(**where, minutes=0.0, **_as("market-hours", "warning")),
    ]


def _volume(asset_class: AssetClass) -> list[Expectation]:
    rare = custom.ExpectBarsToBeTraded(share=activity.ZERO_VOLUME_SHARE, **_as("traded", "info"))
    return [
        custom.ExpectBarsToBeTraded(share=activity.DEAD_SHARE, **_as("traded")),
        *([rare] if asset_class is AssetClass.CRYPTO else []),
        custom.ExpectVolumeNotToCollapse(**_as("volume", "warning")),
    ]


def _others(references: Sequence[Reference]) -> list[Expectation]:
    if not references:
        return []
    texts = [{"source": each.source, "open": rfc3339(each.open), "close": str(each.close)} for each in references]
    agree = custom.ExpectClosesToAgreeWithOtherSources
    return [agree(references=texts, divergence=activity.DIVERGENCE, **_as(CROSS_CHECK))]
