"""The store keeps bars exactly, once, and tells when a file is no longer what it was."""

import errno
import hashlib
import multiprocessing
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe.errors import DataError
from ffe.market.models import Timeframe, parse_instrument
from ffe.sources.models import BAR_SCHEMA, Outcome, SourceAnswer
from ffe.sources.store import BarStore

BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
M5 = Timeframe.M5
LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 2, 1, tzinfo=UTC)
START = datetime(2024, 1, 31, 22, tzinfo=UTC)
MakeBars = Callable[..., pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars")


def stored(store: BarStore) -> pa.Table:
    return store.read(BTC, M5, "coinbase", LONG_AGO, FAR_AHEAD)


def files(store: BarStore) -> dict[str, bytes]:
    return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in store.root.rglob("*.parquet")}


def test_bars_are_partitioned_by_source_instrument_timeframe_and_month(store: BarStore, make_bars: MakeBars) -> None:
    store.upsert(BTC, M5, "coinbase", make_bars(list(range(48))))
    folder = "feed=sim/source=coinbase/instrument=BTCUSD/timeframe=5m"
    assert sorted(files(store)) == [f"{folder}/month=2024-01.parquet", f"{folder}/month=2024-02.parquet"]


def test_the_same_bars_again_change_no_byte(store: BarStore, make_bars: MakeBars) -> None:
    store.upsert(BTC, M5, "coinbase", make_bars(list(range(48))))
    before = files(store)
    store.upsert(BTC, M5, "coinbase", make_bars(list(range(48))))
    assert files(store) == before


def test_a_later_fetch_wins_on_the_same_open_time(store: BarStore, make_bars: MakeBars) -> None:
    store.upsert(BTC, M5, "coinbase", make_bars([0, 1, 2], "100"))
    store.upsert(BTC, M5, "coinbase", make_bars([1, 3], "200"))
    assert [int(value) for value in stored(store).column("close").to_pylist()] == [100, 200, 100, 200]


def test_prices_come_back_with_every_digit(store: BarStore, make_bars: MakeBars) -> None:
    store.upsert(BTC, M5, "coinbase", make_bars([0], "0.000000001234567891"))
    assert stored(store).column("close").to_pylist() == [Decimal("0.000000001234567891")]


def test_a_read_takes_the_half_open_range_over_months(store: BarStore, make_bars: MakeBars) -> None:
    bars = make_bars(list(range(48)))
    store.upsert(BTC, M5, "coinbase", bars)
    opens = bars.column("time").to_pylist()
    found = store.read(BTC, M5, "coinbase", opens[20], opens[30]).column("time").to_pylist()
    assert found == opens[20:30]


def test_a_store_without_such_bars_answers_an_empty_table(store: BarStore) -> None:
    assert stored(store).equals(BAR_SCHEMA.empty_table())


def test_a_month_of_other_columns_is_refused_and_stays_as_it_was(store: BarStore, make_bars: MakeBars) -> None:
    store.upsert(BTC, M5, "coinbase", make_bars([0, 1]))
    before = files(store)
    with pytest.raises(DataError, match=r"holds columns .* not .*bid_close"):
        store.upsert(BTC, M5, "coinbase", make_bars([2], quoted=True))
    assert files(store) == before


def test_a_failed_write_leaves_the_old_file_and_no_part_of_the_new_one(
    store: BarStore, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.upsert(BTC, M5, "coinbase", make_bars([0, 1]))
    before = files(store)

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ffe.sources.files.os.fsync", full_disk)
    with pytest.raises(DataError, match="can't be written: No space left"):
        store.upsert(BTC, M5, "coinbase", make_bars([2]))
    assert files(store) == before
    assert list(store.root.rglob("*.tmp")) == []


def test_a_batch_is_named_by_the_hash_of_its_bytes(store: BarStore, make_bars: MakeBars) -> None:
    batch = store.write_batch(BTC, M5, "coinbase", make_bars([0, 1, 2]), NOW)
    path = store.root.parent / batch.path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == batch.id
    assert batch.path == f"bars/batches/{batch.id[:2]}/{batch.id}.parquet"
    assert (batch.rows, batch.source, batch.fetched_at) == (3, "coinbase", NOW)
    assert batch.bar_close - batch.first_open == timedelta(minutes=15)


def test_equal_bars_make_one_batch_however_they_are_chunked(store: BarStore, make_bars: MakeBars) -> None:
    whole, parts = make_bars([0, 1, 2]), pa.concat_tables([make_bars([0]), make_bars([1, 2])])
    noted = whole.replace_schema_metadata({"note": "inherited"})
    batches = [store.write_batch(BTC, M5, "coinbase", table, NOW) for table in (whole, parts, noted)]
    assert len({batch.id for batch in batches}) == 1
    assert len(files(store)) == 1


def test_bars_of_another_instrument_are_another_batch(store: BarStore, make_bars: MakeBars) -> None:
    ids = {store.write_batch(instrument, M5, "coinbase", make_bars([0]), NOW).id for instrument in (BTC, EUR)}
    assert len(ids) == 2


def test_a_batch_loads_as_it_was_written(store: BarStore, make_bars: MakeBars) -> None:
    bars = make_bars([0, 1, 2], quoted=True)
    assert store.load(store.write_batch(EUR, M5, "oanda", bars, NOW)).equals(bars)


def test_bad_bars_can_be_kept_as_evidence(store: BarStore, make_bars: MakeBars) -> None:
    bars = make_bars([2, 0, 0])
    batch = store.write_batch(BTC, M5, "coinbase", bars, NOW)
    assert store.load(batch).equals(bars)
    assert batch.last_open - batch.first_open == timedelta(minutes=10)


def test_an_altered_batch_is_refused_with_both_hashes(store: BarStore, make_bars: MakeBars) -> None:
    batch = store.write_batch(BTC, M5, "coinbase", make_bars([0, 1]), NOW)
    path = store.root.parent / batch.path
    pq.write_table(make_bars([0, 2]), path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError) as caught:
        store.load(batch)
    assert found in str(caught.value)
    assert batch.id in str(caught.value)


def test_writing_a_batch_again_heals_an_altered_file(store: BarStore, make_bars: MakeBars) -> None:
    bars = make_bars([0, 1])
    batch = store.write_batch(BTC, M5, "coinbase", bars, NOW)
    (store.root.parent / batch.path).write_bytes(b"cut")
    assert store.load(store.write_batch(BTC, M5, "coinbase", bars, NOW)).equals(bars)


def test_a_missing_batch_is_a_data_error(store: BarStore, make_bars: MakeBars) -> None:
    batch = store.write_batch(BTC, M5, "coinbase", make_bars([0]), NOW)
    (store.root.parent / batch.path).unlink()
    with pytest.raises(DataError, match="No such file"):
        store.load(batch)


def test_a_batch_file_that_cannot_be_read_is_written_again(
    store: BarStore, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = store.write_batch(BTC, M5, "coinbase", make_bars([0]), NOW)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fails_with(errno.EIO))
        assert store.write_batch(BTC, M5, "coinbase", make_bars([0]), NOW) == batch
    assert store.load(batch).equals(make_bars([0]))


def fails_with(number: int) -> Callable[..., Any]:
    """In place of a call of the system, which the disk refuses."""

    def refuse(path: object = None, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    return refuse


def kept(store: BarStore, bars: pa.Table) -> bool:
    return store.keep(store.write_batch(BTC, M5, "coinbase", bars, NOW), bars)


def refuse_cache_writes(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The disk takes the evidence of a batch and nothing of the cache."""
    for room in ("partition", "coverage"):
        monkeypatch.setattr(f"ffe.sources.{room}.replace", fails_with(number))


@pytest.mark.parametrize(
    ("where", "number"),
    [
        ("pathlib.Path.read_bytes", errno.EIO),
        ("pathlib.Path.read_bytes", errno.EACCES),
        ("ffe.sources.partition.os.listdir", errno.EACCES),
        ("ffe.sources.files.fcntl.flock", errno.ENOLCK),
    ],
)
def test_a_fault_of_the_disk_is_a_data_error_that_names_the_file(
    where: str, number: int, store: BarStore, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.upsert(BTC, M5, "coinbase", make_bars([0]))
    monkeypatch.setattr(where, fails_with(number))
    with pytest.raises(DataError, match=rf"can't be read: {os.strerror(number)}"):
        stored(store)


def test_a_folder_in_the_place_of_a_month_is_a_data_error_to_readers_and_costs_no_cycle(
    store: BarStore, make_bars: MakeBars, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept(store, make_bars([0, 1]))
    month = next(store.root.rglob("month=*.parquet"))
    month.unlink()
    month.mkdir()
    with pytest.raises(DataError, match=r"month=2024-01\.parquet can't be read: Is a directory"):
        stored(store)
    assert not kept(store, make_bars([0, 1, 2]))
    (message,) = caplog.messages
    assert message.startswith("the cache of 5m bars of BTCUSD by coinbase stays as it was")
    assert message.endswith("month=2024-01.parquet can't be written: Is a directory")
    assert store.covered(BTC, M5, "coinbase") == []


def test_a_full_disk_leaves_the_cache_as_it_was_and_costs_no_cycle(
    store: BarStore, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept(store, make_bars([0, 1]))
    with monkeypatch.context() as patched:
        refuse_cache_writes(patched, errno.ENOSPC)
        assert not kept(store, make_bars([0, 1, 2]))
    assert "No space left on device" in caplog.text
    assert stored(store).num_rows == 2
    assert store.covered(BTC, M5, "coinbase") == [(START, START + 2 * M5.duration)]


def test_bars_that_failed_are_forgotten_on_a_full_disk_too(
    store: BarStore, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = make_bars([0, 1])
    assert kept(store, bars)
    refuse_cache_writes(monkeypatch, errno.ENOSPC)
    store.forget(store.write_batch(BTC, M5, "coinbase", bars, NOW))
    assert store.covered(BTC, M5, "coinbase") == []


def test_a_cache_that_cannot_be_changed_at_all_is_a_line_in_the_log(
    store: BarStore, make_bars: MakeBars, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bars = make_bars([0, 1])
    batch = store.write_batch(BTC, M5, "coinbase", bars, NOW)
    store.keep(batch, bars)
    refuse_cache_writes(monkeypatch, errno.EROFS)
    monkeypatch.setattr(Path, "unlink", fails_with(errno.EROFS))
    store.forget(batch)
    store.distrust(BTC, M5, "coinbase")
    assert [message.endswith("Read-only file system") for message in caplog.messages] == [True, True]


def test_no_bars_make_no_batch(store: BarStore, make_bars: MakeBars) -> None:
    with pytest.raises(DataError, match="coinbase has no 5m bars of BTCUSD"):
        store.write_batch(BTC, M5, "coinbase", make_bars([]), NOW)


def test_who_else_was_asked_goes_with_the_batch_and_not_into_its_bytes(store: BarStore, make_bars: MakeBars) -> None:
    answers = (SourceAnswer(source="oanda", outcome=Outcome.SKIPPED, at=NOW),)
    told = store.write_batch(BTC, M5, "coinbase", make_bars([0]), NOW, answers=answers)
    assert told.answers == answers
    assert told.id == store.write_batch(BTC, M5, "coinbase", make_bars([0]), NOW).id


def _write_many(root: Path, batches: list[pa.Table]) -> None:
    for bars in batches:
        store = BarStore(root)
        store.upsert(BTC, M5, "coinbase", bars)
        store.keep(store.write_batch(BTC, M5, "coinbase", bars, NOW), bars)


@pytest.mark.slow
def test_two_processes_lose_no_bar_and_no_coverage_of_each_other(store: BarStore, make_bars: MakeBars) -> None:
    spawn = multiprocessing.get_context("spawn")
    odd, even = ([make_bars([step]) for step in range(first, 24, 2)] for first in (0, 1))
    writers = [spawn.Process(target=_write_many, args=(store.root, batches)) for batches in (odd, even)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert stored(store).num_rows == 24
    assert store.covered(BTC, M5, "coinbase") == [(START, START + 24 * M5.duration)]


FETCHES = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True), min_size=1, max_size=4)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fetches=FETCHES)
def test_a_store_holds_every_open_time_once_with_its_last_value(
    fetches: list[list[int]], make_bars: MakeBars, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = BarStore(tmp_path_factory.mktemp("store") / "bars")
    expected: dict[datetime, int] = {}
    for price, steps in enumerate(fetches, start=1):
        bars = make_bars(steps, str(price))
        store.upsert(BTC, M5, "coinbase", bars)
        expected |= dict.fromkeys(bars.column("time").to_pylist(), price)
    found = stored(store)
    pairs = list(zip(found.column("time").to_pylist(), map(int, found.column("close").to_pylist()), strict=True))
    assert pairs == sorted(expected.items())
