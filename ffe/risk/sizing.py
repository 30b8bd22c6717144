"""How much: risk a fixed fraction of equity between entry and stop, then shrink to whatever limit is tightest.

units = per_trade x equity / (|entry - stop| x loss factor quote->home); each limit that bites is a clamp with both numbers.
Sizes only ever round down, and a size below the venue's minimum is denied, never raised past the risk budget.

Limits: 25 % of equity in one position, spot or margin, 5 x equity in notional over all
positions, the free balance less open reservations with fee and slippage, the venue's maximum size and notional.
"""

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal

from pydantic import BaseModel, ConfigDict

from ffe.market.models import Instrument
from ffe.money import ZERO, plain, round_down
from ffe.orders.models import Side
from ffe.risk.levels import Levels, levels
from ffe.risk.models import Clamp, Denial, Sizing
from ffe.settings import RiskSettings
from ffe.venues.models import AccountState, Conversion, InstrumentSpec, Quote

METHOD = "atr_risk"
_MONEY = Decimal("1e-12")


class SizedEntry(BaseModel):
    """A sizing with what the order needs beside it: the price bound, and what to set aside in `reserve_currency`."""

    model_config = ConfigDict(frozen=True)

    sizing: Sizing
    price_bound: Decimal
    reserve_currency: str
    reserve_amount: Decimal


class _Cost(BaseModel):
    """Per base unit in account currency: `notional` at the entry, `margin` it uses, `reserve` at the bound with fee and spread, `risk`."""

    notional: Decimal
    margin: Decimal
    reserve: Decimal
    risk: Decimal


def size_entry(
    side: Side,
    atr: Decimal,
    *,
    instrument: Instrument,
    account: AccountState,
    reserved: Decimal,
    spec: InstrumentSpec,
    quote: Quote,
    settings: RiskSettings,
) -> SizedEntry | Denial:
    """Size of a new position. `reserved` is what open reservations already claim of `account.available`, in `account.currency`."""
    denied = _no_balance(account, reserved)
    if denied is not None:
        return denied
    conversion = account.conversions.get(instrument.quote)
    if conversion is None or min(conversion.loss, conversion.position) <= 0:
        return Denial(
            code="no_conversion",
            reason=f"no factor from {instrument.quote} to {account.currency} for {instrument.symbol}",
        )
    placed = levels(side, atr, instrument.asset_class, spec=spec, quote=quote, settings=settings)
    if isinstance(placed, Denial):
        return placed
    cost = _cost(placed, conversion, spec, quote)
    wanted = settings.per_trade * account.equity / cost.risk
    caps = _caps(placed, cost, account=account, reserved=reserved, spec=spec, settings=settings)
    units, clamps = _clamped(wanted, caps)
    rounded = _rounded(units, cost, account.available - reserved, spec)
    small = _too_small(units, rounded, placed, instrument, spec)
    if small is not None:
        return small
    if rounded != units:
        rule = f"{spec.instrument} sizes are multiples of {plain(spec.size_increment)}"
        clamps.append(Clamp(name="round_down", before=units, after=rounded, rule=rule))
    return _sized(rounded, placed, cost, account, (*placed.clamps, *clamps))


def _sized(units: Decimal, placed: Levels, cost: _Cost, account: AccountState, clamps: tuple[Clamp, ...]) -> SizedEntry:
    sizing = Sizing(
        method=METHOD,
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
        reserve_currency=account.currency,
        reserve_amount=units * cost.reserve,
    )


def _no_balance(account: AccountState, reserved: Decimal) -> Denial | None:
    free = account.available - reserved
    if account.equity > 0 and free > 0:
        return None
    return Denial(
        code="no_balance",
        reason=f"{account.venue} equity {plain(account.equity)} {account.currency}, available {plain(account.available)} "
        f"less reserved {plain(reserved)} is {plain(free)}",
    )


def _cost(placed: Levels, conversion: Conversion, spec: InstrumentSpec, quote: Quote) -> _Cost:
    """Margin counts base->home x margin rate; base->home is the pair's price x quote->home, so EURGBP in USD comes out as EURUSD."""
    notional = placed.entry * conversion.position
    worst = max(placed.entry, placed.bound)
    fee = worst * spec.taker_fee_rate
    if spec.margin_rate is None:
        margin, reserve = notional, worst + fee
    else:
        margin = notional * spec.margin_rate
        reserve = worst * conversion.position * spec.margin_rate + (quote.spread + fee) * conversion.loss
    return _Cost(
        notional=_up(notional), margin=_up(margin), reserve=_up(reserve), risk=_up(placed.distance * conversion.loss)
    )


def _up(value: Decimal) -> Decimal:
    """To twelve places, upwards: a cost per unit may be overstated by a hair, and products with it stay exact."""
    return value.quantize(_MONEY, rounding=ROUND_CEILING)


def _caps(
    placed: Levels,
    cost: _Cost,
    *,
    account: AccountState,
    reserved: Decimal,
    spec: InstrumentSpec,
    settings: RiskSettings,
) -> Iterator[tuple[str, Decimal, str]]:
    """Name, most units and the rule of every limit that applies."""
    equity, free = account.equity, account.available - reserved
    used = "notional" if spec.margin_rate is None else "margin"
    share = f"notional at most {_show(settings.max_position * 100)} % of equity {_show(equity)}"
    yield "max_position", settings.max_position * equity / cost.notional, share
    if spec.margin_rate is not None:
        open_notional = (_hold(account) + reserved) / spec.margin_rate
        room = max(ZERO, settings.max_leverage * equity - open_notional)
        rule = (
            f"notional at most {_show(settings.max_leverage)} x equity {_show(equity)}, {_show(open_notional)} is open"
        )
        yield "max_leverage", room / cost.notional, rule
    fits = f"{used} with fee and slippage within free {_show(free)} {account.currency}"
    yield "available", free / cost.reserve, fits
    if spec.max_size is not None:
        yield "max_size", spec.max_size, f"{spec.instrument} max_size {plain(spec.max_size)}"
    if spec.max_notional is not None:
        rule = f"{spec.instrument} max_notional {plain(spec.max_notional)}"
        yield "max_notional", spec.max_notional / max(placed.entry, placed.bound), rule


def _hold(account: AccountState) -> Decimal:
    """Margin in use. Divided by this instrument's margin rate it stands for the notional of all positions."""
    return sum((item.hold for item in account.balances if item.currency == account.currency), ZERO)


def _clamped(units: Decimal, caps: Iterator[tuple[str, Decimal, str]]) -> tuple[Decimal, list[Clamp]]:
    clamps = []
    for name, most, rule in caps:
        if units > most:
            clamps.append(Clamp(name=name, before=units, after=most, rule=rule))
            units = most
    return units, clamps


def _rounded(units: Decimal, cost: _Cost, free: Decimal, spec: InstrumentSpec) -> Decimal:
    """Down to the increment; one more when 28 digits of division made the product a hair too large for the free balance."""
    rounded = round_down(units, spec.size_increment)
    return rounded - spec.size_increment if rounded * cost.reserve > free else rounded


def _too_small(
    units: Decimal, rounded: Decimal, placed: Levels, instrument: Instrument, spec: InstrumentSpec
) -> Denial | None:
    name, base, quote = spec.instrument, instrument.base, instrument.quote
    if rounded < spec.min_size or rounded <= 0:
        text = f"size {_show(units)} {base} is below {name} min_size {plain(spec.min_size)}"
        return Denial(code="below_minimum", reason=text)
    least = spec.min_notional or ZERO
    if rounded * placed.entry < least:
        text = f"notional {_show(rounded * placed.entry)} {quote} is below {name} min_notional {plain(least)}"
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


def _show(value: Decimal) -> str:
    """For messages: at most twelve places, no trailing zeros."""
    return plain(value.quantize(_MONEY, rounding=ROUND_DOWN).normalize())
