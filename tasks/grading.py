"""Grading decisions and fitting calibrations, and the pages that a person reads of it. The next run repeats what failed, not Prefect."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run, task_run

from expectations.validate import validate_bars
from ffe.feedback import run
from ffe.feedback.models import Calibration
from ffe.feedback.plots import reliability_plot
from ffe.feedback.report import AuthorGrades, MarketGrades, by_author
from ffe.feedback.scores import ReliabilityBin
from ffe.feedback.summary import ConfidenceSummary, summarise
from ffe.market.models import Timeframe, parse_instrument
from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.incidents import record_trouble, task_failed
from tasks.quality_text import image

GRADES_KEY, CALIBRATION_KEY = "grades", "calibration"
DIGEST_SHOWN = 12

log = logging.getLogger(__name__)


@task(
    name="grade-market",
    task_run_name="grade-market {symbol} {timeframe}",
    retries=0,
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def grade_market(symbol: str, timeframe: Timeframe) -> MarketGrades:
    """Grades of the decisions on one instrument and timeframe whose horizon is over. Bars that can't be had are an incident."""
    runtime.tell(symbol, "grading")
    engine, validate = runtime.engine(), partial(validate_bars, history=True)
    done = run.grade_market(engine, parse_instrument(symbol), timeframe, engine.clock.now(), validate)
    if done.trouble is not None:
        record_trouble(str(task_run.get_id()), "grade-market", done.trouble, cycle_id=flow_run.get_id())
    return done


@task(name="fit-calibrations", retries=0, cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def fit_calibrations() -> tuple[Calibration, ...]:
    """A calibration of each model and prompt that has grades enough; those that are new."""
    engine = runtime.engine()
    return run.calibrate(engine, engine.clock.now())


@task(name="publish-grades", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_grades(markets: Sequence[MarketGrades]) -> None:
    """Grades on record by author and action as a table, and the calibration of every model as a page. Never raises."""
    try:
        ledger = runtime.engine().ledger
        rows = [_cells(row) for row in by_author(ledger.grades())]
        if rows:
            create_table_artifact(rows, key=GRADES_KEY, description=_said(markets))
        summaries = summarise(ledger.grades(opinions=True), ledger.calibrations())
        page = calibration_page(summaries)
        create_markdown_artifact(page, key=CALIBRATION_KEY, description="What the models' confidence has been worth")
    except Exception:
        log.exception("the grades could not be published")


def _said(markets: Sequence[MarketGrades]) -> str:
    counts = {name: sum(getattr(each, name) for each in markets) for name in ("graded", "pending", "missing")}
    return f"{counts['graded']} graded now, {counts['pending']} pending, {counts['missing']} without bars"


def _cells(row: AuthorGrades) -> dict[str, Any]:
    return {
        "author": row.decided_by.value,
        "action": row.action.value,
        "decisions": row.count,
        "paid": f"{row.paid:.1%}",
        "mean net return": f"{row.net_return:+.3%}",
        "mean regret": f"{row.regret:.3%}",
    }


def calibration_page(summaries: Sequence[ConfidenceSummary]) -> str:
    """Markdown: a table with a row for each model and prompt, and one picture with the reliability curves of all."""
    head = [
        "| model | prompt | graded entries | paid | calibration | Brier | ECE |",
        "| --- | --- | ---: | ---: | --- | --- | --- |",
    ]
    curves: dict[str, Sequence[ReliabilityBin]] = {
        f"{_name(each)} {curve}": bins for each in summaries for curve, bins in each.bins.items()
    }
    picture = image(reliability_plot(curves, "Reliability"), "what was said against what paid")
    return "\n\n".join(["# Calibration", "\n".join([*head, *map(_line, summaries)]), picture])


def _line(each: ConfidenceSummary) -> str:
    found = each.calibration
    cells = [
        each.model_digest[:DIGEST_SHOWN],
        each.prompt_version,
        str(each.entries),
        "-" if each.paid is None else f"{each.paid:.1%}",
        "no calibration yet" if found is None else f"{found.method} of {found.source}, {found.grades} grades",
        "-" if found is None else f"{found.brier_before:.4f} -> {found.brier_after:.4f}",
        "-" if found is None else f"{found.ece_before:.4f} -> {found.ece_after:.4f}",
    ]
    return f"| {' | '.join(cells)} |"


def _name(each: ConfidenceSummary) -> str:
    return f"{each.model_digest[:DIGEST_SHOWN]} {each.prompt_version}"
