"""What a person reads in the Prefect UI: a page and two tables after a cycle, one page after a reconciliation.

What the bars were like is in the artifacts of `quality`; the row of an order leads there in one click. The cells of a table are shown
as they are, without links, so a table has the links of its rows in its description.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from ffe.cycle.report import CycleReport, InstrumentReport
from ffe.observe.masked_errors import keeps_secrets
from ffe.orders.differences import Difference
from ffe.orders.findings import Reconciliation
from tasks.incidents import task_failed
from tasks.quality_text import shown

NO_PAGES: Mapping[str, str | None] = {}


@task(name="publish-report", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_report(report: CycleReport, pages: Mapping[str, str | None] = NO_PAGES) -> None:
    """Summary, decisions and sizing of a cycle as artifacts of its run. Keys carry the timeframe, so that each has a history.

    `pages` is what `publish_quality` returned for each instrument: where the quality page behind its decision is.
    """
    frame = report.timeframe.value
    create_markdown_artifact(_summary(report, pages), key=f"cycle-{frame}", description=f"Cycle {report.cycle_id}")
    sized = [row for row in report.instruments if row.sizing is not None]
    for name, rows, cells in (("decisions", report.instruments, _decision), ("sizing", sized, _sizing)):
        if rows:
            description = f"{name} of cycle {report.cycle_id}{_links(rows, pages)}"
            create_table_artifact([cells(row) for row in rows], key=f"{name}-{frame}", description=description)


def _links(rows: Sequence[InstrumentReport], pages: Mapping[str, str | None]) -> str:
    found = [(row.instrument, pages.get(row.instrument)) for row in rows]
    return "".join(f"; {shown(page, f'quality page of {symbol}')}" for symbol, page in found if page is not None)


def _summary(report: CycleReport, pages: Mapping[str, str | None]) -> str:
    lines = [
        f"# Cycle {report.cycle_id}",
        f"mode **{report.mode}**, timeframe **{report.timeframe.value}**, {report.started_at:%Y-%m-%d %H:%M:%S} UTC\n",
        "| instrument | quality | author | action | confidence | order | filled | price | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_line(row, pages.get(row.instrument)) for row in report.instruments]
    lines.append("\n| stage | ms |\n| --- | --- |")
    lines += [f"| {stage} | {spent:.0f} |" for stage, spent in report.timings_ms.items()]
    return "\n".join(lines)


def _line(row: InstrumentReport, page: str | None) -> str:
    decision: dict[str, Any] = row.decision or {}
    order = row.order
    cells = [
        row.instrument,
        _quality(row, page),
        decision.get("decided_by", "-"),
        decision.get("action", "-"),
        decision.get("confidence", "-"),
        "-" if order is None else f"{order.side} {order.state}",
        "-" if order is None else f"{order.filled_units:f}",
        "-" if order is None or order.average_price is None else f"{order.average_price:f}",
        decision.get("reason_code", "") if row.error is None else f"{row.error.type}, artifact `{row.error.incident}`",
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _quality(row: InstrumentReport, page: str | None) -> str:
    """`passed`, `failed` or `not checked`, with the page behind it."""
    if row.quality is None:
        return "not checked"
    said = "passed" if row.quality.passed else "failed"
    return said if page is None else shown(page, said)


def _decision(row: InstrumentReport) -> dict[str, Any]:
    return {"instrument": row.instrument} | (row.decision or {"decided_by": "nobody", "reasoning": "see the incident"})


def _sizing(row: InstrumentReport) -> dict[str, Any]:
    sizing = dict(row.sizing or {})
    clamps = sizing.pop("clamps", [])
    said = "; ".join(f"{clamp['name']} {clamp['before']} -> {clamp['after']}" for clamp in clamps)
    return {"instrument": row.instrument} | sizing | {"clamps": said}


@task(name="publish-reconciliation", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_reconciliation(results: Sequence[Reconciliation]) -> None:
    """What was settled and what still differs, as one artifact with a history."""
    create_markdown_artifact("\n".join(_reconciled(results)), key="reconciliation", description="Ledger against venues")


def _reconciled(results: Sequence[Reconciliation]) -> list[str]:
    lines = ["# Reconciliation"]
    for result in results:
        said = "agrees with the ledger" if result.clean else f"**{len(result.open)} difference(s) remain**"
        lines.append(f"\n## {result.venue} {result.account}: {said}\n{result.at:%Y-%m-%d %H:%M:%S} UTC\n")
        lines += [f"- settled: {line}" for line in result.settled]
        if result.open:
            lines += ["\n| id | instrument | kind | venue | ledger | what |", "| --- | --- | --- | --- | --- | --- |"]
            lines += [_difference(each) for each in result.open]
            lines.append("\nNew exposure there is blocked until it is settled or `ffe reconcile --accept ID`.")
    return lines


def _difference(found: Difference) -> str:
    cells = (found.id[:12], found.instrument or "all", found.kind, found.venue_says, found.ledger_says, found.message)
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
