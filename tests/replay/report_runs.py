"""A replay that looks like a real one, made from generated bars: trades of an SMA cross with a stop and a target, valued bar by bar."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.generated_bars import generated
from ffe.market.models import AssetClass, Timeframe, parse_instrument
from ffe.replay.compare import compared
from ffe.replay.guards import lookahead
from ffe.replay.models import (
    ASK,
    BID,
    CLOSE,
    HIGH,
    LOW,
    TRADE_SCHEMA,
    Bars,
    Codes,
    Feed,
    Floats,
    Gate,
    Plan,
    Result,
    Signals,
)
from ffe.replay.request import ReplayRun
from ffe.replay.statistics import describe
from ffe.replay.strategies import find_strategy
from ffe.replay.trade_order import monte_carlo
from ffe.replay.windows import by_regime
from ffe.settings import RiskSettings
from ffe.venues.models import InstrumentSpec

CAPITAL = 10_000.0
STOP, TARGET, STAKE = 0.012, 0.02, 2_000.0
HOLDS = {"model": 700, "risk-gate": 41, "data-gate": 12, "market-hours": 0}
DENIALS = {"spread_too_wide": 30, "max_position": 11, "cooldown": 0}


def made_run(
    symbols: tuple[str, ...] = ("BTCUSD",), n: int = 1500, timeframe: Timeframe = Timeframe.H1, **changed: Any
) -> ReplayRun:
    """A run of `sma-cross` on n bars of each symbol; `changed` replaces fields of it."""
    feeds = tuple(made_feed(symbol, n, timeframe, seed) for seed, symbol in enumerate(symbols, 3))
    strategy = find_strategy("sma-cross")
    signals = tuple(strategy.signals(feed.bars) for feed in feeds)
    result = made_result(feeds, signals)
    run = ReplayRun(
        feeds=feeds,
        signals=signals,
        result=result,
        strategy="sma-cross",
        params={"fast": 20.0, "slow": 50.0},
        stats=tuple(_stats(result, feeds, at) for at in range(len(feeds))),
        baselines=tuple(made_baselines(result, feeds, at) for at in range(len(feeds))),
        plan=Plan(RiskSettings()),
        timeframe=timeframe,
        contaminated=(False,) * len(feeds),
        watermark=None,
        notes=("Survivorship: chosen knowing that they still trade.", "Bars are <generated> & prove nothing."),
        costs=True,
        command="ffe replay --bars 'bars/BTC & ETH.csv' --strategy sma-cross",
        started_at=datetime(2026, 1, 5, 12, tzinfo=UTC),
        versions={"ffe": "0.1.0", "numpy": np.__version__},
        lookahead=tuple(lookahead(strategy, feed.bars, samples=6) for feed in feeds),
        monte_carlo=tuple(monte_carlo(_own(result, at), CAPITAL, 200) for at in range(len(feeds))),
        regimes=tuple(
            by_regime(feed.bars, result.times, result.equity(at), _own(result, at), capital=CAPITAL)
            for at, feed in enumerate(feeds)
        ),
    )
    return replace(run, **changed)


def empty_run(**changed: Any) -> ReplayRun:
    """A strategy that never traded, on one short feed, compared with nothing."""
    run = made_run(n=60)
    none = np.zeros((60, 1))
    result = replace(
        run.result,
        pnl=none,
        notional=none,
        trades=TRADE_SCHEMA.empty_table(),
        holds=({},),
        orders=(0,),
        denials=({},),
        seconds=0.0,
    )
    quiet = replace(
        run,
        result=result,
        baselines=((),),
        lookahead=(),
        monte_carlo=(None,),
        regimes=(),
        notes=(),
        stats=(_stats(result, run.feeds, 0),),
    )
    return replace(quiet, **changed)


def barless_run() -> ReplayRun:
    """A feed without one bar."""
    run = empty_run()
    bars, gates = run.feeds[0].bars, run.feeds[0].gates[:0]
    sides = np.empty((0, 4))
    none = replace(
        bars, times=bars.times[:0], mid=sides, bid=sides, ask=sides, volume=bars.volume[:0], after=np.empty((0, 2))
    )
    nothing = np.empty((0, 1))
    result = replace(run.result, times=bars.times[:0], pnl=nothing, notional=nothing, bars=0)
    return replace(run, feeds=(replace(run.feeds[0], bars=none, gates=gates),), result=result)


def made_feed(symbol: str, n: int, timeframe: Timeframe, seed: int) -> Feed:
    instrument = parse_instrument(symbol)
    bars = generated(instrument, timeframe, n, seed)
    gates: Codes = np.zeros(n, dtype=np.int8)
    gates[:60] = Gate.WARM_UP
    crypto = instrument.asset_class is AssetClass.CRYPTO
    spec = InstrumentSpec(
        instrument=symbol,
        venue=instrument.venue,
        price_increment=Decimal("0.01" if crypto else "0.00001"),
        size_increment=Decimal("0.00000001" if crypto else "1"),
        min_size=Decimal("0.00000001" if crypto else "1"),
        max_size=None,
        min_notional=Decimal(1) if crypto else None,
        max_notional=None,
        margin_rate=None if crypto else Decimal("0.0333"),
        taker_fee_rate=Decimal("0.012" if crypto else "0"),
        pip=Decimal("0.01" if crypto else "0.0001"),
        tradeable=True,
        status="online",
        fetched_at=datetime(2026, 1, 5, tzinfo=UTC),
    )
    return Feed(bars, spec, gates)


def made_result(feeds: tuple[Feed, ...], signals: tuple[Signals, ...]) -> Result:
    times = np.unique(np.concatenate([feed.bars.closes_at for feed in feeds]))
    pnl, notional, rows = np.zeros((times.size, len(feeds))), np.zeros((times.size, len(feeds))), []
    for at, (feed, said) in enumerate(zip(feeds, signals, strict=True)):
        trades = _trades(feed.bars, said)
        rows += trades
        for trade in trades:
            _mark(feed.bars, times, trade, pnl[:, at], notional[:, at])
    rows.sort(key=lambda row: (row["exit_reason"] == "open", row["exit_time"], row["instrument"]))
    count = len(feeds)
    return Result(
        engine="compiled",
        instruments=tuple(feed.bars.instrument.symbol for feed in feeds),
        times=times,
        pnl=pnl,
        notional=notional,
        trades=pa.Table.from_pylist(rows, schema=TRADE_SCHEMA),
        holds=(HOLDS,) * count,
        orders=(2 * len(rows) // count,) * count,
        denials=(DENIALS,) * count,
        halted_at=None,
        capital=CAPITAL,
        bars=sum(len(feed.bars) for feed in feeds),
        seconds=0.25,
    )


def made_baselines(result: Result, feeds: tuple[Feed, ...], at: int) -> tuple[Any, ...]:
    """Holding from the first close on, cash, and two curves in between."""
    bars = feeds[at].bars
    closes = bars.close[np.clip(np.searchsorted(bars.closes_at, result.times, side="right") - 1, 0, None)]
    held = CAPITAL * closes / closes[0]
    ours = result.equity(at)
    curves = {
        "buy-and-hold": held,
        "hold": np.full(result.times.size, CAPITAL),
        "momentum": 0.5 * held + 0.5 * CAPITAL - np.linspace(0, 300, result.times.size),
        "random": CAPITAL - 0.4 * (ours - CAPITAL) - np.linspace(0, 120, result.times.size),
    }
    none = TRADE_SCHEMA.empty_table()
    kind = {"timeframe": bars.timeframe, "asset_class": bars.instrument.asset_class, "capital": CAPITAL}
    return tuple(
        compared(
            name,
            result.times,
            ours,
            curve,
            describe(result.times, curve, none, np.zeros(curve.size), {}, **kind),
            **kind,
            resamples=200,
        )
        for name, curve in curves.items()
    )


def _stats(result: Result, feeds: tuple[Feed, ...], at: int) -> Any:
    bars = feeds[at].bars
    return describe(
        result.times,
        result.equity(at),
        _own(result, at),
        result.notional[:, at],
        result.holds[at],
        timeframe=bars.timeframe,
        asset_class=bars.instrument.asset_class,
        capital=CAPITAL,
        orders=result.orders[at],
        resamples=200,
    )


def _own(result: Result, at: int) -> pa.Table:
    wanted = [row for row in result.trades.to_pylist() if row["instrument"] == result.instruments[at]]
    return pa.Table.from_pylist(wanted, schema=TRADE_SCHEMA)


def _trades(bars: Bars, said: Signals) -> list[dict[str, Any]]:
    found, free = [], 0
    for entry in np.flatnonzero(said.actions):
        if entry >= free:
            found.append(_trade(bars, int(entry), int(said.actions[entry]), said))
            free = found[-1]["exit_bar"] + 1
    return found


def _trade(bars: Bars, entry: int, way: int, said: Signals) -> dict[str, Any]:
    price = float(bars.after[entry, ASK if way > 0 else BID])
    stop, target = price * (1 - way * STOP), price * (1 + way * TARGET)
    exit_bar, reason, out = _ended(bars, entry, way, stop, target, said)
    units, leg = round(STAKE / price, 8), 0.0004 * STAKE
    return {
        "instrument": bars.instrument.symbol,
        "side": "BUY" if way > 0 else "SELL",
        "units": units,
        "entry_time": int(bars.closes_at[entry]) + 20,
        "exit_time": int(bars.closes_at[exit_bar]),
        "entry_price": price,
        "exit_price": out,
        "stop_loss": stop,
        "take_profit": target,
        "exit_reason": reason,
        "pnl": way * units * (out - price) - 2 * leg,
        "fees": 2 * leg,
        "slippage": 0.3,
        "spread": 0.5,
        "notional": units * price,
        "planned_risk": STOP * STAKE,
        "confidence": (65, 75, 85, 95)[entry % 4],
        "entry_bar": entry,
        "exit_bar": exit_bar,
    }


def _ended(bars: Bars, entry: int, way: int, stop: float, target: float, said: Signals) -> tuple[int, str, float]:
    for at in range(entry + 1, len(bars)):
        low, high = float(bars.mid[at, LOW]), float(bars.mid[at, HIGH])
        if (low <= stop) if way > 0 else (high >= stop):
            return at, "stop", stop
        if (high >= target) if way > 0 else (low <= target):
            return at, "target", target
        if said.actions[at] == -way:
            return at, "signal", float(bars.mid[at, CLOSE])
    return len(bars) - 1, "open", float(bars.mid[-1, CLOSE])


def _mark(bars: Bars, times: Any, trade: dict[str, Any], pnl: Floats, notional: Floats) -> None:
    way = 1 if trade["side"] == "BUY" else -1
    held = bars.close[trade["entry_bar"] : trade["exit_bar"]]
    moments = np.searchsorted(times, bars.closes_at[trade["entry_bar"] : trade["exit_bar"]])
    pnl[moments] += way * trade["units"] * (held - trade["entry_price"]) - trade["fees"] / 2
    notional[moments] = way * trade["units"] * held
    pnl[np.searchsorted(times, bars.closes_at[trade["exit_bar"]]) :] += trade["pnl"]
