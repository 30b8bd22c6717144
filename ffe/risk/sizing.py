"""How much, in the end: the wanted size shrunk to whatever limit is tightest; each limit that bites is a clamp with both numbers.

In this order: the risk budget (per_trade x equity at the stop, whatever the method), what every rule allows at most, the free balance
less open reservations with fee and slippage, the venue's maximum size and notional. Sizes only ever round down, and a size below the
venue's minimum is denied, never raised past the risk budget. So is an entry that could not be closed again.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from ffe.market.models import Instrument
from ffe.money import ZERO, plain, round_down
from ffe.risk.drafting import Draft, Market
from ffe.risk.levels import Levels
from ffe.risk.models import Clamp, Denial, Sizing, Verdict
from ffe.risk.wording import percent, show, units_within
from ffe.settings import RiskSettings
from ffe.venues.models import InstrumentSpec


class SizedEntry(BaseModel):
    """A sizing with what the order needs beside it: the price bound, a trailing distance, and what to set aside in `reserve_currency`.

    With `trailing_distance` no fixed stop is sent: `sizing.stop_loss` is where the trailing one begins.
    """

    model_config = ConfigDict(frozen=True)

    sizing: Sizing
    price_bound: Decimal
    trailing_distance: Decimal | None
    reserve_currency: str
    reserve_amount: Decimal


def size_entry(
    draft: Draft, verdicts: Sequence[Verdict], *, market: Market, settings: RiskSettings
) -> SizedEntry | Denial:
    """Size of a new position within `most` of every verdict; whether a verdict refuses is the caller's to look at."""
    spec, instrument = market.spec, draft.proposal.instrument
    units, clamps = _clamped(draft.wanted.units, _limits(draft, verdicts, market, settings))
    rounded = round_down(units, spec.size_increment)
    small = _too_small(units, rounded, draft.levels, instrument, spec)
    if small is not None:
        return small if not clamps else small.model_copy(update={"reason": f"{small.reason}; {clamps[-1].rule}"})
    if rounded != units:
        rule = f"{spec.instrument} sizes are multiples of {plain(spec.size_increment)}"
        clamps.append(Clamp(name="round_down", before=units, after=rounded, rule=rule))
    return _sized(rounded, draft, market, (*draft.levels.clamps, *draft.wanted.clamps, *clamps))


def _sized(units: Decimal, draft: Draft, market: Market, clamps: tuple[Clamp, ...]) -> SizedEntry:
    account, placed, cost = market.account, draft.levels, draft.cost
    sizing = Sizing(
        method=draft.wanted.method,
        units=units,
        entry_price=placed.entry,
        notional=units * cost.notional,
        risk_amount=units * cost.risk,
        stop_loss=placed.stop,
        take_profit=placed.target,
        balance=account.available,
        balance_source=account.source,
        clamps=clamps,
    )
    return SizedEntry(
        sizing=sizing,
        price_bound=placed.bound,
        trailing_distance=placed.trailing,
        reserve_currency=account.currency,
        reserve_amount=units * cost.reserve,
    )


def _limits(
    draft: Draft, verdicts: Sequence[Verdict], market: Market, settings: RiskSettings
) -> Iterator[tuple[str, Decimal, str]]:
    """Name, most units and the rule of every limit that applies."""
    account, spec, placed, cost = market.account, market.spec, draft.levels, draft.cost
    budget = settings.per_trade * account.equity
    rule = f"loss at the stop at most {percent(settings.per_trade)} of equity {show(account.equity)}, {show(budget)}"
    yield "per_trade", units_within(budget, cost.risk), rule
    for verdict in verdicts:
        if verdict.most is not None:
            yield verdict.code, verdict.most, verdict.reason
    used = "notional" if spec.margin_rate is None else "margin"
    fits = f"{used} with fee and slippage within free {show(market.free)} {account.currency}"
    yield "available", units_within(market.free, cost.reserve), fits
    if spec.max_size is not None:
        yield "max_size", spec.max_size, f"{spec.instrument} max_size {plain(spec.max_size)}"
    if spec.max_notional is not None:
        rule = f"{spec.instrument} max_notional {plain(spec.max_notional)}"
        yield "max_notional", units_within(spec.max_notional, max(placed.entry, placed.bound)), rule


def _clamped(units: Decimal, limits: Iterator[tuple[str, Decimal, str]]) -> tuple[Decimal, list[Clamp]]:
    clamps = []
    for name, most, rule in limits:
        if units > most:
            clamps.append(Clamp(name=name, before=units, after=most, rule=rule))
            units = most
    return units, clamps


def _too_small(
    units: Decimal, rounded: Decimal, placed: Levels, instrument: Instrument, spec: InstrumentSpec
) -> Denial | None:
    name, base, quote = spec.instrument, instrument.base, instrument.quote
    if rounded < spec.min_size or rounded <= 0:
        text = f"size {show(units)} {base} is below {name} min_size {plain(spec.min_size)}"
        return Denial(code="below_minimum", reason=text)
    least = spec.min_notional or ZERO
    if rounded * placed.entry < least:
        text = f"notional {show(rounded * placed.entry)} {quote} is below {name} min_notional {plain(least)}"
        return Denial(code="below_minimum", reason=text)
    left = round_down(rounded * (1 - spec.taker_fee_rate), spec.size_increment)
    worst = min(placed.stop, placed.target)
    if left < spec.min_size or left * worst < least:
        text = (
            f"after fees {plain(left)} {base} at {plain(worst)} could not be closed: "
            f"{name} min_size {plain(spec.min_size)}, min_notional {plain(least)}"
        )
        return Denial(code="exit_not_placeable", reason=text)
    return None
