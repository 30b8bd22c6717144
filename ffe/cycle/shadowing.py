"""Shadow mode: strategies that decide on the checked bars of a live cycle, beside the one that trades, and never order anything.

Each sees the very window that the model's context was made of, and its word is in the ledger while the next bar is still running: nobody
can have known the outcome. A strategy that fails is on record as an error, and the cycle goes on. `numba` is not imported for any of it,
and `ffe.replay` only where strategies are configured.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ffe.cycle.engine import Engine
from ffe.decision.models import Action
from ffe.errors import ConfigurationError
from ffe.ledger.models import ShadowDecision
from ffe.settings import Settings
from ffe.sources.models import BarBatch

if TYPE_CHECKING:
    from ffe.replay.models import Bars
    from ffe.replay.strategies import Strategy

log = logging.getLogger(__name__)

ACTIONS = {1: Action.BUY, -1: Action.SELL, 0: Action.HOLD}


def check_shadows(settings: Settings) -> None:
    """Refuses shadow strategies that could never decide, before a cycle is started for them.

    Raises:
        UnknownNameError: names the nearest known strategies.
        ConfigurationError: a file that is no strategy, two strategies of one name, a lookback above that of a live cycle.
    """
    names: dict[str, str] = {}
    for text in settings.shadow.strategies:
        strategy = _found(text)
        if strategy.name in names:
            raise ConfigurationError(
                f"FFE_SHADOW__STRATEGIES: {names[strategy.name]} and {text} are both {strategy.name}"
            )
        if strategy.lookback > settings.lookback_bars:
            needs = f"{strategy.name} looks back {strategy.lookback} bars"
            raise ConfigurationError(f"{needs}, a live cycle sees {settings.lookback_bars} (FFE_LOOKBACK_BARS)")
        names[strategy.name] = text


def decide_beside(engine: Engine, cycle_id: str, batch: BarBatch) -> list[ShadowDecision]:
    """What every configured strategy says of the newest bar of a batch that passed its gates; on record when this returns.

    Raises:
        DataError: the batch's file is gone or was changed.
        LedgerError: the ledger refused.
    """
    if not engine.settings.shadow.strategies:
        return []
    table = engine.store.load(batch)
    bars = _window(table, batch, engine.settings)
    sides = tuple(_side(table, name) for name in ("bid_close", "ask_close"))
    said = []
    for text in engine.settings.shadow.strategies:
        word = _said(engine, cycle_id, batch, text, bars=bars, sides=sides)
        # One by one: what was said before a strategy that never comes back stays said.
        engine.ledger.record_shadows([word])
        said.append(word)
    return said


def _found(text: str) -> Strategy:
    from ffe.replay.strategies import find_strategy

    return find_strategy(text)


def _window(table: pa.Table, batch: BarBatch, settings: Settings) -> Bars:
    """As `ffe.replay.files.stored_bars` makes them of the store, so that a replay of the same bars says the same."""
    from ffe.replay.bar_parquet import piece_of_table
    from ffe.replay.joining import joined

    piece = piece_of_table(Path(batch.path), table, batch.instrument, batch.timeframe)
    return joined([piece], settings.replay.half_spread_bps)


def _side(table: pa.Table, name: str) -> Decimal | None:
    if name not in table.column_names:
        return None
    value: Decimal | None = table[name][-1].as_py()
    return None if value is None else value.normalize()


def _said(
    engine: Engine,
    cycle_id: str,
    batch: BarBatch,
    text: str,
    *,
    bars: Bars,
    sides: tuple[Decimal | None, ...],
) -> ShadowDecision:
    """One strategy's word, or how it failed: whatever it does is no reason to stop."""
    blank = ShadowDecision(
        cycle_id=cycle_id,
        instrument=batch.instrument.symbol,
        timeframe=batch.timeframe,
        bar_close=batch.bar_close,
        strategy=text,
        params={},
        batch_id=batch.id,
        bid=sides[0],
        ask=sides[1],
        decided_at=engine.clock.now(),
    )
    try:
        strategy = _found(text)
        blank = blank.model_copy(update={"strategy": strategy.name, "params": dict(strategy.params)})
        action, confidence = _newest(strategy, bars)
    except Exception as error:  # noqa: BLE001 - a strategy on trial may do anything but hinder the cycle
        log.warning("shadow strategy %s on %s failed: %s: %s", text, blank.instrument, type(error).__name__, error)
        return blank.model_copy(update={"error": f"{type(error).__name__}: {error}"})
    decided = {"action": action, "confidence": confidence, "decided_at": engine.clock.now()}
    return blank.model_copy(update=decided)


def _newest(strategy: Strategy, bars: Bars) -> tuple[Action, int]:
    """Raises ConfigurationError where there are fewer bars than the strategy looks back: its HOLD would be no opinion."""
    if len(bars) < strategy.lookback:
        raise ConfigurationError(f"{strategy.name} looks back {strategy.lookback} bars, there are {len(bars)}")
    signals = strategy.signals(bars)
    return ACTIONS[int(signals.actions[-1])], int(signals.confidence[-1])
