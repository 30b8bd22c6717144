"""The tables of one instrument: statistics, baselines, months, costs, holds, denials, the order of trades and regimes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ffe.replay.document import plain
from ffe.replay.models import Compared, Floats, Ints, Stats
from ffe.replay.report_tables import Html, bar, money, ratio, table
from ffe.replay.report_verdict import percent, standing
from ffe.replay.trade_order import TradeOrder
from ffe.replay.windows import RegimeStats, monthly_returns

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SHARES = frozenset({"return", "cagr", "volatility", "max_drawdown", "exposure", "win_rate"})
PAID = frozenset({"fees", "slippage", "spread"})
# In the order of the table; what each means in a few words.
MEANINGS = {
    "return": "total, after costs where they are on",
    "cagr": "the return as a rate per year",
    "volatility": "of daily returns, per year; of bars where there are fewer than 20 days",
    "sharpe": "mean return over its deviation, per year",
    "sortino": "as Sharpe, counting only losses as risk",
    "calmar": "CAGR over the deepest drawdown",
    "max_drawdown": "deepest fall from a peak",
    "max_drawdown_days": "from that peak until it was reached again, or the end",
    "exposure": "share of time with something held",
    "turnover": "value traded over equity",
    "trades": "round trips",
    "win_rate": "share of round trips that paid",
    "profit_factor": "all that was won over all that was lost",
    "expectancy": "USD a round trip",
    "fees": "USD",
    "slippage": "USD, already in the prices",
    "spread": "USD, already in the prices",
}
SIDE_BY_SIDE = ("cagr", "sharpe", "sortino", "max_drawdown", "exposure", "trades", "fees")


def shown(name: str, value: float | None) -> str:
    """A statistic as its kind is written."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if name == "trades":
        return f"{value:,.0f}"
    if name in SHARES:
        return percent(value) if name in {"return", "cagr"} else percent(value).lstrip("+")
    if name in PAID:
        return f"{value:,.2f}"
    return money(value) if name == "expectancy" else ratio(value)


def stats_table(stats: Stats) -> Html:
    """Every statistic with its 95 % interval where one was made, and what it means."""
    known = plain(stats)
    rows = [
        (_title(name), shown(name, known[name]), _interval(stats, name), meaning) for name, meaning in MEANINGS.items()
    ]
    return table(
        "95 % intervals by bootstrap, where one can be made",
        ("", "value", "95 % interval", "meaning"),
        rows,
        words=(3,),
    )


def baseline_table(strategy: str, stats: Stats, baselines: Sequence[Compared]) -> Html:
    """The strategy and its baselines, a row each; what is compared first, as the last columns may be out of sight."""
    rows: list[tuple[object, ...]] = [(strategy, percent(stats.return_), "", "", "", *_side_by_side(stats))]
    for each in baselines:
        between = f"{percent(each.low)} to {percent(each.high)}"
        against = percent(each.difference), between, standing(each).name.lower()
        rows.append((each.strategy, percent(each.stats.return_), *against, *_side_by_side(each.stats)))
    head = ("", "return", "difference", "95 % interval", "strategy", *map(_title, SIDE_BY_SIDE))
    return table("The strategy beside its baselines, on the same bars and with the same costs", head, rows, words=(4,))


def month_table(times: Ints, equity: Floats, capital: float) -> Html:
    """Return of each UTC month, a row a year; `times` closes (n)."""
    made = {(year, month): value for year, month, value in monthly_returns(times, equity, capital)}
    years = sorted({year for year, _ in made})
    rows = [(year, *(_month(made.get((year, month))) for month in range(1, 13)), _year(made, year)) for year in years]
    head = ("UTC", *MONTHS, "year")
    return table("Return by month", head, rows)


def cost_table(stats: Stats, trades: pa.Table, *, costs: bool) -> Html:
    """What trading itself took, and what would be left without it."""
    made = float(np.sum(trades["pnl"].to_numpy()))
    parts = (("fees", stats.fees), ("spread", stats.spread), ("slippage", stats.slippage))
    paid = sum(value for _, value in parts)
    each = max(len(trades), 1)
    rows = [(name, f"{value:,.2f}", f"{value / each:,.2f}") for name, value in parts]
    rows += [("all costs", f"{paid:,.2f}", f"{paid / each:,.2f}")]
    rows += [("profit after costs", money(made), money(made / each))]
    rows += [("the same trades without costs", money(made + paid), money((made + paid) / each))]
    caption = "Costs, USD" if costs else "Costs, USD: switched off for this replay"
    return table(caption, ("", "in all", "a trade"), rows)


def hold_table(stats: Stats, holds: Mapping[str, int], orders: int) -> Html:
    """Who decided not to trade."""
    rows = [(author, f"{count:,}", bar(stats.hold_share.get(author, 0.0))) for author, count in _ranked(holds)]
    return table(
        f"Bars that ended in HOLD, by author; {orders:,} orders were placed",
        ("author", "bars", "share of decisions"),
        rows,
        words=(2,),
    )


def denial_table(denials: Mapping[str, int]) -> Html:
    """Which rules refused a decision to trade."""
    total = max(sum(denials.values()), 1)
    rows = [(rule, f"{count:,}", bar(count / total)) for rule, count in _ranked(denials)]
    return table("Refused by rule", ("rule", "times", "share"), rows, words=(2,))


def order_table(found: TradeOrder) -> Html:
    """Monte Carlo over trades."""
    finals = [f"{value:,.2f}" for value in (found.final.low, found.final.median, found.final.high)]
    depths = [percent(value).lstrip("+") for value in (found.drawdown.low, found.drawdown.median, found.drawdown.high)]
    rows = [
        ("final equity, USD, trades drawn at random", f"{found.observed_final:,.2f}", *finals),
        ("deepest drawdown, trades in random order", percent(found.observed_drawdown).lstrip("+"), *depths),
    ]
    return table(
        f"{found.resamples:,} random draws of {found.trades:,} trades",
        ("", "as it happened", "5 %", "median", "95 %"),
        rows,
    )


def regime_table(found: Sequence[RegimeStats]) -> Html:
    """What was made in which kind of market."""
    rows = [
        (
            each.regime,
            f"{each.bars:,}",
            bar(each.share),
            percent(each.return_),
            percent(each.market),
            money(each.pnl),
            f"{each.trades:,}",
            "n/a" if each.win_rate is None else percent(each.win_rate).lstrip("+"),
        )
        for each in found
    ]
    head = ("market", "bars", "share", "return", "holding made", "profit, USD", "trades", "won")
    return table("By kind of market: volatility and trend of the bars before", head, rows, words=(2,))


def _title(name: str) -> str:
    known = {"cagr": "CAGR", "sharpe": "Sharpe", "sortino": "Sortino", "calmar": "Calmar"}
    return known.get(name, name.replace("_", " "))


def _interval(stats: Stats, name: str) -> str:
    found = stats.intervals.get("return_" if name == "return" else name)
    return "" if found is None else f"{shown(name, found.low)} to {shown(name, found.high)}"


def _side_by_side(stats: Stats) -> list[str]:
    known = plain(stats)
    return [shown(name, known[name]) for name in SIDE_BY_SIDE]


def _month(value: float | None) -> str:
    """Shaded by its sign, which is written too."""
    if value is None:
        return ""
    kind = "gain" if value > 0 else "loss" if value < 0 else "even"
    return Html(f'<span class="{kind}">{percent(value, 1)}</span>')


def _year(made: Mapping[tuple[int, int], float], year: int) -> str:
    growth = np.prod([1 + value for (each, _), value in made.items() if each == year])
    return percent(float(growth) - 1, 1)


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Most first, then by name, without what never happened."""
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda each: (-each[1], each[0]))
