"""A ledger in which everything has happened once, by its own methods: what it exposes has a sample of every metric."""

import sys
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from builders import (
    ACCOUNT,
    AT,
    BAR,
    batch,
    calibration,
    call,
    context,
    decision,
    difference,
    fill,
    grade,
    intent,
    record_chain,
    report,
    venue_order,
)

from ffe.decision.models import Action, Author
from ffe.decision.verdict import Verdict
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import ApiUsage
from ffe.market.models import Timeframe
from ffe.observe.preflight_models import Preflight
from ffe.observe.reality.models import Holds, Invariant, Reality
from ffe.orders.models import OrderState
from ffe.sources.health import Breaker, Budget
from ffe.sources.models import Outcome
from ffe.venues.probe import ProviderAnswers, no, not_needed, yes

MINUTE = timedelta(minutes=1)
NOW = AT + 5 * MINUTE
STAGES = {"reconcile": 80.0, "bars": 310.0, "quality": 240.0, "model": 2900.0, "decide": 3000.0, "orders": 90.0}


def cycle(ledger: Ledger, name: str, started_at: datetime, *, failed: bool = False, timeframe: str = "5m") -> None:
    """A finished cycle over two instruments, ten seconds long."""
    ledger.start_cycle(name, "sim", timeframe, started_at)
    rows = [
        {"instrument": "EURUSD", "error": None},
        {"instrument": "BTCUSD", "error": {"type": "VenueReadError"} if failed else None},
    ]
    ledger.finish_cycle(name, started_at + timedelta(seconds=10), {"timings_ms": STAGES, "instruments": rows})


def fill_ledger(ledger: Ledger) -> None:
    """By `NOW` there are five cycles five minutes apart, a position with a profit, an order of unknown outcome, and some trouble."""
    _cycles(ledger)
    _decisions(ledger)
    _orders(ledger)
    _trouble(ledger)
    _checks(ledger)


def _cycles(ledger: Ledger) -> None:
    for number in range(5):
        cycle(ledger, f"cycle-{number}", AT - (20 - 5 * number) * MINUTE, failed=number == 2)
    ledger.start_cycle("died", "sim", "5m", AT - 30 * MINUTE)


def _decisions(ledger: Ledger) -> None:
    record_chain(ledger)
    asked = context(last_close=Decimal("1.2300"))
    ledger.record_verdict("c" * 32, asked, Verdict(calls=(), answer=None, error=None), AT)
    failed = call(id="n" * 32, identity=None, error="out of memory", prompt_tokens=None, completion_tokens=None)
    ledger.record_model_calls("c" * 32, "EURUSD", BAR, [failed])
    held = decision(
        id="h" * 32, cycle_id="cycle-0", action=Action.HOLD, decided_by=Author.DATA_GATE, reason_code="stale"
    )
    ledger.record_decision(held)
    ledger.record_grade(grade())
    ledger.record_calibration(calibration())
    ledger.settle_source(ledger.admit_source("sim", "oanda", AT), AT, Breaker(), Outcome.ANSWERED)
    ledger.spend_request("sim", "alpha-vantage", AT, Budget(per_day=25, per_second=1), latest=AT)
    ledger.record_batch(batch(id="e" * 64, timeframe=Timeframe.D1))
    ledger.record_quality(report(id="r" * 32, batch_id="e" * 64))


def _orders(ledger: Ledger) -> None:
    bought = ledger.plan(intent(), AT)[0]
    ledger.reserve(bought.id, "USD", bought.reserve_amount, Decimal(100_000), AT)
    ledger.transition(bought.id, OrderState.SUBMITTING, AT, checkpoint="6410")
    ledger.book(bought.id, venue_order(bought, OrderState.FILLED, fill()), AT)
    ledger.record_decision(decision(id="u" * 32, cycle_id="cycle-1", bar_close=BAR + 5 * MINUTE))
    unknown = ledger.plan(intent(decision_id="u" * 32, bar_close=BAR + 5 * MINUTE), AT)[0]
    ledger.reserve(unknown.id, "USD", unknown.reserve_amount, Decimal(100_000), AT)
    ledger.transition(unknown.id, OrderState.SUBMITTING, AT, checkpoint="6411")
    ledger.transition(unknown.id, OrderState.UNRESOLVED, AT, reason="no answer within 15 s")
    for minute, equity in ((0, "100000"), (1, "101000"), (2, "99990")):
        ledger.mark_equity("oanda", ACCOUNT, "USD", Decimal(equity), AT + minute * MINUTE)


def _trouble(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.record_incident(type="VenueReadError", message="HTTP 503", traceback="Traceback", at=AT)
    hour = AT.replace(minute=0, second=0)
    ledger.add_api_usage([ApiUsage(source="oanda", hour=hour, calls=100, errors=2, seconds=12.5)])
    ledger.observe("oanda", ACCOUNT, [difference()], AT)


def _checks(ledger: Ledger) -> None:
    preflight = preflight_of(providers=(answers("oanda"), answers("coinbase", balance="balance hidden")))
    document = preflight.model_dump(mode="json")
    ledger.record_check("preflight", AT, passed=False, broken=preflight.broken, document=document)
    reality = Reality(
        at=AT,
        mode="sim",
        took_ms=12.0,
        invariants=(
            Invariant(name="batch-passed", holds=Holds.YES, detail="3 orders"),
            Invariant(name="workers-alive", holds=Holds.UNKNOWN, detail="no server"),
            Invariant(name="alerts-wired", holds=Holds.NOT_APPLICABLE, detail="no server here"),
        ),
    )
    ledger.record_check("reality-check", AT, passed=reality.holds, broken=1, document=reality.document())


def answers(
    name: str, *, needed: bool = True, balance: str | None = None, refusals: tuple[str, ...] = ()
) -> ProviderAnswers:
    """What a provider said: all that is needed, but the balance where `balance` says why not."""
    return ProviderAnswers(
        provider=name,
        needed=needed,
        authenticated=yes("HTTP 200"),
        account_active=yes("active"),
        can_trade=not_needed("signals only"),
        balance_readable=yes("10000 USD") if balance is None else no(balance),
        market_data_readable=yes("200 bars"),
        refusals=refusals,
    )


def preflight_of(providers: tuple[ProviderAnswers, ...], outcome: str = "signal-only") -> Preflight:
    return Preflight.model_validate(
        {
            "at": AT,
            "mode": "sim",
            "outcome": outcome,
            "reason": "",
            "providers": providers,
            "checks": (),
            "skew_seconds": {},
            "took_ms": 1.0,
            "network_ms": 1.0,
        }
    )
