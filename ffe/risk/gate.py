"""From a decision to an order request, or to a denial with every reason: the last gate before the ledger.

First what a decision means against what is held, and whether there is a market at all. A close needs no more than that: leaving must
stay possible. An entry is drafted, shown to every rule (`ffe.risk.rules`), and sized within what all of them allow. What makes an
order impossible comes first among the reasons, then what the rules refuse. A rule that raises is a closed gate.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ffe.decision.models import Decision
from ffe.market.models import Instrument
from ffe.money import ZERO, plain
from ffe.orders.models import Intent, Leg, Side
from ffe.orders.request import request_for
from ffe.risk.drafting import Draft, Market, draft_entry
from ffe.risk.levels import entry_price, price_bound
from ffe.risk.models import Denial, Sizing, Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.position import Move, move
from ffe.risk.proposal import Signal
from ffe.risk.rules import RULES, SIGNAL_RULES, judge_all
from ffe.risk.sizing import SizedEntry, size_entry
from ffe.settings import RiskSettings
from ffe.venues.models import AccountState, InstrumentSpec, OrderRequest, Quote, VenuePosition

R = TypeVar("R")


class TradePlan(BaseModel):
    """What to order. `sizing` is None for a close, whose size is what is held; no rule judges it, so it has no `verdicts`.

    `then_reverse`: once this close is FILLED, plan the same decision again, against what is held then.
    """

    model_config = ConfigDict(frozen=True)

    intent: Intent
    sizing: Sizing | None
    request: OrderRequest
    verdicts: tuple[Verdict, ...] = ()
    then_reverse: bool = False


class _Case(BaseModel):
    """Everything the gate looks at."""

    model_config = ConfigDict(frozen=True)

    decision: Decision
    atr: Decimal = Field(allow_inf_nan=True)
    market: Market
    quote: Quote
    position: VenuePosition
    settings: RiskSettings
    instrument: Instrument
    portfolio: Portfolio
    bars_per_year: Decimal | None

    @property
    def spec(self) -> InstrumentSpec:
        return self.market.spec


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
    portfolio: Portfolio | None = None,
    bars_per_year: Decimal | None = None,
) -> TradePlan | Denial:
    """The order that `decision` leads to. `context_atr` is in price units; `reserved` in the account's currency.

    `portfolio` None: an account without positions, history or marks. `bars_per_year` is only needed to size by volatility. Never
    raises to say no: a denial's code is the first reason's, its text holds them all, its verdicts what each rule said.
    """
    case = _Case(
        decision=decision,
        atr=context_atr,
        market=Market(spec=spec, account=account, reserved=reserved),
        quote=quote,
        position=position,
        settings=settings,
        instrument=instrument,
        portfolio=_blank(account) if portfolio is None else portfolio,
        bars_per_year=bars_per_year,
    )
    meant, market = _closed(lambda: _meaning(case)), _closed(lambda: _tradeable(case))
    if isinstance(meant, Denial) and meant.code == "hold":
        return meant
    if isinstance(meant, Move) and meant.leg is Leg.EXIT and market is None:
        return _closed(lambda: _exit(case, meant))
    denials = [denial for denial in (market, meant) if isinstance(denial, Denial)]
    if isinstance(meant, Move) and meant.leg is Leg.EXIT:
        return _all_of(denials, ())
    return _judged(case, denials)


def _blank(account: AccountState) -> Portfolio:
    return Portfolio(equity=account.equity, currency=account.currency, now=account.time)


def _judged(case: _Case, denials: list[Denial]) -> TradePlan | Denial:
    """Every rule's word on an entry; with `denials`, or without a draft, of those rules that need no prices or sizes."""
    signal = _signal(case)
    draft = None if denials else _closed(lambda: _draft(case, signal))
    if isinstance(draft, Draft):
        verdicts = judge_all(RULES, draft.proposal, case.portfolio, case.settings)
    else:
        denials = denials if draft is None else [draft]
        verdicts = judge_all(SIGNAL_RULES, signal, case.portfolio, case.settings)
    refusals = [Denial(code=each.code, reason=each.reason) for each in verdicts if not each.allowed]
    if not isinstance(draft, Draft) or refusals:
        return _all_of([*denials, *refusals], verdicts)
    plan = _closed(lambda: _entry(case, draft, verdicts))
    return plan if isinstance(plan, TradePlan) else _all_of([plan], verdicts)


def _all_of(denials: list[Denial], verdicts: tuple[Verdict, ...]) -> Denial:
    reason = "; ".join(denial.reason for denial in denials)
    return Denial(code=denials[0].code, reason=reason, verdicts=verdicts)


def _closed(step: Callable[[], R]) -> R | Denial:
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - fail closed: whatever went wrong, the answer is no
        return Denial(code="rule_failed", reason=f"risk gate failed: {type(error).__name__}: {error}")


def _meaning(case: _Case) -> Move | Denial:
    reverse = case.settings.reverse
    meant = move(case.decision.action, case.position, case.spec, case.quote, reverse=reverse)
    return meant or Denial(code="hold", reason=f"HOLD {case.spec.instrument} submits nothing")


def _tradeable(case: _Case) -> Denial | None:
    """Denied when halted or closed by the venue's word, or when the quote is no market."""
    for name, said in (("instrument", case.spec), ("quote", case.quote)):
        if not said.tradeable:
            return Denial(code="not_tradeable", reason=f"{said.instrument} {name} is not tradeable: {said.status}")
    if 0 < case.quote.bid <= case.quote.ask:
        return None
    text = f"{case.quote.instrument} bid {plain(case.quote.bid)} and ask {plain(case.quote.ask)} are no market"
    return Denial(code="bad_quote", reason=text)


def _signal(case: _Case) -> Signal:
    return Signal(
        instrument=case.instrument,
        side=Side(case.decision.action.value),
        confidence=case.decision.confidence,
        atr=case.atr,
        quote=case.quote,
    )


def _draft(case: _Case, signal: Signal) -> Draft | Denial:
    return draft_entry(
        signal,
        market=case.market,
        portfolio=case.portfolio,
        settings=case.settings,
        bars_per_year=case.bars_per_year,
    )


def _entry(case: _Case, draft: Draft, verdicts: tuple[Verdict, ...]) -> TradePlan | Denial:
    sized = size_entry(draft, verdicts, market=case.market, settings=case.settings)
    if isinstance(sized, Denial):
        return sized
    intent = _entry_intent(case, draft.proposal.side, sized)
    return TradePlan(intent=intent, sizing=sized.sizing, request=request_for(intent), verdicts=verdicts)


def _entry_intent(case: _Case, side: Side, sized: SizedEntry) -> Intent:
    trails = sized.trailing_distance is not None
    return _intent(
        case,
        Move(leg=Leg.ENTRY, side=side),
        sized.sizing.units,
        price_bound=sized.price_bound,
        stop_loss=None if trails else sized.sizing.stop_loss,
        take_profit=sized.sizing.take_profit,
        trailing_distance=sized.trailing_distance,
        reserve_currency=sized.reserve_currency,
        reserve_amount=sized.reserve_amount,
    )


def _exit(case: _Case, meant: Move) -> TradePlan:
    """A close of everything held, as far as one order may go. It frees money, so it reserves none."""
    entry = entry_price(meant.side, case.quote)
    bound = price_bound(meant.side, entry, case.settings.max_slippage * entry, case.spec)
    currency = case.market.account.currency
    intent = _intent(case, meant, meant.units, price_bound=bound, reserve_currency=currency, reserve_amount=ZERO)
    return TradePlan(intent=intent, sizing=None, request=request_for(intent), then_reverse=meant.then_reverse)


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
    trailing_distance: Decimal | None = None,
) -> Intent:
    decision = case.decision
    if decision.bar_close is None:
        raise ValueError(f"decision {decision.id} belongs to no bar")
    return Intent(
        decision_id=decision.id,
        venue=case.spec.venue,
        account=case.market.account.account,
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
        trailing_distance=trailing_distance,
        reserve_currency=reserve_currency,
        reserve_amount=reserve_amount,
        confidence=decision.confidence,
        cancel_first=meant.protection,
    )
