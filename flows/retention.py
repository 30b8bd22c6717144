"""retention: what has grown old goes, what an order rests on never does.

    remove bars, incidents, questions to the model, runs of checks      a few rows at a time: no cycle waits long
    publish what went and what stayed

The Prefect server forgets its own runs by itself (tasks/vacuum.py). Run it in process with `python -m flows.retention`.
"""

from typing import Any

from prefect import flow

from ffe.observe.masked_errors import keeps_secrets
from tasks.incidents import flow_cancelled, flow_failed
from tasks.retention import publish_retention, remove_old


@flow(name="retention", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
def retention(dry_run: bool = False) -> dict[str, Any]:
    """Removes records that are older than FFE_RETENTION__* allow.

    Args:
        dry_run: only count what would go.
    """
    report = remove_old(dry_run=dry_run)
    publish_retention(report)
    return report.model_dump(mode="json")


if __name__ == "__main__":
    retention()
