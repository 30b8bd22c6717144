"""The part of the page about one instrument. What has nothing to show is said in a sentence instead of an empty panel."""

from collections.abc import Iterator, Mapping

from ffe.replay.charts import Chart
from ffe.replay.models import Compared
from ffe.replay.report_charts import own_trades
from ffe.replay.report_figures import figure, pair, trade_table, windows
from ffe.replay.report_numbers import (
    baseline_table,
    cost_table,
    denial_table,
    hold_table,
    month_table,
    order_table,
    regime_table,
    shown,
    stats_table,
)
from ffe.replay.report_tables import Html, escaped, money
from ffe.replay.report_verdict import percent
from ffe.replay.request import ReplayRun

# Id and title of every part, in their order.
PARTS = {
    "equity": "Equity and drawdown",
    "baselines": "Baselines side by side",
    "trades": "Trades",
    "months": "Month by month",
    "spread": "Single trades and calibration",
    "statistics": "Statistics",
    "costs": "Costs",
    "holds": "Holds and refusals",
    "monte-carlo": "Luck of the order",
    "regimes": "Kinds of market",
}


def instrument_section(run: ReplayRun, at: int, charts: Mapping[str, Chart]) -> Html:
    """Everything about one instrument; `charts` of `instrument_charts`."""
    symbol = run.result.instruments[at]
    pieces = {
        "equity": _charts(charts, "equity"),
        "baselines": _baselines(run, at, charts),
        "trades": _trades(run, at, charts),
        "months": _months(run, at),
        "spread": _spread(charts),
        "statistics": stats_table(run.stats[at]),
        "costs": cost_table(run.stats[at], own_trades(run, at), costs=run.costs),
        "holds": Html("".join(_holds(run, at))),
        "monte-carlo": _monte_carlo(run, at),
        "regimes": _regimes(run, at),
    }
    parts = "".join(f'<h3 id="{symbol}-{key}">{title}</h3>{pieces[key]}\n' for key, title in PARTS.items())
    return Html(f'<section id="{escaped(symbol)}"><h2>{escaped(symbol)}</h2>{_tiles(run, at)}{parts}</section>')


def _tiles(run: ReplayRun, at: int) -> Html:
    """The few numbers that somebody looks for first."""
    stats, result = run.stats[at], run.result
    made = float(result.equity(at)[-1]) - result.capital if result.times.size else 0.0
    tiles = [
        ("return", percent(stats.return_), f"{money(made)} USD"),
        *(("against holding", percent(each.difference), _between(each)) for each in _holding(run, at)),
        ("deepest drawdown", shown("max_drawdown", stats.max_drawdown), f"{stats.max_drawdown_days:,.1f} days"),
        ("Sharpe", shown("sharpe", stats.sharpe), "per year"),
        ("round trips", f"{stats.trades:,}", f"{shown('win_rate', stats.win_rate)} paid"),
        ("costs", f"{stats.fees + stats.spread + stats.slippage:,.2f}", "USD: fees, spread, slippage"),
    ]
    body = "".join(f"<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>" for name, value, note in tiles)
    return Html(f'<dl class="tiles">{body}</dl>')


def _holding(run: ReplayRun, at: int) -> list[Compared]:
    return [each for each in run.baselines[at] if each.strategy == "buy-and-hold"]


def _between(each: Compared) -> str:
    return f"{percent(each.low)} to {percent(each.high)}"


def _charts(charts: Mapping[str, Chart], *names: str) -> Html:
    return Html("".join(figure(charts[name]) for name in names if name in charts)) or _nothing(
        "There was nothing to replay."
    )


def _baselines(run: ReplayRun, at: int, charts: Mapping[str, Chart]) -> Html:
    if not run.baselines[at]:
        return _nothing("It was compared with nothing.")
    told = Html(
        '<p class="dim">A full dot: the interval leaves zero out. A hollow one: the difference may be chance.</p>'
    )
    compared = baseline_table(run.strategy, run.stats[at], run.baselines[at])
    return Html(_charts(charts, "baselines") + compared + _charts(charts, "differences") + told)


def _trades(run: ReplayRun, at: int, charts: Mapping[str, Chart]) -> Html:
    bars, trades = run.feeds[at].bars, own_trades(run, at)
    if not len(trades):
        return _nothing("It never traded.")
    return Html(_charts(charts, "trades") + windows(bars, trades) + trade_table(trades, bars.places))


def _months(run: ReplayRun, at: int) -> Html:
    result = run.result
    if not result.times.size:
        return _nothing("There is no month.")
    return month_table(result.times, result.equity(at), result.capital)


def _spread(charts: Mapping[str, Chart]) -> Html:
    found = [charts[name] for name in ("returns", "calibration") if name in charts]
    return pair(found) if found else _nothing("No trade has ended.")


def _holds(run: ReplayRun, at: int) -> Iterator[Html]:
    if sum(run.result.holds[at].values()):
        yield hold_table(run.stats[at], run.result.holds[at], run.result.orders[at])
    else:
        yield _nothing("No bar ended in HOLD.")
    if sum(run.result.denials[at].values()):
        yield denial_table(run.result.denials[at])
    else:
        yield _nothing("No rule refused anything.")


def _monte_carlo(run: ReplayRun, at: int) -> Html:
    found = run.monte_carlo[at] if run.monte_carlo else None
    if found is None:
        return _nothing("It takes at least two trades.")
    told = (
        f"{percent(found.loss_share, 0).lstrip('+')} of the draws end with a loss. {percent(found.deeper_share, 0).lstrip('+')} of the orders "
        "are at least as deep as the one that happened, seen at the exits only."
    )
    return Html(order_table(found) + _nothing(told))


def _regimes(run: ReplayRun, at: int) -> Html:
    found = run.regimes[at] if run.regimes else ()
    return regime_table(found) if found else _nothing("Too few bars to tell one kind of market from another.")


def _nothing(text: str) -> Html:
    return Html(f'<p class="dim">{escaped(text)}</p>')
