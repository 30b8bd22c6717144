"""What replay works with: one instrument's bars as arrays, what may be decided on them, what was decided, and what came of it.

Arrays are float64 and int64, oldest first; times are epoch seconds, UTC. The exact engine turns a price back into the Decimal that was
printed (`Bars.places`), the compiled one stays with floats; both are held to the same trades by a test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffe.decision.models import Author
from ffe.market.models import Instrument, Timeframe
from ffe.settings import RiskSettings
from ffe.venues.models import InstrumentSpec

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

OPEN, HIGH, LOW, CLOSE = range(4)
BID, ASK = range(2)


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """n complete bars of one instrument, times strictly increasing.

    `times` (n): opens. `mid`, `bid`, `ask` (n, 4): open, high, low, close; `mid` is what the engine's own bars show (trades for crypto,
    the middle for forex), `bid` and `ask` what can be traded at. `volume` (n), NaN where the source prints none. `after` (n, 2): bid and
    ask that somebody meets who trades right after a bar's close: the open of what opens at that very moment, else the last close.
    `places`: most decimals of a bid or ask. `quoted`: both sides were recorded; else a spread was assumed. `sha256`: over the content.
    """

    instrument: Instrument
    timeframe: Timeframe
    times: Ints
    mid: Floats
    bid: Floats
    ask: Floats
    volume: Floats
    after: Floats
    places: int
    quoted: bool
    sha256: str

    def __len__(self) -> int:
        return int(self.times.size)

    @property
    def closes_at(self) -> Ints:
        """Moments at which the bars close: the decision moments."""
        return self.times + self.timeframe.seconds

    @property
    def close(self) -> Floats:
        return self.mid[:, CLOSE]


class Gate(IntEnum):
    """Why nobody may decide at a bar's close; the author of that HOLD is `GATE_AUTHORS`. WARM_UP: fewer bars than the lookback."""

    PASSED = 0
    MARKET_HOURS = 1
    STALE = 2
    CONTRACT = 3
    WARM_UP = 4


GATE_AUTHORS: Mapping[Gate, Author] = {
    Gate.MARKET_HOURS: Author.MARKET_HOURS,
    Gate.STALE: Author.DATA_GATE,
    Gate.CONTRACT: Author.DATA_GATE,
    Gate.WARM_UP: Author.DATA_GATE,
}


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """One instrument ready to be replayed: bars, the venue's rules for it, and `gates` (n), a `Gate` for each bar.

    `starts` (n): row of the oldest bar that a live cycle sees at each bar's close; None: of `Plan.lookback` bars, missing ones or not.
    """

    bars: Bars
    spec: InstrumentSpec
    gates: Codes
    starts: Ints | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """What a strategy says at each bar's close. `actions` (n): +1 BUY, -1 SELL, 0 HOLD. `confidence` (n): 0 to 100.

    `authors` (n), None: all by the model's seat (`Author.MODEL`). Else 0 is that, and 1 a HOLD by `fallback` (a model that gave no
    answer), 2 not asked at all: such a bar counts as no decision.
    """

    actions: Codes
    confidence: Ints
    authors: Codes | None = None


class Fills(StrEnum):
    """When resting stops and targets are met.

    intrabar: continuously: when the bar's range reaches the level, the stop before the target where it reaches both. looks: only by the
    quote after each bar's close, as a paper account without an exit watch between two cycles would.
    """

    INTRABAR = "intrabar"
    LOOKS = "looks"


@dataclass(frozen=True)
class Plan:
    """How to replay. `capital`: of each venue's account, USD. `lookback`: bars that a live cycle would have seen (ATR is over these).

    `slippage_bps`: what every market fill is worse than the quote. `lag_seconds`: from a bar's close to the cycle that decides on it;
    it only shifts the clock of rules and marks. `resume_after_days`: a tripped kill switch is set back by a person after that many days;
    None: never, as nobody is there.
    """

    risk: RiskSettings
    capital: float = 10_000.0
    slippage_bps: float = 1.0
    lookback: int = 200
    fills: Fills = Fills.INTRABAR
    lag_seconds: float = 20.0
    resume_after_days: float | None = None


class ExitReason(StrEnum):
    """signal: the strategy closed it. stop, target: protection. open: still held at the end, valued at the closing side."""

    SIGNAL = "signal"
    STOP = "stop"
    TARGET = "target"
    OPEN = "open"


# One row a round trip, in the order of exit, entries that are still open last. Times epoch seconds; prices as filled; `units` positive;
# `side` BUY or SELL of the entry. In USD: `pnl` net of fees, `fees` both legs, `slippage` and `spread` what was lost to them against the
# mid price at each fill (already in the prices). `entry_bar`, `exit_bar`: row of the bar after whose close it was decided, of the bar in or
# after which it ended. `planned_risk`: what the sizing expected to lose at the stop.
TRADE_SCHEMA = pa.schema(
    [
        ("instrument", pa.string()),
        ("side", pa.string()),
        ("units", pa.float64()),
        ("entry_time", pa.int64()),
        ("exit_time", pa.int64()),
        ("entry_price", pa.float64()),
        ("exit_price", pa.float64()),
        ("stop_loss", pa.float64()),
        ("take_profit", pa.float64()),
        ("exit_reason", pa.string()),
        ("pnl", pa.float64()),
        ("fees", pa.float64()),
        ("slippage", pa.float64()),
        ("spread", pa.float64()),
        ("notional", pa.float64()),
        ("planned_risk", pa.float64()),
        ("confidence", pa.int64()),
        ("entry_bar", pa.int64()),
        ("exit_bar", pa.int64()),
    ]
)


@dataclass(frozen=True, eq=False)
class Result:
    """What a replay did. T decision moments (the union of all bars' closes), K instruments in the order of the feeds.

    `times` (T). `pnl` (T, K): realised and unrealised profit of each instrument since the start, net of costs, USD, marked at the closing
    side of `after`. `notional` (T, K): signed value held, USD. `holds`: for each instrument bars that ended in HOLD, by author, and
    `orders` placed. `denials`: by instrument, how often each rule refused. `halted_at`: when the kill switch tripped first.
    `seconds`: the replay itself.
    """

    engine: str
    instruments: tuple[str, ...]
    times: Ints
    pnl: Floats
    notional: Floats
    trades: pa.Table
    holds: tuple[Mapping[str, int], ...]
    orders: tuple[int, ...]
    denials: tuple[Mapping[str, int], ...]
    halted_at: int | None
    capital: float
    bars: int
    seconds: float

    def equity(self, column: int | Sequence[int]) -> Floats:
        """Capital and the profit of one instrument, or of several together in one account. (T)"""
        wanted = [column] if isinstance(column, int) else list(column)
        return np.asarray(self.capital + self.pnl[:, wanted].sum(axis=1))


@dataclass(frozen=True)
class Interval:
    """A number and where it may lie: bounds of a two-sided 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Stats:
    """Statistics of one equity curve and its trades; None where undefined (no trade, no variance). Formulas in `ffe.replay.statistics`.

    Shares are fractions; `max_drawdown` positive; `max_drawdown_days` from the peak to recovery or the end; `hold_share` by author of all
    decided bars; money in USD. `intervals`: by name of a field. `returns_per`: day, or bar where there are too few days: then volatility,
    Sharpe and Sortino come from the returns of bars and there is no CAGR.
    """

    return_: float
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float
    max_drawdown_days: float
    exposure: float
    turnover: float
    trades: int
    win_rate: float | None
    profit_factor: float | None
    expectancy: float | None
    fees: float
    slippage: float
    spread: float
    hold_share: Mapping[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    returns_per: str = "day"


@dataclass(frozen=True)
class Compared:
    """A baseline beside the strategy. `difference`: total return of the strategy less the baseline's, with its 95 % interval.

    `equity` (T) of the baseline, for the chart.
    """

    strategy: str
    stats: Stats
    difference: float
    low: float
    high: float
    equity: Floats
