"""The preflight as tasks: one that asks and records, one that publishes the table."""

from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from ffe.cycle import readiness
from ffe.observe.masked_errors import keeps_secrets
from ffe.observe.preflight import run_preflight
from ffe.observe.preflight_models import Preflight
from tasks import runtime
from tasks.incidents import task_failed

# Name of the state of a preflight that did all its work and refuses trading.
PREFLIGHT_FAILED = "PreflightFailed"
ARTIFACT = "preflight"


@task(name="ask-everybody", retries=0, cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def ask_everybody() -> Preflight:
    """Made afresh, whatever stands, and written to the ledger. The reads retry by themselves."""
    engine = runtime.engine()
    return readiness.record(engine, run_preflight(engine))


@task(name="publish-preflight", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_preflight(found: Preflight) -> None:
    """One line for each answer and each check; the outcome is the artifact's description."""
    create_table_artifact(
        rows(found), key=ARTIFACT, description=f"{found.outcome} in {found.mode} at {found.at:%Y-%m-%d %H:%M:%S} UTC"
    )


def rows(found: Preflight) -> list[dict[str, Any]]:
    """As a person reads them: what was asked of whom, what was said, and why."""
    lines = [
        {"of": each.provider, "question": name.replace("_", " "), "answer": answer.says, "detail": answer.detail}
        for each in found.providers
        for name, answer in each.answers.items()
    ]
    lines += [
        {"of": each.provider, "question": "refused", "answer": "no", "detail": why}
        for each in found.providers
        for why in each.refusals
    ]
    lines += [
        {"of": "this machine", "question": each.name, "answer": "yes" if each.passed else "no", "detail": each.detail}
        for each in found.checks
    ]
    return lines + [{"of": "note", "question": "", "answer": "", "detail": each} for each in found.notes]
