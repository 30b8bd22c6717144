"""The market of the parity test: one recorded day of crypto and euro, a drawn pound, and the replay's bars of the very same market object.

BTCUSD and ETHUSD are Coinbase's trades of Sunday 2017-09-03 and the Monday after, EURUSD is OANDA's Friday 2014-05-02 to Monday, moved by
whole weeks as the simulator moves every recording. No pound of those days lies in this repository under a licence as free: GBPUSD is drawn.
"""

import csv
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from ffe.market.calendar import calendar_for
from ffe.market.models import AssetClass, Timeframe, parse_instrument
from ffe.money import plain, round_nearest
from ffe.replay.bars import make_bars
from ffe.replay.models import Bars
from ffe.replay.resampling import resampled
from simulator.generated import GeneratedMarket
from simulator.market import Market, Ohlc
from simulator.recorded import RecordedMarket

SYMBOLS = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD")
TIMEFRAME = Timeframe.M15
LAG = timedelta(seconds=20)
# A Monday that the euro's recording is moved to; where the simulator's clock begins does not matter else.
NOW = datetime(2017, 9, 4, 12, 0, 20, tzinfo=UTC)
BEGIN, END = datetime(2017, 8, 21, tzinfo=UTC), datetime(2017, 9, 4, 14, 30, tzinfo=UTC)
# The last hour before the weekend; then a whole day that begins three bars before crypto has the 60 bars that the suite asks for.
FRIDAY = datetime(2017, 9, 1, 20, 15, tzinfo=UTC)
SUNDAY = datetime(2017, 9, 3, 14, 15, tzinfo=UTC)
SEED = 7
TICK = Decimal("0.00001")
HEADER = [f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")]


def recorded_folder(folder: Path, bars: Path) -> Path:
    """`folder` with the day's CSV files; `bars` is the repository's folder of recorded bars."""
    folder.mkdir()
    here = Path(__file__).parent / "data"
    for path in (*here.glob("*.csv"), *(bars / "long").glob("EUR-USD_1m_bidask_*.csv")):
        shutil.copy(path, folder)
    with (folder / "GBP-USD_1m_bidask_2017-08-21.csv").open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["time", *HEADER])
        for bar in GeneratedMarket(SEED, NOW).bars("GBPUSD", 60, BEGIN, END):
            prices = [plain(price) for side in (bar.bid, bar.ask) for price in _four(side)]
            lines.writerow([bar.time.strftime("%Y-%m-%dT%H:%M:%SZ"), *prices])
    return folder


def recorded_market(folder: Path) -> Market:
    """What the simulator makes of the folder when it is started at `NOW`."""
    return RecordedMarket(folder, NOW)


def minutes_of(market: Market, symbol: str) -> Bars:
    """Every minute of the market as the venue's feed prints it: trades at Coinbase, the middle rounded to a tick at OANDA."""
    instrument = parse_instrument(symbol)
    forex = instrument.asset_class is AssetClass.FOREX
    found = market.bars(symbol, 60, BEGIN, END)
    middle = [[round_nearest(price, TICK) for price in _four(bar.mid)] if forex else _four(bar.trade) for bar in found]
    return make_bars(
        instrument,
        Timeframe.M1,
        np.array([int(bar.time.timestamp()) for bar in found], np.int64),
        np.array(middle, np.float64),
        np.array([_four(bar.bid) for bar in found], np.float64),
        np.array([_four(bar.ask) for bar in found], np.float64),
        volume=np.array([float(bar.volume) for bar in found], np.float64),
        quoted=True,
    )


def bars_of(market: Market, symbol: str, timeframe: Timeframe = TIMEFRAME) -> Bars:
    """The bars that are decided on, made from the minutes as `ffe replay` makes them."""
    return resampled(minutes_of(market, symbol), timeframe, calendar_for(parse_instrument(symbol)))


def moments(feeds: dict[str, Bars]) -> list[tuple[datetime, tuple[str, ...]]]:
    """The closes at which a cycle is driven, each with the instruments whose bar closes then."""
    closing: dict[int, list[str]] = {}
    for symbol, bars in feeds.items():
        for close in bars.closes_at[driven(bars)].tolist():
            closing.setdefault(close, []).append(symbol)
    return [(datetime.fromtimestamp(close, UTC), tuple(closing[close])) for close in sorted(closing)]


def driven(bars: Bars) -> np.ndarray:
    """At which bars a cycle is driven: Friday's last hour, and from Sunday on. (n)"""
    closes = bars.closes_at
    friday = (closes >= FRIDAY.timestamp()) & (closes <= (FRIDAY + timedelta(hours=1)).timestamp())
    return np.asarray(friday | ((closes >= SUNDAY.timestamp()) & (closes < END.timestamp())))


def _four(prices: Ohlc) -> list[Decimal]:
    return [prices.open, prices.high, prices.low, prices.close]
