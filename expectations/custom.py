"""The bar rules as Great Expectations classes.

Each class hands the whole frame to one function of `rules.py`. The frame is one shared metric, `table.bars`, computed once per batch:
a column map expectation costs five to seven milliseconds of metric graph, one of these under one. Importing this module imports Great
Expectations (seconds of CPU), so only code that is about to validate does. Defining a class registers it.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pandas as pd
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from expectations import rules
from expectations.rules import Breach
from ffe.market.models import Timeframe

BARS_METRIC = "table.bars"


class Bars(TableMetricProvider):
    """The batch itself as a DataFrame."""

    metric_name = BARS_METRIC

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 - Great Expectations wraps this into a class method by itself
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> pd.DataFrame:
        del metric_value_kwargs, metrics, runtime_configuration
        return execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)


class BarExpectation(BatchExpectation, ABC):
    """A rule over all bars at once. The result carries the breach's message, count and examples."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (BARS_METRIC,)

    @abstractmethod
    def breach(self, frame: pd.DataFrame) -> Breach | None: ...

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        del runtime_configuration, execution_engine
        breach = self.breach(metrics[BARS_METRIC])
        if breach is None:
            return {"success": True, "result": {"observed_value": "as expected"}}
        found = {"observed_value": breach.message, "unexpected_count": breach.count}
        return {"success": False, "result": {**found, "partial_unexpected_list": list(breach.examples)}}


class ExpectBarColumnsToBeTyped(BarExpectation):
    columns: list[str]
    success_keys: ClassVar[tuple[str, ...]] = ("columns",)

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.typed(frame, self.columns)


class ExpectBarsToBeWhole(BarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.whole(frame)


class ExpectBarsToBePositive(BarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.positive(frame)


class ExpectOhlcToBeConsistent(BarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.consistent(frame)


class ExpectNewestBarToBeUncrossed(BarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.uncrossed(frame, newest_only=True)


class ExpectBarsToBeUncrossed(BarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.uncrossed(frame, newest_only=False)


class ExpectBarsToBeTraded(BarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.traded(frame)


class TimeframeExpectation(BarExpectation, ABC):
    timeframe: str
    success_keys: ClassVar[tuple[str, ...]] = ("timeframe",)


class ExpectBarTimesToBeAligned(TimeframeExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.aligned(frame, Timeframe(self.timeframe))


class ExpectBarsNotToSpike(TimeframeExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.unspiked(frame, Timeframe(self.timeframe))


class CalendarExpectation(TimeframeExpectation, ABC):
    """`calendar` is a name of `ffe.market.calendar.CALENDARS`, so that a stored suite is plain JSON."""

    calendar: str
    success_keys: ClassVar[tuple[str, ...]] = ("timeframe", "calendar")


class ExpectBarsWithoutSeriousGaps(CalendarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.serious_gaps(frame, Timeframe(self.timeframe), self.calendar)


class ExpectBarsWithoutGaps(CalendarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.any_gaps(frame, Timeframe(self.timeframe), self.calendar)


class ExpectBarsInMarketHours(CalendarExpectation):
    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.in_hours(frame, Timeframe(self.timeframe), self.calendar)
