"""Which charts a replay has. Each is drawn once and goes into the page as SVG and beside it as PNG."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe.feedback.scores import ReliabilityBin, reliability
from ffe.replay.charts import Chart
from ffe.replay.charts_equity import baseline_chart, difference_chart, equity_chart
from ffe.replay.charts_trades import calibration_chart, ended, price_chart, returns_chart, trade_returns
from ffe.replay.request import ReplayRun

MARK, COSTLESS = "CONTAMINATED", "COSTS OFF"


def own_trades(run: ReplayRun, at: int) -> pa.Table:
    """Trades of one instrument."""
    trades = run.result.trades
    return trades.filter(pc.equal(trades["instrument"], run.result.instruments[at]))


def instrument_charts(run: ReplayRun, at: int) -> dict[str, Chart]:
    """By what they show: equity, baselines, differences, trades, returns, calibration. One without anything to show is not there."""
    return dict(_drawn(run, at))


def account_charts(run: ReplayRun) -> list[Chart]:
    """The equity of each venue's account where several instruments were replayed: they share its capital."""
    if len(run.feeds) < 2:
        return []
    venues: dict[str, list[int]] = {}
    for at, feed in enumerate(run.feeds):
        venues.setdefault(feed.bars.instrument.venue, []).append(at)
    return [_account(run, venue, columns) for venue, columns in venues.items()]


def calibration(trades: pa.Table) -> list[ReliabilityBin]:
    """Confidence at the entry against the share that paid, of trades that have ended."""
    closed = ended(trades)
    if not len(closed):
        return []
    said = [each / 100 for each in closed["confidence"].to_pylist()]
    return reliability(said, [each > 0 for each in closed["pnl"].to_pylist()])


def mark_of(run: ReplayRun, *columns: int) -> str | None:
    """What is written across a picture of those instruments: why its numbers are not to be believed, a line each."""
    said = [MARK] if any(run.contaminated[at] for at in columns) else []
    return "\n".join(said if run.costs else [*said, COSTLESS]) or None


def _drawn(run: ReplayRun, at: int) -> Iterator[tuple[str, Chart]]:
    result, bars, mark = run.result, run.feeds[at].bars, mark_of(run, at)
    symbol, equity, trades = result.instruments[at], result.equity(at), own_trades(run, at)
    named: Callable[[str], str] = lambda kind: kind if len(run.feeds) == 1 else f"{kind}-{symbol}"  # noqa: E731
    if result.times.size:
        yield (
            "equity",
            equity_chart(
                named("equity"),
                f"{symbol}: equity and drawdown of {run.strategy}",
                result.times,
                equity,
                result.capital,
                halted_at=result.halted_at,
                mark=mark,
            ),
        )
    if result.times.size and run.baselines[at]:
        yield (
            "baselines",
            baseline_chart(
                named("baselines"),
                f"{symbol}: {run.strategy} and the baselines",
                run.strategy,
                times=result.times,
                equity=equity,
                baselines=run.baselines[at],
                mark=mark,
            ),
        )
        yield (
            "differences",
            difference_chart(
                named("differences"),
                f"{symbol}: {run.strategy} less each baseline, with 95 % intervals",
                run.baselines[at],
                mark=mark,
            ),
        )
    if len(trades):
        yield "trades", price_chart(named("trades"), f"{symbol}: where it traded", bars, trades, mark=mark)
    returns = trade_returns(trades)
    if returns.size:
        title = f"{symbol}: returns of single trades"
        yield "returns", returns_chart(named("returns"), title, returns, mark=mark, costs=run.costs)
    bins = calibration(trades)
    if bins:
        yield (
            "calibration",
            calibration_chart(named("calibration"), f"{symbol}: confidence and what came of it", bins, mark=mark),
        )


def _account(run: ReplayRun, venue: str, columns: list[int]) -> Chart:
    names = ", ".join(run.result.instruments[at] for at in columns)
    return equity_chart(
        f"account-{venue}",
        f"{venue} account ({names}): equity and drawdown",
        run.result.times,
        np.asarray(run.result.equity(columns)),
        run.result.capital,
        halted_at=run.result.halted_at,
        mark=mark_of(run, *columns),
    )
