"""Options of the commands that replay history: which bars, and from when to when."""

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ffe.clock import parse_time
from ffe.errors import ConfigurationError
from ffe.ledger.ledger import Ledger
from ffe.settings import Settings
from ffe.sources.store import BarStore

BarFiles = Annotated[
    list[Path] | None,
    typer.Option("--bars", help="CSV or Parquet files, or folders of them; the bar store if left out.", exists=True),
]
MoreFiles = Annotated[list[Path] | None, typer.Argument(help="More files of bars.", exists=True)]
Named = Annotated[list[str] | None, typer.Option("--instrument", help="BTCUSD, EUR_USD ...; several.")]
FromOption = Annotated[str | None, typer.Option("--from", help="2018-04-04 or 2018-04-04T12:00:00Z.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Likewise; bars that close by then.")]
CostsOption = Annotated[bool, typer.Option("--costs/--no-costs", help="Spread, fees and slippage.")]


def bar_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Files as they are, folders as the bar files in them."""
    found: list[Path] = []
    for path in paths:
        inside = (each for each in path.iterdir() if each.suffix in {".csv", ".parquet"}) if path.is_dir() else (path,)
        found += sorted(inside)
    return tuple(dict.fromkeys(found))


def moment_of(text: str | None, option: str) -> datetime | None:
    """Raises ConfigurationError for what is neither a day nor a UTC time."""
    if text is None:
        return None
    try:
        return parse_time(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} is no UTC time like 2018-04-04 or 2018-04-04T12:00:00Z") from error


def kept(settings: Settings, opened: ExitStack) -> tuple[Ledger, BarStore]:
    """What the cycles of this account have kept: bars, and the venue rules that they recorded."""
    ledger = Ledger.open(settings.resolved_ledger_url)
    opened.callback(ledger.close)
    return ledger, BarStore(settings.data_dir / "bars", settings.mode.value)
