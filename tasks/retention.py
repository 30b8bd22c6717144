"""Removing what has grown old, and the table of what went and what stayed."""

from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from ffe.clock import SystemClock
from ffe.ledger.retention import Removal, RetentionReport, sweep
from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.incidents import task_failed

KEY = "retention"


@task(name="remove-old", retries=0, cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def remove_old(*, dry_run: bool) -> RetentionReport:
    """Rows and files that are older than the settings allow and that nothing rests on. The next run goes on where one was ended."""
    engine = runtime.engine()
    return sweep(
        engine.ledger.database,
        engine.settings.data_dir,
        engine.settings.retention,
        engine.clock.now(),
        wall=SystemClock().now(),
        horizon_bars=engine.settings.feedback.horizon_bars,
        dry_run=dry_run,
    )


@task(name="publish-retention", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_retention(report: RetentionReport) -> None:
    """Table `retention`: each kind with its days, what went and what is as old and stays."""
    done = "would go" if report.dry_run else "went"
    took = f"{report.transactions} transactions, the longest of {report.longest_ms:.0f} ms"
    description = f"{sum(each.removed for each in report.removals)} {done}; {took}"
    create_table_artifact([_cells(each, report) for each in report.removals], key=KEY, description=description)


def _cells(each: Removal, report: RetentionReport) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "kept for": "ever" if each.days is None else f"{each.days} days",
        "would be removed" if report.dry_run else "removed": each.removed,
        "older, and needed": each.kept,
        "MB": f"{each.size / 1e6:.1f}",
    }
