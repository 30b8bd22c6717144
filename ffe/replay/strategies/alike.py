"""Random trades like a strategy's own: as many, as long, on the same sides, only at other moments.

What is left between the two is the timing, and that is what a strategy claims to have.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe.replay.models import Bars, Codes, Gate, Ints, Signals
from ffe.replay.strategies.protocol import CERTAIN

BUY = "BUY"


def random_like(bars: Bars, trades: pa.Table, seed: int, gates: Codes | None = None) -> Signals:
    """As many entries as `trades` (`TRADE_SCHEMA`) has of this instrument, at random bars that passed `gates` (all, when None).

    The strategy's own sides and holding times, in random order, without two trades at once. An entry has confidence 100 and the exit
    0: a close is judged by no rule, but where a stop has closed the trade before, an exit must not open the other side, and at 0 it
    is below any floor of confidence.
    """
    generator = np.random.default_rng(seed)
    open_rows = np.arange(len(bars)) if gates is None else np.flatnonzero(gates == Gate.PASSED)
    own = trades.filter(pc.equal(trades["instrument"], bars.instrument.symbol))
    order = generator.permutation(own.num_rows)
    sides = np.where(pc.equal(own["side"], BUY).to_numpy(), 1, -1).astype(np.int8)[order]
    entries, exits = _placed(_held(own, open_rows)[order], open_rows.size, generator)
    actions, confidence = np.zeros(len(bars), np.int8), np.full(len(bars), CERTAIN, np.int64)
    entered, left = open_rows[entries], open_rows[exits]
    actions[entered], actions[left] = sides[: entries.size], -sides[: entries.size]
    confidence[left] = 0
    return Signals(actions, confidence)


def _held(own: pa.Table, open_rows: Ints) -> Ints:
    """Holding times in bars at which somebody may decide, one at least."""
    first, last = (np.searchsorted(open_rows, own[name].to_numpy()) for name in ("entry_bar", "exit_bar"))
    return np.asarray(np.maximum(last - first, 1), np.int64)


def _placed(held: Ints, room: int, generator: np.random.Generator) -> tuple[Ints, Ints]:
    """Places of entry and exit among `room` bars. Each trade takes its bars and the one of its exit; what is left lies between them.

    Trades that don't fit one after another are shortened alike; of more trades than places only as many as fit.
    """
    held = held[: room // 2]
    taken = held + 1
    if taken.sum() > room:
        taken = np.maximum(taken * (room / taken.sum()), 2).astype(np.int64)
        while taken.sum() > room:
            taken[np.argmax(taken)] -= 1
    spare = room - int(taken.sum())
    before = np.sort(generator.integers(0, spare + 1, size=taken.size))
    entries = before + np.cumsum(taken) - taken
    return entries, entries + taken - 1
