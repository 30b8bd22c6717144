"""Charts and windows of trades as pieces of the page."""

import html
import math
from collections.abc import Iterable

import pyarrow as pa

from ffe.replay.charts import Chart, Key
from ffe.replay.charts_candles import candle_window, chosen, described_trade, short_time
from ffe.replay.models import Bars, ExitReason
from ffe.replay.report_tables import Html, escaped, money, table

ROWS = 200
HEAD = ("#", "side", "units", "in", "at", "out", "at", "by", "stop", "target", "confidence", "fees", "profit")


def figure(chart: Chart, *, wide: bool = True) -> Html:
    """An inline SVG with its title and legend."""
    keys = "".join(
        f'<li{_toggled(each)}><i style="border-top:3px {each.style} var(--{each.colour})"></i>{escaped(each.label)}</li>'
        for each in chart.keys
    )
    legend = f'<ul class="keys">{keys}</ul>' if keys else ""
    svg = chart.svg.replace('class="chart"', 'class="chart wide"', 1) if wide else chart.svg
    return Html(f"<figure><figcaption>{escaped(chart.title)}</figcaption>{legend}{svg}</figure>")


def pair(charts: Iterable[Chart]) -> Html:
    """Charts side by side where there is room."""
    return Html(f'<div class="pair">{"".join(figure(each, wide=False) for each in charts)}</div>')


def windows(bars: Bars, trades: pa.Table) -> Html:
    """The chosen trades, each on its candles in a part that opens; only one of them is open at a time."""
    rows = chosen(trades)
    parts = [_window(bars, trades, row, opened=row == rows[0]) for row in rows]
    which = (
        "all of them"
        if len(rows) == len(trades)
        else f"{len(rows)} of {len(trades)}: the worst, the best, and some in between"
    )
    return Html(
        f'<p class="dim">Trades on their candles, {which}. Hollow candles rise, filled ones fall; the round dot is the entry, the square '
        f'the exit, both at the price that was paid.</p><div class="windows">{"".join(parts)}</div>'
    )


def trade_table(trades: pa.Table, places: int) -> Html:
    """The first `ROWS` trades in the order of their exits; all of them are in trades.parquet."""
    rows = trades.slice(0, ROWS).to_pylist()
    caption = (
        "All trades"
        if len(rows) == len(trades)
        else f"The first {len(rows)} of {len(trades)} trades; all are in trades.parquet"
    )
    body = (_cells(number, each, places) for number, each in enumerate(rows, 1))
    return Html(f"<details><summary>{caption}</summary>{table(caption, HEAD, body, words=(1, 3, 5, 7))}</details>")


def _toggled(key: Key) -> str:
    return f' data-part="{key.part}"' if key.part else ""


def _window(bars: Bars, trades: pa.Table, row: int, *, opened: bool) -> str:
    trade = trades.slice(row, 1).to_pylist()[0]
    said = f"#{row + 1} · {short_time(trade['entry_time'])} · {described_trade(trade, bars.places)} · {money(trade['pnl'])} USD"
    group = html.escape(f"trades-{bars.instrument.symbol}")
    return (
        f'<details name="{group}" data-kinds="{_kinds(trade)}"{" open" if opened else ""}><summary>{escaped(said)}</summary>'
        f"<figure>{candle_window(bars, trade)}</figure></details>\n"
    )


def _kinds(trade: dict[str, object]) -> str:
    """What a reader may ask for: how it ended and whether it paid."""
    reason = str(trade["exit_reason"])
    if reason == ExitReason.OPEN.value:
        return reason
    return f"{'won' if float(str(trade['pnl'])) > 0 else 'lost'} {reason}"


def _cells(number: int, trade: dict[str, float], places: int) -> tuple[object, ...]:
    def price(value: float | None) -> str:
        return "" if value is None or not math.isfinite(value) else f"{value:,.{places}f}"

    return (
        number,
        trade["side"],
        f"{trade['units']:,.8g}",
        short_time(int(trade["entry_time"])),
        price(trade["entry_price"]),
        short_time(int(trade["exit_time"])),
        price(trade["exit_price"]),
        trade["exit_reason"],
        price(trade["stop_loss"]),
        price(trade["take_profit"]),
        trade["confidence"],
        f"{trade['fees']:,.2f}",
        money(trade["pnl"]),
    )
