"""Feeds, signals and plan as the arrays that the compiled kernel takes."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from ffe.market.models import AssetClass
from ffe.replay import kernel_records as records
from ffe.replay.models import Bars, Codes, Feed, Fills, Floats, Gate, Ints, Plan, Signals
from ffe.settings import RiskSettings, SizingMethod
from ffe.venues.models import InstrumentSpec

BASIS_POINT = 1e-4
# The desks' own: `paper_wallets.UNIT` and `paper_valuation.CENT`.
SPOT_MONEY, MARGIN_MONEY = 1e8, 1e4
NEVER = -1e300


def market_of(feeds: Sequence[Feed], signals: Sequence[Signals], times: Ints, lookback: int) -> records.Market:
    """All bars one after the other; of a single feed its own arrays, not a copy."""
    bars = [feed.bars for feed in feeds]
    return records.Market(
        first=np.cumsum([0, *(len(each) for each in bars)], dtype=np.int64),
        times=times,
        closes=_joined([each.closes_at for each in bars], np.int64),
        mid=_joined([each.mid for each in bars], np.float64),
        bid=_joined([each.bid for each in bars], np.float64),
        ask=_joined([each.ask for each in bars], np.float64),
        after=_joined([each.after for each in bars], np.float64),
        gates=_joined([feed.gates for feed in feeds], np.int8),
        actions=_joined([each.actions for each in signals], np.int8),
        confidence=_joined([each.confidence for each in signals], np.int64),
        authors=_authors(signals),
        starts=_starts(feeds, lookback),
    )


def timeline(feeds: Sequence[Feed]) -> Ints:
    """All bar closes, each once, ascending."""
    closes = [feed.bars.closes_at for feed in feeds]
    first = closes[0]
    if all(each.size == first.size and np.array_equal(each, first) for each in closes[1:]):
        return first
    return np.unique(np.concatenate(closes))


def _authors(signals: Sequence[Signals]) -> Codes:
    """Empty where everything was decided by the model's seat."""
    if all(each.authors is None for each in signals):
        return np.zeros(0, np.int8)
    found = [np.zeros(each.actions.size, np.int8) if each.authors is None else each.authors for each in signals]
    return _joined(found, np.int8)


def _starts(feeds: Sequence[Feed], lookback: int) -> Ints:
    """Empty where no feed has windows of its own."""
    if all(feed.starts is None for feed in feeds):
        return np.zeros(0, np.int64)
    plain = [np.maximum(np.arange(len(feed.bars)) + 1 - lookback, 0) for feed in feeds]
    pairs = zip(feeds, plain, strict=True)
    return _joined([same if feed.starts is None else feed.starts for feed, same in pairs], np.int64)


def _joined(parts: Sequence[npt.NDArray[Any]], kind: type[np.generic]) -> npt.NDArray[Any]:
    """Contiguous and writable: the kernel is compiled for one layout only."""
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return np.require(whole, kind, ["C", "W"])


def wanted(feeds: Sequence[Feed], signals: Sequence[Signals]) -> int:
    """Most round trips there can be: each needs a signal that may trade."""
    pairs = zip(feeds, signals, strict=True)
    return int(sum(np.count_nonzero((each.actions != 0) & (feed.gates == Gate.PASSED)) for feed, each in pairs))


def book_of(feeds: Sequence[Feed], plan: Plan, trades: int) -> records.Book:
    """Accounts as they open, one for each venue, and room for `trades` round trips."""
    count = len(feeds)
    venues = _venues(feeds)
    accounts = np.zeros((len(venues), records.ACCOUNTS))
    accounts[:, records.CASH], accounts[:, records.NEWEST_END] = plan.capital, NEVER
    held = np.zeros((count, records.HELD))
    held[:, [records.LAST_OPENED, records.LAST_CLOSED]] = NEVER
    switch = np.zeros(records.SWITCH)
    switch[[records.HALTED_AT, records.UNMARKED]] = -1.0, 1.0
    return records.Book(
        terms=_terms(feeds, venues, plan.risk),
        held=held,
        accounts=accounts,
        switch=switch,
        current=np.full(count, -1, np.int64),
        holds=np.zeros((count, records.AUTHORS), np.int64),
        denials=np.zeros((count, len(records.CODES)), np.int64),
        orders=np.zeros(count, np.int64),
        tape=np.empty((trades, records.TAPE)),
        written=np.zeros(1, np.int64),
    )


def _venues(feeds: Sequence[Feed]) -> list[str]:
    return list(dict.fromkeys(feed.bars.instrument.venue for feed in feeds))


def _terms(feeds: Sequence[Feed], venues: Sequence[str], risk: RiskSettings) -> Floats:
    names = sorted(feed.bars.instrument.symbol for feed in feeds)
    terms = np.empty((len(feeds), records.TERMS))
    for row, feed in zip(terms, feeds, strict=True):
        instrument = feed.bars.instrument
        _write_spec(row, feed.spec, feed.bars)
        crypto = instrument.asset_class is AssetClass.CRYPTO
        row[records.STOP_MIN] = float(risk.crypto_stop_min if crypto else risk.forex_stop_min)
        row[records.STOP_MAX] = float(risk.crypto_stop_max if crypto else risk.forex_stop_max)
        row[records.RANK] = names.index(instrument.symbol)
        row[records.ACCOUNT] = venues.index(instrument.venue)
    return terms


def _write_spec(row: Floats, spec: InstrumentSpec, bars: Bars) -> None:
    row[records.TICK], row[records.TICK_SCALE] = float(spec.price_increment), 10.0 ** places(spec.price_increment)
    row[records.QUOTE_SCALE] = 10.0 ** max(bars.places, places(spec.price_increment))
    row[records.LOT], row[records.LOT_SCALE] = float(spec.size_increment), 10.0 ** places(spec.size_increment)
    row[records.MIN_SIZE], row[records.MAX_SIZE] = float(spec.min_size), _or(spec.max_size, np.inf)
    row[records.MIN_NOTIONAL] = _or(spec.min_notional, 0.0)
    row[records.MAX_NOTIONAL] = _or(spec.max_notional, np.inf)
    row[records.FEE], row[records.MARGIN] = float(spec.taker_fee_rate), _or(spec.margin_rate, 1.0)
    spot = spec.margin_rate is None
    row[records.SPOT], row[records.MONEY] = float(spot), SPOT_MONEY if spot else MARGIN_MONEY


def places(increment: Decimal) -> int:
    """Decimals that a multiple of `increment` may have."""
    exponent = increment.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _or(value: Decimal | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def limits_of(plan: Plan) -> records.Limits:
    risk, micro = plan.risk, records.MICRO
    resume = -1.0 if plan.resume_after_days is None else round(plan.resume_after_days * records.DAY)
    shares: dict[str, float] = {name: float(getattr(risk, name)) for name in _SHARES}
    return records.Limits(
        **shares,
        loss_streak_pause=risk.loss_streak_pause_seconds * micro,
        cooldown=risk.cooldown_seconds * micro,
        min_hold=risk.min_hold_seconds * micro,
        slippage=plan.slippage_bps * BASIS_POINT,
        lag=float(round(plan.lag_seconds * micro)),
        resume=float(resume),
        lookback=plan.lookback,
        fraction=risk.sizing is SizingMethod.FIXED_FRACTION,
        intrabar=plan.fills is Fills.INTRABAR,
    )


_SHARES = (
    "per_trade",
    "min_confidence",
    "stop_atr_multiple",
    "reward_risk",
    "fixed_fraction",
    "max_position",
    "max_gross",
    "max_correlated",
    "max_leverage",
    "max_heat",
    "max_daily_loss",
    "max_drawdown",
    "loss_streak",
    "min_reward_risk",
    "max_spread",
    "max_slippage",
)
