"""The numbers of the suites, one row per timeframe family and market, calibrated on recorded bars.

Measured over all windows of about 100,000 recorded bars (Coinbase 2017 and 2018, OANDA 2014 to 2018, FXCM 2012), the franc shock of
2015-01-15 and the referendum of 2016-06-24 among them. Behind each number stands the worst that real bars did; a limit is at least
twice that. A real market that once goes beyond is one that nobody should trade in at that moment.
"""

from dataclasses import dataclass

from ffe.market.models import AssetClass, Timeframe

# Part of every suite's name: raise it when a rule changes its meaning.
VERSION = 2


@dataclass(frozen=True)
class Family:
    """Timeframes that are judged alike.

    `flat` and `copied` are the numbers of equal bars in a row that say a feed is frozen: `flat` where open, high, low and close are
    one price, as in minutes without a trade, `copied` where the repeated bar has a range.
    """

    name: str
    timeframes: tuple[Timeframe, ...]
    flat: int
    copied: int


@dataclass(frozen=True)
class Limits:
    """Sizes in natural logarithms of price: 0.08 is about 8 %.

    `excursion`: how far a bar may leave the bars before and after it and come back. `jump`: how far a close may be from the close
    before. `step`: the coarsest grid of prices, relative to the price.
    """

    excursion: float
    jump: float
    step: float


# Longest runs seen: 1m 22 flat (quotes; trades 7) and 6 copied, 5m 5 and 5, 15m and longer 1.
MINUTE = Family("minute", (Timeframe.M1,), flat=30, copied=12)
INTRADAY = Family("intraday", (Timeframe.M5, Timeframe.M15, Timeframe.M30), flat=12, copied=10)
HOURLY = Family("hourly", (Timeframe.H1, Timeframe.H4), flat=5, copied=4)
DAILY = Family("daily", (Timeframe.D1,), flat=4, copied=3)
FAMILIES = (MINUTE, INTRADAY, HOURLY, DAILY)

# A pip of old is 0.00009 of EURUSD and of USDJPY; whole dollars are 0.00013 of the recorded BTCUSD and 0.0024 of ETHUSD.
_FOREX_STEP, _CRYPTO_STEP = 0.0002, 0.002
# Behind the numbers, excursion and jump seen: forex 1m 0.0019 and 0.0031, 15m 0.0034 and 0.0049, 4h 0.0313 and 0.0321, 1d 0.0351 and
# 0.0285; crypto 1m 0.0261 and 0.0176, 5m 0.0409 and 0.0332, 15m 0.0456 and 0.0486. Crypto above 15m is not recorded: those limits
# leave room for days such as 2020-03-12 (BTC, -39 %) and for the multiples of single coins.
LIMITS: dict[tuple[str, AssetClass], Limits] = {
    (MINUTE.name, AssetClass.FOREX): Limits(0.006, 0.08, _FOREX_STEP),
    (INTRADAY.name, AssetClass.FOREX): Limits(0.01, 0.10, _FOREX_STEP),
    (HOURLY.name, AssetClass.FOREX): Limits(0.07, 0.12, _FOREX_STEP),
    (DAILY.name, AssetClass.FOREX): Limits(0.08, 0.20, _FOREX_STEP),
    (MINUTE.name, AssetClass.CRYPTO): Limits(0.08, 0.30, _CRYPTO_STEP),
    (INTRADAY.name, AssetClass.CRYPTO): Limits(0.12, 0.40, _CRYPTO_STEP),
    (HOURLY.name, AssetClass.CRYPTO): Limits(0.25, 0.60, _CRYPTO_STEP),
    (DAILY.name, AssetClass.CRYPTO): Limits(0.50, 1.60, _CRYPTO_STEP),
}


def family_of(timeframe: Timeframe) -> Family:
    return next(family for family in FAMILIES if timeframe in family.timeframes)


def suite_name(timeframe: Timeframe, asset_class: AssetClass) -> str:
    return f"bars-{family_of(timeframe).name}-{asset_class.value}-v{VERSION}"
