"""What people read of the quality of bars: the failing rows, the page of the result, the chart, and the trend over days.

None of it may fail a cycle: the verdict stands in the ledger before anything is published, so what could not be published is logged.
The result of the checks lies beside its batch as `<batch>.<report>.json`, written when the checks ran; the page is rendered from it.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.artifacts import (
    Artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL

from expectations.page import render_page
from expectations.validate import validate_bars
from ffe.decision.models import Decision
from ffe.market.pass_rate import TREND_DAYS, TREND_REPORTS
from ffe.market.quality import QualityReport, Reference
from ffe.observe.charts import candle_chart, pass_rate_chart
from ffe.observe.masked_errors import keeps_secrets
from ffe.risk.models import Sizing
from ffe.sources.files import replace
from ffe.sources.models import BarBatch, to_frame
from tasks import quality_pages, quality_text, runtime
from tasks.incidents import task_failed

log = logging.getLogger(__name__)

TREND = "quality-trend"


def validate_and_save(
    table: pa.Table,
    batch: BarBatch,
    now: datetime,
    references: tuple[Reference, ...] = (),
    *,
    calendar: str | None = None,
) -> QualityReport:
    """`validate_bars` that leaves the whole result beside the batch, for the page. A result that can't be saved changes no verdict."""
    kept: dict[str, Any] = {}
    report = validate_bars(table, batch, now, references, calendar=calendar, keep=kept)
    with _logged(f"the result of {batch.instrument.symbol}"):
        if report.id in kept:
            save_result(batch, report, kept[report.id], runtime.engine().settings.data_dir)
    return report


def save_result(batch: BarBatch, report: QualityReport, result: dict[str, Any], root: Path) -> Path:
    """Great Expectations' result beside the batch under the data folder `root`, whole or not at all."""
    path = _beside(batch, report, root, "json")
    replace(path, json.dumps(result).encode())
    return path


def load_result(batch: BarBatch, report: QualityReport, root: Path) -> dict[str, Any] | None:
    """What `save_result` wrote; None where the suite never ran, as on stale bars.

    Raises:
        ValueError: the file is no JSON.
    """
    path = _beside(batch, report, root, "json")
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


@task(
    name="publish-quality",
    task_run_name="publish-quality {batch.instrument.symbol}",
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def publish_quality(
    batch: BarBatch,
    report: QualityReport,
    decision: Decision | None = None,
    sizing: Sizing | None = None,
    frames: Sequence[quality_text.Judged] = (),
) -> str | None:
    """Failing rows, the page of the result and the candle chart of one instrument's batch as artifacts. Never raises.

    `frames` are the other batches of its pulse: their rows are in the same table, and one with findings has a page of its own.
    Returns the page of the report that `decision` stands on, as a path on the artifacts' server or, where that does not serve it, of
    the file in the data folder; None when there is none.
    """
    with _logged(f"the quality of {batch.instrument.symbol}"):
        page, root = None, runtime.engine().settings.data_dir
        for frame, said in frames:
            if said.findings:
                with _logged(f"the quality page of {frame.instrument.symbol}"):
                    _publish_page(frame, said, root)
        with _logged(f"the quality page of {batch.instrument.symbol}"):
            page = _publish_page(batch, report, root)
        with _logged(f"the failing rows of {batch.instrument.symbol}"):
            _publish_rows([(batch, report), *frames], page)
        with _logged(f"the chart of {batch.instrument.symbol}"):
            _publish_chart(batch, report, decision, sizing, page)
        return _standing_on(decision, page, root)
    return None


def _publish_rows(judged: Sequence[quality_text.Judged], page: str | None) -> None:
    batch, report = judged[0]
    key, said = quality_text.key("quality", batch), quality_text.verdict(batch, report, page)
    create_table_artifact(quality_text.failing_rows(judged), key=key, description=said)


def _publish_page(batch: BarBatch, report: QualityReport, root: Path) -> str | None:
    """Renders and saves the page, and publishes where it is to be seen. None where the suite never ran."""
    result = load_result(batch, report, root)
    if result is None:
        return None
    path = _beside(batch, report, root, "html")
    # Bars that did not change keep their report from one cycle to the next, and with it their page.
    if not path.is_file():
        replace(path, render_page(result, report, batch).encode())
    place = _place(path, root)
    key, said = quality_text.key("quality-page", batch), quality_text.verdict(batch, report)
    if place.startswith("/"):
        create_link_artifact(place, link_text=said, key=key, description=said)
    else:
        create_markdown_artifact(f"{said}: {quality_text.shown(place)}", key=key, description=said)
    return place


def _publish_chart(
    batch: BarBatch, report: QualityReport, decision: Decision | None, sizing: Sizing | None, page: str | None
) -> None:
    frame = to_frame(runtime.engine().store.load(batch))
    title = f"{batch.instrument.symbol} {batch.timeframe.value} from {batch.source}"
    png = candle_chart(frame, title, quality_text.levels(sizing))
    text = quality_text.chart_page(batch, report, decision, sizing, png=png, page=page)
    create_markdown_artifact(text, key=quality_text.key("chart", batch), description=title)


def _standing_on(decision: Decision | None, page: str | None, root: Path) -> str | None:
    """The page of an earlier run's report where `decision` was made from that one, else `page`."""
    if decision is None or decision.batch_id is None or decision.quality_report_id is None:
        return page
    path = root / quality_pages.FOLDER / quality_pages.file_of(decision.batch_id, decision.quality_report_id)
    return _place(path, root) if path.is_file() else page


def _place(path: Path, root: Path) -> str:
    return quality_pages.link(path, PREFECT_API_URL.value()) or path.relative_to(root).as_posix()


def _beside(batch: BarBatch, report: QualityReport, root: Path, ending: str) -> Path:
    return (root / batch.path).with_name(f"{batch.id}.{report.id}.{ending}")


@task(name="publish-trend", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_trend() -> None:
    """The pass rate of the last TREND_DAYS days, once a day (of the engine's clock) at the first cycle. Never raises."""
    with _logged("the trend"):
        engine = runtime.engine()
        now = engine.clock.now()
        description = f"Pass rate up to {now:%Y-%m-%d}"
        if getattr(Artifact.get(TREND), "description", None) == description:
            return
        since = now - timedelta(days=TREND_DAYS)
        history = engine.ledger.quality_history(limit=TREND_REPORTS, since=since, until=now, backfills=False)
        if history:
            text = quality_text.trend_page(history, pass_rate_chart(history), f"{now:%Y-%m-%d}")
            create_markdown_artifact(text, key=TREND, description=description)


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """An error inside ends in the log."""
    try:
        yield
    except Exception:
        log.exception("%s could not be published", what)
