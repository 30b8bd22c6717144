"""What a replay is asked for, and everything that a report, a document or an artifact shows of one that was made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ffe.market.calendar import Calendar
from ffe.market.models import Instrument, Timeframe
from ffe.replay.guards import LookaheadReport, WarmUpReport
from ffe.replay.models import Bars, Codes, Compared, Feed, Plan, Result, Signals, Stats

# The data contract for each bar, bound to the settings: `expectations.history.gates`, which the engine may not import.
Gatekeeper = Callable[[Bars, Calendar, int], Codes]
# What is going on, how far it is and how far it goes.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ReplayRequest:
    """What somebody asked for. `bars` empty: the live bar store. `instruments` empty: all of the files.

    `timeframe` None: the files' own. `start` and `end` None: everything. `engine`: auto, compiled or exact. `decisions`: a file of
    recorded ones, instead of a strategy. `every`: the model is asked at every that many bars. `recording`: where its answers are kept.
    `lookahead`: a rule that looks ahead ends the command with an error; it is looked for anyway.
    """

    bars: tuple[Path, ...] = ()
    instruments: tuple[Instrument, ...] = ()
    timeframe: Timeframe | None = None
    start: datetime | None = None
    end: datetime | None = None
    strategy: str = "sma-cross"
    params: Mapping[str, float] = field(default_factory=dict)
    decisions: Path | None = None
    every: int = 1
    recording: Path | None = None
    engine: str = "auto"
    costs: bool = True
    seed: int = 7
    lookahead: bool = False
    command: str = "ffe replay"


@dataclass(frozen=True, eq=False)
class ReplayRun:
    """Everything that a report, a document or an artifact shows of one replay. Tuples are in the order of `feeds`.

    `lookahead`, `warm_up`: what rerunning a rule found; empty where there is none that could be rerun.
    """

    feeds: tuple[Feed, ...]
    signals: tuple[Signals, ...]
    result: Result
    strategy: str
    params: Mapping[str, float]
    stats: tuple[Stats, ...]
    baselines: tuple[tuple[Compared, ...], ...]
    plan: Plan
    timeframe: Timeframe
    contaminated: tuple[bool, ...]
    watermark: str | None
    notes: tuple[str, ...]
    costs: bool
    command: str
    started_at: datetime
    versions: Mapping[str, str]
    lookahead: tuple[LookaheadReport, ...] = ()
    monte_carlo: tuple[Any, ...] = ()
    regimes: tuple[Any, ...] = ()
    warm_up: tuple[WarmUpReport, ...] = ()
