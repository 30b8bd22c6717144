"""One SMA cross through backtesting.py or vectorbt, timed; run by benchmarks/replay.py with an interpreter that has both.

    PYTHON sma_cross.py backtesting|vectorbt BARS.npz RUNS

BARS.npz has `times` (opens, epoch seconds), `mid` (n, 4), `fast` and `slow`. Prints one JSON line: versions, seconds of each run, trades.
Reading the file and importing are not timed; indicators, signals, orders and the equity curve are. Neither library is part of the
project: backtesting.py is AGPL, vectorbt has the Commons Clause.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

CASH, COMMISSION = 10_000.0, 0.0001


def timed(work: Callable[[], Any], runs: int) -> tuple[list[float], Any]:
    """Seconds of each of `runs` after one that is not counted, and what the last one gave."""
    found, seconds = work(), []
    for _ in range(runs):
        started = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - started)
    return seconds, found


def backtesting(bars: Any, runs: int) -> dict[str, Any]:
    """Long at the cross above, out at the cross below; commission on, no stops, no sizing but half of the equity."""
    import backtesting as library
    from backtesting.lib import crossover

    fast, slow = int(bars["fast"]), int(bars["slow"])

    def mean(values: Any, bars_: int) -> Any:
        return pd.Series(values).rolling(bars_).mean()

    class Cross(library.Strategy):
        def init(self) -> None:
            self.fast = self.I(mean, self.data.Close, fast)
            self.slow = self.I(mean, self.data.Close, slow)

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.position.close()
                self.buy(size=0.5)
            elif crossover(self.slow, self.fast):
                self.position.close()

    index = pd.to_datetime(bars["times"], unit="s")
    frame = pd.DataFrame(bars["mid"], columns=["Open", "High", "Low", "Close"], index=index)
    test = library.Backtest(frame, Cross, cash=CASH * 100, commission=COMMISSION, finalize_trades=True)
    seconds, stats = timed(test.run, runs)
    return {"version": library.__version__, "seconds": seconds, "trades": int(stats["# Trades"])}


def vectorbt(bars: Any, runs: int) -> dict[str, Any]:
    """All in at the cross above, all out at the cross below; fees on. The equity curve is worked out, as replay does."""
    import vectorbt as library

    fast, slow = int(bars["fast"]), int(bars["slow"])
    close = pd.Series(np.ascontiguousarray(bars["mid"][:, 3]))

    def once() -> Any:
        quick, late = close.rolling(fast).mean(), close.rolling(slow).mean()
        enter = (quick > late) & (quick.shift() <= late.shift())
        leave = (quick < late) & (quick.shift() >= late.shift())
        folio = library.Portfolio.from_signals(close, enter, leave, init_cash=CASH, fees=COMMISSION)
        return folio.value(), folio

    seconds, (_, folio) = timed(once, runs)
    return {"version": library.__version__, "seconds": seconds, "trades": int(folio.trades.count())}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    run = {"backtesting": backtesting, "vectorbt": vectorbt}[sys.argv[1]]
    with np.load(sys.argv[2]) as loaded:
        print(json.dumps(run(dict(loaded), int(sys.argv[3]))))
