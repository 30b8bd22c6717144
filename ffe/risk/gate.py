"""From a decision to an order request, or to a denial with every reason: the last gate before the ledger.

Order of the rules: confidence floor, tradeable, spread, the position table, sizing. A close is never held back by the
confidence floor or the spread: leaving the market must stay possible. A rule that raises is a closed gate.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from ffe.decision.models import Decision
from ffe.market.models import Instrument
from ffe.money import ZERO, plain
from ffe.orders.models import Intent, Leg
from ffe.orders.request import request_for
from ffe.risk.levels import entry_price, price_bound
from ffe.risk.models import Denial, Sizing
from ffe.risk.position import Move, move
from ffe.risk.sizing import size_entry
from ffe.settings import RiskSettings
from ffe.venues.models import AccountState, InstrumentSpec, OrderRequest, Quote, VenuePosition

R = TypeVar("R")


class TradePlan(BaseModel):
    """What to order. `sizing` is None for a close, whose size is what is held."""

    model_config = ConfigDict(frozen=True)

    intent: Intent
    sizing: Sizing | None
    request: OrderRequest


class _Case(BaseModel):
    """Everything the rules look at."""

    model_config = ConfigDict(frozen=True)

    decision: Decision
    atr: Decimal
    account: AccountState
    reserved: Decimal
    spec: InstrumentSpec
    quote: Quote
    position: VenuePosition
    settings: RiskSettings
    instrument: Instrument


def plan_trade(
    decision: Decision,
    *,
    context_atr: Decimal,
    account: AccountState,
    reserved: Decimal,
    spec: InstrumentSpec,
    quote: Quote,
    position: VenuePosition,
    settings: RiskSettings,
    instrument: Instrument,
) -> TradePlan | Denial:
    """The order that `decision` leads to. `context_atr` is in price units; `reserved` in the account's currency.

    Never raises to say no: a denial's code is the first broken rule's, its reason holds them all.
    """
    case = _Case(
        decision=decision,
        atr=context_atr,
        account=account,
        reserved=reserved,
        spec=spec,
        quote=quote,
        position=position,
        settings=settings,
        instrument=instrument,
    )
    meant = _closed(_meaning, case)
    closing = isinstance(meant, Move) and meant.leg is Leg.EXIT
    rules = (_market,) if closing else (_confidence, _market, _spread)
    denials = [denial for denial in (_closed(rule, case) for rule in rules) if denial is not None]
    if isinstance(meant, Denial):
        denials.append(meant)
    if denials or isinstance(meant, Denial):
        return Denial(code=denials[0].code, reason="; ".join(denial.reason for denial in denials))
    return _closed(lambda given: _exit(given, meant) if closing else _entry(given, meant), case)


def _closed(rule: Callable[[_Case], R], case: _Case) -> R | Denial:
    try:
        return rule(case)
    except Exception as error:  # noqa: BLE001 - fail closed: whatever went wrong, the answer is no
        name = rule.__name__.strip("_<>")
        return Denial(code="rule_failed", reason=f"rule {name} failed: {type(error).__name__}: {error}")


def _meaning(case: _Case) -> Move | Denial:
    meant = move(case.decision.action, case.position, case.spec, case.quote)
    return meant or Denial(code="hold", reason=f"HOLD {case.spec.instrument} submits nothing")


def _confidence(case: _Case) -> Denial | None:
    found, floor = case.decision.confidence, case.settings.min_confidence
    if found >= floor:
        return None
    return Denial(code="confidence_below_floor", reason=f"confidence {found} is below min_confidence {floor}")


def _market(case: _Case) -> Denial | None:
    """Denied when halted or closed by the venue's word, or when the quote is no market."""
    for name, said in (("instrument", case.spec), ("quote", case.quote)):
        if not said.tradeable:
            return Denial(code="not_tradeable", reason=f"{said.instrument} {name} is not tradeable: {said.status}")
    if 0 < case.quote.bid <= case.quote.ask:
        return None
    text = f"{case.quote.instrument} bid {plain(case.quote.bid)} and ask {plain(case.quote.ask)} are no market"
    return Denial(code="bad_quote", reason=text)


def _spread(case: _Case) -> Denial | None:
    """Denied when crossing the spread alone costs more than the slippage that is accepted."""
    share, most = case.quote.spread / case.quote.mid, case.settings.max_slippage
    if share <= most:
        return None
    text = f"{case.quote.instrument} spread {share * 100:.4f} % of the price is above max_slippage {most * 100:.4f} %"
    return Denial(code="spread_too_wide", reason=text)


def _entry(case: _Case, meant: Move) -> TradePlan | Denial:
    sized = size_entry(
        meant.side,
        case.atr,
        instrument=case.instrument,
        account=case.account,
        reserved=case.reserved,
        spec=case.spec,
        quote=case.quote,
        settings=case.settings,
    )
    if isinstance(sized, Denial):
        return sized
    intent = _intent(
        case,
        meant,
        sized.sizing.units,
        price_bound=sized.price_bound,
        stop_loss=sized.sizing.stop_loss,
        take_profit=sized.sizing.take_profit,
        reserve_currency=sized.reserve_currency,
        reserve_amount=sized.reserve_amount,
    )
    return TradePlan(intent=intent, sizing=sized.sizing, request=request_for(intent))


def _exit(case: _Case, meant: Move) -> TradePlan:
    """A close of everything held, as far as one order may go. It frees money, so it reserves none."""
    entry = entry_price(meant.side, case.quote)
    units = meant.units if case.spec.max_size is None else min(meant.units, case.spec.max_size)
    bound = price_bound(meant.side, entry, case.settings.max_slippage * entry, case.spec)
    intent = _intent(case, meant, units, price_bound=bound, reserve_currency=case.account.currency, reserve_amount=ZERO)
    return TradePlan(intent=intent, sizing=None, request=request_for(intent))


def _intent(
    case: _Case,
    meant: Move,
    units: Decimal,
    *,
    price_bound: Decimal,
    reserve_currency: str,
    reserve_amount: Decimal,
    stop_loss: Decimal | None = None,
    take_profit: Decimal | None = None,
) -> Intent:
    decision = case.decision
    if decision.bar_close is None:
        raise ValueError(f"decision {decision.id} belongs to no bar")
    return Intent(
        decision_id=decision.id,
        venue=case.spec.venue,
        account=case.account.account,
        instrument=case.instrument.symbol,
        timeframe=decision.timeframe,
        bar_close=decision.bar_close,
        leg=meant.leg,
        side=meant.side,
        units=units,
        reference_price=entry_price(meant.side, case.quote),
        price_bound=price_bound,
        stop_loss=stop_loss,
        take_profit=take_profit,
        reserve_currency=reserve_currency,
        reserve_amount=reserve_amount,
        confidence=decision.confidence,
        cancel_first=meant.protection,
    )
