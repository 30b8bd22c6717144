"""A bar file is read whole and exactly, or refused with file, line and what is wrong."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.errors import CorruptFileError
from simulator.csvfile import _counts, _places, read_table

TRADES = "time,open,high,low,close,volume"
ROWS = ["2018-04-04T00:00:00Z,7424.91,7424.91,7422,7422,7.14319709", "2018-04-04T00:01:00Z,7420,7422,7405,7405.5,13.3"]
TRADES_NAME = "BTC-USD_1m_trades_2018-04-04.csv"


@pytest.fixture
def write(tmp_path):
    def write_file(*lines: str, name: str = TRADES_NAME, end: str = "\n"):
        path = tmp_path / name
        path.write_bytes((end.join(lines) + end).encode())
        return path

    return write_file


def test_a_trades_file_keeps_its_digits(write):
    table = read_table(write(TRADES, *ROWS))
    assert (table.symbol, table.kind, table.seconds, table.places) == ("BTCUSD", "trades", 60, 2)
    assert table.prices.tolist() == [[742491, 742491, 742200, 742200], [742000, 742200, 740500, 740550]]
    assert table.volume.tolist() == [714319709, 1330000000]
    assert np.diff(table.times).tolist() == [60]


def test_a_quotes_file_has_two_sides_and_its_sizes_are_only_checked(write):
    header = "time,bid_open,bid_high,bid_low,bid_close,bid_size,ask_open,ask_high,ask_low,ask_close,ask_size"
    row = "2018-04-04T00:00:00Z,1,2,3,4,1.8848382100000002,5,6,7,8,33.35399601000002"
    table = read_table(write(header, row, name="ETH-USD_1m_quotes_x.csv"))
    assert table.prices.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert table.volume is None


def test_an_hour_file_steps_by_hours(write):
    header = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"
    table = read_table(write(header, "2015-01-01T22:00:00Z" + ",1.21" * 8, name="EUR-USD_1h_bidask.csv"))
    assert (table.symbol, table.seconds) == ("EURUSD", 3600)


def test_windows_line_ends_and_a_written_out_offset_are_fine(write):
    table = read_table(write(TRADES, ROWS[0].replace("Z", "+00:00"), end="\r\n"))
    assert table.times.tolist() == [1522800000]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("2018-04-04T00:02:00Z,1,1,1,1", "5 columns, expected 6"),
        ("2018-04-04T00:02:00Z,1,1,1,1,1,1", "7 columns, expected 6"),
        ("", "1 columns, expected 6"),
        ("2018-04-04T00:02:00Z,1,1,nan,1,1", "low 'nan' is not a plain decimal"),
        ("2018-04-04T00:02:00Z,1,inf,1,1,1", "high 'inf'"),
        ("2018-04-04T00:02:00Z,-1,1,1,1,1", "open '-1'"),
        ("2018-04-04T00:02:00Z,1,1,1,1e3,1", "close '1e3'"),
        ("2018-04-04T00:02:00Z,1,1,1,,1", "close ''"),
        ("2018-04-04T00:02:00Z,1,1,1,1,abc", "volume 'abc'"),
        ("2018-04-04T00:02:00Z,1234567890,1,1,1,1", "open '1234567890'"),
        ("2018-04-04T00:02:00Z,\u0661,1,1,1,1", "open"),
        ("2018-04-04T00:02:00Z,1,1,0.00,1,1", "a price is zero: 0.00"),
        ("2018-04-04T00:02:00,1,1,1,1,1", "time '2018-04-04T00:02:00' is not an RFC 3339 time"),
        ("2018-02-31T00:02:00Z,1,1,1,1,1", "time '2018-02-31T00:02:00Z' is not a date"),
        ("2018-04-04T00:02:30Z,1,1,1,1,1", "not on a whole 60 s"),
        ("2018-04-04T00:01:00Z,1,1,1,1,1", "not later than 2018-04-04T00:01:00Z"),
        ("2018-04-03T00:01:00Z,1,1,1,1,1", "not later than"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(row, complaint, write):
    path = write(TRADES, *ROWS, row)
    with pytest.raises(CorruptFileError) as caught:
        read_table(path)
    assert f"{path}, line 4: " in str(caught.value)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("header", ["", "time,open,high,low,close", "open,time,high,low,close,volume", TRADES + ","])
def test_a_wrong_header_is_line_one(header, write):
    with pytest.raises(CorruptFileError, match="line 1: header is"):
        read_table(write(header, *ROWS))


@pytest.mark.parametrize("name", ["bars.csv", "BTCUSD_1m_trades.csv", "BTC-USD_2m_trades.csv", "BTC-USD_1m_ticks.csv"])
def test_an_unknown_file_name_is_refused(name, write):
    with pytest.raises(CorruptFileError, match="not a bar file name"):
        read_table(write(TRADES, *ROWS, name=name))


def test_an_unknown_pair_is_refused_with_the_nearest_known(write):
    with pytest.raises(CorruptFileError, match="unknown instrument 'BTC-USX'; nearest known: BTCUSD"):
        read_table(write(TRADES, *ROWS, name="BTC-USX_1m_trades.csv"))


def test_a_file_without_rows_is_refused(write):
    with pytest.raises(CorruptFileError, match="no rows"):
        read_table(write(TRADES))


def test_bytes_that_are_no_text_are_refused_by_line(tmp_path):
    path = tmp_path / TRADES_NAME
    path.write_bytes(f"{TRADES}\n{ROWS[0]}\n".encode() + b"2018\xff\n")
    with pytest.raises(CorruptFileError, match="line 3: not UTF-8"):
        read_table(path)


@given(st.lists(st.decimals("0", "999999999", places=8).map(lambda d: format(d.normalize(), "f")), min_size=1))
def test_counts_are_exact(cells):
    places = _places(cells)
    assert [Decimal(count).scaleb(-places) for count in _counts(cells, places).tolist()] == [Decimal(c) for c in cells]
