"""A second opinion: from the store for nothing, from the other source once an hour, and never at the cost of the fallback."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from ffe.clock import FixedClock
from ffe.errors import TransientSourceError
from ffe.ledger.ledger import Ledger
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.market.quality import Reference
from ffe.settings import SourcesSettings
from ffe.sources.allowance import current
from ffe.sources.chain import SourceChain
from ffe.sources.crosscheck import references
from ffe.sources.models import BarBatch
from ffe.sources.store import BarStore

START = datetime(2024, 1, 31, 22, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=50)
M5, BTCUSD = Timeframe.M5, parse_instrument("BTCUSD")


@dataclass
class Other:
    """The other source; `asked` are the spans and shares of what it was asked."""

    make_bars: Callable[..., pa.Table]
    name: str = "alpha-vantage"
    down: bool = False
    asked: list[tuple[datetime, datetime, float]] = field(default_factory=list)

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        self.asked.append((start, end, current().share))
        if self.down:
            raise TransientSourceError("503")
        return self.make_bars([8, 9, 10], "101.5")

    def close(self) -> None:
        """Holds nothing."""


@pytest.fixture
def other(make_bars: Callable[..., pa.Table]) -> Other:
    return Other(make_bars)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars")


@pytest.fixture
def batch(store: BarStore, make_bars: Callable[..., pa.Table]) -> BarBatch:
    """Bars 0 to 9 by coinbase."""
    return store.write_batch(BTCUSD, M5, "coinbase", make_bars(list(range(10))), NOW)


def chain_of(other: Other, ledger: Ledger, **knobs: object) -> SourceChain:
    first = Other(other.make_bars, name="coinbase")
    return SourceChain((first, other), ledger, FixedClock(NOW), SourcesSettings.model_validate(knobs))


def bar_open(number: int) -> datetime:
    return START + number * M5.duration


def test_the_other_source_is_asked_for_the_newest_bars_with_half_of_its_budget(
    other: Other, ledger: Ledger, store: BarStore, batch: BarBatch
) -> None:
    found = references(chain_of(other, ledger), store, batch, NOW)
    assert other.asked == [(bar_open(7), bar_open(10), 0.5)]
    assert found == tuple(
        Reference(source="alpha-vantage", open=bar_open(number), close=Decimal("101.5")) for number in (8, 9)
    ), "bar 10 is none of the batch's"


def test_it_is_asked_once_an_hour_for_an_instrument(
    other: Other, ledger: Ledger, store: BarStore, batch: BarBatch
) -> None:
    chain = chain_of(other, ledger)
    found = [
        len(references(chain, store, batch, NOW + timedelta(seconds=seconds))) for seconds in (0, 1, 3599, 3600, 3601)
    ]
    assert found == [2, 0, 0, 2, 0]
    ether = batch.model_copy(update={"instrument": parse_instrument("ETHUSD")})
    assert len(references(chain, store, ether, NOW)) == 2


def test_what_the_store_holds_of_it_costs_nothing(
    other: Other, ledger: Ledger, store: BarStore, batch: BarBatch, make_bars: Callable[..., pa.Table]
) -> None:
    theirs = make_bars([5, 9], "99.5")
    store.keep(store.write_batch(BTCUSD, M5, "alpha-vantage", theirs, NOW), theirs)
    found = references(chain_of(other, ledger), store, batch, NOW)
    assert [(each.open, each.close) for each in found] == [
        (bar_open(5), Decimal("99.5")),
        (bar_open(9), Decimal("99.5")),
    ]
    assert other.asked == []


def test_bars_that_failed_their_suite_are_no_opinion(
    other: Other, ledger: Ledger, store: BarStore, batch: BarBatch, make_bars: Callable[..., pa.Table]
) -> None:
    theirs = make_bars([5, 9], "99.5")
    failed = store.write_batch(BTCUSD, M5, "alpha-vantage", theirs, NOW)
    store.keep(failed, theirs)
    store.forget(failed)
    found = references(chain_of(other, ledger), store, batch, NOW)
    assert {each.close for each in found} == {Decimal("101.5")}


def test_stored_and_fresh_bars_are_put_together_and_the_fresh_ones_win(
    other: Other, ledger: Ledger, store: BarStore, batch: BarBatch, make_bars: Callable[..., pa.Table]
) -> None:
    theirs = make_bars([5, 8], "99.5")
    store.keep(store.write_batch(BTCUSD, M5, "alpha-vantage", theirs, NOW), theirs)
    found = references(chain_of(other, ledger), store, batch, NOW)
    assert [(each.open, str(each.close)[:5]) for each in found] == [
        (bar_open(5), "99.50"),
        (bar_open(8), "101.5"),
        (bar_open(9), "101.5"),
    ]


def test_a_source_that_fails_gives_no_opinion_and_raises_nothing(
    other: Other, ledger: Ledger, store: BarStore, batch: BarBatch
) -> None:
    other.down = True
    assert references(chain_of(other, ledger), store, batch, NOW) == ()
    (state,) = ledger.source_states("sim", NOW)
    assert (state.source, state.health.failures) == ("alpha-vantage", 1)


def test_a_store_that_cannot_be_read_gives_no_opinion_of_its_own(
    other: Other, ledger: Ledger, store: BarStore, batch: BarBatch, make_bars: Callable[..., pa.Table]
) -> None:
    theirs = make_bars([5, 9], "99.5")
    store.keep(store.write_batch(BTCUSD, M5, "alpha-vantage", theirs, NOW), theirs)
    for path in store.root.rglob("source=alpha-vantage/**/month=*.parquet"):
        path.write_bytes(b"PAR1 but not really")
    assert {each.close for each in references(chain_of(other, ledger), store, batch, NOW)} == {Decimal("101.5")}


def test_it_can_be_switched_off(other: Other, ledger: Ledger, store: BarStore, batch: BarBatch) -> None:
    assert references(chain_of(other, ledger, cross_check=False), store, batch, NOW) == ()
    assert other.asked == []
