"""What the simulated market is, whatever it is made from: 1-minute two-sided bars by canonical symbol.

`recorded` replays files, `generated` draws them from a seed; the venues above see only this protocol.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ohlc:
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True)
class SimBar:
    """One bucket. `time` is its open, UTC. `trade` is what a trades feed prints; `bid` and `ask` the two sides. Volume in base units.

    `middle` is halfway between the sides minute by minute: the sides' extremes need not have met. A minute has none of its own.
    """

    time: datetime
    trade: Ohlc
    bid: Ohlc
    ask: Ohlc
    volume: Decimal
    middle: Ohlc | None = None

    @property
    def mid(self) -> Ohlc:
        """Halfway between the two sides, as forex feeds print it."""
        if self.middle is not None:
            return self.middle
        bid, ask = self.bid, self.ask
        return Ohlc(
            (bid.open + ask.open) / 2, (bid.high + ask.high) / 2, (bid.low + ask.low) / 2, (bid.close + ask.close) / 2
        )


@dataclass(frozen=True, slots=True)
class SimQuote:
    """Top of book. `open` is False when the market is closed or halted; the prices are then the last ones seen."""

    bid: Decimal
    ask: Decimal
    time: datetime
    open: bool


class Market(Protocol):
    @property
    def key(self) -> str:
        """Short stable name of this market (`generated-7`, `bars-1a2b3c4d`): the venue's state is kept under it."""
        ...

    def symbols(self) -> Sequence[str]:
        """Canonical symbols (`BTCUSD`)."""
        ...

    def start(self) -> datetime:
        """The default moment at which a fresh venue's clock starts: a trading day, 20 s after a 5-minute boundary."""
        ...

    def bars(self, symbol: str, seconds: int, start: datetime, end: datetime) -> list[SimBar]:
        """Buckets of `seconds` whose open lies in [start, end), oldest first, built from the minutes inside them.

        Aligned to the UTC epoch. A bucket without any minute is missing. The last one may be built from the minutes before `end`
        only: callers pass the simulated now as `end` and mark it incomplete themselves.
        """
        ...

    def quote(self, symbol: str, at: datetime) -> SimQuote | None:
        """Top of book at `at` (the newest minute that began at or before it); None when there is nothing yet."""
        ...
