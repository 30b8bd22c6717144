"""A sweep as tasks: bars laid out once, cells computed where the task runner puts them, and the table published."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from expectations.history import gates
from ffe.clock import SystemClock
from ffe.observe.masked_errors import keeps_secrets
from ffe.replay.models import Feed, Plan
from ffe.replay.request import ReplayRequest
from ffe.replay.sweep import material
from ffe.replay.sweep_cell import Cell, Shared, compute
from ffe.replay.sweep_table import Swept, sentences, shown_rows, titled
from ffe.replay.sweep_workers import attempted, computed
from tasks import runtime
from tasks.incidents import task_failed
from tasks.quality_text import cell as as_text

TABLE_KEY, VERDICT_KEY, PROGRESS_KEY = "sweep", "sweep-verdict", "sweep-progress"
# Of a long table the top is published; the whole of it is in the folder.
ROWS = 200

# For each cell what it gave, or None and why.
Computed = list[tuple[Any, str | None]]


@task(name="read-history", retries=0, cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def read_history(asked: ReplayRequest) -> tuple[tuple[Feed, ...], Plan]:
    """Feeds and plan, from files or from the bar store."""
    engine = runtime.engine()
    settings = engine.settings
    return material(
        asked,
        settings,
        gates=partial(gates, settings=settings),
        now=SystemClock().now(),
        ledger=None if asked.bars else engine.ledger,
        store=engine.store,
    )


@task(
    name="sweep-cells",
    task_run_name="{name}",
    retries=0,
    cache_policy=NO_CACHE,
    persist_result=False,
    on_failure=[task_failed],
)
@keeps_secrets
def sweep_cells(name: str, shared: Shared, cells: Sequence[Cell], *, isolated: bool) -> Computed:
    """What each of the cells gave. `isolated`: in a process of their own, whose death fails one cell; else in this one."""
    del name
    if not isolated:
        return [attempted(compute, shared, each) for each in cells]
    found: dict[int, tuple[Any, str | None]] = {}
    for index, record, reason in computed(cells, compute, shared, workers=1):
        found[index] = record, reason
    return [found[index] for index in range(len(cells))]


@task(name="publish-sweep", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_sweep(swept: Swept, place: str) -> None:
    """In sample beside out of sample as a table, and what it means as a page. `place`: of the whole result, on the worker."""
    rows = shown_rows(swept)
    about = titled(swept)
    create_table_artifact(rows[:ROWS], key=TABLE_KEY, description=about)
    said = "\n\n".join(as_text(line) for line in sentences(swept))
    counted = f"{swept.computed} cells computed, {swept.kept} were there already; all of them in {as_text(place)}"
    page = f"# Sweep of {as_text(about)}\n\n{said}\n\n{counted}"
    create_markdown_artifact(page, key=VERDICT_KEY, description=about)
