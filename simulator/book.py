"""The ground under both venues: the market, the clock, the state, what is halted, and settlement of working orders up to now.

Settlement is lazy: each request first plays every 1-minute bar that closed since the last one against the orders that were working in it, in
order of time, so an account looks as if the venue had never slept. Only closed minutes count (an order meets a bar that opened after it was
placed); where stop and target fall into one bar, the stop is assumed to have come first.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from ffe.money import round_nearest
from simulator.clock import SimClock
from simulator.codec import encode
from simulator.instruments import forex_pairs, products
from simulator.jumps import Jump, JumpingMarket
from simulator.market import Market, SimBar, SimQuote
from simulator.state import State

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Switches:
    """Behaviour that differs between accounts or is not confirmed by the venues' own documents."""

    coinbase_fill_after_polls: int = 1
    coinbase_duplicate_error: bool = False
    coinbase_jwt_leeway_seconds: int = 5
    oanda_us_account: bool = False
    coinbase_account_active: bool = True
    oanda_account_listed: bool = True
    oanda_cancel_reason: str | None = None
    depth: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Conditions:
    """What holds for one request only, on top of switches and situation; nothing of it is kept."""

    halted: tuple[str, ...] = ()
    depth: Mapping[str, str] = field(default_factory=dict)
    oanda_cancel_reason: str | None = None


# Each request runs in a context of its own, so no other request sees these.
_CONDITIONS: ContextVar[Conditions | None] = ContextVar("conditions", default=None)


@dataclass(frozen=True)
class Situation:
    """What the control interface can change, and how far time and settlement have come."""

    now: datetime
    settled: datetime
    rate: float = 1.0
    halted: tuple[str, ...] = ()
    out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Due:
    """One working order met by the market: `fire` must change it so that it is not due again for the same bar."""

    time: datetime
    rank: int
    fire: Callable[[], None]


class Account(Protocol):
    def due(self, settled: datetime, until: datetime) -> Due | None:
        """The earliest working order that the market met in closed minutes of [settled, until)."""
        ...


class Book:
    def __init__(self, market: Market, clock: SimClock, state: State) -> None:
        self.clock, self.state = clock, state
        self.pairs, self.products = forex_pairs(market.symbols()), products(market.symbols())
        self._ticks = {pair.symbol: pair.tick for pair in self.pairs.values()}
        self._ticks |= {product.symbol: product.price_increment for product in self.products.values()}
        self.market = JumpingMarket(market, state.table("price_jump", Jump), self._ticks)
        self.accounts: list[Account] = []
        self._situation = state.table("situation", Situation)
        self._switches = state.table("switches", Switches)
        self._bars: dict[tuple[str, datetime, datetime], list[SimBar]] = {}
        self._clock_saved = 0.0
        with state.atomic():
            self._rewind()

    @property
    def situation(self) -> Situation:
        now = self.clock.now()
        return self._situation.get("now") or Situation(now=now, settled=floor_minute(now))

    @situation.setter
    def situation(self, value: Situation) -> None:
        self._situation.put("now", value)

    @property
    def switches(self) -> Switches:
        """As set, and as the conditions of this request have them."""
        kept, now = self._switches.get("all") or Switches(), _conditions()
        reason = kept.oanda_cancel_reason if now.oanda_cancel_reason is None else now.oanda_cancel_reason
        return replace(kept, depth={**kept.depth, **now.depth}, oanda_cancel_reason=reason)

    @switches.setter
    def switches(self, value: Switches) -> None:
        self._switches.put("all", value)

    @contextmanager
    def under(self, conditions: Conditions) -> Iterator[None]:
        """Inside the block, in this task, these conditions hold together with those around it."""
        outer = _conditions()
        both = Conditions(
            (*outer.halted, *conditions.halted),
            {**outer.depth, **conditions.depth},
            conditions.oanda_cancel_reason or outer.oanda_cancel_reason,
        )
        token = _CONDITIONS.set(both)
        try:
            yield
        finally:
            _CONDITIONS.reset(token)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Settle, run the block, commit: one transaction. The clock is saved with every change, and else at most once a second."""
        with self.state.atomic():
            self.settle()
            yield
            if self.state.changed or time.monotonic() - self._clock_saved >= 1:
                self.save_clock()

    def move_clock(self, moment: datetime) -> None:
        """Sets the clock; what is jumped over is settled, what lies before an earlier moment is not played again."""
        self.clock.set(moment)
        self._rewind()

    def _rewind(self) -> None:
        """Settlement never stands later than the clock."""
        self.situation = replace(self.situation, settled=min(floor_minute(self.clock.now()), self.situation.settled))

    def save_clock(self) -> None:
        self.situation = replace(self.situation, now=self.clock.now(), rate=float(self.clock.rate))
        self._clock_saved = time.monotonic()

    def settle(self) -> None:
        until, settled = floor_minute(self.clock.now()), self.situation.settled
        if until <= settled:
            return
        while events := [due for account in self.accounts if (due := account.due(settled, until)) is not None]:
            min(events, key=lambda due: (due.time, due.rank)).fire()
        self._bars.clear()
        self.situation = replace(self.situation, settled=until)

    def minutes(self, symbol: str, start: datetime, until: datetime) -> Sequence[SimBar]:
        """Closed 1-minute bars that opened in [start, until), kept while one settlement runs."""
        key = (symbol, start, until)
        if key not in self._bars:
            self._bars[key] = self.market.bars(symbol, 60, start, until)
        return self._bars[key]

    def quote(self, symbol: str) -> SimQuote | None:
        """Top of book now; `open` false when the market is closed or this venue halted it."""
        quote = self.market.quote(symbol, self.clock.now())
        if quote is None:
            return None
        tick = self._ticks[symbol]
        bid, ask = round_nearest(quote.bid, tick), round_nearest(quote.ask, tick)
        return replace(quote, bid=bid, ask=ask, open=quote.open and not self.halted(symbol))

    def halted(self, symbol: str) -> bool:
        venue = "oanda" if any(pair.symbol == symbol for pair in self.pairs.values()) else "coinbase"
        return bool({symbol, venue} & {*self.situation.halted, *_conditions().halted})

    def dump(self) -> dict[str, dict[str, Any]]:
        """Every row of every table as JSON values."""
        return {
            name: {key: json.loads(encode(row)) for key, row in table.items()}
            for name, table in self.state.tables().items()
        }

    def depth(self, symbol: str) -> Decimal | None:
        """Base units that the top of the book holds; None when it is as deep as anyone asks."""
        text = self.switches.depth.get(symbol)
        return None if text is None else Decimal(text)


def _conditions() -> Conditions:
    return _CONDITIONS.get() or Conditions()


def floor_minute(moment: datetime) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()) // 60 * 60, UTC)


def next_minute(moment: datetime) -> datetime:
    """Open of the first minute that begins after `moment`."""
    return floor_minute(moment) + MINUTE


def cross_down(bars: Sequence[SimBar], level: Decimal, side: str) -> tuple[datetime, Decimal] | None:
    """When and at what price `side` first traded at or below `level`: the level, or the open when the bar gapped through it."""
    for bar in bars:
        ohlc = bar.bid if side == "bid" else bar.ask
        if ohlc.low <= level:
            return bar.time, min(level, ohlc.open)
    return None


def cross_up(bars: Sequence[SimBar], level: Decimal, side: str) -> tuple[datetime, Decimal] | None:
    """When and at what price `side` first traded at or above `level`."""
    for bar in bars:
        ohlc = bar.bid if side == "bid" else bar.ask
        if ohlc.high >= level:
            return bar.time, max(level, ohlc.open)
    return None
