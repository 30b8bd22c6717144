"""Minutes resampled are the venue's own longer bars, to the last digit, over a week with a weekend in it."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ffe.clock import FixedClock, parse_time
from ffe.market.calendar import calendar_for
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.resample import resample, resample_table
from ffe.sources.coinbase import CoinbaseSource
from ffe.sources.models import to_frame
from ffe.sources.oanda import OandaSource
from ffe.sources.protocol import BarSource
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.wire import Limits

pytestmark = pytest.mark.slow

START, END = parse_time("2024-03-13T00:00:00Z"), parse_time("2024-03-20T00:00:00Z")
TARGETS = [Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1, Timeframe.H4, Timeframe.D1]
EUR, BTC = parse_instrument("EURUSD"), parse_instrument("BTCUSD")


@contextmanager
def simulator(folder: Path, *arguments: str) -> Iterator[Callable[[Any], BarSource]]:
    """A running simulator, as a function from an instrument to a source of its bars."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--seed", "7", "--exit-with-stdin", *arguments]
    command += ["--data-dir", str(folder), "--start", "2024-03-20T00:10:00Z"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin:
        about = json.loads(process.stdout.readline())
        yield lambda instrument: source(about, instrument)
        process.stdin.close()
        assert process.wait(20) == 0


def source(about: dict[str, Any], instrument: Any) -> BarSource:
    at, clock = about[instrument.venue], FixedClock(END + timedelta(minutes=11))
    if instrument.venue == "oanda":
        return OandaSource(OandaClient(at["base_url"], at["token"], at["account_id"], Limits()), clock)
    return CoinbaseSource(CoinbaseClient(at["base_url"], at["api_key"], at["api_secret"], Limits()), clock)


def week(venue: BarSource, instrument: Any) -> dict[Timeframe, pa.Table]:
    """The venue's own bars of every timeframe; minutes day by day."""
    days = [START + timedelta(days=number) for number in range(7)]
    minutes = [venue.fetch(instrument, Timeframe.M1, day, day + timedelta(days=1)) for day in days]
    longer = {target: venue.fetch(instrument, target, START, END) for target in TARGETS}
    venue.close()
    return {Timeframe.M1: pa.concat_tables(minutes).combine_chunks(), **longer}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[Timeframe, pa.Table]]:
    with simulator(tmp_path_factory.mktemp("generated")) as opened:
        return {instrument.symbol: week(opened(instrument), instrument) for instrument in (BTC, EUR)}


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> dict[Timeframe, pa.Table]:
    """EURUSD at one spread all week, so that the middle of the extremes is the extreme of the middles; one minute in ten has no tick."""
    folder = tmp_path_factory.mktemp("steady")
    (folder / "bars").mkdir()
    (folder / "bars" / "EUR-USD_1m_bidask_2024-03.csv").write_text("\n".join(steady_rows()) + "\n")
    with simulator(folder, "--bars", str(folder / "bars")) as opened:
        return week(opened(EUR), EUR)


def steady_rows() -> Iterator[str]:
    sides = [f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")]
    yield ",".join(["time", *sides])
    chance, last, spread = random.Random(7), Decimal("1.08500"), Decimal("0.00013")
    for moment in calendar_for(EUR).expected_opens(Timeframe.M1, START, END).astype("datetime64[s]"):
        if chance.random() < 0.1:
            continue
        close = last + Decimal(chance.randint(-20, 20)) / 100_000
        wick = Decimal(chance.randint(0, 9)) / 100_000
        bid = [last, max(last, close) + wick, min(last, close) - wick, close]
        yield ",".join([f"{moment}Z", *(f"{price:.5f}" for price in [*bid, *(each + spread for each in bid)])])
        last = close


@pytest.mark.parametrize("target", TARGETS)
def test_coinbase_minutes_make_coinbases_own_bars(
    target: Timeframe, generated: dict[str, dict[Timeframe, pa.Table]]
) -> None:
    bars = generated["BTCUSD"]
    assert resample_table(bars[Timeframe.M1], Timeframe.M1, target, calendar_for(BTC)).equals(bars[target])


@pytest.mark.parametrize("target", TARGETS)
def test_oanda_minutes_make_oandas_own_bars_over_the_weekend(
    target: Timeframe, steady: dict[Timeframe, pa.Table]
) -> None:
    assert resample_table(steady[Timeframe.M1], Timeframe.M1, target, calendar_for(EUR)).equals(steady[target])


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_the_spread_does_the_bars_are_oandas_own(
    target: Timeframe, generated: dict[str, dict[Timeframe, pa.Table]]
) -> None:
    bars = generated["EURUSD"]
    made = resample_table(bars[Timeframe.M1], Timeframe.M1, target, calendar_for(EUR))
    assert made.equals(bars[target])


@pytest.mark.parametrize("target", TARGETS)
def test_longer_bars_make_still_longer_ones(target: Timeframe, steady: dict[Timeframe, pa.Table]) -> None:
    for base in [each for each in TARGETS if each.seconds < target.seconds and target.seconds % each.seconds == 0]:
        assert resample_table(steady[base], base, target, calendar_for(EUR)).equals(steady[target])


def test_the_weekend_cuts_fridays_last_and_sundays_first_buckets_short_and_both_are_there(
    steady: dict[Timeframe, pa.Table],
) -> None:
    friday = parse_time("2024-03-15T21:00:00Z")
    minutes = steady[Timeframe.M1]
    until = minutes.filter(pa.array(minutes.column("time").to_numpy() < np.datetime64(friday.replace(tzinfo=None))))
    for target, opens in ((Timeframe.H4, friday.replace(hour=20)), (Timeframe.D1, friday.replace(hour=0))):
        made = resample_table(until, Timeframe.M1, target, calendar_for(EUR))
        assert made.column("time")[-1].as_py() == opens
        assert made.equals(steady[target].slice(0, made.num_rows))
        assert resample_table(until, Timeframe.M1, target).num_rows == made.num_rows - 1


@pytest.mark.parametrize("target", TARGETS)
def test_floats_agree_with_the_exact_table(target: Timeframe, steady: dict[Timeframe, pa.Table]) -> None:
    floats = resample(to_frame(steady[Timeframe.M1]), Timeframe.M1, target, calendar_for(EUR))
    pd.testing.assert_frame_equal(floats, to_frame(steady[target]), check_freq=False)


def label(moment: datetime) -> str:
    return f"{moment:%a %H:%M}"


def test_a_day_of_new_york_summer_time_ends_where_oanda_ends_it(steady: dict[Timeframe, pa.Table]) -> None:
    hours = [label(moment) for moment in steady[Timeframe.H4].column("time").to_pylist()]
    assert "Fri 20:00" in hours
    assert "Sun 20:00" in hours
    assert not [hour for hour in hours if hour.startswith("Sat")]
