"""The recorded market on small files of every shape, and on real bars."""

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from ffe.errors import ConfigurationError, CorruptFileError, UnknownNameError
from simulator.recorded import RecordedMarket

REPOSITORY = Path(__file__).parents[2]
FULL = Path(os.environ.get("FFE_TEST_MARKET_DATA", REPOSITORY.parent / "shared" / "market-data"))
FOLDERS = [REPOSITORY / "tests" / "data" / "bars", *([FULL] if FULL.is_dir() else [])]

T0 = datetime(2018, 4, 4, 12, 0, tzinfo=UTC)
SHAPES = {
    "trades": ("time,open,high,low,close,volume", "{0},{1},{2},{1},3.5"),
    "quotes": (
        "time,bid_open,bid_high,bid_low,bid_close,bid_size,ask_open,ask_high,ask_low,ask_close,ask_size",
        "{0},{1},{1},{1},{1},1,{2},{2},{2},{2},1",
    ),
    "bidask": (
        "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close",
        "{0},{1},{1},{1},{1},{2},{2},{2},{2}",
    ),
}


@cache
def load(folder: Path) -> RecordedMarket:
    return RecordedMarket(folder)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def write(tmp_path):
    """Writes one file: `low`,`high` per minute (or hour) number from T0."""

    def write_file(pair: str, kind: str, rows: dict[int, tuple[str, str]], step: str = "1m", tag: str = "x") -> Path:
        header, shape = SHAPES[kind]
        unit = timedelta(minutes=1) if step == "1m" else timedelta(hours=1)
        if kind == "trades":
            shape = "{0},{1},{2},{1},{2},3.5"
        lines = [header, *(shape.format(stamp(T0 + n * unit), low, high) for n, (low, high) in rows.items())]
        (tmp_path / f"{pair}_{step}_{kind}_{tag}.csv").write_text("\n".join(lines) + "\n")
        return tmp_path

    return write_file


def test_trades_take_their_sides_from_the_quotes_of_the_same_minute(write):
    write("BTC-USD", "quotes", {0: ("99.5", "100.25")})
    market = RecordedMarket(write("BTC-USD", "trades", {0: ("100", "101"), 1: ("100", "101")}), T0)
    first, second = market.bars("BTCUSD", 60, T0, T0 + timedelta(hours=1))
    assert (first.trade.open, first.trade.close, first.volume) == (Decimal(100), Decimal(101), Decimal("3.5"))
    assert (first.bid.open, first.ask.open) == (Decimal("99.50"), Decimal("100.25"))
    assert (second.bid.open, second.ask.open) == (Decimal("99.99"), Decimal("100.01"))


def test_quotes_without_a_trade_move_the_quote_and_make_no_bar(write):
    write("BTC-USD", "quotes", {1: ("200", "201")})
    market = RecordedMarket(write("BTC-USD", "trades", {0: ("100", "101")}), T0)
    later = T0 + timedelta(minutes=5)
    assert len(market.bars("BTCUSD", 60, T0, later)) == 1
    assert market.quote("BTCUSD", later).bid == 200


def test_two_sided_bars_trade_at_their_exact_mid_and_count_ticks(write):
    market = RecordedMarket(write("EUR-USD", "bidask", {0: ("1.22904", "1.22917"), 1: ("1.22900", "1.22915")}), T0)
    bar = market.bars("EURUSD", 300, T0, T0 + timedelta(minutes=5))[0]
    assert (str(bar.trade.open), str(bar.trade.close)) == ("1.229105", "1.229075")
    assert (str(bar.bid.close), str(bar.ask.close)) == ("1.22900", "1.22915")
    assert bar.volume == 2


def test_crossed_bars_are_left_as_they_are(write):
    market = RecordedMarket(write("GBP-USD", "bidask", {0: ("1.60", "1.59")}), T0)
    quote = market.quote("GBPUSD", T0)
    assert quote.bid > quote.ask


def test_hours_fill_only_the_hours_without_minutes_and_are_never_split(write):
    write("EUR-USD", "bidask", {0: ("1.1", "1.2"), 1: ("1.3", "1.4")}, step="1h")
    market = RecordedMarket(write("EUR-USD", "bidask", {5: ("2.1", "2.2")}), T0)
    end = T0 + timedelta(hours=3)
    assert [bar.bid.open for bar in market.bars("EURUSD", 3600, T0, end)] == [Decimal("2.1"), Decimal("1.3")]
    assert len(market.bars("EURUSD", 60, T0, end)) == 1
    assert len(market.bars("EURUSD", 86400, T0.replace(hour=0), end)) == 1


def test_a_symbol_with_hours_only_has_no_minutes_but_a_quote(write):
    market = RecordedMarket(write("EUR-USD", "bidask", {0: ("1.1", "1.2"), 1: ("1.3", "1.4")}, step="1h"))
    assert market.start() == T0 + timedelta(hours=2, seconds=20)
    assert market.bars("EURUSD", 300, T0, market.start()) == []
    assert len(market.bars("EURUSD", 3600, T0, market.start())) == 2
    assert market.quote("EURUSD", market.start()).bid == Decimal("1.3")


def test_hours_of_trades_and_minutes_of_quotes_share_one_scale(write):
    write("BTC-USD", "trades", {1: ("100", "101")}, step="1h")
    market = RecordedMarket(write("BTC-USD", "bidask", {0: ("99", "101")}), T0)
    bars = market.bars("BTCUSD", 3600, T0, T0 + timedelta(hours=2))
    assert [(bar.trade.open, bar.volume) for bar in bars] == [
        (Decimal(100), Decimal(1)),
        (Decimal(100), Decimal("3.5")),
    ]


def test_two_files_of_one_symbol_are_joined(write):
    write("BTC-USD", "trades", {5: ("105", "106")}, tag="b")
    market = RecordedMarket(write("BTC-USD", "trades", {0: ("100.5", "101")}, tag="c"), T0)
    assert [bar.trade.open for bar in market.bars("BTCUSD", 60, T0, T0 + timedelta(hours=1))] == [
        Decimal("100.5"),
        Decimal(105),
    ]


def test_two_files_that_overlap_are_refused(write):
    write("BTC-USD", "trades", {0: ("100", "101"), 2: ("100", "101")}, tag="a")
    folder = write("BTC-USD", "trades", {1: ("100", "101")}, tag="b")
    with pytest.raises(CorruptFileError, match=r"trades_b\.csv, line 2: begins before .*trades_a\.csv ends"):
        RecordedMarket(folder)


def test_one_bad_file_loads_nothing(write):
    folder = write("BTC-USD", "trades", {0: ("100", "101")})
    (folder / "notes.csv").write_text("hello\n")
    with pytest.raises(CorruptFileError, match=r"notes\.csv: not a bar file name"):
        RecordedMarket(folder)


@pytest.mark.parametrize("missing", [False, True])
def test_a_folder_without_bar_files_is_a_configuration_error(missing, tmp_path):
    with pytest.raises(ConfigurationError, match="no bar files"):
        RecordedMarket(tmp_path / "none" if missing else tmp_path)


def test_a_moment_without_an_offset_is_refused(write):
    with pytest.raises(ValueError, match="no UTC offset"):
        RecordedMarket(write("BTC-USD", "trades", {0: ("100", "101")}), T0.replace(tzinfo=None))


def test_an_unknown_symbol_is_named(write):
    market = RecordedMarket(write("BTC-USD", "trades", {0: ("100", "101")}), T0)
    with pytest.raises(UnknownNameError, match="unknown symbol 'ETHUSD'"):
        market.bars("ETHUSD", 60, T0, T0)
    with pytest.raises(UnknownNameError, match="unknown symbol 'ETHUSD'"):
        market.quote("ETHUSD", T0)


def test_before_the_first_bar_there_is_no_quote(write):
    market = RecordedMarket(write("BTC-USD", "trades", {0: ("100", "101")}), T0)
    assert market.quote("BTCUSD", T0 - timedelta(seconds=1)) is None


def test_the_key_changes_with_the_data_and_with_the_moment(write):
    folder = write("BTC-USD", "trades", {0: ("100", "101")})
    plain, again, moved = RecordedMarket(folder).key, RecordedMarket(folder).key, RecordedMarket(folder, T0).key
    write("BTC-USD", "trades", {0: ("100", "102")})
    other = RecordedMarket(folder).key
    assert plain == again
    assert len({plain, moved, other}) == 3
    assert plain.startswith("bars-")
    assert len(plain) == len("bars-") + 8


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_default_moment_is_a_wednesday_morning_on_which_all_four_pairs_trade(folder):
    market = load(folder)
    start = market.start()
    assert datetime(2018, 4, 4, 10, tzinfo=UTC) <= start <= datetime(2018, 4, 4, 16, 45, 59, tzinfo=UTC)
    assert (start.minute % 5, start.second) == (0, 20)
    assert list(market.symbols()) == ["BTCUSD", "ETHUSD", "EURUSD", "GBPUSD"]
    for symbol in market.symbols():
        bars = market.bars(symbol, 300, start - timedelta(hours=8), start)
        assert len(bars) > 60, symbol
        assert start - bars[-1].time < timedelta(minutes=5), symbol
        assert market.quote(symbol, start).open, symbol


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_pounds_of_2012_are_moved_to_the_same_new_york_minute(folder):
    market = load(folder)
    bar = market.bars("GBPUSD", 60, datetime(2018, 4, 4, 12, tzinfo=UTC), datetime(2018, 4, 4, 12, 1, tzinfo=UTC))[0]
    text = next(folder.glob("GBP-USD_1m_bidask_2012-02*.csv")).read_text()
    row = next(line for line in text.splitlines() if line.startswith("2012-02-29T13:00:00Z")).split(",")
    assert [bar.bid.open, bar.bid.close, bar.ask.open] == [Decimal(row[1]), Decimal(row[4]), Decimal(row[5])]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_real_bitcoin_minutes_keep_their_printed_prices(folder):
    market = load(folder)
    start = datetime(2018, 4, 4, 9, tzinfo=UTC)
    bars = market.bars("BTCUSD", 60, start, start + timedelta(hours=6))
    text = next(folder.glob("BTC-USD_1m_trades_2018*.csv")).read_text()
    wanted = [line.split(",") for line in text.splitlines() if "2018-04-04T09" <= line < "2018-04-04T15"]
    assert [(stamp(b.time), b.trade.open, b.trade.high, b.trade.low, b.trade.close, b.volume) for b in bars] == [
        (row[0], *(Decimal(cell) for cell in row[1:])) for row in wanted
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
@pytest.mark.parametrize("stale", [1, 15, 52])
def test_a_stale_feed_stops_for_every_symbol_and_its_quote_stays_open(folder, stale):
    market = RecordedMarket(folder, stale_minutes=stale)
    start = market.start()
    assert start == load(folder).start()
    for symbol in market.symbols():
        newest = market.bars(symbol, 300, start - timedelta(hours=8), start)[-1]
        age = start - (newest.time + timedelta(minutes=5))
        assert timedelta(minutes=stale) <= age < timedelta(minutes=stale + 6), symbol
        assert market.quote(symbol, start).open, symbol


def test_any_moment_of_the_week_can_be_made_now(recorded_bars):
    moment = datetime(2026, 11, 18, 15, 50, 20, tzinfo=UTC)  # Wednesday 10:50 in New York, winter time
    market = RecordedMarket(recorded_bars, moment)
    assert market.start() == moment
    for symbol in market.symbols():
        assert moment - market.bars(symbol, 60, moment - timedelta(hours=1), moment)[-1].time < timedelta(minutes=1)


def test_data_that_cannot_cover_the_moment_stay_where_they_are(recorded_bars):
    sunday = datetime(2018, 4, 8, 15, tzinfo=UTC)
    market = RecordedMarket(recorded_bars, sunday)
    assert market.bars("BTCUSD", 300, sunday - timedelta(hours=8), sunday) == []
    assert market.quote("BTCUSD", sunday).open
    assert not market.quote("EURUSD", sunday).open
