"""Recorded bars from CSV and Parquet: what is read, what stands beside what, and what is refused by file and line."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.generated_bars import generated
from ffe.errors import ConfigurationError, CorruptFileError, UnknownNameError
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.files import load_bars
from ffe.replay.models import CLOSE, Bars

DATA = Path(__file__).parents[1] / "data" / "bars"
TRADES = DATA / "BTC-USD_1m_trades_2018-04-04.csv"
QUOTES = DATA / "BTC-USD_1m_quotes_2018-04-04.csv"
BIDASK = DATA / "EUR-USD_1m_bidask_2018-04-04.csv"
BTCUSD, EURUSD = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
T0 = datetime(2018, 4, 4, 12, tzinfo=UTC)
HEADER = "time,open,high,low,close,volume"


def load(*paths: Path, half_spread_bps: float = 1.0) -> Bars:
    (found,) = load_bars(paths, half_spread_bps=half_spread_bps).values()
    return found


def stamp(minute: int) -> str:
    return f"{T0 + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"


def trades(minutes: list[int], price: str = "7000.5") -> str:
    rows = [f"{stamp(minute)},{price},{price},{price},{price},1.5" for minute in minutes]
    return "\n".join((HEADER, *rows, ""))


def quotes(minutes: list[int], bid: str = "7000", ask: str = "7001") -> str:
    sides = [f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")]
    rows = [",".join((stamp(minute), *[bid] * 4, *[ask] * 4)) for minute in minutes]
    return "\n".join((",".join(("time", *sides)), *rows, ""))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_instruments_come_in_the_order_of_their_files() -> None:
    found = load_bars([BIDASK, TRADES, QUOTES], half_spread_bps=1.0)
    assert list(found) == ["EURUSD", "BTCUSD"]
    assert all(bars.timeframe is Timeframe.M1 for bars in found.values())


def test_a_folder_stands_for_its_files() -> None:
    found = load_bars([DATA], half_spread_bps=1.0)
    assert set(found) == {"BTCUSD", "ETHUSD", "EURUSD", "GBPUSD"}
    assert all(bars.quoted for bars in found.values())


def test_quotes_stand_beside_the_trades_of_their_minutes() -> None:
    both, alone, dealt = load(TRADES, QUOTES), load(QUOTES), load(TRADES)
    assert both.mid.tolist() == dealt.mid.tolist()
    assert both.volume.tolist() == dealt.volume.tolist()
    shared, here, there = np.intersect1d(both.times, alone.times, return_indices=True)
    assert shared.size > 300
    assert both.bid[here].tolist() == alone.bid[there].tolist()
    assert both.ask[here].tolist() == alone.ask[there].tolist()
    assert np.isnan(alone.volume).all()


def test_a_minute_without_quotes_gets_the_assumed_spread_and_says_so(tmp_path: Path) -> None:
    dealt = written(tmp_path, "BTC-USD_1m_trades_x.csv", trades([0, 1, 2]))
    quoted = written(tmp_path, "BTC-USD_1m_quotes_x.csv", quotes([0, 1]))
    bars = load(dealt, quoted, half_spread_bps=2.0)
    assert not bars.quoted
    assert bars.bid[:, CLOSE].tolist() == [7000, 7000, 6999.0]
    assert bars.ask[:, CLOSE].tolist() == [7001, 7001, 7002.0]
    whole = load(dealt, written(tmp_path, "BTC-USD_1m_quotes_y.csv", quotes([0, 1, 2])))
    assert whole.quoted


def test_quotes_without_a_trade_are_met_after_the_bar_before(tmp_path: Path) -> None:
    dealt = written(tmp_path, "BTC-USD_1m_trades_x.csv", trades([0, 5, 6]))
    quoted = written(
        tmp_path,
        "BTC-USD_1m_quotes_x.csv",
        quotes([0, 6], "6990", "6991") + quotes([1], "6980", "6982")[len(quotes([])) :],
    )
    text = quoted.read_text().splitlines()
    quoted.write_text("\n".join((text[0], *sorted(text[1:]), "")))
    bars = load(dealt, quoted, half_spread_bps=0.0)
    assert bars.after[0].tolist() == [6980, 6982]
    assert bars.after[1].tolist() == [6990, 6991]
    assert bars.after[2].tolist() == [6990, 6991]


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 500), st.integers(1, 10**7), st.integers(0, 5))
def test_the_assumed_spread_is_never_narrower_than_asked_and_at_most_a_step_wider(
    tmp_path_factory: pytest.TempPathFactory, half: float, count: int, places: int
) -> None:
    price = Decimal(count).scaleb(-places)
    path = tmp_path_factory.mktemp("spread") / "BTC-USD_1m_trades_x.csv"
    path.write_text(trades([0], f"{price:f}"))
    bars = load(path, half_spread_bps=half)
    wanted, step = float(price) * half / 10_000, 10.0**-bars.places
    for distance in (float(price) - bars.bid[0, CLOSE], bars.ask[0, CLOSE] - float(price)):
        assert wanted - 1e-5 * step <= distance <= wanted + step + 1e-9
    assert bars.bid[0, CLOSE] > 0
    assert bars.places == 10 or half == 0 or step <= max(wanted, 10.0**-places)


def test_files_of_one_instrument_are_joined_in_the_order_of_time(tmp_path: Path) -> None:
    late = written(tmp_path, "BTC-USD_1m_trades_b.csv", trades([2, 3], "7002"))
    early = written(tmp_path, "BTC-USD_1m_trades_a.csv", trades([0, 1], "7000"))
    bars = load(late, early, half_spread_bps=0.0)
    assert bars.close.tolist() == [7000, 7000, 7002, 7002]
    assert bars.after[1].tolist() == [7002, 7002]


def test_files_that_overlap_are_refused(tmp_path: Path) -> None:
    first = written(tmp_path, "BTC-USD_1m_trades_a.csv", trades([0, 1]))
    second = written(tmp_path, "BTC-USD_1m_trades_b.csv", trades([1, 2]))
    with pytest.raises(CorruptFileError, match=r"_b\.csv: begins before .*_a\.csv ends"):
        load_bars([first, second], half_spread_bps=1.0)


def test_two_timeframes_of_one_instrument_are_a_usage_error(tmp_path: Path) -> None:
    minute = written(tmp_path, "BTC-USD_1m_trades_a.csv", trades([0, 1]))
    hour = written(tmp_path, "BTC-USD_1h_trades_a.csv", trades([0, 60]))
    with pytest.raises(ConfigurationError, match=r"BTCUSD: .*1m.*1h bars; name files of one timeframe"):
        load_bars([minute, hour], half_spread_bps=1.0)


def test_any_timeframe_of_the_name_is_read_and_others_are_named(tmp_path: Path) -> None:
    assert load(written(tmp_path, "BTC-USD_15m_trades_a.csv", trades([0, 15]))).timeframe is Timeframe.M15
    odd = written(tmp_path, "BTC-USD_7m_trades_a.csv", trades([0, 7]))
    with pytest.raises(UnknownNameError, match="unknown timeframe '7m'"):
        load(odd)


def test_an_unknown_pair_is_a_usage_error_with_the_nearest_names(tmp_path: Path) -> None:
    path = written(tmp_path, "BTC-USX_1m_trades_a.csv", trades([0]))
    with pytest.raises(UnknownNameError, match="nearest known: BTCUSD"):
        load(path)


def test_only_the_wanted_instrument_is_read() -> None:
    assert list(load_bars([BIDASK, TRADES], BTCUSD, half_spread_bps=1.0)) == ["BTCUSD"]
    with pytest.raises(ConfigurationError, match="no bars of BTCUSD in"):
        load_bars([BIDASK], BTCUSD, half_spread_bps=1.0)


def test_plain_bars_under_any_name_need_an_instrument(tmp_path: Path) -> None:
    path = written(tmp_path, "mine.csv", trades([0, 5, 10, 25]))
    bars = load_bars([path], BTCUSD, half_spread_bps=1.0)["BTCUSD"]
    assert bars.timeframe is Timeframe.M5
    assert bars.volume.tolist() == [1.5] * 4
    with pytest.raises(ConfigurationError, match="name the instrument"):
        load_bars([path], half_spread_bps=1.0)


def test_plain_bars_need_no_volume_and_may_have_both_sides(tmp_path: Path) -> None:
    rows = "\n".join(("close,low,high,open,note,time", f"3,1,4,2,x,{stamp(0)}", f"3,1,4,2,x,{stamp(60)}"))
    bars = load_bars([written(tmp_path, "a.csv", rows)], BTCUSD, half_spread_bps=0.0)["BTCUSD"]
    assert bars.mid[0].tolist() == [2, 4, 1, 3]
    assert np.isnan(bars.volume).all()
    sides = load_bars([written(tmp_path, "b.csv", quotes([0, 60]))], BTCUSD, half_spread_bps=0.0)["BTCUSD"]
    assert sides.quoted
    assert sides.close.tolist() == [7000.5] * 2


@pytest.mark.parametrize("minutes", [[0], [0, 7, 14]])
def test_a_timeframe_that_nothing_tells_is_a_usage_error(tmp_path: Path, minutes: list[int]) -> None:
    path = written(tmp_path, "mine.csv", trades(minutes))
    with pytest.raises(ConfigurationError, match="s apart, which is none of 1m, 5m"):
        load_bars([path], BTCUSD, half_spread_bps=1.0)


GOOD = f"{stamp(0)},1,2,1,2,1"
BAD_LINES = {
    "a letter": (f"{stamp(1)},1,2,1,x,1", "line 3: close 'x' is not a number"),
    "an empty cell": (f"{stamp(1)},1,2,1,,1", "line 3: close '' is not a number"),
    "nan": (f"{stamp(1)},1,2,1,nan,1", "line 3: close 'nan' is not a number|line 3: a price is not a finite number"),
    "infinity": (f"{stamp(1)},1,inf,1,2,1", "line 3: a price is not a finite number"),
    "an infinite volume": (f"{stamp(1)},1,2,1,2,inf", "line 3: the volume is not a finite number"),
    "a cell too few": (f"{stamp(1)},1,2,1,2", "line 3: 5 columns, expected 6"),
    "a cell too many": (f"{stamp(1)},1,2,1,2,3,4", "line 3: 7 columns, expected 6"),
    "no time": ("yesterday,1,2,1,2,1", "line 3: time 'yesterday' is not an RFC 3339 time"),
    "no offset": (
        "2018-04-04T12:01:00,1,2,1,2,1",
        "line 3: time '2018-04-04T12:01:00' is not an RFC 3339 time with an",
    ),
    "parts of a second": ("2018-04-04T12:01:00.5Z,1,2,1,2,1", "line 3: time has parts of a second"),
    "the same time": (f"{stamp(0)},1,2,1,2,1", "line 3: time 2018-04-04T12:00:00Z is not later than"),
    "an earlier time": (f"{stamp(-1)},1,2,1,2,1", "line 3: time 2018-04-04T11:59:00Z is not later than"),
    "a price of zero": (f"{stamp(1)},1,2,0,2,1", "line 3: a price is not above zero: 0"),
    "too many decimals": (f"{stamp(1)},1,2,1,1.2345678901234,1", "more than 10 decimals; round them"),
    "a time that only Python reads": ("20180404T120100Z,1,2,1,2,1", "CSV conversion error"),
    "a price above any": (f"{stamp(1)},1,2,1,1e300,1", "line 3: a price is above 1e.12: 1e.300"),
    "a year far ahead": ("9999-01-01T00:00:00Z,1,2,1,2,1", "line 3: time 9999-01-01T00:00:00Z is outside the years"),
    "a slip of the year": ("2118-04-04T12:01:00Z,1,2,1,2,1", "line 3: time 2118-04-04T12:01:00Z is outside the years"),
    "a year before any": ("1518-04-04T12:01:00Z,1,2,1,2,1", "line 3: time 1518-04-04T12:01:00Z is outside the years"),
    "an empty line": (f"\n{stamp(1)},1,2,1,2,1", "line 3: 0 columns, expected 6"),
}


@pytest.mark.parametrize(("line", "said"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_damaged_line_is_refused_by_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    path = written(tmp_path, "BTC-USD_1m_trades_x.csv", "\n".join((HEADER, GOOD, line, f"{stamp(9)},1,2,1,2,1", "")))
    with pytest.raises(CorruptFileError, match=f"{re.escape(str(path))}.*({said})") as caught:
        load(path)
    assert caught.value.exit_code == 2


def test_a_file_over_more_years_than_anything_was_recorded_for_is_refused(tmp_path: Path) -> None:
    late = "2099-04-04T12:01:00Z,1,2,1,2,1"
    path = written(tmp_path, "BTC-USD_1m_trades_x.csv", "\n".join((HEADER, GOOD, late, "")))
    with pytest.raises(
        CorruptFileError, match="line 3: time 2099-04-04T12:01:00Z is more than 50 years after the first"
    ):
        load(path)


def test_bars_closer_together_than_the_files_timeframe_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "BTC-USD_15m_trades_x.csv", trades([0, 15, 20]))
    with pytest.raises(CorruptFileError, match=r"line 4: time .*12:20:00Z is 300 s after .*, closer than bars of 15m"):
        load(path)


def test_a_byte_order_mark_is_no_part_of_the_first_columns_name(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USD_1m_trades_x.csv"
    path.write_text(trades([0, 1]), encoding="utf-8-sig")
    assert load(path).close.tolist() == [7000.5] * 2


def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    text = f"{HEADER},close\n{GOOD},9\n"
    with pytest.raises(CorruptFileError, match="line 1: column close more than once"):
        load(written(tmp_path, "BTC-USD_1m_trades_x.csv", text))


@pytest.mark.parametrize("half", [10_000.0, 20_000.0])
def test_an_assumed_spread_as_wide_as_the_price_is_refused(tmp_path: Path, half: float) -> None:
    with pytest.raises(CorruptFileError, match=r"x\.csv, 2018-04-04T12:00:00Z: .* below its price is a bid of"):
        load(written(tmp_path, "BTC-USD_1m_trades_x.csv", trades([0, 1])), half_spread_bps=half)


def test_a_price_so_far_below_the_others_that_no_bid_is_left_is_refused(tmp_path: Path) -> None:
    slip = trades([0, 1, 2]) + trades([3], "0.1")[len(HEADER) + 1 :]
    with pytest.raises(CorruptFileError, match=r"x\.csv, 2018-04-04T12:03:00Z: 1 basis points below .* a bid of 0;"):
        load(written(tmp_path, "BTC-USD_1m_trades_x.csv", slip))


def test_a_volume_beyond_all_digits_is_kept_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "BTC-USD_1m_trades_x.csv", f"{HEADER}\n{GOOD}\n{stamp(1)},1,2,1,2,1e308\n")
    assert load(path).volume.tolist() == [1, 1e308]


def test_what_a_row_says_of_the_market_is_for_the_data_gate_to_judge(tmp_path: Path) -> None:
    crossed = written(tmp_path, "BTC-USD_1m_quotes_x.csv", quotes([0, 1], bid="7001", ask="7000"))
    assert load(crossed).bid[0, CLOSE] == 7001
    odd = written(tmp_path, "BTC-USD_1m_trades_x.csv", f"{HEADER}\n{stamp(0)},5,2,3,4,1\n")
    assert load(odd).mid[0].tolist() == [5, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("BTC-USD_1m_trades_x.csv", b"", "line 1: no column time, open"),
        ("BTC-USD_1m_trades_x.csv", HEADER.encode() + b"\n", "no rows"),
        ("BTC-USD_1m_trades_x.csv", b"\xff\xfe\x00", "not UTF-8 text"),
        ("BTC-USD_1m_bidask_x.csv", HEADER.encode() + b"\n", "line 1: no column bid_open"),
        ("x.parquet", b"PAR1", "no readable Parquet file"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptFileError, match=f"{re.escape(name)}.*{said}"):
        load_bars([tmp_path / name], half_spread_bps=1.0)


@pytest.mark.parametrize("name", ["BTC-USD_1m_trades_gone.csv", "gone.parquet", "gone.txt"])
def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}( can't be read|: not a .csv or .parquet file)"):
        load_bars([tmp_path / name], half_spread_bps=1.0)


def test_no_file_is_a_usage_error(tmp_path: Path) -> None:
    for paths in ([], [tmp_path]):
        with pytest.raises(ConfigurationError, match="no bars in"):
            load_bars(paths, half_spread_bps=1.0)


def test_a_longer_walk_is_read_back_from_csv_to_the_last_digit(tmp_path: Path) -> None:
    bars = generated(EURUSD, Timeframe.M5, 5000, seed=2)
    sides = [f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")]
    stamps = np.datetime_as_string(bars.times.astype("datetime64[s]"))
    lines = [
        ",".join((f"{time}Z", *(f"{price:.5f}" for price in prices)))
        for time, prices in zip(stamps, np.hstack((bars.bid, bars.ask)), strict=True)
    ]
    path = written(tmp_path, "EUR-USD_5m_bidask_walk.csv", "\n".join((",".join(("time", *sides)), *lines)))
    found = load(path)
    assert found.mid.tolist() == bars.mid.tolist()
    assert found.bid.tolist() == bars.bid.tolist()
    assert found.after.tolist() == bars.after.tolist()
