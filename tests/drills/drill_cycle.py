"""One instrument's way from the sources to the gates on a real engine: what the failover drill plays, with patience for a moment only."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from drill_faults import SYMBOLS
from drill_market import Venue

from expectations.validate import validate_bars
from ffe.cycle import bars, incidents, steps
from ffe.cycle.engine import Engine
from ffe.errors import NoSourceError
from ffe.ledger.models import Incident
from ffe.market.models import Timeframe, parse_instrument
from ffe.settings import load_settings
from ffe.sources.models import BarBatch

# Seconds of patience with all sources together; a venue may take half of it. An answer takes some 0.05 s here.
PATIENCE = {"DEADLINE_SECONDS": "2"}
# A premium key has no budget to spare, and a second opinion would meet the faults as well.
PREMIUM = {"ALPHA_VANTAGE_PER_DAY": "10000", "ALPHA_VANTAGE_PER_SECOND": "10000", "CROSS_CHECK": "false"}
# Few enough that Alpha Vantage's compact reply of 100 holds them, so that the middle of the reply is the middle of the batch.
BARS = 90


@contextmanager
def opened(venue: Venue, folder: Path, **changes: str) -> Iterator[Engine]:
    """An engine with a ledger and a store of its own. `changes`: further settings."""
    named = {f"FFE_SOURCES__{name}": value for name, value in (PATIENCE | PREMIUM).items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (venue.environment | named | changes).items():
            patch.setenv(name, value)
        engine = Engine.open(load_settings(data_dir=folder / "data", lookback_bars=BARS))
    engine.clock = venue
    try:
        yield engine
    finally:
        engine.close()


@dataclass(frozen=True)
class Played:
    """What one instrument's cycle came to: a checked batch, or the incident of its fetch."""

    symbol: str
    batch: BarBatch | None = None
    table: pa.Table | None = None
    checked: steps.Checked | None = None
    incident: Incident | None = None


def play_both(engine: Engine, cycle_id: str = "drill") -> dict[str, Played]:
    """By their first source."""
    with ThreadPoolExecutor(len(SYMBOLS)) as pool:
        under_way = {first: pool.submit(play, engine, symbol, cycle_id) for first, symbol in SYMBOLS.items()}
    return {first: future.result() for first, future in under_way.items()}


def play(engine: Engine, symbol: str, cycle_id: str, timeframe: Timeframe = Timeframe.M5) -> Played:
    instrument, cycle = parse_instrument(symbol), steps.Cycle(id=f"{cycle_id}-{symbol}", timeframe=timeframe)
    engine.ledger.start_cycle(cycle.id, "sim", cycle.timeframe.value, engine.clock.now())
    try:
        batch = bars.fetch_batch(engine, instrument, cycle.timeframe)
    except NoSourceError as error:
        found = incidents.of_error(error, cycle_id=cycle.id, instrument=symbol)
        return Played(symbol, incident=incidents.write(engine, found, "fetch-bars", run_id=cycle.id))
    return Played(symbol, batch, engine.store.load(batch), steps.check_batch(engine, cycle, batch, validate_bars))
