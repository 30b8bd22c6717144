"""A replay as tasks: made with its progress shown, its report written, and what it means published."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE

from expectations.history import gates
from expectations.validate import validate_bars
from ffe.clock import SystemClock
from ffe.llm.factory import open_model
from ffe.observe.masked_errors import keeps_secrets
from ffe.replay.deciding import LLM
from ffe.replay.document import documents
from ffe.replay.report import write_report
from ffe.replay.report_verdict import SENTENCES, Answer
from ffe.replay.request import Progress, ReplayRequest
from ffe.replay.run import replay
from ffe.settings import Settings
from tasks import runtime
from tasks.incidents import task_failed
from tasks.quality_text import cell, image

PROGRESS_KEY, REPORT_KEY = "replay-progress", "replay-report"
COSTLESS = "Costs are off."
# Not every step of a replay is worth a request.
STEPS = 50
# Charts of the report that the page shows, where they were drawn.
PICTURES = {"equity": "equity and drawdown", "baselines": "beside the baselines"}


@dataclass(frozen=True)
class Replayed:
    """`documents`: as `ffe replay --json` prints, one an instrument. `folder`: of the report."""

    documents: list[dict[str, Any]]
    folder: Path


@task(name="replay-history", retries=0, cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def replay_history(request: ReplayRequest, model: str | None, name: str) -> Replayed:
    """Replays and writes the report into `replays/<name>` of the data folder. It reads the ledger and the store, and trades nothing."""
    engine = runtime.engine()
    settings = with_model(engine.settings, model)
    asked = open_model(settings) if request.strategy == LLM else None
    try:
        run = replay(
            request,
            settings,
            gates=partial(gates, settings=settings),
            clock=SystemClock(),
            ledger=None if request.bars else engine.ledger,
            store=engine.store,
            model=asked,
            judge=validate_bars,
            told=progress(PROGRESS_KEY, f"replay of {request.strategy}"),
        )
    finally:
        if asked is not None:
            asked.close()
    folder = settings.data_dir / "replays" / name
    write_report(run, folder)
    return Replayed(documents(run, folder), folder)


def with_model(settings: Settings, model: str | None) -> Settings:
    return settings if model is None else settings.model_copy(update={"model": model})


def progress(key: str, about: str) -> Progress:
    """A progress artifact that follows what is told; what comes too often is left out."""
    # A task or flow without a loop gets the id itself; the types allow a coroutine as well.
    shown = cast("UUID", create_progress_artifact(0.0, key=key, description=about))
    last = -1

    def told(what: str, done: int, total: int) -> None:
        nonlocal last
        step = STEPS if total <= 0 else done * STEPS // total
        if step != last:
            last = step
            update_progress_artifact(shown, 100.0 * step / STEPS, description=f"{about}: {what}")

    return told


@task(name="publish-replay", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_replay(replayed: Replayed) -> None:
    """For each instrument a page with the answer first and a table beside its baselines; a link to the report's folder."""
    for document in replayed.documents:
        name = f"{document['instrument']}-{document['timeframe']}".lower()
        about = f"{document['strategy']} on {document['instrument']} {document['timeframe']}"
        warned = "".join(f" {each}" for each in warnings(document))
        about += "." if warned else ""
        create_markdown_artifact(page(document, replayed.folder), key=f"replay-{name}", description=about + warned)
        create_table_artifact(
            rows(document), key=f"replay-baselines-{name}", description=f"Beside baselines: {about}{warned}"
        )
    report = replayed.folder / "report.html"
    where = " ".join(
        dict.fromkeys(["on the worker.", *(said for each in replayed.documents for said in warnings(each))])
    )
    create_link_artifact(report.resolve().as_uri(), link_text=str(report), key=REPORT_KEY, description=where)


def warnings(document: dict[str, Any]) -> list[str]:
    """Why nobody should believe its numbers, sentences: what the model may know, and costs that are off."""
    known = (
        [document["watermark"] or "CONTAMINATED: the model may know these days."] if document["contaminated"] else []
    )
    return known if document["costs"] else [*known, COSTLESS]


def page(document: dict[str, Any], folder: Path) -> str:
    """Markdown: would one let it trade, why, what a reader has to know, and the pictures."""
    verdict = document["verdict"]
    title = f"{document['strategy']} on {document['instrument']} {document['timeframe']}"
    parts = [f"# {cell(title)}", f"**{cell(SENTENCES[Answer(verdict['answer'])])}**"]
    parts += [f"> {cell(warning)}" for warning in warnings(document)]
    parts += ["\n".join(f"- {cell(reason)}" for reason in verdict["reasons"])]
    parts += [f"{document['bars']} bars from {document['from']} to {document['to']}; data {document['data_sha256']}"]
    parts += ["\n".join(f"- {cell(note)}" for note in document["notes"])]
    for kind, text in PICTURES.items():
        drawn = (folder / f"{name}.png" for name in (kind, f"{kind}-{document['instrument']}"))
        parts += [image(path.read_bytes(), text) for path in drawn if path.is_file()][:1]
    parts += [f"The whole report, with every trade, is on the worker: {cell(str(folder / 'report.html'))}"]
    return "\n\n".join(part for part in parts if part)


def rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The strategy's line, then each baseline's with the difference and its 95 % interval; `warning` only where there is one."""
    warned = warnings(document)
    # A baseline has read nothing, and was replayed without costs as well.
    own, other = (
        {"warning": " ".join(each)} if warned else {} for each in (warned, [COSTLESS] * (not document["costs"]))
    )
    return [_row(document["strategy"], document["stats"]) | own] + [
        _row(each["strategy"], each["stats"])
        | other
        | {"strategy's return less this": _share(each["difference"]), "95 %": _interval(each["interval_95"])}
        for each in document["baselines"]
    ]


def _row(name: str, stats: dict[str, Any]) -> dict[str, Any]:
    return {
        "strategy": name,
        "return": _share(stats["return"]),
        "Sharpe": _number(stats["sharpe"]),
        "max drawdown": _share(stats["max_drawdown"]),
        "trades": stats["trades"],
        "win rate": _share(stats["win_rate"]),
        "fees": _number(stats["fees"]),
        "strategy's return less this": "",
        "95 %": "",
    }


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(bounds: list[float | None]) -> str:
    return f"{_share(bounds[0])} to {_share(bounds[1])}"
