"""A backfill fills what is missing, once, keeps what passes, and names what did not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ffe.clock import FixedClock, SystemClock
from ffe.cycle.backfill import CHUNK_BARS, Backfilled, Chunk, History, backfill, first_source
from ffe.cycle.engine import Engine
from ffe.errors import NoSourceError, TransientSourceError
from ffe.ledger.ledger import Ledger
from ffe.market.calendar import calendar_for
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.market.quality import Finding, QualityReport, Reference, Severity
from ffe.settings import SourcesSettings, load_settings
from ffe.sources.chain import SourceChain
from ffe.sources.incremental import Incremental
from ffe.sources.models import BAR_SCHEMA, BarBatch
from ffe.sources.store import BarStore, Gap

BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
H1, M5 = Timeframe.H1, Timeframe.M5
NOW = datetime(2024, 3, 20, 14, 30, 20, tzinfo=UTC)


def day(month: int, number: int) -> datetime:
    return datetime(2024, month, number, tzinfo=UTC)


@dataclass
class Venue:
    """A bar for every expected open but those in `quiet` spans, at most `page` of them an answer; spans in `broken` raise; `calls` are
    the spans asked."""

    clock: FixedClock
    quiet: list[tuple[datetime, datetime]] = field(default_factory=list)
    broken: list[tuple[datetime, datetime]] = field(default_factory=list)
    calls: list[tuple[datetime, datetime]] = field(default_factory=list)
    name: str = "coinbase"
    page: int = 10_000

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        self.calls.append((start, end))
        if any(start < last and first < end for first, last in self.broken):
            raise TransientSourceError(f"{self.name}: 503 Bearer abcdefghijklmnop")
        until = min(end, timeframe.floor(self.clock.now()))
        expected = calendar_for(instrument).expected_opens(timeframe, start, until).tolist()
        opens = [moment.replace(tzinfo=UTC) for moment in expected]
        kept = [at for at in opens if not any(first <= at < last for first, last in self.quiet)]
        rows = [{name: at if name == "time" else Decimal(1) for name in BAR_SCHEMA.names} for at in kept]
        return pa.Table.from_pylist(rows[: self.page], schema=BAR_SCHEMA)

    def close(self) -> None:
        self.calls.clear()

    def asked(self) -> list[tuple[datetime, datetime]]:
        """The spans asked since the last time."""
        calls = list(self.calls)
        self.calls.clear()
        return calls


@pytest.fixture
def venue() -> Venue:
    return Venue(FixedClock(NOW))


@pytest.fixture
def engine(tmp_path: Path, venue: Venue) -> Iterator[Engine]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield Engine(load_settings(data_dir=tmp_path), venue.clock, ledger, BarStore(tmp_path / "bars"))
    ledger.close()


@dataclass
class Suite:
    """Fails batches that hold a bar of `bad`; remembers how many rows it was shown."""

    bad: list[datetime] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def __call__(
        self,
        table: pa.Table,
        batch: BarBatch,
        now: datetime,
        references: tuple[Reference, ...] = (),
        *,
        calendar: str | None = None,
    ) -> QualityReport:
        self.seen.append(table.num_rows)
        rows = [f"{at:%Y-%m-%dT%H:%M}" for at in self.bad if batch.first_open <= at <= batch.last_open]
        findings = [
            Finding(check="price-spikes", severity=Severity.CRITICAL, message="too far", examples=tuple(rows)),
            Finding(check="volume", severity=Severity.WARNING, message="thin"),
        ]
        return QualityReport(
            id=f"report-{len(self.seen)}-{batch.id[:8]}",
            batch_id=batch.id,
            suite="history",
            checks=2,
            findings=tuple(findings[0 if rows else 1 :]),
            checked_at=now,
            duration_ms=1.0,
        )


@pytest.fixture
def suite() -> Suite:
    return Suite()


@pytest.fixture
def fill(engine: Engine, venue: Venue, suite: Suite) -> Callable[..., Backfilled]:
    def filled(instrument: Instrument = BTC, timeframe: Timeframe = H1, days: int = 60, **options: Any) -> Backfilled:
        source = Incremental(venue, engine.store, venue.clock)
        history = History(source.name, source.fetch)
        return backfill(engine, instrument, timeframe, days, suite, history=history, **options)

    return filled


def outcomes(result: Backfilled) -> list[str]:
    return [chunk.outcome.value for chunk in result.chunks]


def test_months_come_newest_first_and_cover_everything_without_a_seam(
    fill: Callable[..., Backfilled], engine: Engine
) -> None:
    result = fill()
    start = NOW.replace(minute=0, second=0) - timedelta(days=60)
    assert [chunk.start for chunk in result.chunks] == [day(3, 1), day(2, 1), start]
    assert outcomes(result) == ["kept"] * 3
    assert engine.store.covered(BTC, H1, "coinbase") == [(start, NOW.replace(minute=0, second=0))]
    assert engine.store.gaps(BTC, H1, "coinbase", calendar_for(BTC)) == []


def test_what_is_covered_is_not_asked_again(fill: Callable[..., Backfilled], venue: Venue) -> None:
    fill()
    venue.asked()
    result = fill()
    assert venue.asked() == []
    assert outcomes(result) == ["covered"] * 3
    assert result.bars == 0


def test_a_later_run_asks_for_the_new_days_and_for_the_older_ones_only(
    fill: Callable[..., Backfilled], venue: Venue
) -> None:
    fill(days=20)
    venue.clock.advance(timedelta(days=2))
    venue.asked()
    fill(days=60)
    older = [span for span in venue.asked() if span[0] < day(2, 29)]
    assert max(end for _, end in older) <= day(3, 3)
    assert outcomes(fill(days=60)) == ["covered"] * 3


def test_minutes_come_in_pieces_of_what_one_page_holds(fill: Callable[..., Backfilled], venue: Venue) -> None:
    result = fill(timeframe=M5, days=40)
    assert all((end - start) / M5.duration <= CHUNK_BARS + 100 for start, end in venue.asked())
    edges = [chunk.start for chunk in result.chunks]
    assert edges == sorted(edges, reverse=True)
    assert day(3, 1) in edges


def test_a_chunk_that_fails_the_suite_is_named_with_its_rows_and_the_others_are_kept(
    fill: Callable[..., Backfilled], engine: Engine, suite: Suite
) -> None:
    suite.bad = [day(2, 10)]
    result = fill()
    assert outcomes(result) == ["kept", "failed", "kept"]
    (failed,) = result.failed
    assert (failed.name, failed.why) == (
        "2024-02-01T00:00:00Z to 2024-03-01T00:00:00Z",
        "price-spikes: too far",
    )
    assert failed.findings[0].examples == ("2024-02-10T00:00",)
    assert failed.missing == 29 * 24
    assert engine.store.missing(BTC, H1, "coinbase", day(2, 1), day(3, 1)) == [(day(2, 1), day(3, 1))]
    assert failed.bars == 29 * 24 + 50
    assert list(engine.store.root.glob(f"batches/*/{failed.batch_id}.parquet"))


def test_a_run_after_the_venue_mended_its_bars_takes_only_the_chunk_that_failed(
    fill: Callable[..., Backfilled], venue: Venue, suite: Suite
) -> None:
    suite.bad = [day(2, 10)]
    fill()
    suite.bad = []
    venue.asked()
    result = fill()
    assert outcomes(result) == ["covered", "kept", "covered"]
    ((start, end),) = venue.asked()
    assert day(1, 28) < start < day(2, 1) < day(3, 1) < end < day(3, 4)


def test_a_source_that_fails_fails_its_chunk_and_no_secret_is_told(
    fill: Callable[..., Backfilled], venue: Venue
) -> None:
    venue.broken = [(day(2, 3), day(2, 4))]
    result = fill()
    assert outcomes(result) == ["kept", "failed", "kept"]
    assert result.failed[0].why.startswith("TransientSourceError: coinbase: 503")
    assert "abcdefghijklmnop" not in result.failed[0].why


def test_an_answer_that_is_cut_short_covers_no_more_than_it_shows(
    fill: Callable[..., Backfilled], venue: Venue, engine: Engine
) -> None:
    fill(days=20)
    venue.page = 400
    result = fill(days=60)
    assert outcomes(result)[:2] == ["covered", "kept"]
    cut = result.chunks[1].start + 400 * H1.duration
    assert result.chunks[1].missing == (result.chunks[1].end - cut) / H1.duration
    assert engine.store.missing(BTC, H1, "coinbase", day(2, 1), day(3, 20)) == [(cut, day(2, 29) + timedelta(hours=14))]
    venue.page = 10_000
    assert outcomes(fill(days=60)) == ["covered", "kept", "covered"]
    assert outcomes(fill(days=60)) == ["covered"] * 3


def test_a_hole_with_bars_of_the_venue_on_both_sides_is_counted_listed_and_asked_once(
    fill: Callable[..., Backfilled], venue: Venue, engine: Engine
) -> None:
    hole = (day(2, 29) + timedelta(hours=20), day(3, 1))
    venue.quiet = [hole]
    result = fill()
    assert [chunk.missing for chunk in result.chunks] == [0, 4, 0]
    assert engine.store.gaps(BTC, H1, "coinbase", calendar_for(BTC)) == [Gap(hole[0], hole[1] - H1.duration, 4)]
    venue.asked()
    assert outcomes(fill()) == ["covered"] * 3
    assert venue.asked() == []


def test_a_weekend_is_never_asked_for(fill: Callable[..., Backfilled], venue: Venue, engine: Engine) -> None:
    venue.name = "oanda"
    venue.clock.at = day(3, 20)
    assert outcomes(fill(EUR, days=50)) == ["kept", "kept", "kept"]
    venue.asked()
    assert outcomes(fill(EUR, days=50)) == ["covered"] * 3
    assert engine.store.gaps(EUR, H1, "oanda", calendar_for(EUR)) == []


def test_time_before_the_first_bar_of_a_market_is_empty_and_no_failure(
    fill: Callable[..., Backfilled], venue: Venue
) -> None:
    venue.quiet = [(day(1, 1), day(2, 15))]
    result = fill()
    assert outcomes(result) == ["kept", "kept", "empty"]
    assert result.failed == []


def test_every_chunk_is_told_with_the_share_that_is_done(fill: Callable[..., Backfilled]) -> None:
    told: list[tuple[Chunk, float]] = []
    result = fill(told=lambda chunk, done: told.append((chunk, done)))
    assert [chunk for chunk, _ in told] == list(result.chunks)
    assert [done for _, done in told] == pytest.approx([1 / 3, 2 / 3, 1])


def test_the_suite_sees_the_bars_around_a_chunk_too(
    fill: Callable[..., Backfilled], suite: Suite, engine: Engine
) -> None:
    fill(days=60)
    engine.store.forget(
        engine.store.write_batch(
            BTC, H1, "coinbase", engine.store.read(BTC, H1, "coinbase", day(2, 9), day(2, 10)), NOW
        )
    )
    suite.seen.clear()
    fill(days=60)
    assert suite.seen == [24 + 2 * 50]


class Chain:
    """An engine as far as `first_source` looks at it."""

    def __init__(self, chain: SourceChain) -> None:
        self._chain = chain

    def chain(self, _: object) -> SourceChain:
        return self._chain


@pytest.fixture
def chained(engine: Engine, venue: Venue) -> Any:
    spare = Venue(venue.clock, name="alpha-vantage")
    chained: Any = Chain(SourceChain([venue, spare], engine.ledger, SystemClock(), SourcesSettings()))
    return first_source(chained, BTC), spare


def test_history_comes_from_the_first_source_and_from_no_other(chained: Any, venue: Venue) -> None:
    history, spare = chained
    assert history.source == "coinbase"
    assert history.fetch(BTC, H1, day(3, 1), day(3, 2)).num_rows == 24
    venue.broken = [(day(3, 1), day(3, 2))]
    with pytest.raises(NoSourceError, match="503"):
        history.fetch(BTC, H1, day(3, 1), day(3, 2))
    assert spare.calls == []


def test_a_first_source_without_a_bar_there_answers_an_empty_table(chained: Any, venue: Venue) -> None:
    venue.quiet = [(day(1, 1), day(3, 2))]
    assert chained[0].fetch(BTC, H1, day(3, 1), day(3, 2)).num_rows == 0


def test_a_chunk_that_passed_and_could_not_be_written_is_no_chunk_that_was_kept(
    fill: Callable[..., Backfilled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BarStore, "keep", lambda store, batch, table: False)
    result = fill()
    assert set(outcomes(result)) == {"failed"}
    assert "could not be written" in result.failed[0].why
