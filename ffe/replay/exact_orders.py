"""From a BUY or SELL at a bar's close to a fill or a HOLD: the engine's own planning, at the desk of the replayed account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np

from ffe.cycle.account import VAR_DAYS, bars_per_year
from ffe.cycle.ordering import QUOTE_DIVERGENCE, QUOTE_RANGES
from ffe.decision.models import Action, Author, Decision
from ffe.errors import VenueReadError
from ffe.market import indicators
from ffe.market.models import Timeframe
from ffe.money import ZERO, from_float
from ffe.orders.models import OrderState
from ffe.replay.exact_account import Account
from ffe.replay.exact_switch import Switch
from ffe.replay.exact_trips import Trip
from ffe.replay.journal import ANSWERED, Decided
from ffe.replay.market import Tape
from ffe.replay.models import CLOSE, HIGH, LOW, Plan, Signals
from ffe.risk.gate import TradePlan, plan_trade
from ffe.risk.models import Denial
from ffe.risk.portfolio import Held, Portfolio
from ffe.settings import RiskSettings
from ffe.venues.models import AccountState, Quote, VenueOrder, VenuePosition
from ffe.venues.paper_models import Prices

# A pair that converts has no bar yet: what a cycle writes when planning can't be done.
UNPLANNED = "plan_order_failed"


@dataclass(frozen=True)
class Moment:
    """`close`: epoch seconds of the bar close; `now`: the clock of the cycle that decides on it."""

    close: int
    now: datetime


@dataclass(frozen=True)
class Wish:
    """A BUY or SELL at one bar."""

    tape: Tape
    action: Action
    confidence: int

    @property
    def rank(self) -> tuple[int, str]:
        """The most confident first, as a cycle orders."""
        return -self.confidence, self.tape.symbol


def wish(tape: Tape, signals: Signals) -> Wish:
    action = Action.BUY if signals.actions[tape.row] > 0 else Action.SELL
    return Wish(tape, action, int(signals.confidence[tape.row]))


class Orders:
    """Plans and sends what is wished for, all accounts under one switch."""

    def __init__(self, plan: Plan, switch: Switch) -> None:
        self._plan, self._switch = plan, switch

    def carry_out(self, wanted: Wish, account: Account, moment: Moment) -> tuple[Decided, int]:
        """What became of the decision, and how many orders filled: two for a reversal."""
        first = self._place(wanted, account, moment)
        if first.plan is None or first.refused is not None:
            return first, 0
        if not first.plan.then_reverse:
            return first, 1
        second = self._place(wanted, account, moment)
        return second, 1 if second.plan is None or second.refused is not None else 2

    def _place(self, wanted: Wish, account: Account, moment: Moment) -> Decided:
        try:
            prices = account.prices(moment.now, (wanted.tape.instrument,))
        except VenueReadError:
            return _held(Author.RISK_GATE, UNPLANNED)
        found = self._planned(wanted, account, prices, moment)
        if isinstance(found, Decided):
            return found
        order = account.fill(found, prices, moment.close)
        refused = None if order.state is OrderState.FILLED else _word(order)
        return Decided(wanted.action, Author.MODEL, ANSWERED, found, refused)

    def _planned(self, wanted: Wish, account: Account, prices: Prices, moment: Moment) -> TradePlan | Decided:
        tape = wanted.tape
        decision, atr = _decision(wanted, moment), atr_at(tape, self._plan.lookback)
        state, quote = account.state(prices), prices.sheets[tape.symbol].quote
        denial = elsewhere(from_float(float(tape.feed.bars.close[tape.row])), atr, quote)
        if denial is not None:
            return _held(Author.DATA_GATE, denial.code)
        outcome = plan_trade(
            decision,
            context_atr=atr,
            account=state,
            reserved=ZERO,
            spec=tape.spec,
            quote=quote,
            position=_position(account, tape),
            settings=self._plan.risk,
            instrument=tape.instrument,
            portfolio=portfolio(account, state, prices, self._plan.risk, moment.now),
            bars_per_year=bars_per_year(tape.instrument, tape.feed.bars.timeframe),
        )
        self._switch.trip(outcome.verdicts, moment.close, moment.now)
        if isinstance(outcome, Denial):
            return _held(Author.RISK_GATE, outcome.code)
        if not self._switch.state.allows(outcome.intent.leg):
            return _held(Author.HALT, f"kill_switch_{self._switch.state.state.name.lower()}")
        return outcome


def _held(author: Author, code: str) -> Decided:
    return Decided(Action.HOLD, author, code)


def _word(order: VenueOrder) -> str:
    return str(order.reason)


def _decision(wanted: Wish, moment: Moment) -> Decision:
    tape = wanted.tape
    return Decision(
        id=f"{tape.symbol}-{moment.close}",
        cycle_id=f"replay-{moment.close}",
        instrument=tape.symbol,
        timeframe=tape.feed.bars.timeframe,
        bar_close=datetime.fromtimestamp(moment.close, UTC),
        action=wanted.action,
        confidence=wanted.confidence,
        decided_by=Author.MODEL,
        reason_code=ANSWERED,
        reasoning="replay",
        decided_at=moment.now,
    )


def atr_at(tape: Tape, lookback: int) -> Decimal:
    """ATR of the newest bar, from the bars that the live base frame would have; NaN, which the gate denies, of too few."""
    starts, bars = tape.feed.starts, tape.feed.bars.mid
    start = max(0, tape.row + 1 - lookback) if starts is None else int(starts[tape.row])
    high, low, close = (np.ascontiguousarray(bars[start : tape.row + 1, column]) for column in (HIGH, LOW, CLOSE))
    value = indicators.atr(high, low, close)
    return Decimal("NaN") if value is None else from_float(value)


def elsewhere(close: Decimal, atr: Decimal, quote: Quote) -> Denial | None:
    """As the live cycle: a quote that is nowhere near the bars' newest close is of another market."""
    if not atr.is_finite() or abs(quote.mid - close) / close <= max(QUOTE_DIVERGENCE, QUOTE_RANGES * atr / close):
        return None
    return Denial(code="quote_divergence", reason=f"the bars close at {close} and the venue quotes {quote.mid}")


def _position(account: Account, tape: Tape) -> VenuePosition:
    trip = account.trips.get(tape.symbol)
    if trip is None:
        return VenuePosition(instrument=tape.symbol, units=ZERO, average_price=None)
    return VenuePosition(
        instrument=tape.symbol,
        units=trip.holding.units,
        average_price=trip.holding.average_price,
        protection=account.book.protecting(trip.order_id),
    )


def portfolio(
    account: Account, state: AccountState, prices: Prices, settings: RiskSettings, now: datetime
) -> Portfolio:
    """What the rules look at, marked anew as the live cycle does before it plans."""
    account.marks.add(state.equity, now)
    held = tuple(_holding(account, trip, state, prices) for trip in account.trips.values())
    # Everything in it is a record already: checking two hundred trades again takes longer than all rules together.
    return Portfolio.model_construct(
        equity=state.equity,
        currency=state.currency,
        day_start_equity=account.marks.day_start(now),
        peak_equity=account.marks.peak,
        positions=held,
        trades=account.closed.trades,
        returns={}
        if settings.max_var is None
        else {tape: _returns(account.market.tapes[tape], now) for tape in prices.sheets},
        now=now,
    )


def _holding(account: Account, trip: Trip, state: AccountState, prices: Prices) -> Held:
    symbol, units, entry = trip.entry.instrument, trip.holding.units, trip.entry
    quote, factor = prices.sheets[symbol].quote, state.conversions[account.market.tapes[symbol].instrument.quote]
    price = quote.bid if units > 0 else quote.ask
    distance: Decimal | None
    if entry.trailing_distance is not None:
        distance = entry.trailing_distance + quote.spread
    else:
        distance = None if entry.stop_loss is None else max(ZERO, (price - entry.stop_loss) * entry.side.sign)
    return Held(
        instrument=symbol,
        units=units,
        notional=abs(units) * price * factor.position,
        stop_risk=None if distance is None else distance * abs(units) * factor.loss,
        opened_at=trip.opened_at,
    )


def _returns(tape: Tape, now: datetime) -> tuple[Decimal, ...]:
    """Daily returns of the days (UTC) that ended within the last `VAR_DAYS`, from the replayed bars."""
    bars, day = tape.feed.bars, Timeframe.D1.seconds
    first, last = int((now - timedelta(days=VAR_DAYS)).timestamp()), int(now.timestamp())
    start = int(np.searchsorted(bars.times, first))
    days = bars.times[start : tape.row + 1] // day
    ends = np.flatnonzero(np.diff(days, append=days[-1:] + 1)) + start
    whole = [int(end) for end in ends if (int(bars.times[end]) // day + 1) * day <= last]
    closes = [from_float(float(bars.close[end])) for end in _full(whole, bars.times, first, day)]
    return tuple(later / earlier - 1 for earlier, later in pairwise(closes))


def _full(ends: Sequence[int], times: np.ndarray, first: int, day: int) -> list[int]:
    return [end for end in ends if int(times[end]) // day * day >= first]
