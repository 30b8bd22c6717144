"""Bars as arrays: exact to the printed digit, cut without loss, and handed out as the live engine has them."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.generated_bars import generated
from ffe.clock import parse_time
from ffe.market.calendar import calendar_for, lookback_start
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.money import from_float
from ffe.replay import bars as made
from ffe.replay.bars import between, digest, make_bars, to_table, truncated, window, window_starts
from ffe.replay.files import load_bars
from ffe.replay.models import ASK, BID, CLOSE, HIGH, LOW, OPEN, Bars
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA

DATA = Path(__file__).parents[1] / "data" / "bars"
FILES = sorted(DATA.rglob("*.csv"))
PARTS = ("open", "high", "low", "close")
EURUSD, BTCUSD, USDJPY = (parse_instrument(name) for name in ("EURUSD", "BTCUSD", "USDJPY"))
WEEKEND = DATA / "cases" / "EUR-USD_1m_bidask_weekend_2014-05-02.csv"
HOLE = DATA / "cases" / "BTC-USD_1m_trades_hole_2018-04-04.csv"


def load(*paths: Path) -> Bars:
    (found,) = load_bars(paths, half_spread_bps=1.0).values()
    return found


def printed(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def exact(value: float, places: int) -> Decimal:
    return from_float(value, places)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_price_turns_back_into_the_printed_decimal(path: Path) -> None:
    bars, rows = load(path), printed(path)
    assert bars.times.tolist() == [int(parse_time(row["time"]).timestamp()) for row in rows]
    for row, cells in enumerate(rows):
        for column, part in enumerate(PARTS):
            if "open" in cells:
                assert exact(bars.mid[row, column], bars.places) == Decimal(cells[part])
                continue
            bid, ask = Decimal(cells[f"bid_{part}"]), Decimal(cells[f"ask_{part}"])
            assert exact(bars.bid[row, column], bars.places) == bid
            assert exact(bars.ask[row, column], bars.places) == ask
            assert exact(bars.mid[row, column], bars.places + 1) == (bid + ask) / 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_table_of_the_bars_is_what_a_cycle_would_have_stored(path: Path) -> None:
    bars, rows = load(path), printed(path)
    table = to_table(bars, 3, 60)
    forex = bars.instrument.venue == "oanda"
    assert table.schema == (QUOTED_BAR_SCHEMA if forex else BAR_SCHEMA)
    for told, cells in zip(table.to_pylist(), rows[3:60], strict=True):
        assert told["time"] == parse_time(cells["time"])
        if "open" in cells:
            assert [told[part] for part in PARTS] == [Decimal(cells[part]) for part in PARTS]
            assert told["volume"] == round(Decimal(cells["volume"]), 8)
        else:
            middle = [(Decimal(cells[f"bid_{part}"]) + Decimal(cells[f"ask_{part}"])) / 2 for part in PARTS]
            assert [told[part] for part in PARTS] == middle
            assert told["volume"] == 1
        if forex:
            assert (told["bid_close"], told["ask_close"]) == (Decimal(cells["bid_close"]), Decimal(cells["ask_close"]))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 10**9), min_size=4, max_size=40), st.integers(0, 6))
def test_any_price_of_few_decimals_survives(counts: list[int], places: int) -> None:
    prices = np.array(counts, np.float64)[:, None] / 10.0**places * np.ones(4)
    times = np.arange(len(counts), dtype=np.int64) * 60
    bars = make_bars(EURUSD, Timeframe.M1, times, prices, prices, prices, quoted=True)
    assert bars.places <= places
    told = to_table(bars).column("close").to_pylist()
    assert told == [Decimal(count).scaleb(-places) for count in counts]


def test_prices_with_endless_decimals_are_no_prices() -> None:
    price = np.full((1, 4), 1 / 3)
    with pytest.raises(ValueError, match="more than 10 decimals"):
        make_bars(EURUSD, Timeframe.M1, np.zeros(1, np.int64), price, price, price, quoted=True)


def test_right_after_a_bar_somebody_meets_the_next_open_or_else_its_close() -> None:
    bars = load(WEEKEND)
    follows = np.append(np.diff(bars.times) == 60, False)
    assert follows.any()
    assert not follows.all()
    for side, column in ((bars.bid, BID), (bars.ask, ASK)):
        assert (bars.after[:-1][follows[:-1], column] == side[1:][follows[:-1], OPEN]).all()
        assert (bars.after[~follows, column] == side[~follows, CLOSE]).all()


def test_truncated_bars_know_nothing_of_the_next_open() -> None:
    bars = generated(BTCUSD, Timeframe.M5, 50, seed=3)
    assert bars.after[19, BID] == bars.bid[20, OPEN]
    cut = truncated(bars, 20)
    assert len(cut) == 20
    assert cut.after[19].tolist() == [bars.bid[19, CLOSE], bars.ask[19, CLOSE]]
    assert cut.after[:19].tolist() == bars.after[:19].tolist()
    assert len(truncated(bars, 0)) == 0


def test_a_window_keeps_what_was_met_after_its_last_bar() -> None:
    bars = generated(BTCUSD, Timeframe.M5, 50, seed=3)
    cut = window(bars, 10, 20)
    assert cut.times.tolist() == bars.times[10:20].tolist()
    assert cut.after.tolist() == bars.after[10:20].tolist()
    assert cut.sha256 == digest(cut) != bars.sha256


def test_a_period_holds_the_bars_that_open_and_close_in_it() -> None:
    bars = generated(BTCUSD, Timeframe.H1, 48, seed=3)
    first = datetime.fromtimestamp(int(bars.times[0]), UTC)
    cut = between(bars, first + timedelta(minutes=30), first + timedelta(hours=5))
    assert cut.times.tolist() == bars.times[1:5].tolist()
    assert between(bars, None, None).sha256 == bars.sha256
    assert len(between(bars, first + timedelta(hours=5), first + timedelta(hours=2))) == 0


@pytest.mark.parametrize("name", ["times", "mid", "bid", "ask", "volume", "after"])
def test_the_digest_sees_every_number(name: str) -> None:
    bars = generated(EURUSD, Timeframe.M5, 30, seed=1)
    values = getattr(bars, name).copy()
    values.flat[7] += 1
    assert digest(replace(bars, **{name: values})) != bars.sha256
    assert digest(replace(bars, instrument=BTCUSD)) != bars.sha256
    assert digest(bars) == bars.sha256


@pytest.mark.parametrize("path", [WEEKEND, HOLE, DATA / "cases" / "EUR-USD_1h_bidask_lost-week_2016-12.csv"])
@pytest.mark.parametrize("lookback", [60, 100])
def test_a_cycle_sees_the_time_of_its_lookback_and_no_more_bars_than_that(path: Path, lookback: int) -> None:
    bars = load(path)
    calendar = calendar_for(bars.instrument)
    starts = window_starts(bars, calendar, lookback)
    for row, close in enumerate(bars.closes_at.tolist()):
        now = datetime.fromtimestamp(close + 20, UTC)
        since = lookback_start(calendar, bars.timeframe, lookback + 1, now).timestamp()
        seen = [each for each in range(row + 1) if bars.times[each] >= since][-lookback:]
        assert starts[row] == seen[0]


def test_of_no_bars_there_is_no_window() -> None:
    none = made.no_bars(EURUSD, Timeframe.M5)
    assert window_starts(none, calendar_for(EURUSD), 60).size == 0
    assert len(none) == 0
    assert to_table(none).num_rows == 0


@pytest.mark.parametrize("instrument", [EURUSD, BTCUSD, USDJPY], ids=lambda each: each.symbol)
def test_generated_bars_are_bars_of_an_open_market_and_the_same_each_time(instrument: Instrument) -> None:
    bars = generated(instrument, Timeframe.M15, 3000, seed=5)
    assert generated(instrument, Timeframe.M15, 3000, seed=5).sha256 == bars.sha256
    assert generated(instrument, Timeframe.M15, 3000, seed=6).sha256 != bars.sha256
    opens = (bars.times * 1_000_000).astype("datetime64[us]")
    assert calendar_for(instrument).opened(Timeframe.M15, opens).all()
    for prices in (bars.mid, bars.bid, bars.ask):
        assert (prices[:, HIGH] >= prices.max(axis=1)).all()
        assert (prices[:, LOW] <= prices.min(axis=1)).all()
    assert (bars.bid < bars.mid).all()
    assert (bars.mid < bars.ask).all()
    assert made.on_grid(bars.bid, bars.places).all()
    assert made.on_grid(bars.mid, bars.places + 1).all()
