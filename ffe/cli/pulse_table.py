"""The pulse as people read it in a terminal of 80 columns: readings of every frame, the shape of its last closes, and what is missing.

Three blocks instead of one wide table, because a row with sparkline and reason would be 180 columns. Prices are rounded by the
instrument's own level, oscillators by their scale.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

BLOCKS = "▁▂▃▄▅▆▇█"
# For terminals that don't speak Unicode.
PLAIN = "_.-:=+*#"
TREND_STYLES = {"up": "green", "down": "red", "unknown": "dim"}
SHORT_ID = 8
# A price of 6885 is told to the cent, one of 1.2295 to the tenth of a pip.
PRICE_DIGITS = 6
CENTS = 2
NUMBERS = ("RSI", "MACD", "Boll", "ADX", "ATR", "stoch", "12-bar")


def print_pulse(out: Console, frames: Sequence[Mapping[str, Any]], consensus: str) -> None:
    """`frames` are `FramePulse` documents (JSON), shortest timeframe first."""
    out.print()
    out.print(_readings(frames))
    out.print()
    out.print(_shapes(frames, out.encoding))
    partial = [frame for frame in frames if frame["partial"] is not None]
    if partial:
        out.print(Text("\nincomplete:"))
        out.print(_grid([[frame["timeframe"], frame["partial"]] for frame in partial]))
    out.print(Text(f"\nconsensus: {consensus}"))


def _readings(frames: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    table.add_column("frame", no_wrap=True)
    table.add_column("bars", justify="right", no_wrap=True)
    for name in ("trend", "volat."):
        table.add_column(name, no_wrap=True)
    for name in NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    for frame in frames:
        trend = Text(frame["trend"], style=TREND_STYLES.get(frame["trend"], ""))
        table.add_row(frame["timeframe"], str(frame["bars"]), trend, frame["volatility"], *_numbers(frame))
    return table


def _numbers(frame: Mapping[str, Any]) -> list[str]:
    decimals = price_decimals(frame["close"])
    return [
        _fixed(frame["rsi"], 1),
        _fixed(frame["macd_histogram"], decimals, sign="+"),
        _fixed(frame["bollinger_position"], 2),
        _fixed(frame["adx"], 1),
        _fixed(frame["atr"], decimals),
        _fixed(frame["stochastic"], 1),
        "-" if frame["change_percent"] is None else f"{_fixed(frame['change_percent'], 2, sign='+')}%",
    ]


def _shapes(frames: Sequence[Mapping[str, Any]], encoding: str) -> Table:
    """Sparkline, newest close and origin of every frame that has bars."""
    rows = []
    for frame in frames:
        if frame["closes"]:
            newest = _fixed(frame["close"], price_decimals(frame["close"]))
            rows.append([frame["timeframe"], sparkline(frame["closes"], encoding=encoding), newest, _origin(frame)])
    return _grid(rows)


def _origin(frame: Mapping[str, Any]) -> str:
    batch = None if frame["batch_id"] is None else f"batch {frame['batch_id'][:SHORT_ID]}"
    return " ".join(part for part in (frame["source"], batch) if part is not None)


def _grid(rows: Sequence[Sequence[str]]) -> Table:
    """Columns side by side; only the last one wraps."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for column in range(len(rows[0]) if rows else 0):
        grid.add_column(no_wrap=column < len(rows[0]) - 1)
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def price_decimals(price: float) -> int:
    """Decimals that show six digits of a price, cents at least."""
    return max(CENTS, PRICE_DIGITS - 1 - math.floor(math.log10(price))) if price > 0 else CENTS


def _fixed(value: float | None, decimals: int, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{decimals}f}"


def sparkline(values: Sequence[float], encoding: str = "utf-8") -> str:
    """One character a value, between the lowest and the highest of them; values that are all the same stand in the middle."""
    levels = BLOCKS if encoding.lower().startswith("utf") else PLAIN
    bottom, span = min(values), max(values) - min(values)
    if not span > 0:
        return levels[len(levels) // 2 - 1] * len(values)
    return "".join(levels[round((value - bottom) / span * (len(levels) - 1))] for value in values)
