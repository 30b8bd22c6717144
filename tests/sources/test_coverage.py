"""What the store believes it knows: never more than it was given, whatever breaks."""

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from ffe.errors import DataError
from ffe.market.calendar import calendar_for
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.sources import files
from ffe.sources.models import BAR_SCHEMA, BarBatch
from ffe.sources.store import BarStore, Gap

BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
M5, H1 = Timeframe.M5, Timeframe.H1
START = datetime(2024, 1, 31, 22, tzinfo=UTC)
NOW = datetime(2024, 3, 1, tzinfo=UTC)
MakeBars = Callable[..., pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars")


def at(number: int) -> datetime:
    return START + number * M5.duration


def keep(store: BarStore, table: pa.Table, instrument: Instrument = BTC, timeframe: Timeframe = M5) -> BarBatch:
    batch = store.write_batch(instrument, timeframe, "coinbase", table, NOW)
    store.keep(batch, table)
    return batch


def covered(store: BarStore) -> list[tuple[int, int]]:
    """Covered spans by number of bar."""
    spans = store.covered(BTC, M5, "coinbase")
    return [((start - START) // M5.duration, (end - START) // M5.duration) for start, end in spans]


def closes(store: BarStore) -> dict[int, int]:
    """Close by number of bar, of the bars that are covered."""
    table, _ = store.known(BTC, M5, "coinbase", at(-1000), at(1000))
    opens = [(moment - START) // M5.duration for moment in table.column("time").to_pylist()]
    return dict(zip(opens, map(int, table.column("close").to_pylist()), strict=True))


def folder(store: BarStore) -> Path:
    (found,) = store.root.glob("feed=*/source=*/instrument=*/timeframe=*")
    return found


def month(store: BarStore, name: str = "2024-01") -> Path:
    return folder(store) / f"month={name}.parquet"


def contents(store: BarStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder(store).glob("*.*")}


def test_bars_that_are_only_stored_cover_nothing(store: BarStore, make_bars: MakeBars) -> None:
    store.upsert(BTC, M5, "coinbase", make_bars([0, 1, 2]))
    assert store.covered(BTC, M5, "coinbase") == []
    assert closes(store) == {}


def test_a_store_that_was_never_written_covers_nothing(store: BarStore) -> None:
    assert store.covered(BTC, M5, "coinbase") == []
    assert store.missing(BTC, M5, "coinbase", at(0), at(9)) == [(at(0), at(9))]
    assert store.known(BTC, M5, "coinbase", at(0), at(9)) == (BAR_SCHEMA.empty_table(), [])
    assert not store.root.exists()


def test_a_kept_batch_covers_from_its_first_open_to_its_last_close_over_months(
    store: BarStore, make_bars: MakeBars
) -> None:
    keep(store, make_bars([2, 3, 40]))
    assert covered(store) == [(2, 41)]
    assert store.missing(BTC, M5, "coinbase", at(0), at(50)) == [(at(0), at(2)), (at(41), at(50))]
    assert store.missing(BTC, M5, "coinbase", at(5), at(41)) == []


def test_keeping_again_changes_no_byte(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars(list(range(48))))
    before = contents(store)
    keep(store, make_bars(list(range(48))))
    assert contents(store) == before


def test_spans_that_touch_become_one(store: BarStore, make_bars: MakeBars) -> None:
    for steps in ([0, 1], [4, 5], [2, 3]):
        keep(store, make_bars(steps))
    assert covered(store) == [(0, 6)]


def test_inside_its_span_a_kept_batch_is_the_whole_truth_and_outside_nothing_changes(
    store: BarStore, make_bars: MakeBars
) -> None:
    keep(store, make_bars(list(range(20)), "1"))
    keep(store, make_bars([5, 6, 9], "2"))
    expected = dict.fromkeys([*range(5), *range(10, 20)], 1) | dict.fromkeys([5, 6, 9], 2)
    assert closes(store) == expected


def test_a_forgotten_batch_leaves_its_bars_but_nobody_believes_them(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars(list(range(20))))
    store.forget(store.write_batch(BTC, M5, "coinbase", make_bars([5, 9]), NOW))
    assert covered(store) == [(0, 5), (10, 20)]
    assert sorted(closes(store)) == [*range(5), *range(10, 20)]
    assert store.read(BTC, M5, "coinbase", at(0), at(99)).num_rows == 20


def test_a_distrusted_partition_covers_nothing(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars([0, 1]))
    keep(store, make_bars([9]))
    store.distrust(BTC, M5, "coinbase")
    assert covered(store) == []


def test_feeds_never_mix(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars([0, 1]))
    live = BarStore(store.root, "live")
    assert live.covered(BTC, M5, "coinbase") == []
    assert live.read(BTC, M5, "coinbase", at(0), at(9)).num_rows == 0
    keep(live, make_bars([5]))
    assert covered(store) == [(0, 2)]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"null", b'{"covered": []}', b"\xff\xfe"])
def test_an_index_that_is_lost_or_unreadable_covers_nothing_until_the_next_keep(
    content: bytes | None, store: BarStore, make_bars: MakeBars
) -> None:
    keep(store, make_bars([0, 1, 2]))
    index = folder(store) / "coverage.json"
    index.unlink() if content is None else index.write_bytes(content)
    assert covered(store) == []
    keep(store, make_bars([1, 2, 3]))
    assert covered(store) == [(1, 4)]


def test_an_index_that_says_something_else_than_was_written_covers_nothing(
    store: BarStore, make_bars: MakeBars
) -> None:
    keep(store, make_bars([0, 1, 2]))
    index = folder(store) / "coverage.json"
    document = json.loads(index.read_text())
    document["covered"][0][1] = "2024-02-02T00:00:00Z"
    index.write_text(json.dumps(document))
    assert covered(store) == []


@pytest.mark.parametrize("fate", ["lost", "short", "an older one"])
def test_a_month_that_is_not_the_indexed_one_covers_nothing_and_the_others_stay(
    fate: str, store: BarStore, make_bars: MakeBars
) -> None:
    keep(store, make_bars([0, 1]))
    older = month(store).read_bytes()
    keep(store, make_bars(list(range(48))))
    if fate == "lost":
        month(store).unlink()
    else:
        month(store).write_bytes(older if fate == "an older one" else b"PAR1")
    assert covered(store) == [(24, 48)]
    assert store.missing(BTC, M5, "coinbase", at(0), at(48)) == [(at(0), at(24))]
    keep(store, make_bars([10, 11, 12]))
    assert covered(store) == [(10, 13), (24, 48)]
    assert sorted(closes(store)) == [10, 11, 12, *range(24, 48)]


def test_any_changed_byte_of_a_month_is_a_data_error_that_names_the_file(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars(list(range(20))))
    sound = month(store).read_bytes()
    for position in range(0, len(sound), 37):
        changed = bytearray(sound)
        changed[position] ^= 0x40
        month(store).write_bytes(bytes(changed))
        with pytest.raises(DataError, match=r"month=2024-01\.parquet has sha256 .*, expected"):
            store.known(BTC, M5, "coinbase", at(0), at(20))


def test_a_month_that_no_index_vouches_for_has_still_to_be_a_table_of_bars(
    store: BarStore, make_bars: MakeBars
) -> None:
    keep(store, make_bars([0, 1]))
    (folder(store) / "coverage.json").unlink()
    month(store).write_bytes(b"no Parquet")
    with pytest.raises(DataError, match=r"month=2024-01\.parquet is no readable Parquet file"):
        store.read(BTC, M5, "coinbase", at(0), at(9))
    with pytest.raises(DataError, match="no readable Parquet file"):
        store.upsert(BTC, M5, "coinbase", make_bars([2]))
    month(store).write_bytes(files.parquet_bytes(pa.table({"tile": [1]})))
    with pytest.raises(DataError, match=r"holds columns \['tile'\]"):
        store.read(BTC, M5, "coinbase", at(0), at(9))


def test_keeping_replaces_a_corrupt_month_and_uncovers_the_rest_of_it(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars(list(range(48))))
    changed = bytearray(month(store).read_bytes())
    changed[len(changed) // 2] ^= 0x01
    month(store).write_bytes(bytes(changed))
    keep(store, make_bars([3, 4]))
    assert covered(store) == [(3, 5), (24, 48)]
    assert sorted(closes(store)) == [3, 4, *range(24, 48)]


def test_keeping_bars_of_other_columns_replaces_the_month(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars([0, 1, 2]))
    keep(store, make_bars([1], quoted=True))
    assert covered(store) == [(1, 2)]
    assert "bid_close" in store.read(BTC, M5, "coinbase", at(0), at(9)).schema.names


def test_months_of_different_columns_are_not_read_as_one(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars([0]))
    keep(store, make_bars([30], quoted=True))
    with pytest.raises(DataError, match=r"month=2024-02\.parquet holds columns .*bid_close"):
        store.read(BTC, M5, "coinbase", at(0), at(50))


class StoppedError(Exception):
    """The machine went off here."""


def stop_after(writes: int, patched: pytest.MonkeyPatch) -> None:
    """Every file that is written after so many others is not there any more when the machine comes back."""
    real, done = files.replace, iter(range(10_000))

    def replace(path: Path, content: bytes) -> None:
        if next(done) >= writes:
            raise StoppedError
        real(path, content)

    patched.setattr("ffe.sources.partition.replace", replace)
    patched.setattr("ffe.sources.coverage.replace", replace)


@pytest.mark.parametrize("spoilt", [False, True], ids=["sound", "corrupt-month"])
@pytest.mark.parametrize("writes", range(6))
def test_a_crash_anywhere_in_keeping_leaves_nothing_believed_that_is_not_there(
    writes: int, spoilt: bool, store: BarStore, make_bars: MakeBars
) -> None:
    old, new = dict.fromkeys(range(48), 1), dict.fromkeys(range(10, 60, 2), 2)
    keep(store, make_bars(list(old), "1"))
    if spoilt:
        changed = bytearray(month(store).read_bytes())
        changed[len(changed) // 2] ^= 0x01
        month(store).write_bytes(bytes(changed))
    table = make_bars(list(new), "2")
    batch = store.write_batch(BTC, M5, "coinbase", table, NOW)
    with pytest.MonkeyPatch.context() as patched:
        stop_after(writes, patched)
        try:
            store.keep(batch, table)
        except StoppedError:
            assert writes < 5
    believed(store, old, new)
    store.keep(batch, table)
    assert (10, 59) in covered(store) or covered(store) == [(0, 59)]
    assert {number: price for number, price in closes(store).items() if 10 <= number < 59} == new


def believed(store: BarStore, old: dict[int, int], new: dict[int, int]) -> None:
    """Each covered month holds, without a hole, the bars before the keep or those after it."""
    spans = covered(store)
    try:
        found = closes(store)
    except DataError:
        return
    for first, last in ((0, 24), (24, 60)):
        numbers = {number for span in spans for number in range(max(first, span[0]), min(last, span[1]))}
        held = {number: price for number, price in found.items() if number in numbers}
        after = {number: old[number] for number in numbers if number < 10} | {
            number: new[number] for number in numbers if number in new
        }
        assert held in ({number: old.get(number) for number in numbers}, after)


def test_eight_threads_share_a_partition(store: BarStore, make_bars: MakeBars) -> None:
    problems: list[str] = []

    def work(first: int) -> None:
        for number in range(first, 64, 8):
            keep(store, make_bars([number], str(number + 1)))
            table, spans = store.known(BTC, M5, "coinbase", at(0), at(64))
            bars = sum((end - start) // M5.duration for start, end in spans)
            if table.num_rows != bars:
                problems.append(f"{table.num_rows} bars in spans of {bars}")

    threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert covered(store) == [(0, 64)]
    assert closes(store) == {number: number + 1 for number in range(64)}


WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
import pyarrow as pa
from ffe.market.models import Timeframe, parse_instrument
from ffe.sources.models import BAR_SCHEMA
from ffe.sources.store import BarStore

store, btc, m5 = BarStore(Path(sys.argv[1])), parse_instrument("BTCUSD"), Timeframe.M5
start, now = datetime(2024, 1, 31, 22, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
for turn in range(10_000):
    first = turn * 7 % 41
    opens = [start + (first + step) * m5.duration for step in range(19)]
    rows = [{name: at if name == "time" else Decimal(turn) for name in BAR_SCHEMA.names} for at in opens]
    table = pa.Table.from_pylist(rows, schema=BAR_SCHEMA)
    store.keep(store.write_batch(btc, m5, "coinbase", table, now), table)
    print(turn, flush=True)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_in_the_middle_leaves_whole_spans_and_no_litter(store: BarStore) -> None:
    chance = random.Random(11)
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(store.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "0\n"
            threading.Event().wait(chance.uniform(0, 0.15))
            writer.kill()
        bars = sum(last - first for first, last in covered(store))
        assert len(closes(store)) == bars, "every covered span of this market has all its bars"
    store.distrust(BTC, M5, "coinbase")
    assert list(folder(store).glob("*.tmp")) + list(folder(store).glob(".*.tmp")) == []


def test_what_a_killed_writer_left_half_written_is_cleared_away(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars([0]))
    (folder(store) / ".abc123.tmp").write_bytes(b"half")
    keep(store, make_bars([1]))
    assert not (folder(store) / ".abc123.tmp").exists()


def hourly(opens: list[datetime]) -> pa.Table:
    rows = [{name: at if name == "time" else 1 for name in BAR_SCHEMA.names} for at in opens]
    return pa.Table.from_pylist(rows, schema=BAR_SCHEMA)


def test_gaps_are_bars_that_should_be_there_and_were_asked_for(store: BarStore, make_bars: MakeBars) -> None:
    keep(store, make_bars([0, 1, 5, 6, 8]))
    keep(store, make_bars([20, 21]))
    assert store.gaps(BTC, M5, "coinbase", calendar_for(BTC)) == [Gap(at(2), at(4), 3), Gap(at(7), at(7), 1)]


def test_a_weekend_is_no_gap_in_forex_and_a_missing_week_is_one(store: BarStore) -> None:
    friday = datetime(2024, 1, 19, 12, tzinfo=UTC)
    trading = calendar_for(EUR).expected_opens(H1, friday, friday + timedelta(days=17)).tolist()
    opens = [moment.replace(tzinfo=UTC) for moment in trading]
    away = [moment for moment in opens if moment.isocalendar().week == 5 and moment.weekday() < 5]
    keep(store, hourly([moment for moment in opens if moment not in away]), EUR, H1)
    assert store.gaps(EUR, H1, "coinbase", calendar_for(EUR)) == [Gap(away[0], away[-1], len(away))]
