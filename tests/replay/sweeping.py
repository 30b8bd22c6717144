"""Feeds, requests and a command of its own for the tests of sweeps."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generated_bars import generated
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.models import Feed, Gate, Plan
from ffe.replay.specs import spec_for
from ffe.replay.sweep import SweepRequest
from ffe.settings import RiskSettings, load_settings

H1 = Timeframe.H1
# Trades at the first bar of every few, long and short in turns: `every` and `first` say when.
STRATEGY = """
import os
import signal
import time

import numpy as np

NAME, LOOKBACK = "own", 5


def actions(bars, *, every=10, first=0, dies_at=-1, sleeps=0.0):
    if every == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(sleeps)
    number = bars.times // bars.timeframe.seconds - first
    due = number % every == 0
    return np.where(due, np.where(number // every % 2 == 0, 1, -1), 0).astype(np.int8)
"""


def feed(symbol: str = "EURUSD", n: int = 2400, seed: int = 1, timeframe: Timeframe = H1) -> Feed:
    """Generated bars where everything may be decided from the 60th on."""
    bars = generated(parse_instrument(symbol), timeframe, n, seed)
    gates = np.zeros(n, dtype=np.int8)
    gates[:59] = Gate.WARM_UP
    return Feed(bars, spec_for(bars.instrument, load_settings()), gates)


def plan(**changes: Any) -> Plan:
    risk = RiskSettings(max_daily_loss=Decimal(1), max_drawdown=Decimal(1))
    return Plan(risk=risk, **changes)


def request(strategy: str = "sma-cross", **changes: Any) -> SweepRequest:
    space = {"fast": (5.0, 10.0), "slow": (20.0, 40.0)}
    return SweepRequest(**({"strategy": strategy, "plan": plan(), "space": space} | changes))


def own_strategy(folder: Path) -> str:
    path = folder / "own.py"
    path.write_text(STRATEGY)
    return str(path)
