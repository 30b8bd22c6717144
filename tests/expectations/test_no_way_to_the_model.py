"""Through the real steps of a cycle, with ledger and store: spoilt bars end in a HOLD, and there is no context to ask a model with."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa
import pytest
from corruptions import ROWS, TABLES, every, later
from excerpts import KINDS, Excerpt, as_table, closes_at

from expectations.validate import validate_bars
from ffe.clock import FixedClock
from ffe.cycle import steps
from ffe.cycle.engine import Engine
from ffe.decision.models import Action, Author
from ffe.errors import DataError
from ffe.ledger.ledger import Ledger
from ffe.market.models import parse_instrument
from ffe.settings import Settings, SourcesSettings
from ffe.sources.store import BarStore

KIND_NAMES = ("Coinbase trades", "OANDA")
NO_BATCH = ("times as text", "times as Unix seconds", "no time column")
# Only seen from the clock: bars whose times are behind are old bars.
BEHIND = {"feed an hour behind": timedelta(hours=-1), "feed on New York time": timedelta(hours=-5)}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One for all. Without a chain of sources: nothing is fetched here, and there is nobody to ask for a second opinion."""
    tmp_path = tmp_path_factory.mktemp("engine")
    settings = Settings(data_dir=tmp_path, sources=SourcesSettings(cross_check=False))
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    clock = FixedClock(closes_at(KINDS["OANDA"].rows(), KINDS["OANDA"].bars))
    yield Engine(settings=settings, clock=clock, ledger=ledger, store=BarStore(tmp_path / "bars", "sim"))
    ledger.close()


def checked(engine: Engine, kind: Excerpt, table: pa.Table) -> steps.Checked:
    """What the gates say of `table` at the moment at which the untouched bars were complete."""
    instrument = parse_instrument(kind.symbol)
    engine.clock = FixedClock(closes_at(kind.rows(), kind.bars))
    cycle = steps.Cycle(id=uuid.uuid4().hex, timeframe=kind.bars)
    engine.ledger.start_cycle(cycle.id, "sim", kind.bars.value, engine.clock.now())
    batch = engine.store.write_batch(instrument, kind.bars, instrument.venue, table, engine.clock.now())
    engine.ledger.record_batch(batch)
    return steps.check_batch(engine, cycle, batch, validate_bars)


def test_untouched_bars_become_a_context(engine: Engine) -> None:
    kind = KINDS["OANDA"]
    found = checked(engine, kind, as_table(kind.rows()))
    assert found.hold is None
    assert found.context is not None


def held(engine: Engine, kind: Excerpt, table: pa.Table) -> set[str]:
    """Names of the critical checks of a batch that was held."""
    found = checked(engine, kind, table)
    assert found.context is None
    assert found.hold is not None
    assert (found.hold.action, found.hold.confidence, found.hold.decided_by) == (Action.HOLD, 100, Author.DATA_GATE)
    assert found.hold.quality_report_id == found.report.id
    return {finding.check for finding in found.report.critical}


@pytest.mark.parametrize(
    ("kind_name", "name"),
    [(kind, name) for kind in KIND_NAMES for name in ROWS if ROWS[name].to(KINDS[kind]) and name != "no bars"],
)
def test_spoilt_rows_are_held(kind_name: str, name: str, engine: Engine) -> None:
    kind = KINDS[kind_name]
    table = as_table(ROWS[name].spoil(kind)(kind.rows()))
    # What is old as well never reaches the suite: the gate before it has said no.
    assert held(engine, kind, table) & {ROWS[name].check, "freshness"}


@pytest.mark.parametrize("name", BEHIND)
def test_a_feed_whose_times_are_behind_is_stale(name: str, engine: Engine) -> None:
    kind = KINDS["Coinbase trades"]
    table = as_table(every(later(BEHIND[name]))(kind.rows()))
    assert held(engine, kind, table) == {"freshness"}


@pytest.mark.parametrize("name", [name for name in TABLES if name not in NO_BATCH])
def test_a_spoilt_table_is_held(name: str, engine: Engine) -> None:
    kind = KINDS["Coinbase trades"]
    spoil, check = TABLES[name]
    assert held(engine, kind, spoil(as_table(kind.rows()))) & {check, "freshness"}


@pytest.mark.parametrize("name", NO_BATCH)
def test_a_table_without_times_never_becomes_a_batch(name: str, engine: Engine) -> None:
    kind = KINDS["Coinbase trades"]
    spoil, _ = TABLES[name]
    with pytest.raises((KeyError, AttributeError)):
        checked(engine, kind, spoil(as_table(kind.rows())))


def test_no_bars_never_become_a_batch(engine: Engine) -> None:
    with pytest.raises(DataError, match="no 1m bars of BTCUSD"):
        checked(engine, KINDS["Coinbase trades"], as_table([]))
