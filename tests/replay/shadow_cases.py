"""Live cycles as the ledger and the bar store keep them, for the report of shadow mode: bars, the trader's words, a strategy's words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlmodel import Session

from benchmarks.generated_bars import generated
from ffe.decision.models import Action, Author, Decision
from ffe.ledger import cycles, decisions, shadow
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import ShadowDecision
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bars import to_table
from ffe.replay.models import Bars, Codes
from ffe.replay.strategies import find_strategy
from ffe.settings import Settings
from ffe.sources.store import BarStore

H1 = Timeframe.H1
LAG = timedelta(seconds=20)
# Rows of the bars: enough before the first decision for the lookback of the settings.
FIRST, LAST = 300, 700
ACTIONS = {1: Action.BUY, -1: Action.SELL, 0: Action.HOLD}


@dataclass
class Live:
    """A ledger and a store in which cycles wrote. `bars` by symbol; the cycle of a bar is named after its close."""

    folder: Path
    bars: dict[str, Bars] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = Settings(data_dir=self.folder, timeframe=H1)
        self.ledger = Ledger.open(f"sqlite:///{self.folder}/ledger.sqlite")
        self.store = BarStore(self.folder / "bars", "sim")
        self._cycles: set[str] = set()

    def market(self, symbol: str, rows: int = LAST + 50, *, stored: int | None = None) -> Bars:
        """Bars of an instrument; the first `stored` of them (all) are in the store."""
        made = generated(parse_instrument(symbol), H1, rows, seed=5)
        self.bars[symbol] = made
        table = to_table(made, 0, stored)
        batch = self.store.write_batch(made.instrument, H1, made.instrument.venue, table, _moment(made.closes_at[-1]))
        assert self.store.keep(batch, table)
        return made

    def close(self, symbol: str, row: int) -> datetime:
        return _moment(self.bars[symbol].closes_at[row])

    def _cycle(self, session: Session, close: datetime) -> str:
        name = f"cycle-{int(close.timestamp())}"
        if name not in self._cycles:
            self._cycles.add(name)
            cycles.start_cycle(session, name, "sim", H1.value, close + LAG)
        return name

    def trader(self, symbol: str, words: Mapping[int, int], **changes: Any) -> None:
        """What the model said, by row of the bars, with confidence 85."""
        with self.ledger.database.write() as session:
            for row, action in words.items():
                close = self.close(symbol, row)
                values: dict[str, Any] = {
                    "id": f"{symbol}-{row}",
                    "cycle_id": self._cycle(session, close),
                    "instrument": symbol,
                    "timeframe": H1,
                    "bar_close": close,
                    "action": ACTIONS[action],
                    "confidence": 85,
                    "decided_by": Author.MODEL,
                    "reason_code": "model_answer",
                    "reasoning": "said so",
                    "decided_at": close + LAG,
                    "opinion": ACTIONS[action],
                }
                decisions.record_decision(session, Decision(**values | changes))

    def shadow(self, symbol: str, words: Mapping[int, int], **changes: Any) -> None:
        """What a strategy said, by row of the bars."""
        with self.ledger.database.write() as session:
            for row, action in words.items():
                close = self.close(symbol, row)
                values: dict[str, Any] = {
                    "cycle_id": self._cycle(session, close),
                    "instrument": symbol,
                    "timeframe": H1,
                    "bar_close": close,
                    "strategy": "sma-cross",
                    "params": {"fast": 20.0, "slow": 50.0},
                    "action": ACTIONS[action],
                    "confidence": 100,
                    "batch_id": "b" * 64,
                    "decided_at": close + LAG,
                }
                shadow.record_shadows(session, [ShadowDecision(**values | changes)])

    def rule(self, symbol: str, name: str, rows: Iterable[int]) -> dict[int, int]:
        """The words of a strategy on these rows."""
        actions: Codes = find_strategy(name).signals(self.bars[symbol]).actions
        return {row: int(actions[row]) for row in rows}


def words(symbol_bars: Bars, said: Mapping[int, int]) -> Codes:
    """As an array over all bars."""
    found = np.zeros(len(symbol_bars), np.int8)
    for row, action in said.items():
        found[row] = action
    return found


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
