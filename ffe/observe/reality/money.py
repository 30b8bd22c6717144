"""Money: what is set aside, what it was sized from, and that every amount is an exact number."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, and_, or_, select, type_coerce

from ffe.cycle.ordering import QUOTE_DIVERGENCE, QUOTE_RANGES
from ffe.ledger.rows import exact_sum
from ffe.ledger.schema import METADATA
from ffe.money import ZERO, decimal, plain
from ffe.observe.reality.case import CYCLES, DECISIONS, ORDERS, Case, Check, Finding
from ffe.observe.reality.evidence import DECIDED
from ffe.observe.reality.models import Row
from ffe.orders.models import Leg, OrderState
from ffe.settings import Mode
from ffe.venues.models import AccountState

RESERVATIONS, SIZINGS, VERDICTS = (METADATA.tables[name] for name in ("reservation", "sizing", "verdict"))
# From the step on that sets money aside until the order has ended.
HOLDING = tuple(state.value for state in OrderState if not state.final and state is not OrderState.PLANNED)
# The quote gate looks at the middle, an order is at the bid or the ask: half a spread lies between.
HALF_SPREAD = Decimal("0.005")

Place = tuple[str, str, str]


def within_balance(case: Case) -> Finding:
    """Per account and currency: no negative reservation, and their sum at most what the venue says is available now."""
    held, rows, venues = _held(case), [], case.engine.settings.venues
    looked = f"{len(held)} accounts and currencies with something set aside, at {', '.join(venues)},"
    for venue in venues:
        broker = case.engine.broker(venue)
        state = broker.account_state(case.engine.settings.instruments_at(venue))
        for place in [place for place in held if place[:2] == (venue, broker.account)]:
            rows += _unfit(place, held.pop(place), _available(state, place[2]), state.source)
    rows += [_row(place, amounts, "no venue of the settings has this account") for place, amounts in held.items()]
    return Finding(looked, "have more set aside than the venue says is available", rows)


def _held(case: Case) -> dict[Place, list[Decimal]]:
    columns = [RESERVATIONS.c[name] for name in ("venue", "account", "currency", "amount")]
    found: defaultdict[Place, list[Decimal]] = defaultdict(list)
    for row in case.read(select(*columns).where(RESERVATIONS.c.released_at.is_(None))):
        found[row["venue"], row["account"], row["currency"]].append(row["amount"])
    return found


def _available(state: AccountState, currency: str) -> Decimal:
    if currency == state.currency:
        return state.available
    return sum((each.available for each in state.balances if each.currency == currency), ZERO)


def _unfit(place: Place, amounts: list[Decimal], available: Decimal, source: str) -> list[Row]:
    total, negative = exact_sum(amounts), [amount for amount in amounts if amount < 0]
    if negative:
        return [_row(place, amounts, f"a reservation of {plain(min(negative))} is negative")]
    if total > 0 and total > available:
        return [_row(place, amounts, f"{plain(total)} set aside, {plain(available)} available by {source}")]
    return []


def _row(place: Place, amounts: list[Decimal], why: str) -> Row:
    venue, account, currency = place
    total = plain(exact_sum(amounts))
    return {"venue": venue, "account": account, "currency": currency, "set_aside": total, "why": why}


def matched(case: Case) -> Finding:
    """An order between RESERVED and its end has one open reservation of its own amount, and nothing else has one."""
    columns = [ORDERS.c[name] for name in ("client_order_id", "instrument", "leg", "state", "reserve_amount")]
    query = (
        select(*columns, RESERVATIONS.c.order_id, RESERVATIONS.c.amount, RESERVATIONS.c.released_at)
        .outerjoin_from(ORDERS, RESERVATIONS, RESERVATIONS.c.order_id == ORDERS.c.id)
        .where(
            or_(
                and_(RESERVATIONS.c.order_id.is_not(None), RESERVATIONS.c.released_at.is_(None)),
                and_(ORDERS.c.state.in_(HOLDING), ORDERS.c.leg != Leg.PROTECTION.value),
            )
        )
        .limit(case.window.most)
    )
    found = case.read(query)
    rows = [
        {"order": row["client_order_id"], "instrument": row["instrument"], "state": row["state"], "why": why}
        for row in found
        if (why := _mismatch(row)) is not None
    ]
    return Finding(f"{len(found)} open orders and reservations", "do not belong together", rows)


def _mismatch(row: dict[str, Any]) -> str | None:
    has = row["order_id"] is not None and row["released_at"] is None
    if not has:
        return "open without a reservation"
    if row["state"] not in HOLDING or row["leg"] == Leg.PROTECTION.value:
        return f"{row['state']} with {plain(row['amount'])} still set aside"
    wanted = row["reserve_amount"] if row["leg"] == Leg.ENTRY.value else ZERO
    return None if row["amount"] == wanted else f"{plain(row['amount'])} set aside, {plain(wanted)} needed"


def no_fallback(case: Case) -> Finding:
    """Every entry was sized from the venue's own balance at the price it was sent at, near the bars it was decided on."""
    orders = case.recent(ORDERS, "created_at", ORDERS.c.leg.in_(DECIDED))
    context = type_coerce(VERDICTS.c.context, JSON)
    asked = and_(VERDICTS.c.cycle_id == DECISIONS.c.cycle_id, VERDICTS.c.instrument == DECISIONS.c.instrument)
    query = (
        select(
            *(orders.c[name] for name in ("client_order_id", "venue", "instrument", "leg", "units", "reference_price")),
            SIZINGS.c.arithmetic,
            CYCLES.c.mode,
            context["last_close"].as_string().label("close"),
            context["atr"].as_string().label("atr"),
        )
        .outerjoin_from(orders, DECISIONS, DECISIONS.c.id == orders.c.decision_id)
        .outerjoin(CYCLES, CYCLES.c.id == DECISIONS.c.cycle_id)
        .outerjoin(SIZINGS, SIZINGS.c.decision_id == orders.c.decision_id)
        .outerjoin(VERDICTS, asked)
    )
    found = case.read(query)
    rows = [
        {"order": row["client_order_id"], "instrument": row["instrument"], "why": why}
        for row in found
        if (why := _made_up(row)) is not None
    ]
    return Finding(case.said(len(found), "orders of decisions"), "use a price or a balance of no recorded source", rows)


def _made_up(row: dict[str, Any]) -> str | None:
    if row["close"] is None:
        return "no question with the bars' close is on record"
    price, close, atr = row["reference_price"], decimal(row["close"]), decimal(row["atr"])
    limit = max(QUOTE_DIVERGENCE, QUOTE_RANGES * atr / close) + HALF_SPREAD
    apart = abs(price - close) / close
    if apart > limit:
        return f"price {plain(price)} is {apart:.2%} from its bars' close {plain(close)}, limit {limit:.2%}"
    return _unsourced(row) if row["leg"] == Leg.ENTRY.value else None


def _unsourced(row: dict[str, Any]) -> str | None:
    sizing, mode = row["arithmetic"], row["mode"]
    if sizing is None:
        return "no arithmetic of its size is on record"
    source, balance = str(sizing["balance_source"]), decimal(sizing["balance"])
    paper = source.startswith(f"{row['venue']} paper book")
    if not source.startswith(f"{row['venue']} ") or paper != (mode == Mode.PAPER.value):
        return f"balance {plain(balance)} from {source or 'nowhere'} in {mode} at {row['venue']}"
    if balance <= 0:
        return f"balance {plain(balance)} from {source}"
    for field, wanted in (("entry_price", row["reference_price"]), ("units", row["units"])):
        if decimal(sizing[field]) != wanted:
            return f"{field} {sizing[field]} by its arithmetic, {plain(wanted)} in the order"
    return None


CHECKS = (
    Check("reservations-within-balance", within_balance, twice=True),
    Check("reservations-match-orders", matched),
    Check("no-fallback-price", no_fallback),
)
