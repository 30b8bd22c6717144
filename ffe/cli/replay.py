"""`ffe replay`: history through the same engine, and an honest comparison with doing something simple instead."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ffe.cli.bar_options import (
    BarFiles,
    CostsOption,
    FromOption,
    MoreFiles,
    Named,
    ToOption,
    bar_files,
    kept,
    moment_of,
)
from ffe.cli.options import JsonOption, ModelOption, settings_from
from ffe.cli.tables import console
from ffe.clock import SystemClock
from ffe.errors import ConfigurationError
from ffe.llm.factory import check_model_file, open_model
from ffe.llm.protocol import LanguageModel
from ffe.market.models import parse_instrument, parse_timeframe
from ffe.replay.models import Stats
from ffe.replay.report_verdict import SENTENCES, percent, verdicts
from ffe.replay.request import Progress, ReplayRequest, ReplayRun
from ffe.settings import Settings

LLM = "llm"


def replay(
    bars: BarFiles = None,
    files: MoreFiles = None,
    instruments: Named = None,
    start: FromOption = None,
    end: ToOption = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", help="Longer than the bars' own, to resample.")
    ] = None,
    strategy: Annotated[str, typer.Option("--strategy", help="A name, `llm`, or a Python file.")] = "sma-cross",
    params: Annotated[list[str] | None, typer.Option("--param", help="fast=20; several.")] = None,
    decisions: Annotated[Path | None, typer.Option("--decisions", help="Recorded decisions.", exists=True)] = None,
    model: ModelOption = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Ask the model at every that many bars.")] = 1,
    engine: Annotated[str, typer.Option("--engine", help="auto, compiled or exact.")] = "auto",
    costs: CostsOption = True,
    seed: Annotated[int, typer.Option("--seed", help="Of random baselines and intervals.")] = 7,
    lookahead_check: Annotated[
        bool, typer.Option("--lookahead-check", help="Exit 3 if a rerun on truncated bars changes a signal.")
    ] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Folder for report, trades and equity.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Replays history through the engine's own rules, sizing, fills and protection. It never trades."""
    settings = settings_from(model=model)
    request = ReplayRequest(
        bars=bar_files([*(bars or []), *(files or [])]),
        instruments=tuple(parse_instrument(name) for name in instruments or []),
        timeframe=None if timeframe is None else parse_timeframe(timeframe),
        start=moment_of(start, "--from"),
        end=moment_of(end, "--to"),
        strategy=strategy,
        params=_params(params or []),
        decisions=decisions,
        every=every,
        engine=engine,
        costs=costs,
        seed=seed,
        lookahead=lookahead_check,
        command=f"ffe {shlex.join(sys.argv[1:])}",
    )
    try:
        run = _made(request, settings)
    except KeyboardInterrupt:
        if strategy == LLM:
            print("ffe: stopped; the answers so far are kept, and the same command goes on from there", file=sys.stderr)
        raise
    place = None if report is None else _reported(run, report)
    if as_json:
        from ffe.replay.document import document

        print(json.dumps(document(run, place)))
    else:
        show(run, place)
    if lookahead_check and not all(found.ok for found in run.lookahead):
        raise typer.Exit(3)


def _made(request: ReplayRequest, settings: Settings) -> ReplayRun:
    from expectations.history import gates
    from expectations.validate import validate_bars
    from ffe.replay.run import replay as replayed

    with _progress() as told, ExitStack() as opened:
        ledger, store = kept(settings, opened) if not request.bars else (None, None)
        return replayed(
            request,
            settings,
            gates=partial(gates, settings=settings),
            clock=SystemClock(),
            ledger=ledger,
            store=store,
            model=_model(settings, opened) if request.strategy == LLM else None,
            judge=validate_bars,
            told=told,
        )


def _model(settings: Settings, opened: ExitStack) -> LanguageModel:
    check_model_file(settings)
    model = open_model(settings)
    opened.callback(model.close)
    return model


def _reported(run: ReplayRun, folder: Path) -> Path:
    from ffe.replay.report import write_report

    return write_report(run, folder)


def _params(given: list[str]) -> dict[str, float]:
    found = {}
    for each in given:
        name, _, value = each.partition("=")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise ConfigurationError(f"--param {each!r} is not like fast=20") from error
    return found


def show(run: ReplayRun, place: Path | None) -> None:
    """The answer first, then the numbers beside those of doing something simpler."""
    out = console()
    if run.watermark is not None:
        out.print(Text(run.watermark, style="bold yellow"))
    for at, verdict in enumerate(verdicts(run)):
        out.print(_table(run, at))
        out.print(Text(SENTENCES[verdict.answer], style="bold"))
        for reason in verdict.reasons:
            out.print(Text(f"  {reason}"))
    for each in (*run.lookahead, *run.warm_up):
        out.print(Text(str(each)))
    for note in run.notes:
        out.print(Text(note, style="dim"))
    bars, seconds = sum(len(feed.bars) for feed in run.feeds), run.result.seconds
    out.print(Text(f"{bars} bars in {seconds:.2f} s by the {run.result.engine} engine", style="dim"))
    if place is not None:
        out.print(Text(f"report: {place}"))


def _table(run: ReplayRun, at: int) -> Table:
    bars = run.feeds[at].bars
    table = Table(title=f"{bars.instrument.symbol} {bars.timeframe.value}: {run.strategy} over {len(bars)} bars")
    for name in ("", "return", "max drawdown", "Sharpe", "trades", "fees", "difference", "95 % interval"):
        table.add_column(name, justify="left" if name == "" else "right")
    table.add_row(run.strategy, *_numbers(run.stats[at]), "", "", style="bold")
    for each in run.baselines[at]:
        interval = f"{percent(each.low)} to {percent(each.high)}"
        table.add_row(each.strategy, *_numbers(each.stats), percent(each.difference), interval)
    return table


def _numbers(stats: Stats) -> tuple[str, ...]:
    sharpe = "n/a" if stats.sharpe is None else f"{stats.sharpe:.2f}"
    return percent(stats.return_), percent(-stats.max_drawdown), sharpe, str(stats.trades), f"{stats.fees:.2f}"


@contextmanager
def _progress() -> Iterator[Progress]:
    """What is going on, on stderr; nothing where that is no terminal but one line a stage."""
    shown = Console(stderr=True)
    with shown.status("starting") as status:

        def tell(stage: str, done: int, of: int) -> None:
            text = stage if of == 1 else f"{stage}: {done} of {of}"
            status.update(text)

        yield tell
