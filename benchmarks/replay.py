"""Replay beside its peers, and its time and memory as bars grow: `python -m benchmarks.replay [--peers PYTHON] [--bars FILE] [--json]`.

The same bars and the same SMA cross for all, each in a process of its own, in turn, again and again; medians. Peers run in another
interpreter (`benchmarks/peers`), for neither is a part of this project. Signals, orders and the equity curve are timed; reading files,
imports and compilation are not. Bars are a seeded random walk unless `--bars` names a file. Asserts nothing.

The full engine has all rules, sizing, stops, costs. Only the kill switch is wide (daily loss and drawdown 100 %), or it would end most
of these replays on their first bad day; positions are at most 1 % of equity, or costs would eat the account long before ten million bars.
The row where the last trade ended shows that they go on to the end. Crypto pays 0.1 %: at the default's 1.2 % hardly an entry is worth its costs.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generated_bars import generated
from expectations.history import gates
from ffe.market.calendar import calendar_for
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay import compiled
from ffe.replay.decisions_file import read_decisions, to_signals, write_decisions
from ffe.replay.files import load_bars
from ffe.replay.models import Bars, Feed, Gate, Plan, Signals
from ffe.replay.specs import spec_for
from ffe.replay.strategies import find_strategy
from ffe.settings import RiskSettings, Settings

FAST, SLOW = 10, 20
BLOCK = 1_000_000
FOUR = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD")
RISK = RiskSettings(max_daily_loss=Decimal(1), max_drawdown=Decimal(1), max_position=Decimal("0.01"))
PLAN = Plan(risk=RISK)
PEERS = Path(__file__).parent / "peers" / "sma_cross.py"


def walk(symbol: str, count: int, timeframe: Timeframe = Timeframe.H1) -> Bars:
    """Above a million bars the first million again and again, at later times: drawing them is not what is measured."""
    block = generated(parse_instrument(symbol), timeframe, min(count, BLOCK), 7)
    if count <= BLOCK:
        return block
    again = math.ceil(count / BLOCK)
    span = int(block.closes_at[-1] - block.times[0])
    times = np.concatenate([block.times + turn * span for turn in range(again)])[:count]
    arrays = {
        name: np.concatenate([getattr(block, name)] * again)[:count]
        for name in ("mid", "bid", "ask", "volume", "after")
    }
    return replace(block, times=times, **arrays)


def fed(bars: Bars, *, checked: bool = False) -> Feed:
    """Without the data contract unless `checked`: peers have none."""
    codes = np.zeros(len(bars), np.int8)
    codes[: PLAN.lookback] = Gate.WARM_UP
    if checked:
        codes = gates(bars, calendar_for(bars.instrument), PLAN.lookback, Settings())
    spec = spec_for(bars.instrument, Settings())
    spot = spec.margin_rate is None
    return Feed(bars, spec.model_copy(update={"taker_fee_rate": Decimal("0.001") if spot else Decimal(0)}), codes)


def cross(bars: Bars) -> Signals:
    return find_strategy("sma-cross", {"fast": FAST, "slow": SLOW}).signals(bars)


def full(bars: Bars) -> int:
    feed = fed(bars)
    result = compiled.run([feed], [cross(bars)], PLAN)
    result.equity(0)
    return int(result.trades.num_rows)


def signals_only(bars: Bars) -> int:
    result = compiled.signals_only(bars, cross(bars), capital=PLAN.capital, fee_rate=0.0001, slippage_bps=0.0)
    result.equity(0)
    return int(result.trades.num_rows)


def memory() -> float:
    """Most MiB that this process has held since it was last told to forget."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    return found[0] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forget() -> float:
    """Starts a new peak; MiB held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory()


def measured(work: Any, bars: Bars, runs: int) -> dict[str, Any]:
    compiled.warm_up()
    before, seconds = forget(), list[float]()
    trades = work(bars)
    for _ in range(runs):
        started = time.perf_counter()
        work(bars)
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "trades": trades, "mib": memory(), "mib_more": memory() - before}


def recorded(count: int) -> dict[str, Any]:
    """Four instruments with a decision on file for every bar, through gates, file and engine."""
    compiled.warm_up()
    series = [walk(symbol, count, Timeframe.M1) for symbol in FOUR]
    random = np.random.default_rng(1)
    said = [
        Signals(random.integers(-1, 2, count).astype(np.int8), random.integers(50, 101, count).astype(np.int64))
        for _ in FOUR
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decisions.parquet"
        write_decisions(path, list(zip(series, said, strict=True)))
        before = forget()
        started, used = time.perf_counter(), time.process_time()
        feeds = [fed(bars, checked=True) for bars in series]
        gated = time.perf_counter()
        tables = read_decisions(path)
        back = [to_signals(tables[bars.instrument.symbol], bars) for bars in series]
        read = time.perf_counter()
        result = compiled.run(feeds, back, PLAN)
        done = time.perf_counter()
    return {
        "seconds": [done - started],
        "gates": gated - started,
        "decisions": read - gated,
        "engine": done - read,
        "cpu_seconds": time.process_time() - used,
        "trades": int(result.trades.num_rows),
        "last_trade_at": float(np.max(result.trades["exit_bar"].to_numpy()) / count),
        "mib": memory(),
        "mib_more": memory() - before,
    }


def child(arguments: Sequence[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.replay", *arguments]
    return _answer(command)


def peer(python: str, name: str, bars: Path, runs: int) -> dict[str, Any]:
    return _answer([python, str(PEERS), name, str(bars), str(runs)])


def _answer(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def hand_over(bars: Bars, path: Path) -> None:
    np.savez(path, times=bars.times, mid=bars.mid, fast=FAST, slow=SLOW)


def rows_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every measurement, `options.rounds` times in turn; seconds of all rounds together."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        jobs = list(_jobs(options, Path(folder)))
        for _ in range(options.rounds):
            for name, count, work in jobs:
                answer = work()
                row = found.setdefault((name, count), {"engine": name, "bars": count, **answer, "all": []})
                row["all"] += answer["seconds"]
                print(f"{name} {count:,}: {statistics.median(answer['seconds']):.3f} s", file=sys.stderr)
    for row in found.values():
        row["seconds"] = statistics.median(row["all"])
        row["bars_per_second"] = row["bars"] * (len(FOUR) if "x 4" in row["engine"] else 1) / row["seconds"]
    return list(found.values())


def _jobs(options: argparse.Namespace, folder: Path) -> Any:
    real = ["--bars", str(options.bars)] if options.bars else []
    sizes = [len(_bars(options, 0))] if options.bars else []
    for count in [*sizes, *options.sizes]:
        own = real if sizes and count == sizes[0] else []
        bars, runs = folder / f"{count}.npz", "3" if count > BLOCK // 10 else "7"
        if options.peers and count <= options.peer_most:
            hand_over(_bars(options, count) if own else walk("EURUSD", count), bars)
            slow = "1" if count > BLOCK // 20 else "3"
            if count <= options.slow_most:
                yield (
                    "backtesting.py",
                    count,
                    lambda path=bars, times=slow: peer(options.peers, "backtesting", path, int(times)),
                )
            yield "vectorbt", count, lambda path=bars, times=runs: peer(options.peers, "vectorbt", path, int(times))
        for name in ("full", "signals-only"):
            yield (
                name,
                count,
                lambda how=name, n=count, file=own, times=runs: child(
                    ["--one", how, "--count", str(n), "--runs", times, *file]
                ),
            )
    if options.recorded:
        yield (
            "full x 4, recorded",
            options.recorded,
            lambda: child(["--one", "recorded", "--count", str(options.recorded)]),
        )


def _bars(options: argparse.Namespace, count: int) -> Bars:
    if options.bars:
        return next(iter(load_bars([options.bars], half_spread_bps=1.0).values()))
    return walk("EURUSD", count)


def exponent(rows: Sequence[dict[str, Any]], engine: str, value: str) -> float | None:
    """Slope of log `value` over log bars; one is linear. None with one size."""
    points = [(math.log(row["bars"]), math.log(max(row[value], 1e-9))) for row in rows if row["engine"] == engine]
    if len({x for x, _ in points}) < 2:
        return None
    return float(np.polyfit(*np.array(points).T, 1)[0])


def shown(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, and what follows from it."""
    lines = [
        "| engine | bars | median s | bars/s | trades | peak MiB | of it for the replay |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        peak = [f"{row[name]:,.0f}" if name in row else "" for name in ("mib", "mib_more")]
        lines.append(
            f"| {row['engine']} | {row['bars']:,} | {row['seconds']:.4f} | {row['bars_per_second']:,.0f} | {row['trades']:,} | {peak[0]} | {peak[1]} |"
        )
    speed = {(row["engine"], row["bars"]): row["bars_per_second"] for row in rows}
    lines.append("")
    for ours, theirs in (("full", "backtesting.py"), ("signals-only", "vectorbt")):
        for count in sorted({row["bars"] for row in rows if row["engine"] == theirs}):
            times = speed[ours, count] / speed[theirs, count]
            lines.append(f"- {ours} is {times:.1f} x {theirs} at {count:,} bars")
    for engine in ("full", "signals-only"):
        for value, what in (("seconds", "time"), ("mib_more", "memory")):
            slope = exponent([row for row in rows if row["bars"] >= 100_000], engine, value)
            if slope is not None:
                lines.append(f"- {engine}: {what} grows as bars to the power of {slope:.2f}, from 100,000 bars on")
    lines += [
        f"- four instruments, recorded decisions: gates {row['gates']:.1f} s, reading decisions {row['decisions']:.1f} s, engine {row['engine_seconds']:.1f} s; {row['cpu_seconds']:.1f} s of one core; last trade at {row['last_trade_at']:.0%} of the bars"
        for row in rows
        if "gates" in row
    ]
    return "\n".join(lines)


def main() -> None:
    options = _options()
    if options.one == "recorded":
        found = recorded(options.count)
        found["engine_seconds"] = found.pop("engine")
        print(json.dumps(found))
    elif options.one:
        work = {"full": full, "signals-only": signals_only}[options.one]
        print(json.dumps(measured(work, _bars(options, options.count), options.runs)))
    else:
        rows = rows_of(options)
        print(json.dumps({"rows": rows}, indent=2) if options.json else shown(rows))
        if options.out:
            options.out.write_text(json.dumps({"rows": rows}, indent=2), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--peers", help="interpreter that has backtesting.py and vectorbt; without one they are left out"
    )
    parser.add_argument("--bars", type=Path, help="a file of one instrument, measured beside the generated ones")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--peer-most", type=int, default=1_000_000, help="largest size for peers")
    parser.add_argument("--slow-most", type=int, default=100_000, help="largest size for backtesting.py")
    parser.add_argument("--recorded", type=int, default=1_000_000, help="bars of each of four instruments; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    parser.add_argument("--one", choices=("full", "signals-only", "recorded"), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=10_000, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=3, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
