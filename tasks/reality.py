"""The reality check as tasks: look, remember, tell. The next run repeats it, not Prefect."""

import logging

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import deployment, task_run

from ffe.observe.alarms import AUTOMATIONS
from ffe.observe.masked_errors import keeps_secrets
from ffe.observe.prefect_api import Api
from ffe.observe.reality import check, report
from ffe.observe.reality.history import remember, trend
from ffe.observe.reality.models import Reality
from ffe.observe.reality.plots import trend_plot
from tasks import runtime
from tasks.incidents import record_trouble, task_failed
from tasks.quality_text import image

TABLE_KEY, TREND_KEY = "reality-check", "reality-trend"

log = logging.getLogger(__name__)


@task(name="check-reality", retries=0, cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def check_reality() -> Reality:
    """Every invariant, recorded, with an incident for each that held at the run before. A run of no deployment asks for none."""
    engine = runtime.engine()
    api = None if deployment.get_id() is None else Api.find()
    found = remember(engine.ledger, check.check_reality(engine, api, AUTOMATIONS))
    for number, trouble in enumerate(report.troubles(found.news)):
        record_trouble(f"{task_run.get_id()}-{number}", "check-reality", trouble)
    return found.reality


@task(name="publish-reality", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_reality(reality: Reality) -> None:
    """The invariants as a table, what breaks them and the trend as a page. Never raises."""
    try:
        create_table_artifact(report.table(reality), key=TABLE_KEY, description=report.sentence(reality))
        page = "\n\n".join(
            [
                "# Reality check",
                report.sentence(reality),
                *(f"- {line.strip()}" for line in report.lines(reality)),
                image(trend_plot(trend(runtime.engine().ledger, mode=reality.mode)), "broken invariants by run"),
            ]
        )
        create_markdown_artifact(page, key=TREND_KEY, description="Broken invariants, run by run")
    except Exception:
        log.exception("the reality check could not be published")
