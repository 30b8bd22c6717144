"""Options that several commands share, and how they become settings."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ffe.errors import ConfigurationError
from ffe.settings import Mode, Settings, load_settings

Instruments = Annotated[
    list[str] | None, typer.Argument(help="BTCUSD, BTC-USD, EUR_USD ...; the settings' own if left out.")
]
TimeframeOption = Annotated[str | None, typer.Option("--timeframe", help="1m, 5m, 15m, 30m, 1h, 4h or 1d.")]
ModeOption = Annotated[str | None, typer.Option("--mode", help="sim, paper, practice or live.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="embedded or ollama.")]
BarsOption = Annotated[
    Path | None, typer.Option("--bars", help="Folder of recorded bars for the simulator.", exists=True, file_okay=False)
]
StaleOption = Annotated[
    int | None, typer.Option("--stale-minutes", min=0, help="Let the simulator's feed lag this much.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]


def settings_from(
    *,
    instruments: list[str] | None = None,
    timeframe: str | None = None,
    mode: str | None = None,
    model: str | None = None,
    bars: Path | None = None,
    stale_minutes: int | None = None,
) -> Settings:
    """Settings with what was typed on top of files and environment. Raises ConfigurationError."""
    base = load_settings(
        instruments=tuple(instruments) if instruments else None, timeframe=timeframe, mode=mode, model=model
    )
    changes: dict[str, Any] = {}
    if bars is not None:
        changes["bars"] = bars.resolve()
    if stale_minutes is not None:
        changes["stale_minutes"] = stale_minutes
    simulator = base.simulator.model_copy(update=changes)
    return base.model_copy(update={"simulator": simulator, "data_dir": _usable(base.data_dir.resolve())})


def _usable(folder: Path) -> Path:
    """The data folder, made where it is missing. Raises ConfigurationError when it can't be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"FFE_DATA_DIR {folder} can't be a data folder: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"FFE_DATA_DIR {folder} can't be written")
    return folder


def with_venues(settings: Settings) -> Settings:
    """`settings` with the venue addresses and credentials that the environment holds by now.

    A simulator of our own was started at `FFE_CLOCK`; from then on the engine follows its clock, not a second one.
    """
    now = load_settings()
    changes: dict[str, Any] = {name: getattr(now, name) for name in ("oanda", "coinbase", "alpha_vantage")}
    if settings.mode is Mode.SIM and not settings.venue_urls:
        changes["clock"] = None
    return settings.model_copy(update=changes)
