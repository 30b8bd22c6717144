"""What the data contract costs: the whole gate against plain pandas rules and pandera, in one run: `python -m benchmarks.quality`.

The gate is freshness and the suite, as a cycle runs them. The other two judge the same bars by the rules that such tools have (shape,
order, positive, OHLC, age), so the ratio says what Great Expectations, the calendar and the fifteen other checks cost together.
`--instruments` times 100 of them in one process; `--threads` and `--memory` ask for wrong verdicts and leaks. Prints; asserts nothing.
"""

import argparse
import gc
import os
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.recorded import batch_of
from expectations.validate import validate_bars, warm
from ffe.market.calendar import calendar_for
from ffe.market.freshness import check_freshness
from ffe.market.models import INSTRUMENTS, Instrument, Timeframe, parse_instrument
from ffe.settings import FreshnessSettings
from ffe.sources.models import BAR_SCHEMA, PRICE, QUOTED_BAR_SCHEMA, BarBatch, to_frame

START = datetime(2024, 1, 3, tzinfo=UTC)
TIMEFRAME = Timeframe.M5
LIMITS = FreshnessSettings()
Case = tuple[pa.Table, BarBatch]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--threads", action="store_true", help="8 threads x 500 validations of good and bad bars")
    parser.add_argument("--memory", action="store_true", help="resident memory at 2,000 and at 10,000 validations")
    asked = parser.parse_args()
    cold = _took(warm)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; import and first validation {cold / 1000:.1f} s")
    if asked.threads:
        checked, wrong = verdicts(threads=8, each=500)
        print(f"8 threads x 500: {checked} validations, {wrong} wrong verdicts")
    elif asked.memory:
        for count, size in memory(marks=(200, 2_000, 4_000, 6_000, 8_000, 10_000)):
            print(f"{count:>6} validations: {size:.1f} MiB", flush=True)
    else:
        _compare(asked.rounds)
        _many(asked.instruments)


def _compare(rounds: int) -> None:
    """Each way in turns, so that a busy moment of the machine meets all of them."""
    print(f"{'bars':>6} {'what':<34}{'median ms':>10}{'p90':>8}{'min':>8}{'CPU':>8}{'x plain':>9}{'x pandera':>11}")
    for bars in (200, 2_000):
        ways = {f"{symbol} gate": _gate(case(symbol, bars)) for symbol in ("BTCUSD", "EURUSD")}
        ways |= {"freshness alone": _freshness(case("BTCUSD", bars)), **_others(case("BTCUSD", bars))}
        seen: dict[str, list[float]] = {name: [] for name in ways}
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                before = time.process_time()
                seen[name].append(_took(way))
                spent[name].append((time.process_time() - before) * 1000)
        medians = {name: statistics.median(times) for name, times in seen.items()}
        for name, times in seen.items():
            ratios = medians[name] / medians["plain pandas"], medians[name] / medians["pandera"]
            p90 = statistics.quantiles(times, n=10, method="inclusive")[8]
            cpu = statistics.median(spent[name])
            numbers = f"{medians[name]:>10.2f}{p90:>8.2f}{min(times):>8.2f}{cpu:>8.2f}"
            print(f"{bars:>6} {name:<34}{numbers}{ratios[0]:>9.1f}{ratios[1]:>11.1f}")


def _many(instruments: int) -> None:
    symbols = [symbol for symbol, each in INSTRUMENTS.items() if each.quote != "JPY"]
    chosen = [symbols[number % len(symbols)] for number in range(instruments)]
    gates = [_gate(case(symbol, 200)) for symbol in chosen]
    began, cpu = time.perf_counter(), time.process_time()
    for gate in gates:
        gate()
    wall, spent = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"{instruments} instruments x 200 bars, one process, one after the other: {wall:.2f} s wall, {spent:.2f} s CPU"
    )


def verdicts(threads: int, each: int) -> tuple[int, int]:
    """Validations of good and bad bars from many threads at once: how many, and how many came to a wrong verdict."""
    good = {symbol: case(symbol, 200) for symbol in ("BTCUSD", "EURUSD")}
    bad = {symbol: (_spoilt(table), batch) for symbol, (table, batch) in good.items()}

    def right(number: int) -> bool:
        symbol = ("BTCUSD", "EURUSD")[number % 2]
        passes = number % 3 != 0
        table, batch = (good if passes else bad)[symbol]
        report = validate_bars(table, batch, batch.bar_close)
        wanted = set() if passes else {"ohlc-consistent"}
        return {finding.check for finding in report.critical} == wanted

    with ThreadPoolExecutor(threads) as pool:
        outcomes = list(pool.map(right, range(threads * each)))
    return len(outcomes), outcomes.count(False)


def memory(marks: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Each mark and the resident memory in MiB after so many validations of good and bad bars, with and without the kept result."""
    table, batch = case("EURUSD", 200)
    tables = (table, _spoilt(table))
    for number in range(1, max(marks) + 1):
        kept: dict[str, Any] = {}
        validate_bars(tables[number % 2], batch, batch.bar_close, keep=kept if number % 10 == 0 else None)
        if number in marks:
            gc.collect()
            yield number, _resident()


@cache
def case(symbol: str, bars: int) -> Case:
    """Quiet bars of a random walk that pass, made in the shape in which the instrument's venue prints them."""
    instrument = parse_instrument(symbol)
    calendar = calendar_for(instrument)
    opens = calendar.expected_opens(TIMEFRAME, START, START + 3 * bars * TIMEFRAME.duration)[:bars]
    rng = np.random.default_rng(7)
    close = _level(instrument) * np.exp(np.cumsum(rng.normal(0, 2e-4, bars)))
    spread = np.abs(rng.normal(0, 1e-4, bars)) * close
    first = np.concatenate([close[:1], close[:-1]])
    columns = [
        first,
        np.maximum(first, close) + spread,
        np.minimum(first, close) - spread,
        close,
        rng.uniform(1, 9, bars),
    ]
    digits = 6 if instrument.venue == "oanda" else 2
    prices = [pa.array([Decimal(f"{value:.{digits}f}") for value in column], PRICE) for column in columns]
    times = pa.array(opens.astype(np.int64)).cast(pa.timestamp("us", tz="UTC"))
    if instrument.venue == "oanda":
        table = pa.table([times, *prices, prices[3], prices[3]], schema=QUOTED_BAR_SCHEMA)
    else:
        table = pa.table([times, *prices], schema=BAR_SCHEMA)
    return table, batch_of(instrument, TIMEFRAME, table)


def _level(instrument: Instrument) -> float:
    return 1.2 if instrument.venue == "oanda" else 7_000.0


def _spoilt(table: pa.Table) -> pa.Table:
    """One bar's open a little under its low."""
    values = table.column("open").to_pylist()
    values[17] = table.column("low")[17].as_py() * Decimal("0.9999")
    return table.set_column(1, "open", pa.array([round(value, 10) for value in values], PRICE))


def _gate(each: Case) -> Callable[[], None]:
    table, batch = each

    def run() -> None:
        calendar = calendar_for(batch.instrument)
        fresh = check_freshness(batch.bar_close, batch.timeframe, batch.bar_close, calendar, LIMITS)
        report = validate_bars(table, batch, batch.bar_close)
        if not (fresh.fresh and report.passed):
            raise SystemExit(f"not a fair measurement: {fresh.message}; {report.critical}")

    return run


def _freshness(each: Case) -> Callable[[], None]:
    _, batch = each
    calendar = calendar_for(batch.instrument)
    return lambda: _fair(check_freshness(batch.bar_close, batch.timeframe, batch.bar_close, calendar, LIMITS).fresh)


def _others(each: Case) -> dict[str, Callable[[], None]]:
    table, batch = each
    now = pd.Timestamp(batch.bar_close)
    schema = _pandera_schema(now)
    return {
        "plain pandas": lambda: _fair(_plain(to_frame(table), now)),
        "pandera": lambda: _fair(len(schema.validate(to_frame(table), lazy=True)) == table.num_rows),
    }


def _plain(frame: pd.DataFrame, now: pd.Timestamp) -> bool:
    values = frame[["open", "high", "low", "close"]].to_numpy()
    opens = frame["time"]
    step = opens.astype("int64") % (TIMEFRAME.seconds * 1_000_000)
    returns = np.diff(np.log(values[:, 3]))
    deviation = np.median(np.abs(returns - np.median(returns)))
    rules = (
        len(frame) >= 60,
        not frame.isna().to_numpy().any(),
        bool(np.isfinite(values).all()),
        bool((values > 0).all()) and bool((frame["volume"] >= 0).all()),
        bool((values[:, 1] >= values.max(axis=1)).all() and (values[:, 2] <= values.min(axis=1)).all()),
        opens.is_monotonic_increasing and opens.is_unique,
        bool((step == 0).all()),
        bool(opens.iloc[-1] + TIMEFRAME.duration <= now),
        bool(np.abs(returns).max() < max(30 * deviation, 1e-3)),
    )
    return all(rules)


def _pandera_schema(now: pd.Timestamp) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandera.pandas as pandera
    check, column = pandera.Check, pandera.Column
    price = [check.gt(0), check(np.isfinite)]
    frame = [
        check(lambda frame: len(frame) >= 60),
        check(lambda frame: frame["high"] >= frame[["open", "close", "low"]].max(axis=1)),
        check(lambda frame: frame["low"] <= frame[["open", "close", "high"]].min(axis=1)),
        check(lambda frame: frame["time"].is_monotonic_increasing),
        check(lambda frame: frame["time"].iloc[-1] + TIMEFRAME.duration <= now),
    ]
    times = [check(lambda values: values.astype("int64") % (TIMEFRAME.seconds * 1_000_000) == 0)]
    columns = {name: column(float, price) for name in ("open", "high", "low", "close")}
    columns |= {"volume": column(float, check.ge(0)), "time": column("datetime64[us, UTC]", times, unique=True)}
    return pandera.DataFrameSchema(columns, checks=frame, strict=True)


def _fair(passed: bool) -> None:
    if not passed:
        raise SystemExit("not a fair measurement: good bars failed")


def _took(way: Callable[[], None]) -> float:
    started = time.perf_counter()
    way()
    return (time.perf_counter() - started) * 1000


def _resident() -> float:
    """MiB. Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
