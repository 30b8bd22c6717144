"""`ffe backfill`: old bars into the store, in this process. Exit 3 when a chunk could not be had or did not pass."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ffe.cli.listing import venues
from ffe.cli.options import Instruments, JsonOption, ModeOption, settings_from
from ffe.cli.tables import print_rows
from ffe.cycle import backfill as engine_backfill
from ffe.cycle.backfill import Backfilled, Chunk, ChunkOutcome
from ffe.market.models import Instrument, Timeframe, parse_timeframe

TimeframesOption = Annotated[
    list[str] | None, typer.Option("--timeframe", help="1m, 5m, 15m, 30m, 1h, 4h or 1d; may be given several times.")
]
DaysOption = Annotated[int, typer.Option("--days", min=1, max=3650, help="How many days back from now.")]
Wanted = tuple[Instrument, Timeframe]
Told = Callable[[Wanted, Chunk, float], None]


def backfill(
    instruments: Instruments = None,
    timeframes: TimeframesOption = None,
    days: DaysOption = 30,
    mode: ModeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Old bars into the store, newest first: only what is not there yet is asked for, and only what passes is kept."""
    settings = settings_from(instruments=instruments, mode=mode)
    frames = [parse_timeframe(name) for name in timeframes] if timeframes else [settings.timeframe]
    wanted = [(instrument, timeframe) for instrument in settings.instruments for timeframe in frames]
    with venues(settings) as engine, _progress(wanted) as tell:
        from expectations.validate import validate_bars

        validate = partial(validate_bars, history=True)
        results = [engine_backfill.backfill(engine, *each, days, validate, told=partial(tell, each)) for each in wanted]
    if as_json:
        print(json.dumps([_document(result) for result in results]))
    else:
        _show(results)
    if any(result.failed for result in results):
        raise typer.Exit(3)


@contextmanager
def _progress(wanted: Sequence[Wanted]) -> Iterator[Told]:
    """A bar for each instrument and timeframe on stderr; a line a chunk where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as shown:
        bars = {each: shown.add_task(_name(each), total=1.0) for each in wanted}

        def tell(each: Wanted, chunk: Chunk, done: float) -> None:
            del chunk
            shown.update(bars[each], completed=done)

        yield tell


def _plain(each: Wanted, chunk: Chunk, done: float) -> None:
    sys.stderr.write(f"{_name(each)}: {done:.0%}, {chunk.name}: {chunk.outcome.value}\n")


def _name(each: Wanted) -> str:
    return f"{each[0].symbol} {each[1].value}"


def _document(result: Backfilled) -> dict[str, Any]:
    return result.model_dump(mode="json") | {"bars": result.bars, "failed": len(result.failed)}


def _show(results: Sequence[Backfilled]) -> None:
    columns = ("instrument", "timeframe", "source", "bars", "kept", "covered", "empty", "failed")
    print_rows("backfill", [_row(result) for result in results], columns)
    failures = [_failure(result, chunk) for result in results for chunk in result.failed]
    if failures:
        print_rows("chunks that failed", failures, ("instrument", "timeframe", "chunk", "why", "rows"))


def _row(result: Backfilled) -> dict[str, Any]:
    chunks = [chunk.outcome for chunk in result.chunks]
    counts = {outcome.value: chunks.count(outcome) for outcome in ChunkOutcome}
    about = {"instrument": result.instrument, "timeframe": result.timeframe.value, "source": result.source}
    return about | counts | {"bars": result.bars}


def _failure(result: Backfilled, chunk: Chunk) -> dict[str, Any]:
    rows = [example for finding in chunk.findings for example in finding.examples]
    about = {"instrument": result.instrument, "timeframe": result.timeframe.value, "chunk": chunk.name}
    return about | {"why": chunk.why, "rows": "; ".join(rows) or None}
