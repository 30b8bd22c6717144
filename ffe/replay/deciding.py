"""What is decided at each bar: by a rule, by recorded decisions, or by the language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffe.clock import Clock
from ffe.errors import ConfigurationError
from ffe.llm.protocol import LanguageModel
from ffe.market.calendar import calendar_for
from ffe.replay.cutoffs import contaminated, watermark
from ffe.replay.decisions_file import missed, read_decisions, spoken_by, to_signals
from ffe.replay.models import Feed, Signals
from ffe.replay.preparing import Material
from ffe.replay.request import Progress, ReplayRequest
from ffe.replay.strategies.protocol import Strategy
from ffe.replay.strategies.registry import find_strategy
from ffe.settings import Settings

if TYPE_CHECKING:
    from ffe.cycle.bars import Validate

LLM = "llm"
RECORDED = "recorded"


@dataclass(frozen=True)
class Decided:
    """Signals for each feed, and who spoke. `strategy` None: not a rule that could be asked again. `model`: name and digest, else None.

    `notes`: what a reader should know of how they came about.
    """

    name: str
    signals: tuple[Signals, ...]
    strategy: Strategy | None = None
    model: tuple[str, str | None] | None = None
    notes: tuple[str, ...] = ()

    def contaminated(self, feed: Feed) -> bool:
        return self.model is not None and contaminated(feed.bars, *self.model)

    def watermark(self, feeds: Sequence[Feed]) -> str | None:
        return None if self.model is None else watermark([feed.bars for feed in feeds], *self.model)


@dataclass(frozen=True)
class Asker:
    """What the model's seat needs: the model, the suite that its contexts have to pass, where its answers are kept."""

    model: LanguageModel
    clock: Clock
    recording: Path
    judge: "Validate | None" = None


def decided(
    request: ReplayRequest,
    settings: Settings,
    materials: Sequence[Material],
    feeds: Sequence[Feed],
    *,
    asker: Asker | None,
    told: Progress,
) -> Decided:
    """Signals of every feed.

    Raises:
        ConfigurationError: `llm` without a model to ask, recorded decisions on none of these instruments.
        ModelUnavailableError: the model stopped answering; what it said is kept.
    """
    if request.decisions is not None:
        return _recorded(request.decisions, feeds)
    if request.strategy == LLM:
        if asker is None:
            raise ConfigurationError("strategy llm needs a model to ask")
        return _model(request, settings, materials, feeds, asker=asker, told=told)
    rule = find_strategy(request.strategy, request.params)
    return Decided(rule.name, tuple(rule.signals(feed.bars) for feed in feeds), strategy=rule)


def _recorded(path: Path, feeds: Sequence[Feed]) -> Decided:
    """A file that does not name one model is that of a model which may have read anything."""
    tables = read_decisions(path)
    symbols = [feed.bars.instrument.symbol for feed in feeds]
    if not set(symbols) & set(tables):
        raise ConfigurationError(
            f"{path} has decisions on {', '.join(tables) or 'nothing'}, none on {', '.join(symbols)}"
        )
    missing = [symbol for symbol in symbols if symbol not in tables]
    if missing:
        raise ConfigurationError(f"{path} has no decisions on {', '.join(missing)}")
    pairs = list(zip(feeds, symbols, strict=True))
    lost = {symbol: missed(tables[symbol], feed.bars) for feed, symbol in pairs}
    notes = [
        f"{count} recorded decisions on {symbol} are at no bar's close and were left out."
        for symbol, count in lost.items()
        if count
    ]
    model = spoken_by({symbol: tables[symbol] for symbol in symbols})
    return Decided(
        RECORDED,
        tuple(to_signals(tables[symbol], feed.bars) for feed, symbol in pairs),
        model=model,
        notes=tuple(notes),
    )


def _model(
    request: ReplayRequest,
    settings: Settings,
    materials: Sequence[Material],
    feeds: Sequence[Feed],
    *,
    asker: Asker,
    told: Progress,
) -> Decided:
    from ffe.replay.contexts import ContextMaker
    from ffe.replay.llm import decide

    signals = []
    for material, feed in zip(materials, feeds, strict=True):
        bars = feed.bars
        calendar = calendar_for(bars.instrument, settings.calendar.holidays)
        maker = ContextMaker(
            {material.fine.timeframe: material.fine, bars.timeframe: bars},
            bars.timeframe,
            settings,
            calendar,
            asker.judge,
        )
        said = decide(
            feed, maker, asker.model, asker.clock, every=request.every, recording=asker.recording, progress=told
        )
        signals.append(said)
    identity = asker.model.identity()
    return Decided(LLM, tuple(signals), model=(identity.model, identity.digest))
