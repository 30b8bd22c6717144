"""What a person reads in the Prefect UI: four tables after a cycle, one page after a reconciliation."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from ffe.cycle.report import CycleReport, InstrumentReport
from ffe.orders.differences import Difference
from ffe.orders.findings import Reconciliation


@task(name="publish-report", cache_policy=NO_CACHE)
def publish_report(report: CycleReport) -> None:
    """Summary, quality, decision and sizing of a cycle as artifacts of its run. Keys carry the timeframe, so that each has a history."""
    frame = report.timeframe.value
    create_markdown_artifact(_summary(report), key=f"cycle-{frame}", description=f"Cycle {report.cycle_id}")
    for name, rows in (
        ("quality", [_quality(row) for row in report.instruments]),
        ("decisions", [_decision(row) for row in report.instruments]),
        ("sizing", [_sizing(row) for row in report.instruments if row.sizing is not None]),
    ):
        if rows:
            create_table_artifact(rows, key=f"{name}-{frame}", description=f"{name} of cycle {report.cycle_id}")


def _summary(report: CycleReport) -> str:
    lines = [
        f"# Cycle {report.cycle_id}",
        f"mode **{report.mode}**, timeframe **{report.timeframe.value}**, {report.started_at:%Y-%m-%d %H:%M:%S} UTC\n",
        "| instrument | author | action | confidence | order | filled | price | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_line(row) for row in report.instruments]
    lines.append("\n| stage | ms |\n| --- | --- |")
    lines += [f"| {stage} | {spent:.0f} |" for stage, spent in report.timings_ms.items()]
    return "\n".join(lines)


def _line(row: InstrumentReport) -> str:
    decision: dict[str, Any] = row.decision or {}
    order = row.order
    cells = [
        row.instrument,
        decision.get("decided_by", "-"),
        decision.get("action", "-"),
        decision.get("confidence", "-"),
        "-" if order is None else f"{order.side} {order.state}",
        "-" if order is None else f"{order.filled_units:f}",
        "-" if order is None or order.average_price is None else f"{order.average_price:f}",
        decision.get("reason_code", "") if row.error is None else f"{row.error.type}, artifact `{row.error.incident}`",
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _quality(row: InstrumentReport) -> dict[str, Any]:
    quality = row.quality
    return {
        "instrument": row.instrument,
        "bar close": "-" if row.bar_close is None else row.bar_close.isoformat(),
        "age s": row.age_seconds,
        "limit s": row.limit_seconds,
        "passed": "not checked" if quality is None else quality.passed,
        "critical": "" if quality is None else "; ".join(quality.critical),
        "warnings": "" if quality is None else "; ".join(quality.warnings),
    }


def _decision(row: InstrumentReport) -> dict[str, Any]:
    return {"instrument": row.instrument} | (row.decision or {"decided_by": "nobody", "reasoning": "see the incident"})


def _sizing(row: InstrumentReport) -> dict[str, Any]:
    sizing = dict(row.sizing or {})
    clamps = sizing.pop("clamps", [])
    said = "; ".join(f"{clamp['name']} {clamp['before']} -> {clamp['after']}" for clamp in clamps)
    return {"instrument": row.instrument} | sizing | {"clamps": said}


@task(name="publish-reconciliation", cache_policy=NO_CACHE)
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
