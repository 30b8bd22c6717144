"""From what somebody asked for to feeds: which bars, at which timeframe, under which venue rules, and where nobody may decide."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from ffe.clock import rfc3339
from ffe.errors import ConfigurationError
from ffe.ledger.ledger import Ledger
from ffe.market.calendar import calendar_for
from ffe.market.models import Instrument, Timeframe
from ffe.replay.bars import between, window_starts
from ffe.replay.files import load_bars, stored_bars
from ffe.replay.models import Bars, Feed, Gate
from ffe.replay.request import Gatekeeper, ReplayRequest
from ffe.replay.resampling import resampled
from ffe.replay.specs import free_of_costs, spec_for
from ffe.settings import Settings
from ffe.sources.store import BarStore

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# A replay of fewer bars than the suite wants decides nothing.
FEWEST = 61


class Material(NamedTuple):
    """Bars to decide on, and the finer ones that they were made of: the same where none were."""

    bars: Bars
    fine: Bars


def wanted_bars(
    request: ReplayRequest, settings: Settings, store: BarStore | None, now: datetime
) -> tuple[Material, ...]:
    """The bars of every instrument that is asked for, in the order in which they were named.

    Raises:
        ConfigurationError: none at all, too few, a timeframe that can't be made of them, or a period without any.
        CorruptFileError, UnknownNameError: as `load_bars`.
    """
    found = _from_files(request, settings) if request.bars else _from_store(request, settings, store, now)
    return tuple(Material(_cut(_at(fine, request.timeframe, settings), request), fine) for fine in found)


def _from_files(request: ReplayRequest, settings: Settings) -> list[Bars]:
    only = request.instruments[0] if len(request.instruments) == 1 else None
    loaded = load_bars(request.bars, only, half_spread_bps=settings.replay.half_spread_bps)
    if not request.instruments:
        return list(loaded.values())
    missing = [each.symbol for each in request.instruments if each.symbol not in loaded]
    if missing:
        raise ConfigurationError(f"no bars of {', '.join(missing)} in these files, only of {', '.join(loaded)}")
    return [loaded[each.symbol] for each in request.instruments]


def _from_store(request: ReplayRequest, settings: Settings, store: BarStore | None, now: datetime) -> list[Bars]:
    if store is None:
        raise ConfigurationError("name the files of bars to replay")
    instruments: Iterable[Instrument] = request.instruments or settings.instruments
    timeframe, start, end = request.timeframe or settings.timeframe, request.start or LONG_AGO, request.end or now
    spread = settings.replay.half_spread_bps
    found = [stored_bars(store, each, timeframe, start, end, half_spread_bps=spread) for each in instruments]
    missing = [each.instrument.symbol for each in found if not len(each)]
    if missing:
        raise ConfigurationError(
            f"the bar store has no {timeframe.value} bars of {', '.join(missing)}: name files with --bars, or `ffe backfill`"
        )
    return found


def _at(bars: Bars, timeframe: Timeframe | None, settings: Settings) -> Bars:
    if timeframe is None or timeframe is bars.timeframe:
        return bars
    if timeframe.seconds % bars.timeframe.seconds:
        raise ConfigurationError(f"{timeframe.value} bars can't be made of {bars.timeframe.value} bars")
    return resampled(bars, timeframe, calendar_for(bars.instrument, settings.calendar.holidays))


def _cut(bars: Bars, request: ReplayRequest) -> Bars:
    cut = between(bars, request.start, request.end)
    if len(cut) >= FEWEST:
        return cut
    period = f"{_said(request.start, 'the beginning')} to {_said(request.end, 'the end')}"
    name = f"{bars.instrument.symbol} {bars.timeframe.value}"
    raise ConfigurationError(f"{name}: {len(cut)} bars from {period}; at least {FEWEST} are needed")


def _said(moment: datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else rfc3339(moment)


def feed_of(bars: Bars, settings: Settings, gates: Gatekeeper, ledger: Ledger | None, *, costs: bool) -> Feed:
    """The bars with the venue's rules, the account's own where the ledger knows them, and the gates of each bar."""
    instrument = bars.instrument
    known = None if ledger is None else ledger.spec(instrument.venue, instrument.symbol)
    calendar = calendar_for(instrument, settings.calendar.holidays)
    lookback = settings.lookback_bars
    seen = window_starts(bars, calendar, lookback)
    feed = Feed(bars, spec_for(instrument, settings, known, places=bars.places), gates(bars, calendar, lookback), seen)
    return feed if costs else free_of_costs(feed)


def notes_on(feeds: Iterable[Feed], *, costs: bool) -> tuple[str, ...]:
    """What a reader should know of the bars before any number."""
    notes = []
    for feed in feeds:
        bars, name = feed.bars, feed.bars.instrument.symbol
        step = bars.timeframe.seconds
        holes = int((bars.times[1:] - bars.times[:-1] > step).sum())
        if holes:
            notes.append(f"{name}: {holes} places without a bar (closed market, or nothing was recorded).")
        if costs and not bars.quoted:
            notes.append(
                f"{name}: only trades were recorded; the spread is an assumption (FFE_REPLAY__HALF_SPREAD_BPS)."
            )
        shut = {gate: int((feed.gates == gate).sum()) for gate in Gate if gate is not Gate.PASSED}
        closed = ", ".join(f"{count} by {gate.name.lower().replace('_', ' ')}" for gate, count in shut.items() if count)
        if closed:
            notes.append(f"{name}: of {len(bars)} bars nobody could decide at {closed}.")
    if not costs:
        notes.append("Costs are off: no spread, no fee, no slippage. Nobody trades like that.")
    notes.append(
        "Not modelled: overnight financing, margin close-out, part fills, market impact, an order that arrives late."
    )
    return tuple(notes)
