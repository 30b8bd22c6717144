"""`ffe sweep`: one strategy with many parameters, chosen in sample and judged out of sample. Exit 3 when a cell failed."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Shown
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
from ffe.cli.options import JsonOption, TimeframeOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.clock import SystemClock
from ffe.market.models import parse_instrument, parse_timeframe
from ffe.replay.models import Feed, Plan
from ffe.replay.request import Progress, ReplayRequest
from ffe.settings import Settings

if TYPE_CHECKING:
    from ffe.replay.sweep_table import Swept

# Of a long table a person reads the top; the whole of it is in sweep.json.
SHOWN = 20

Params = Annotated[
    list[str] | None,
    typer.Option("--param", help="fast=5,10,20 or slow=50:200:50; also risk.reward_risk=1.5,2; several."),
]
Share = Annotated[float, typer.Option("--oos", min=0.01, max=0.99, help="The last share of time is out of sample.")]
TrainDays = Annotated[float | None, typer.Option("--train-days", help="Walk forward: so many days in sample,")]
TestDays = Annotated[float | None, typer.Option("--test-days", help="then so many out of sample, and on by those.")]
AtRandom = Annotated[int | None, typer.Option("--random", min=1, help="So many combinations only, drawn by --seed.")]
RankOption = Annotated[str, typer.Option("--rank", help="What the choice is made by: sharpe, return, calmar ...")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder of what is computed; a killed sweep goes on from it.")
]


def sweep(
    bars: BarFiles = None,
    files: MoreFiles = None,
    instruments: Named = None,
    start: FromOption = None,
    end: ToOption = None,
    timeframe: TimeframeOption = None,
    strategy: Annotated[str, typer.Option("--strategy", help="A name, or a Python file.")] = "sma-cross",
    params: Params = None,
    oos: Share = 0.3,
    train_days: TrainDays = None,
    test_days: TestDays = None,
    at_random: AtRandom = None,
    seed: Annotated[int, typer.Option("--seed", help="Of --random.")] = 7,
    rank: RankOption = "sharpe",
    costs: CostsOption = True,
    workers: Workers = 1,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tries every combination in sample and shows beside it what it did out of sample. It never trades."""
    from ffe.replay.sweep import RESULT, SweepRequest
    from ffe.replay.sweep import sweep as swept_over
    from ffe.replay.sweep_space import parse_space
    from ffe.replay.sweep_table import document

    settings = settings_from()
    asked = ReplayRequest(
        bars=bar_files([*(bars or []), *(files or [])]),
        instruments=tuple(parse_instrument(name) for name in instruments or []),
        timeframe=None if timeframe is None else parse_timeframe(timeframe),
        start=moment_of(start, "--from"),
        end=moment_of(end, "--to"),
        strategy=strategy,
        costs=costs,
    )
    folder = out or settings.data_dir / "sweeps"
    space = parse_space(params or [])
    feeds, plan = _material(asked, settings)
    wanted = SweepRequest(
        strategy, plan, space, oos, train_days, test_days, at_random, seed, rank, workers, costs=costs
    )
    with _progress() as told:
        swept = swept_over(feeds, wanted, folder, told)
    if as_json:
        print(json.dumps(document(swept)))
    else:
        _show(swept, folder / RESULT)
    if swept.failed:
        raise typer.Exit(3)


def _material(asked: ReplayRequest, settings: Settings) -> tuple[tuple[Feed, ...], Plan]:
    from expectations.history import gates
    from ffe.replay.sweep import material

    with ExitStack() as opened:
        ledger, store = kept(settings, opened) if not asked.bars else (None, None)
        judged = partial(gates, settings=settings)
        return material(asked, settings, gates=judged, now=SystemClock().now(), ledger=ledger, store=store)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr; a line a cell where that is no terminal."""
    shown_on = Console(stderr=True)
    if not shown_on.is_terminal:
        yield lambda what, done, total: print(f"{what}: {done} of {total}", file=sys.stderr)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Shown(*columns, console=shown_on, transient=True) as shown:
        task = shown.add_task("sweep", total=None)
        yield lambda what, done, total: shown.update(task, description=what, completed=done, total=total)


def _show(swept: "Swept", place: Path) -> None:
    from ffe.replay.sweep_table import sentences, shown_rows, titled

    rows = shown_rows(swept)
    print_rows(f"sweep of {titled(swept)}", rows[:SHOWN], tuple(rows[0]) if rows else ())
    out = console()
    if len(rows) > SHOWN:
        out.print(Text(f"{len(rows) - SHOWN} more lines in {place}"), soft_wrap=True)
    for line in sentences(swept):
        out.print(Text(line), soft_wrap=True)
    out.print(Text(f"{swept.computed} cells computed, {swept.kept} were there already: {place}"), soft_wrap=True)
