"""The bar rules as Great Expectations classes.

Each class hands the whole frame to one function of the rules. The frame is one shared metric, `table.bars`, computed once per batch: a
column map expectation costs five to seven milliseconds of metric graph, one of these under one. Limits are literal parameters, so that
a stored suite and the page of a result show every number. Importing this module imports Great Expectations (seconds of CPU), so only
code that is about to validate does. Defining a class registers it.
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, ClassVar

import pandas as pd
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.expectation_configuration import parse_result_format
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render.components import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies

from expectations import activity, rules, schedule, series
from expectations.breach import Breach
from ffe.clock import parse_time
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
    # What the page of a result says the rule is; its parameters follow.
    says: ClassVar[str] = ""

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: dict[str, Any] | None = None
    ) -> ValidationDependencies:
        """The one metric, without deriving it from the configuration, which costs more than the rule (see `benchmarks.quality`)."""
        del execution_engine
        result_format = parse_result_format((runtime_configuration or {}).get("result_format", "BASIC"))
        bars = MetricConfiguration(
            BARS_METRIC, metric_domain_kwargs={"batch_id": self.batch_id}, metric_value_kwargs={}
        )
        return ValidationDependencies({BARS_METRIC: bars}, result_format)

    @abstractmethod
    def breach(self, frame: pd.DataFrame) -> Breach | None: ...

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        del runtime_configuration, execution_engine
        frame = metrics[BARS_METRIC]
        breach = self.breach(frame)
        if breach is None:
            return {"success": True, "result": {"observed_value": "as expected"}}
        # More bars can be missing than are there; a result with more than 100 % is refused.
        percent = min(100.0, 100 * breach.count / max(len(frame), 1))
        share = {"element_count": len(frame), "unexpected_percent": percent}
        found = {"observed_value": breach.message, "unexpected_count": breach.count, **share}
        return {"success": False, "result": {**found, "partial_unexpected_list": list(breach.examples)}}

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None
    ) -> list[RenderedStringTemplateContent]:
        """The rule in words, for the page. It is called with a result, or with the configuration alone."""
        del runtime_configuration
        told = configuration if result is None else result.expectation_config
        settings = {name: told.kwargs[name] for name in cls.success_keys if name in told.kwargs}
        numbers = ", ".join(f"{name} {value}" for name, value in settings.items())
        text = f"{told.meta['check']} ({told.severity.value}): {cls.says}{f' ({numbers})' if numbers else ''}"
        content = {"template": "$rule", "params": {"rule": text}}
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=content)]


class ExpectBarColumnsToBeTyped(BarExpectation):
    says = "times are UTC timestamps, all other columns numbers"
    columns: list[str]
    success_keys: ClassVar[tuple[str, ...]] = ("columns",)

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.typed(frame, self.columns)


class ExpectBarsToBeWhole(BarExpectation):
    says = "nothing is null or infinite"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.whole(frame)


class ExpectBarTimesToBeUnique(BarExpectation):
    says = "no two bars open at the same time"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.unique_times(frame)


class ExpectBarTimesToIncrease(BarExpectation):
    says = "every bar opens after the one before it"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.increasing_times(frame)


class ExpectBarsToBeComplete(BarExpectation):
    """`now` is RFC 3339 text."""

    says = "every bar has closed"
    timeframe: str
    now: str
    success_keys: ClassVar[tuple[str, ...]] = ("timeframe", "now")

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        now: datetime = parse_time(self.now)
        return rules.complete(frame, Timeframe(self.timeframe), now)


class ExpectBarsToBePositive(BarExpectation):
    says = "prices are above 0 and volumes not below"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.positive(frame)


class ExpectOhlcToBeConsistent(BarExpectation):
    says = "low <= open, close <= high"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.consistent(frame)


class ExpectBarsToBeTradable(BarExpectation):
    says = "the newest bar is not crossed, nor are too many others"
    share: float
    success_keys: ClassVar[tuple[str, ...]] = ("share",)

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.tradable(frame, self.share)


class ExpectBarsToBeUncrossed(BarExpectation):
    says = "no bid is above its ask"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.uncrossed(frame)


class ExpectClosesToLieBetweenQuotes(BarExpectation):
    says = "bid <= close <= ask, no further apart than 2 %"
    slack: float
    success_keys: ClassVar[tuple[str, ...]] = ("slack",)

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.quoted(frame, self.slack)


class ExpectPricesToBePrecise(BarExpectation):
    says = "prices are not rounded to a coarse grid"
    step: float
    success_keys: ClassVar[tuple[str, ...]] = ("step",)

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return series.precise(frame, self.step)


class ExpectNoBadTicks(BarExpectation):
    says = "no spike that reverts and no jump that no market makes, in logarithms of price"
    excursion: float
    jump: float
    success_keys: ClassVar[tuple[str, ...]] = ("excursion", "jump")

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return series.believable(frame, self.excursion, self.jump)


class ExpectPricesToMove(BarExpectation):
    says = "no run of equal bars"
    flat: int
    copied: int
    newest_only: bool
    success_keys: ClassVar[tuple[str, ...]] = ("flat", "copied", "newest_only")

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return series.moving(frame, self.flat, self.copied, newest_only=self.newest_only)


class ExpectPricesNotToBeInterpolated(BarExpectation):
    says = "no run of closes on one straight line"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return series.uninvented(frame)


class ExpectBarsToBeTraded(BarExpectation):
    says = "few bars without volume"
    share: float
    success_keys: ClassVar[tuple[str, ...]] = ("share",)

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return activity.traded(frame, self.share)


class ExpectVolumeNotToCollapse(BarExpectation):
    says = "the newest bars have some of the usual volume"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return activity.active(frame)


class ExpectClosesToAgreeWithOtherSources(BarExpectation):
    """`references` are `{"source", "open", "close"}`, all text."""

    says = "other sources closed the newest shared bar at nearly the same price"
    references: list[dict[str, str]]
    divergence: float
    success_keys: ClassVar[tuple[str, ...]] = ("references", "divergence")

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return activity.agreeing(frame, self.references, self.divergence)


class TimeframeExpectation(BarExpectation, ABC):
    timeframe: str
    success_keys: ClassVar[tuple[str, ...]] = ("timeframe",)


class ExpectBarTimesToBeAligned(TimeframeExpectation):
    says = "every open time is on the timeframe's grid"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return rules.aligned(frame, Timeframe(self.timeframe))


class ExpectBarsNotToSpike(TimeframeExpectation):
    says = "no return beyond 12 median absolute deviations"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return series.unspiked(frame, Timeframe(self.timeframe))


class CalendarExpectation(TimeframeExpectation, ABC):
    """`calendar` is a name of `ffe.market.calendar.CALENDARS`, so that a stored suite is plain JSON."""

    calendar: str
    success_keys: ClassVar[tuple[str, ...]] = ("timeframe", "calendar")


class ExpectBarsWithoutSeriousGaps(CalendarExpectation):
    says = "not too many expected bars are missing, none of the newest, no long hole"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return schedule.serious_gaps(frame, Timeframe(self.timeframe), self.calendar)


class ExpectBarsWithoutGaps(CalendarExpectation):
    says = "no expected bar is missing"

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return schedule.any_gaps(frame, Timeframe(self.timeframe), self.calendar)


class ExpectBarsInMarketHours(CalendarExpectation):
    says = "no bar lies wholly in a closed market"
    minutes: float
    success_keys: ClassVar[tuple[str, ...]] = ("timeframe", "calendar", "minutes")

    def breach(self, frame: pd.DataFrame) -> Breach | None:
        return schedule.in_hours(frame, Timeframe(self.timeframe), self.calendar, self.minutes)
