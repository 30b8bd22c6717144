"""`ffe models eval`: the fixed cases put to the model, measured, recorded, and held against the last time. Exit 3 when it drifted."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ffe.cli.options import JsonOption, ModelOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.clock import Clock, OffsetClock, SystemClock
from ffe.errors import ModelUnavailableError, RefusedError
from ffe.evals.cases import load_cases
from ffe.evals.drift import Drift, baseline_of, drift, drift_line, named
from ffe.evals.metrics import measure, quantization
from ffe.evals.models import CaseSet, Results
from ffe.evals.report import PAGE, as_document, report_folder, write_report
from ffe.evals.run import run
from ffe.evals.table import rows
from ffe.feedback.models import ModelEval
from ffe.ledger.ledger import Ledger
from ffe.llm.factory import open_model
from ffe.settings import Settings

CasesOption = Annotated[int | None, typer.Option("--cases", min=1, help="Only the first so many of the cases.")]
RepeatsOption = Annotated[int, typer.Option("--repeats", min=1, help="How often each case is asked.")]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Folder of the report; one of its own in the data folder if left out.")
]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", help="Id of the evaluation to compare with; the last like this if left out.")
]
# Evaluations are rare: all of them are looked through.
EVALS = 10_000
PLAIN_EVERY = 10
Told = Callable[[str, int, int], None]


def evaluate(
    cases: CasesOption = None,
    repeats: RepeatsOption = 2,
    report: ReportOption = None,
    baseline: BaselineOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Asks the model a fixed set of real cases: valid, steady, fast, calibrated, and whether that moved."""
    settings, wanted = settings_from(model=model), load_cases(cases)
    clock = SystemClock() if settings.clock is None else OffsetClock(settings.clock)
    with closing(Ledger.open(settings.resolved_ledger_url)) as ledger:
        before = None if baseline is None else named(ledger.evals(limit=EVALS), baseline, wanted)
        eval_id = uuid4().hex
        with report_folder((report or settings.data_dir / "evals" / eval_id).absolute()) as folder:
            results = _results(settings, wanted, clock, repeats)
            done = _evaluation(eval_id, results, folder, clock)
            before = before or baseline_of(ledger.evals(done.model_digest, limit=EVALS), done)
            moved = None if before is None else drift(before, done)
            write_report(folder, done, results, wanted, moved)
        ledger.record_eval(done)
    if as_json:
        print(json.dumps(as_document(done, moved)))
    else:
        _show(done, moved)
    if moved is not None and moved.drifted:
        raise typer.Exit(3)


def _results(settings: Settings, cases: CaseSet, clock: Clock, repeats: int) -> Results:
    """Raises RefusedError when the model is not there or stops answering: no evaluation, and none on record."""
    with closing(open_model(settings)) as model, _progress() as tell:
        try:
            return run(model, cases, clock, repeats=repeats, told=tell)
        except ModelUnavailableError as error:
            raise RefusedError(f"no evaluation: {error}") from error


def _evaluation(eval_id: str, results: Results, folder: Path, clock: Clock) -> ModelEval:
    return ModelEval(
        id=eval_id,
        model=results.identity.model,
        model_digest=results.identity.digest,
        quantization=quantization(results.identity.model),
        runtime=results.identity.runtime,
        prompt_version=results.prompt_version,
        cases_sha256=results.cases_sha256,
        metrics=measure(results),
        report=str(folder),
        evaluated_at=clock.now(),
    )


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar on stderr; a line for every tenth question where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as shown:
        bar = shown.add_task("asking the model", total=None)

        def tell(what: str, number: int, total: int) -> None:
            shown.update(bar, description=what, completed=number - 1, total=total)

        yield tell


def _plain(what: str, number: int, total: int) -> None:
    if number % PLAIN_EVERY == 1 or number == total:
        sys.stderr.write(f"eval: question {number} of {total}: {what}\n")


def _show(done: ModelEval, moved: Drift | None) -> None:
    out = console()
    about = (
        f"{done.model} ({done.quantization or 'quantization unknown'}), digest {done.model_digest[:12]}, {done.runtime}"
    )
    out.print(Text(f"{about}, prompt {done.prompt_version}"), soft_wrap=True)
    print_rows("metrics", [row._asdict() for row in rows(done.metrics)], ("name", "value", "n", "note"))
    out.print(Text(drift_line(moved)), soft_wrap=True)
    for movement in () if moved is None else moved.movements:
        out.print(Text(f"  {'drifted' if movement.alarm else 'warning'}: {movement}"), soft_wrap=True)
    out.print(Text(f"evaluation {done.id}; report: {done.report}/{PAGE}"), soft_wrap=True)
