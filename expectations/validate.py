"""Run the suite over one batch of bars and turn Great Expectations' answer into a `QualityReport`.

Great Expectations objects must never be used by two threads at once: that returned false passes without an error. So one lock lets one
validation run at a time in a process, and everything of Great Expectations happens under it; `batch.validate` keeps no results in
memory. The import costs seconds of CPU and happens at the first call: `warm` pays it early.
"""

import logging
import threading
import time
import uuid
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from expectations.breach import EXAMPLES
from expectations.families import suite_name
from expectations.findings import findings_of, not_checked
from expectations.rules import ENOUGH_BARS
from ffe.market.calendar import calendar_for
from ffe.market.models import AssetClass, Timeframe, parse_instrument
from ffe.market.quality import Finding, QualityReport, Reference
from ffe.sources.models import BAR_SCHEMA, PRICE, PRICE_BAR_SCHEMA, QUOTED_BAR_SCHEMA, BarBatch, to_frame

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult

log = logging.getLogger(__name__)

_LOCK = threading.Lock()


def validate_bars(
    table: pa.Table,
    batch: BarBatch,
    now: datetime,
    references: tuple[Reference, ...] = (),
    *,
    history: bool = False,
    calendar: str | None = None,
    keep: dict[str, Any] | None = None,
) -> QualityReport:
    """Verdict on the bars of `batch` at `now`. It never raises: what could not be checked is a critical finding.

    A table with a bid or an ask close is held to `QUOTED_BAR_SCHEMA`, forex without a volume to `PRICE_BAR_SCHEMA`, any other to
    `BAR_SCHEMA`. `references` are closes that other sources print; those of bars that are not in the table are left out. `history`
    judges bars that nobody decides on: they may be few and may have gaps. `calendar` is the name of one with days that a person added; None
    is the instrument's own. `keep` is handed Great Expectations' whole result as plain
    JSON under the report's id, when there is one.
    """
    began, report_id = time.perf_counter(), uuid.uuid4().hex
    try:
        result: Any = _validate(_judged_frame(table), batch, now, references, calendar, history=history)
        checks, findings = len(result.results), findings_of(result)
        if keep is not None:
            keep[report_id] = result.to_json_dict()
    except Exception as error:
        log.exception("bars of %s could not be checked", batch.instrument.symbol)
        checks, findings = 0, (not_checked("suite", error),)
    return QualityReport(
        id=report_id,
        batch_id=batch.id,
        suite=suite_name(batch.timeframe, batch.instrument.asset_class),
        checks=checks,
        findings=findings,
        checked_at=now,
        duration_ms=(time.perf_counter() - began) * 1000,
    )


def warm() -> None:
    """Import Great Expectations and run one validation, so that a worker pays the seconds at its start.

    Raises:
        RuntimeError: the checks do not work on this machine; carries the findings.
    """
    table, batch = _sample()
    report = validate_bars(table, batch, batch.bar_close)
    if report.findings:
        raise RuntimeError(f"bars that are known to be good failed their checks: {_messages(report.findings)}")


def _validate(
    frame: pd.DataFrame,
    batch: BarBatch,
    now: datetime,
    references: tuple[Reference, ...],
    calendar: str | None,
    *,
    history: bool,
) -> "ExpectationSuiteValidationResult":
    with _LOCK:
        suites = load_suites()
        judged = suites.Judged(
            instrument=batch.instrument,
            timeframe=batch.timeframe,
            columns=_columns(frame, batch.instrument.asset_class),
            now=now,
            calendar=calendar or calendar_for(batch.instrument).name,
            references=_shared(references, frame),
            history=history,
        )
        return _run(frame, suites.bar_suite(judged))


@cache
def load_suites() -> ModuleType:
    """`expectations.suites`, imported here because that imports Great Expectations, which imports modules that Python has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from expectations import suites
    return suites


def _shared(references: tuple[Reference, ...], frame: pd.DataFrame) -> tuple[Reference, ...]:
    """The references to bars of the frame."""
    if not references or "time" not in frame.columns:
        return ()
    opens = set(frame["time"].tolist())
    return tuple(each for each in references if each.open in opens)


def _run(frame: pd.DataFrame, suite: "ExpectationSuite") -> "ExpectationSuiteValidationResult":
    batch = _batch_definition().get_batch({"dataframe": frame})
    result_format = {"result_format": "COMPLETE", "partial_unexpected_count": EXAMPLES}
    result: ExpectationSuiteValidationResult = batch.validate(suite, result_format=result_format)
    return result


@cache
def _batch_definition() -> Any:
    """A whole frame as a batch of an ephemeral context, made once: each making of it writes its configuration as YAML three times."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    return (
        context.data_sources.add_pandas("bars").add_dataframe_asset("bars").add_batch_definition_whole_dataframe("bars")
    )


def _columns(frame: pd.DataFrame, asset_class: AssetClass) -> tuple[str, ...]:
    if "bid_close" in frame.columns or "ask_close" in frame.columns:
        return tuple(QUOTED_BAR_SCHEMA.names)
    unsized = asset_class is AssetClass.FOREX and "volume" not in frame.columns
    return tuple((PRICE_BAR_SCHEMA if unsized else BAR_SCHEMA).names)


def _judged_frame(table: pa.Table) -> pd.DataFrame:
    """`to_frame` where the types allow it; a column of another type stays what it is, and the suite names it."""
    sound = [name for name in table.column_names if name == "time" or table.schema.field(name).type == PRICE]
    frame = to_frame(table.select(sound)) if "time" in sound else pd.DataFrame()
    for name in table.column_names:
        if name not in frame.columns:
            frame[name] = pd.Series(table.column(name).to_pylist(), dtype=object)
    return frame


def _sample() -> tuple[pa.Table, BarBatch]:
    """Enough quiet crypto bars."""
    start, timeframe = datetime(2024, 1, 3, tzinfo=UTC), Timeframe.M5
    times = [start + step * timeframe.duration for step in range(ENOUGH_BARS)]
    prices = pa.array(100_000 + np.arange(ENOUGH_BARS) ** 2 % 101).cast(PRICE)
    table = pa.table([times, *[prices] * 5], schema=BAR_SCHEMA)
    batch = BarBatch(
        id="warm",
        instrument=parse_instrument("BTCUSD"),
        timeframe=timeframe,
        source="none",
        path="",
        rows=len(times),
        first_open=times[0],
        last_open=times[-1],
        fetched_at=times[-1] + timedelta(minutes=5),
    )
    return table, batch


def _messages(findings: tuple[Finding, ...]) -> str:
    return "; ".join(f"{finding.check}: {finding.message}" for finding in findings)
