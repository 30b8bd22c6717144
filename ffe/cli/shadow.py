"""`ffe shadow report`: what strategies that decided beside the trader would have made, and how sure the difference is."""

import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from ffe.cli.bar_options import FromOption, ToOption, kept, moment_of
from ffe.cli.options import JsonOption, ModeOption, TimeframeOption, settings_from
from ffe.cli.tables import console

if TYPE_CHECKING:
    from ffe.replay.shadow import Line, Shadowed, ShadowReport

app = typer.Typer(help="Strategies that decide in live cycles beside the one that trades.", no_args_is_help=True)


@app.callback()
def shadow() -> None:
    """Strategies that decide in live cycles beside the one that trades, and never order anything."""


@app.command("report")
def report(
    start: FromOption = None,
    end: ToOption = None,
    mode: ModeOption = None,
    timeframe: TimeframeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replays what each strategy and the trader said, alike, and shows the difference with its 95 % interval."""
    settings = settings_from(mode=mode, timeframe=timeframe)
    since, until = moment_of(start, "--from"), moment_of(end, "--to")
    from ffe.replay.document import plain
    from ffe.replay.shadow import shadow_report

    with ExitStack() as opened:
        found = shadow_report(settings, *kept(settings, opened), start=since, end=until)
    if as_json:
        print(json.dumps(plain(found)))
    else:
        show(found)


def show(found: "ShadowReport") -> None:
    """The table of all strategies, a sentence for each, then what is missing."""
    out = console()
    title = f"{found.mode} {found.timeframe}: {found.trader_decisions} decisions of the trader"
    table = Table(title=f"{title} from {found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC")
    for name in ("", "on", "decisions", "agrees", "return", "trader", "trades", "difference", "95 % interval"):
        table.add_column(name, justify="left" if name in {"", "on"} else "right")
    for each in found.strategies:
        for line in _shown(each):
            table.add_row(_named(each), *_cells(line), style="bold" if line.instrument is None else "")
    out.print(table)
    for each in found.strategies:
        out.print(Text(f"{_named(each)}: {answer(each)}"))
    for note in found.missing:
        out.print(Text(note, style="dim"))


def answer(each: "Shadowed") -> str:
    """Whether the strategy would have done better than the trader, in plain words."""
    line = each.together
    if line is None:
        return "nothing to compare yet."
    if line.low > 0:
        return "it would have made more than the trader."
    if line.high < 0:
        return "it would have made less than the trader."
    return "nobody can say yet whether it is better or worse than the trader."


def _shown(each: "Shadowed") -> list["Line"]:
    if each.together is None:
        return []
    return [each.together, *(each.instruments if len(each.instruments) > 1 else ())]


def _named(each: "Shadowed") -> str:
    return " ".join((each.strategy, *_params(each.params)))


def _params(params: Mapping[str, float]) -> list[str]:
    return [f"{name}={value:g}" for name, value in params.items()]


def _cells(line: "Line") -> tuple[str, ...]:
    return (
        line.instrument or "all",
        str(line.decisions),
        f"{100 * line.agreement:.0f} %",
        _percent(line.return_),
        _percent(line.trader_return),
        f"{line.trades} / {line.trader_trades}",
        _percent(line.difference),
        f"{_percent(line.low)} to {_percent(line.high)}" if math.isfinite(line.low) else "unknown",
    )


def _percent(share: float) -> str:
    return f"{100 * share:+.2f} %"
