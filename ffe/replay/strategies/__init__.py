"""Strategies that replay without a model: the honest baselines, and what a user puts in a file of the same few lines.

A strategy file holds `NAME`, `actions(bars, *, <parameters with defaults>)`, which gives +1 BUY, -1 SELL or 0 HOLD at each bar's close,
and how many bars one action may depend on: `LOOKBACK`, or `lookback(*, <the same parameters>)` where they decide it. `UNBOUNDED = True`
replays it all in and all out, without rules. What is said on fewer bars than the lookback is taken for HOLD: live, nobody would have
known it. A live cycle sees a window only, so a memory that reaches back to the first bar can't be kept (no average that is seeded there).
"""

from ffe.replay.strategies.alike import random_like
from ffe.replay.strategies.protocol import Strategy
from ffe.replay.strategies.registry import STRATEGIES, find_strategy

__all__ = ["STRATEGIES", "Strategy", "find_strategy", "random_like"]
