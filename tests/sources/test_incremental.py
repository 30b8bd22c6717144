"""Only what is missing is asked for, and what comes back is what a direct fetch gives."""

import errno
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe.clock import FixedClock
from ffe.market.models import Timeframe, parse_instrument
from ffe.sources import incremental
from ffe.sources.incremental import Incremental
from ffe.sources.store import BarStore

BTC = parse_instrument("BTCUSD")
M5 = Timeframe.M5
START = datetime(2024, 1, 31, 22, 0, tzinfo=UTC)


def at(number: float) -> datetime:
    return START + number * M5.duration


class Desk:
    """A venue, a store and the source between them; a fetch is judged as a cycle would."""

    def __init__(self, venue: Any, folder: Path) -> None:
        self.venue, self.store = venue, BarStore(folder / "bars")
        self.source = Incremental(venue, self.store, venue.clock)

    def fetch(self, first: float, last: float, *, passed: bool | None = True) -> pa.Table:
        """`passed` None leaves the bars unjudged."""
        table = self.source.fetch(BTC, M5, at(first), at(last))
        if table.num_rows and passed is not None:
            batch = self.store.write_batch(BTC, M5, self.venue.name, table, self.venue.clock.now())
            (self.store.keep(batch, table) if passed else self.store.forget(batch))
        return table

    def asked(self) -> list[tuple[float, float]]:
        """What the venue was asked since the last time."""
        calls = list(self.venue.calls)
        self.venue.calls.clear()
        return calls

    def partition(self) -> Path:
        (folder,) = self.store.root.glob("feed=*/source=*/instrument=*/timeframe=*")
        return folder


@pytest.fixture
def desk(venue: Any, tmp_path: Path) -> Desk:
    return Desk(venue, tmp_path)


def test_an_empty_store_asks_for_the_whole_window_once(desk: Desk) -> None:
    assert desk.fetch(10, 40).num_rows == 30
    assert desk.asked() == [(10, 40)]


def test_a_first_fetch_of_quoted_bars_is_no_other_feed(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.venue.quoted = True
    assert desk.fetch(10, 40).equals(desk.venue.direct(at(10), at(40)))
    desk.fetch(10, 40)
    assert caplog.messages == []
    assert desk.asked() == [(10, 40), (37, 40)]


def test_the_second_fetch_of_a_window_asks_from_the_third_newest_stored_bar_on(desk: Desk) -> None:
    first = desk.fetch(10, 40)
    desk.asked()
    assert desk.fetch(10, 40).equals(first)
    assert desk.asked() == [(37, 40)]


def test_new_bars_and_the_newest_stored_ones_come_in_one_request(desk: Desk) -> None:
    desk.fetch(10, 40)
    desk.asked()
    desk.venue.clock.advance(5 * M5.duration)
    found = desk.fetch(15, 45.4)
    assert desk.asked() == [(37, 45.4)]
    assert found.equals(desk.venue.direct(at(15), at(45.4)))


def test_bars_that_did_not_pass_are_all_asked_again(desk: Desk) -> None:
    desk.fetch(10, 40)
    desk.fetch(12, 40, passed=False)
    desk.asked()
    desk.fetch(10, 40)
    assert desk.asked() == [(10, 40)]


def test_bars_that_nobody_judged_are_asked_again(desk: Desk) -> None:
    desk.fetch(10, 40, passed=None)
    desk.asked()
    desk.fetch(10, 40)
    assert desk.asked() == [(10, 40)]


def test_a_hole_in_coverage_is_asked_once_and_then_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "NEAR_BARS", 2)
    desk.fetch(0, 10)
    desk.fetch(20, 40)
    desk.asked()
    desk.fetch(0, 40)
    assert desk.asked() == [(7, 20), (37, 40)]
    desk.fetch(0, 40)
    assert desk.asked() == [(37, 40)]


def test_a_hole_less_than_a_page_away_costs_no_request_of_its_own(desk: Desk) -> None:
    desk.fetch(0, 10)
    desk.fetch(20, 40)
    desk.asked()
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    assert desk.asked() == [(7, 40)]


def test_covered_periods_without_a_tick_are_not_asked_again(desk: Desk) -> None:
    for number in range(15, 30):
        del desk.venue.prices[number]
    desk.fetch(0, 40)
    desk.asked()
    desk.fetch(0, 40)
    assert desk.asked() == [(37, 40)]
    assert desk.fetch(16, 25).num_rows == 0
    assert desk.asked() == []


def test_a_bar_that_the_venue_revised_is_seen_and_the_window_is_taken_fresh(desk: Desk) -> None:
    desk.fetch(0, 40)
    desk.asked()
    desk.venue.prices[38] = 7
    desk.venue.clock.advance(M5.duration)
    found = desk.fetch(0, 41)
    assert desk.asked() == [(37, 41), (0, 41)]
    assert found.equals(desk.venue.direct(at(0), at(41)))
    desk.fetch(0, 41)
    assert desk.asked() == [(38, 41)], "a revision of the newest bars is no other feed"


@pytest.mark.parametrize("change", [lambda prices: prices.pop(39), lambda prices: prices.update({39: 1})])
def test_a_bar_that_was_withdrawn_or_changed_goes_from_the_store_too(desk: Desk, change: Callable[..., Any]) -> None:
    desk.fetch(0, 40)
    change(desk.venue.prices)
    desk.venue.clock.advance(2 * M5.duration)
    assert desk.fetch(0, 42).equals(desk.venue.direct(at(0), at(42)))
    assert desk.fetch(0, 42).equals(desk.venue.direct(at(0), at(42)))


def test_a_bar_that_came_late_into_a_covered_gap_is_seen(desk: Desk) -> None:
    late = desk.venue.prices.pop(38)
    desk.fetch(0, 40)
    desk.venue.prices[38] = late
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))


def test_another_feed_under_the_same_name_makes_the_whole_partition_unknown(desk: Desk) -> None:
    desk.fetch(0, 40)
    desk.venue.prices = {number: 900 + number for number in range(100)}
    assert desk.fetch(20, 40).equals(desk.venue.direct(at(20), at(40)))
    assert desk.store.covered(BTC, M5, "coinbase") == [(at(20), at(40))]
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))


def test_an_answer_that_was_cut_short_is_no_other_feed(desk: Desk) -> None:
    desk.fetch(0, 40)
    whole, desk.venue.prices = desk.venue.prices, {number: 100 + number for number in range(30)}
    assert desk.fetch(0, 40).num_rows == 30
    desk.venue.prices = whole
    desk.asked()
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    assert desk.asked() == [(37, 40)], "bars that passed and that the short answer says nothing of are still known"


def test_bars_of_other_columns_make_the_window_fresh(desk: Desk) -> None:
    desk.fetch(0, 40)
    desk.venue.quoted = True
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))


def test_a_clock_that_was_set_back_sees_no_bar_that_is_not_complete(desk: Desk) -> None:
    desk.fetch(0, 40)
    desk.venue.clock.advance(-5.5 * M5.duration)
    desk.asked()
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    assert desk.asked() == [(31, 40)], "bars that are not complete yet are not among the newest"
    assert desk.fetch(0, 40).num_rows == 34


def test_a_truncated_answer_covers_no_more_than_it_shows(desk: Desk) -> None:
    whole = desk.venue.prices
    desk.venue.prices = {number: price for number, price in whole.items() if 10 <= number < 25}
    desk.fetch(0, 40)
    assert desk.store.covered(BTC, M5, "coinbase") == [(at(10), at(25))]
    desk.venue.prices = whole
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))


def test_a_corrupt_month_is_asked_again_and_replaced(desk: Desk) -> None:
    desk.fetch(0, 40)
    month = next(desk.partition().glob("month=*.parquet"))
    content = bytearray(month.read_bytes())
    content[len(content) // 3] ^= 0xFF
    month.write_bytes(bytes(content))
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    desk.asked()
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    assert desk.asked() == [(37, 40)]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EISDIR])
def test_a_month_that_the_disk_will_not_read_is_asked_again_and_no_fault_of_the_source(
    number: int, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk.fetch(0, 40)
    desk.asked()
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name.startswith("month="):
            raise OSError(number, "the disk says no", str(path))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    assert desk.asked() == [(0, 40)]
    assert "can't be read: the disk says no" in caplog.text
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    assert desk.asked() == [(37, 40)], "the month was replaced"


def test_a_folder_in_the_place_of_a_month_costs_requests_and_no_bar(desk: Desk) -> None:
    desk.fetch(0, 40)
    for month in desk.partition().glob("month=*.parquet"):
        month.unlink()
        month.mkdir()
    desk.asked()
    for _ in range(2):
        assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))
    assert desk.asked() == [(0, 40), (0, 40)]


def test_another_feed_is_believed_where_the_cache_cannot_be_changed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.fetch(0, 40)
    desk.venue.prices = {number: 900 + number for number in range(100)}

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for room in ("partition", "coverage"):
        monkeypatch.setattr(f"ffe.sources.{room}.replace", refuse)
    assert desk.fetch(0, 40).equals(desk.venue.direct(at(0), at(40)))


def test_what_the_source_raises_is_raised(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> pa.Table:
        raise TimeoutError("no answer")

    monkeypatch.setattr(desk.venue, "fetch", refuse)
    with pytest.raises(TimeoutError, match="no answer"):
        desk.fetch(0, 40)


def test_its_name_and_its_connections_are_the_sources(desk: Desk) -> None:
    assert desk.source.name == "coinbase"
    desk.source.close()
    assert desk.venue.closed


NUMBER = st.integers(0, 60)
FETCH = st.tuples(st.just("fetch"), NUMBER, NUMBER, st.sampled_from([True, True, True, False, None]))
LIVE = st.tuples(st.sampled_from(["revise", "withdraw"]), st.integers(1, 3), NUMBER, st.booleans())
STEPS = st.lists(
    st.one_of(
        FETCH,
        LIVE,
        st.tuples(st.just("advance"), st.integers(-10, 15)),
        st.tuples(
            st.sampled_from(["feed", "lose-index", "garble-index", "lose-month", "garble-month", "block-month"]), NUMBER
        ),
    ),
    min_size=2,
    max_size=10,
)


def carry_out(desk: Desk, step: tuple[Any, ...]) -> None:
    """One step of a story; every fetch in it is held against a direct one."""
    kind, venue = step[0], desk.venue
    now = (venue.clock.now() - START) / M5.duration
    newest = [number for number in sorted(venue.prices) if number + 1 <= now]
    if kind == "advance":
        venue.clock.at = max(at(0), venue.clock.now() + step[1] * M5.duration + timedelta(seconds=17))
    elif kind in ("revise", "withdraw") and len(newest) >= 3:
        venue.prices[newest[-step[1]]] += 1000
        if kind == "withdraw":
            del venue.prices[newest[-step[1]]]
        check(desk, min(step[2], newest[-3]), now, passed=step[3])
    elif kind == "feed":
        venue.prices = {number: price + 10_000 for number, price in venue.prices.items()}
        check(desk, 0, now, passed=True)
    elif kind == "fetch":
        check(desk, *sorted(step[1:3]), passed=step[3])
    elif list(desk.store.root.glob("feed=*")):
        spoil(desk.partition(), kind, step[1])


def check(desk: Desk, first: float, last: float, *, passed: bool | None) -> None:
    assert desk.fetch(first, last, passed=passed).equals(desk.venue.direct(at(first), at(last)))


def spoil(folder: Path, kind: str, number: int) -> None:
    what = "coverage.json" if kind.endswith("index") else "month=*.parquet"
    for path in [path for path in sorted(folder.glob(what)) if path.is_file()][:1]:
        if kind == "block-month":
            path.unlink()
            path.mkdir()
            continue
        content = bytearray(path.read_bytes())
        content[number * len(content) // 61] ^= 0x15
        path.write_bytes(content) if kind.startswith("garble") else path.unlink()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=STEPS, quiet=st.sets(NUMBER, max_size=30), near=st.sampled_from([0, 3, 300]))
def test_any_story_of_windows_verdicts_revisions_and_broken_files_gives_what_a_direct_fetch_gives(
    story: list[tuple[Any, ...]],
    quiet: set[int],
    near: int,
    venue: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    prices = {number: 100 + number for number in range(100) if number not in quiet}
    desk = Desk(type(venue)(FixedClock(at(40)), prices), tmp_path_factory.mktemp("story"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(incremental, "NEAR_BARS", near)
        for step in story:
            carry_out(desk, step)
        check(desk, 0, 60, passed=True)
