"""The fast engine: the whole of `ffe.replay.exact` once more in float64, compiled, for what supports() says yes to.

Both are held to the same trades, bar for bar, by tests/replay/test_compiled*.py; amounts differ by less than a millionth. Where a rule
is not in here it says so before it starts, and the exact engine does the work.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffe.errors import ConfigurationError
from ffe.replay import kernel_records as records
from ffe.replay.compiled_input import BASIS_POINT, book_of, limits_of, market_of, timeline, wanted
from ffe.replay.compiled_output import all_in_trades, denials_of, holds_of, trades_of
from ffe.replay.compiled_reach import out_of_reach
from ffe.replay.kernel_all_in import play_all_in
from ffe.replay.kernel_loop import play
from ffe.replay.models import Bars, Feed, Floats, Ints, Plan, Result, Signals
from ffe.settings import RiskSettings, SizingMethod

ENGINE, SIGNALS_ONLY = "compiled", "signals-only"
SIZINGS = (SizingMethod.ATR_RISK, SizingMethod.FIXED_FRACTION)
HOME = "USD"


@dataclass(frozen=True)
class Outcome:
    """The end of a replay. `pnl` by feed, net of costs, USD; `trades`: round trips, those still open too; `orders` by feed."""

    pnl: tuple[float, ...]
    trades: int
    orders: tuple[int, ...]
    halted_at: int | None


def supports(feeds: Sequence[Feed], plan: Plan) -> str | None:
    """None when `run` knows everything that is asked for; else what it does not know."""
    risk = plan.risk
    lacking = (
        (sum(len(feed.bars) for feed in feeds) == 0, "there are no bars to replay"),
        (len({feed.bars.instrument.symbol for feed in feeds}) < len(feeds), "an instrument twice"),
        (len({feed.bars.timeframe for feed in feeds}) > 1, "several timeframes"),
        (risk.sizing not in SIZINGS, f"sizing {risk.sizing.value}"),
        (risk.trailing_stop, "trailing stops"),
        (risk.reverse, "reversals"),
        (risk.max_var is not None, "max_var"),
    )
    return next((what for is_lacking, what in lacking if is_lacking), None) or _unsupported_feed(feeds, plan)


def _unsupported_feed(feeds: Sequence[Feed], plan: Plan) -> str | None:
    for feed in feeds:
        instrument, spec = feed.bars.instrument, feed.spec
        if instrument.quote != HOME:
            return f"{instrument.symbol} is not quoted in {HOME}"
        if (spec.margin_rate is None) != (instrument.venue == "coinbase"):
            return f"margin rate {spec.margin_rate} of {instrument.symbol} at {instrument.venue}"
        if not spec.tradeable:
            return f"{instrument.symbol} is not tradeable: {spec.status}"
        if not 0 <= plan.lag_seconds < feed.bars.timeframe.seconds:
            return f"a lag of {plan.lag_seconds} s on bars of {feed.bars.timeframe.value}"
        beyond = out_of_reach(feed, plan)
        if beyond is not None:
            return beyond
    return None


def run(feeds: Sequence[Feed], signals: Sequence[Signals], plan: Plan) -> Result:
    """The replay that `ffe.replay.exact.run` would give.

    Raises:
        ConfigurationError: `supports` says no, or there are not as many signals as bars.
    """
    _check(feeds, signals, plan)
    started = time.perf_counter()
    times = timeline(feeds)
    pnl, notional = np.empty((times.size, len(feeds))), np.empty((times.size, len(feeds)))
    book = _play(feeds, signals, plan, (pnl, notional), times)
    names = tuple(feed.bars.instrument.symbol for feed in feeds)
    return Result(
        engine=ENGINE,
        instruments=names,
        times=times,
        pnl=pnl,
        notional=notional,
        trades=trades_of(book, names),
        holds=holds_of(book),
        orders=tuple(int(count) for count in book.orders),
        denials=denials_of(book),
        halted_at=_halted_at(book),
        capital=plan.capital,
        bars=sum(len(feed.bars) for feed in feeds),
        seconds=time.perf_counter() - started,
    )


def run_many(feeds: Sequence[Feed], signals: Sequence[Sequence[Signals]], plan: Plan) -> list[Outcome]:
    """The end of one replay for each set of signals, on the same feeds: what a baseline of many seeds needs.

    Raises:
        ConfigurationError: as `run`.
    """
    for each in signals:
        _check(feeds, each, plan)
    times = timeline(feeds)
    pnl, notional = np.zeros((1, len(feeds))), np.zeros((1, len(feeds)))
    return [_outcome(_play(feeds, each, plan, (pnl, notional), times), pnl) for each in signals]


def _play(
    feeds: Sequence[Feed], signals: Sequence[Signals], plan: Plan, curves: tuple[Floats, Floats], times: Ints
) -> records.Book:
    """`curves`: profit and notional, filled."""
    replay = records.Replay(
        market_of(feeds, signals, times, plan.lookback), book_of(feeds, plan, wanted(feeds, signals)), limits_of(plan)
    )
    play(replay, *curves, np.zeros((2, len(feeds)), np.int64))
    return replay.book


def _outcome(book: records.Book, pnl: Floats) -> Outcome:
    return Outcome(
        pnl=tuple(float(value) for value in pnl[0]),
        trades=int(book.written[0]),
        orders=tuple(int(count) for count in book.orders),
        halted_at=_halted_at(book),
    )


def _halted_at(book: records.Book) -> int | None:
    found = int(book.switch[records.HALTED_AT])
    return None if found < 0 else found


def _check(feeds: Sequence[Feed], signals: Sequence[Signals], plan: Plan) -> None:
    lacking = supports(feeds, plan)
    if lacking is not None:
        raise ConfigurationError(f"the compiled engine can't replay this: {lacking}")
    bars, said = [len(feed.bars) for feed in feeds], [each.actions.size for each in signals]
    if bars != said:
        raise ConfigurationError(f"there are {bars} bars and {said} signals")


def signals_only(bars: Bars, signals: Signals, *, capital: float, fee_rate: float, slippage_bps: float) -> Result:
    """All in at a BUY, all out at a SELL, at the quote after the bar, made worse by the slippage: no rules, no stops, no increments.

    Raises:
        ConfigurationError: there are not as many signals as bars.
    """
    if len(bars) != signals.actions.size:
        raise ConfigurationError(f"there are {len(bars)} bars and {signals.actions.size} signals")
    started, times = time.perf_counter(), bars.closes_at
    actions = signals.actions if signals.authors is None else np.where(signals.authors == 0, signals.actions, 0)
    actions = np.require(actions, np.int8, ["C", "W"])
    pnl, notional = np.empty((times.size, 1)), np.empty((times.size, 1))
    tape = np.empty((int(np.count_nonzero(actions > 0)), records.TAPE))
    terms = (float(capital), float(fee_rate), slippage_bps * BASIS_POINT)
    after = np.require(bars.after, np.float64, ["C", "W"])
    trades = all_in_trades(tape[: play_all_in(after, actions, terms, (pnl, notional), tape)], bars, signals)
    left = int(np.count_nonzero(trades["exit_reason"].to_numpy(zero_copy_only=False) == "signal"))
    return Result(
        engine=SIGNALS_ONLY,
        instruments=(bars.instrument.symbol,),
        times=times,
        pnl=pnl,
        notional=notional,
        trades=trades,
        holds=({},),
        orders=(trades.num_rows + left,),
        denials=({},),
        halted_at=None,
        capital=capital,
        bars=len(bars),
        seconds=time.perf_counter() - started,
    )


def warm_up() -> None:
    """Compiles the kernels, or loads them from the cache of this machine, by replaying nothing at all."""
    none, ints, codes = np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.int8)
    plan, pairs = Plan(risk=RiskSettings()), np.zeros((0, 2))
    market = records.Market(np.zeros(1, np.int64), ints, ints, none, none, none, pairs, codes, codes, ints, codes, ints)
    replay = records.Replay(market, book_of([], plan, 0), limits_of(plan))
    play(replay, pairs, pairs, np.zeros((2, 0), np.int64))
    play_all_in(pairs, codes, (1.0, 0.0, 0.0), (pairs, pairs), np.zeros((0, records.TAPE)))
