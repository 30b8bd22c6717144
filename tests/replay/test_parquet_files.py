"""Bars from Parquet: our own exports, plain tables, and the live store."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffe.errors import ConfigurationError, CorruptFileError, DataError
from ffe.market.models import parse_instrument
from ffe.replay.bars import to_table, window
from ffe.replay.files import load_bars, stored_bars, write_parquet
from ffe.replay.models import ASK, BID, CLOSE, OPEN, Bars
from ffe.sources.models import PRICE_BAR_SCHEMA
from ffe.sources.store import BarStore

DATA = Path(__file__).parents[1] / "data" / "bars"
TRADES = DATA / "BTC-USD_1m_trades_2018-04-04.csv"
QUOTES = DATA / "BTC-USD_1m_quotes_2018-04-04.csv"
BIDASK = DATA / "EUR-USD_1m_bidask_2018-04-04.csv"
BTCUSD = parse_instrument("BTCUSD")
T0 = datetime(2018, 4, 4, 12, tzinfo=UTC)


def load(*paths: Path, half_spread_bps: float = 1.0) -> Bars:
    (found,) = load_bars(paths, half_spread_bps=half_spread_bps).values()
    return found


@pytest.mark.parametrize("paths", [(TRADES, QUOTES), (TRADES,), (BIDASK,)], ids=["both", "trades", "bidask"])
def test_an_export_comes_back_bit_for_bit(tmp_path: Path, paths: tuple[Path, ...]) -> None:
    bars = load(*paths)
    write_parquet(bars, tmp_path / "out.parquet")
    again = load(tmp_path / "out.parquet")
    assert again.sha256 == bars.sha256
    assert (again.instrument, again.timeframe, again.places, again.quoted) == (
        bars.instrument,
        bars.timeframe,
        bars.places,
        bars.quoted,
    )
    np.testing.assert_array_equal(again.volume, bars.volume)


def test_exports_are_joined_and_stand_beside_no_other_file(tmp_path: Path) -> None:
    bars = load(BIDASK)
    write_parquet(window(bars, 200, 400), tmp_path / "b.parquet")
    write_parquet(window(bars, 0, 200), tmp_path / "a.parquet")
    assert load(tmp_path / "b.parquet", tmp_path / "a.parquet").sha256 == bars.sha256
    with pytest.raises(ConfigurationError, match="an export of bars beside files of another kind"):
        load(tmp_path / "b.parquet", BIDASK)


def test_an_export_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write_parquet(load(BIDASK), path)
    table = pq.read_table(path)
    higher = pa.array(table.column("mid_close").to_numpy() + 0.0001)
    pq.write_table(table.set_column(table.schema.get_field_index("mid_close"), "mid_close", higher), path)
    with pytest.raises(CorruptFileError, match="sha256 of its bars is"):
        load(path)
    bare = {key: value for key, value in table.schema.metadata.items() if key != b"places"}
    pq.write_table(table.replace_schema_metadata(bare), path)
    with pytest.raises(CorruptFileError, match="without a sound 'places'"):
        load(path)


def test_plain_parquet_is_read_like_plain_csv(tmp_path: Path) -> None:
    bars = load(TRADES, half_spread_bps=1.0)
    pq.write_table(to_table(bars), tmp_path / "mine.parquet")
    again = load_bars([tmp_path / "mine.parquet"], BTCUSD, half_spread_bps=1.0)["BTCUSD"]
    assert again.sha256 == bars.sha256
    with pytest.raises(ConfigurationError, match="name the instrument"):
        load_bars([tmp_path / "mine.parquet"], half_spread_bps=1.0)


def _text_time(table: pa.Table) -> pa.Table:
    return table.set_column(0, "time", pa.array([str(each) for each in table.column("time").to_pylist()]))


def _without_zone(table: pa.Table) -> pa.Table:
    return table.set_column(0, "time", table.column("time").cast(pa.timestamp("us")))


def _null(table: pa.Table) -> pa.Table:
    return table.set_column(4, "close", pa.array([None] * table.num_rows, pa.float64()))


def _fine(table: pa.Table) -> pa.Table:
    return table.set_column(4, "close", pa.array([Decimal("1.012345678901234567")] * table.num_rows))


def _huge(table: pa.Table) -> pa.Table:
    return table.set_column(4, "close", pa.array([Decimal(10**25)] * table.num_rows))


def _twice(table: pa.Table) -> pa.Table:
    return table.append_column("close", table.column("close"))


BAD_TABLES = {
    "a column twice": (_twice, "column close more than once|no readable Parquet file: .*close"),
    "a time of text": (_text_time, "time is string, must be a timestamp with a time zone"),
    "a time without a zone": (_without_zone, "time is timestamp.us., must be"),
    "no time": (lambda table: table.drop_columns(["time"]), "no column time"),
    "no close": (lambda table: table.drop_columns(["close"]), "no column close"),
    "nulls": (_null, "close has 400 nulls"),
    "text": (lambda table: table.set_column(4, "close", pa.array(["1"] * table.num_rows)), "close is string, must be"),
    "more decimals than any price": (_fine, "close has more than 10 decimals"),
    "more digits than a float holds": (_huge, "close has more than 10 decimals, or more digits"),
    "the newest first": (lambda table: table.take(pa.array(range(399, -1, -1))), "row 2: time .* is not later than"),
}


@pytest.mark.parametrize(("spoil", "said"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_parquet_table_that_is_no_bars_is_refused(
    tmp_path: Path, spoil: Callable[[pa.Table], pa.Table], said: str
) -> None:
    pq.write_table(spoil(to_table(load(TRADES))), tmp_path / "mine.parquet")
    with pytest.raises(CorruptFileError, match=f"mine.parquet.*{said}"):
        load_bars([tmp_path / "mine.parquet"], BTCUSD, half_spread_bps=1.0)


def kept(store: BarStore, bars: Bars, source: str, table: pa.Table) -> None:
    batch = store.write_batch(bars.instrument, bars.timeframe, source, table, T0)
    assert store.keep(batch, table)


def read(store: BarStore, bars: Bars) -> Bars:
    span = datetime(2010, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    return stored_bars(store, bars.instrument, bars.timeframe, *span, half_spread_bps=1.0)


def test_the_live_store_gives_the_trades_that_were_kept(tmp_path: Path) -> None:
    store, bars = BarStore(tmp_path / "bars"), load(TRADES)
    kept(store, bars, "coinbase", to_table(bars))
    assert read(store, bars).sha256 == bars.sha256


def test_stored_forex_has_the_closes_of_both_sides_and_their_spread_all_along(tmp_path: Path) -> None:
    store, bars = BarStore(tmp_path / "bars"), load(BIDASK)
    kept(store, bars, "oanda", to_table(bars))
    found = read(store, bars)
    assert found.quoted
    assert found.places == bars.places
    assert found.mid.tolist() == bars.mid.tolist()
    for side, recorded in ((found.bid, bars.bid), (found.ask, bars.ask)):
        assert side[:, CLOSE].tolist() == recorded[:, CLOSE].tolist()
    spread, half = bars.ask[:, CLOSE] - bars.bid[:, CLOSE], 10.0**-bars.places / 2
    assert (found.ask[:, OPEN] - found.bid[:, OPEN] >= spread - 1e-9).all()
    assert (found.ask[:, OPEN] - found.bid[:, OPEN] <= spread + 2 * half + 1e-9).all()
    assert found.after[0, BID] == found.bid[1, OPEN]
    assert found.after[0, ASK] == found.ask[1, OPEN]


def test_the_files_of_the_live_store_say_by_their_folders_whose_they_are(tmp_path: Path) -> None:
    store, bars = BarStore(tmp_path / "bars"), load(BIDASK)
    kept(store, bars, "oanda", to_table(bars))
    (month,) = (tmp_path / "bars" / "feed=sim").rglob("*.parquet")
    assert load(month).sha256 == read(store, bars).sha256
    (batch,) = (tmp_path / "bars" / "batches").rglob("*.parquet")
    assert load(batch).sha256 == read(store, bars).sha256


def test_where_the_venue_has_none_the_second_source_is_read_without_its_quotes(tmp_path: Path) -> None:
    store, bars = BarStore(tmp_path / "bars"), load(BIDASK)
    kept(store, bars, "alpha-vantage", to_table(bars).select(PRICE_BAR_SCHEMA.names).cast(PRICE_BAR_SCHEMA))
    found = read(store, bars)
    assert not found.quoted
    assert found.mid.tolist() == bars.mid.tolist()
    assert np.isnan(found.volume).all()


def test_an_empty_store_has_no_bars_and_a_broken_one_says_so(tmp_path: Path) -> None:
    store, bars = BarStore(tmp_path / "bars"), load(TRADES)
    assert len(read(store, bars)) == 0
    kept(store, bars, "coinbase", to_table(bars))
    (month,) = (tmp_path / "bars" / "feed=sim").rglob("*.parquet")
    month.write_bytes(b"PAR1")
    with pytest.raises(DataError):
        read(store, bars)
