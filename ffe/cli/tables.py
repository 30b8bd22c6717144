"""Rich tables of what the commands print for people. Plain text, without colour, when stdout is not a terminal.

What venues and files say is printed as it is, less its control characters: none of it may move the cursor or colour the terminal.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

COLOURS = {"BUY": "green", "SELL": "red", "HOLD": "yellow"}
# Wide enough for every column where there is no terminal whose width could be asked.
PLAIN_WIDTH = 200


class PlainSpoken(Console):
    """Prints no control characters but its own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(without_controls(segment.text), segment.style)


def without_controls(text: str) -> str:
    """`text` less control and format characters (Unicode Cc and Cf: ESC, turns of direction), with its lines and tabs."""
    if text.isprintable():
        return text
    return "".join(mark for mark in text if mark in "\n\t" or unicodedata.category(mark) not in ("Cc", "Cf"))


def console() -> Console:
    found = PlainSpoken()
    return found if found.is_terminal else PlainSpoken(width=PLAIN_WIDTH, no_color=True)


def print_cycle(report: Mapping[str, Any]) -> None:
    """Result table of one cycle, then what went wrong or was odd, in full sentences."""
    out = console()
    table = Table(title=f"{report['mode']} cycle at {report['timeframe']}", title_justify="left")
    for heading in (
        "instrument",
        "bar close",
        "author",
        "action",
        "confidence",
        "units",
        "order",
        "price",
        "stop",
        "target",
    ):
        table.add_column(heading, no_wrap=True)
    for row in report["instruments"]:
        table.add_row(*(Text(each) if isinstance(each, str) else each for each in _cycle_row(row)))
    out.print(table)
    for row in report["instruments"]:
        for line in _notes(row):
            out.print(Text(line), soft_wrap=True)
    spent = ", ".join(f"{stage} {ms / 1000:.1f} s" for stage, ms in report["timings_ms"].items())
    out.print(Text(f"\ncycle {report['cycle_id']} ({spent})"), soft_wrap=True)
    out.print(Text(f"the whole chain: ffe explain {report['cycle_id']}"), soft_wrap=True)


def _cycle_row(row: Mapping[str, Any]) -> list[str | Text]:
    decision, sizing, order = row["decision"] or {}, row["sizing"] or {}, row["order"]
    action = decision.get("action", "-")
    close = (row["bar_close"] or "-").replace("T", " ").removesuffix("Z")
    return [
        row["instrument"],
        close,
        decision.get("decided_by", "-"),
        Text(action, style=COLOURS.get(action, "")),
        str(decision.get("confidence", "-")),
        "-" if order is None else order["units"],
        "-" if order is None else f"{order['side']} {order['state']}",
        "-" if order is None else order["average_price"] or "-",
        sizing.get("stop_loss") or "-",
        sizing.get("take_profit") or "-",
    ]


def _notes(row: Mapping[str, Any]) -> Iterable[str]:
    if row["error"] is not None:
        yield f"{row['instrument']}: {row['error']['type']}: {row['error']['message']} (incident {row['error']['incident']})"
    elif row["decision"] is not None and row["decision"]["decided_by"] != "model":
        yield f"{row['instrument']}: {row['decision']['reason_code']}: {row['decision']['reasoning']}"
    order = row["order"]
    if order is not None and not order["placed_by_this_cycle"]:
        yield f"{row['instrument']}: this bar was ordered by an earlier run; no second order"
    if order is not None and order["reason"]:
        yield f"{row['instrument']}: order {order['state']}: {order['reason']}"


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """One line a row; an empty list says so."""
    out = console()
    if not rows:
        out.print(f"no {title}")
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if row.get(column) is None else str(row[column])) for column in columns))
    out.print(table)
