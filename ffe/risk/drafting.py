"""An entry before the rules have spoken: its levels, its costs, and how much is wanted. Pure arithmetic; what is missing denies."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from ffe.money import ZERO, plain
from ffe.risk.costs import UnitCost, unit_cost
from ffe.risk.levels import Levels, levels
from ffe.risk.methods import METHODS
from ffe.risk.methods.basis import Basis, Wanted
from ffe.risk.models import Denial
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal, Signal
from ffe.settings import RiskSettings
from ffe.venues.models import AccountState, Conversion, InstrumentSpec


class Market(BaseModel):
    """Where an entry would be made: the venue's rules and the account, with `reserved` of its balance claimed by open reservations."""

    model_config = ConfigDict(frozen=True)

    spec: InstrumentSpec
    account: AccountState
    reserved: Decimal

    @property
    def free(self) -> Decimal:
        return self.account.available - self.reserved

    @property
    def hold(self) -> Decimal:
        """Margin in use, in the account currency."""
        account = self.account
        return sum((item.hold for item in account.balances if item.currency == account.currency), ZERO)


class Draft(BaseModel):
    """The proposal for the rules, with what sizing needs of its making."""

    model_config = ConfigDict(frozen=True)

    proposal: Proposal
    levels: Levels
    cost: UnitCost
    wanted: Wanted


def draft_entry(
    signal: Signal, *, market: Market, portfolio: Portfolio, settings: RiskSettings, bars_per_year: Decimal | None
) -> Draft | Denial:
    """Denied without a free balance, a conversion to the account currency, levels on both sides of the market, or a wanted size."""
    denied = _no_balance(market)
    if denied is not None:
        return denied
    conversion = _conversion(signal, market.account)
    if isinstance(conversion, Denial):
        return conversion
    asset = signal.instrument.asset_class
    placed = levels(signal.side, signal.atr, asset, spec=market.spec, quote=signal.quote, settings=settings)
    if isinstance(placed, Denial):
        return placed
    cost = unit_cost(placed, conversion, market.spec, signal.quote)
    basis = Basis(
        symbol=signal.instrument.symbol,
        equity=market.account.equity,
        entry=placed.entry,
        atr=signal.atr,
        unit_notional=cost.notional,
        unit_risk=cost.risk,
        trades=portfolio.trades,
        bars_per_year=bars_per_year,
    )
    wanted = METHODS[settings.sizing](basis, settings)
    if isinstance(wanted, Denial):
        return wanted
    return Draft(proposal=_proposal(signal, placed, cost, wanted, market), levels=placed, cost=cost, wanted=wanted)


def _proposal(signal: Signal, placed: Levels, cost: UnitCost, wanted: Wanted, market: Market) -> Proposal:
    rate = market.spec.margin_rate
    return Proposal(
        **dict(signal),
        entry=placed.entry,
        stop=placed.stop,
        target=placed.target,
        bound=placed.bound,
        units=wanted.units,
        unit_notional=cost.notional,
        unit_risk=cost.risk,
        fee_rate=market.spec.taker_fee_rate,
        reserved=market.reserved if rate is None else market.reserved / rate,
        open_notional=None if rate is None else (market.hold + market.reserved) / rate,
    )


def _no_balance(market: Market) -> Denial | None:
    account = market.account
    if account.equity > 0 and market.free > 0:
        return None
    return Denial(
        code="no_balance",
        reason=f"{account.venue} equity {plain(account.equity)} {account.currency}, available {plain(account.available)} "
        f"less reserved {plain(market.reserved)} is {plain(market.free)}",
    )


def _conversion(signal: Signal, account: AccountState) -> Conversion | Denial:
    found = account.conversions.get(signal.instrument.quote)
    if found is not None and min(found.loss, found.position) > 0:
        return found
    reason = f"no factor from {signal.instrument.quote} to {account.currency} for {signal.instrument.symbol}"
    return Denial(code="no_conversion", reason=reason)
