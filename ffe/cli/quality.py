"""`ffe quality`: how the bars of each instrument did at their checks, and how often they passed."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ffe.cli.listing import LimitOption
from ffe.cli.options import JsonOption, settings_from
from ffe.cli.tables import console, print_rows
from ffe.errors import ConfigurationError
from ffe.ledger.ledger import Ledger
from ffe.market.models import parse_instrument
from ffe.market.pass_rate import TREND_DAYS, TREND_REPORTS, PassRate, pass_rates
from ffe.market.quality import QualityPoint

_COLUMNS = ("checked_at", "instrument", "timeframe", "source", "age", "passed", "critical", "warnings")


def quality(
    instrument: Annotated[str | None, typer.Argument(help="BTCUSD, EUR_USD ...; all of them if left out.")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write the pass rate by day as a PNG.")] = None,
    backfills: Annotated[bool, typer.Option("--backfills", help="Old bars that a backfill checked, too.")] = False,
) -> None:
    """Quality reports of the ledger, newest first, and the pass rate of each instrument over the last 30 days."""
    symbol = None if instrument is None else parse_instrument(instrument).symbol
    history, trend = _read(symbol, limit, backfills=backfills)
    rates = pass_rates(trend)
    if plot is not None:
        _draw(trend, plot)
    if as_json:
        print(
            json.dumps({"reports": [point.model_dump(mode="json") for point in history], "pass_rates": _plain(rates)})
        )
        return
    print_rows("quality reports", [_row(point) for point in history], _COLUMNS)
    _print_rates(rates)


def _read(symbol: str | None, limit: int, *, backfills: bool) -> tuple[list[QualityPoint], list[QualityPoint]]:
    """The newest reports, and those of the trend."""
    ledger = Ledger.open(settings_from().resolved_ledger_url)
    try:
        history = ledger.quality_history(symbol, limit, backfills=backfills)
        since = history[0].checked_at - timedelta(days=TREND_DAYS) if history else None
        return history, ledger.quality_history(symbol, TREND_REPORTS, since, backfills=backfills)
    finally:
        ledger.close()


def _row(point: QualityPoint) -> dict[str, Any]:
    return {
        "checked_at": f"{point.checked_at:%Y-%m-%d %H:%M:%S}",
        "instrument": point.instrument,
        "timeframe": point.timeframe.value,
        "source": point.source,
        "age": None if point.age_seconds is None else f"{point.age_seconds:.0f} s",
        "passed": "yes" if point.passed else "NO",
        "critical": ", ".join(point.critical) or None,
        "warnings": ", ".join(point.warnings) or None,
    }


def _print_rates(rates: Sequence[PassRate]) -> None:
    """One line an instrument: the share that passed, and a block for each day from its first report to its last."""
    out = console()
    for rate in rates:
        first, last = rate.days[0][0], rate.days[-1][0]
        days = f"{first}" if first == last else f"{first} to {last}"
        line = f"{rate.instrument}  {rate.share:7.2%} of {rate.reports} passed  {rate.sparkline}  {days}"
        out.print(Text(line), soft_wrap=True)


def _plain(rates: Sequence[PassRate]) -> list[dict[str, Any]]:
    return [rate.model_dump(mode="json") | {"share": rate.share} for rate in rates]


def _draw(trend: Sequence[QualityPoint], path: Path) -> None:
    from ffe.observe.charts import pass_rate_chart

    if not trend:
        raise ConfigurationError("--plot: there is no quality report to draw")
    try:
        path.write_bytes(pass_rate_chart(trend))
    except OSError as error:
        raise ConfigurationError(f"--plot {path} can't be written: {error.strerror}") from error
