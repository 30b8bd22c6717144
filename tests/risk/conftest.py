"""Specs, quotes, accounts and decisions with the numbers that the venues really use."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.decision.models import Action, Author, Decision
from ffe.ledger.models import ClosedTrade
from ffe.market.models import Timeframe, parse_instrument
from ffe.orders.models import Side
from ffe.risk.drafting import Market, draft_entry
from ffe.risk.models import Denial
from ffe.risk.portfolio import Held, Portfolio
from ffe.risk.proposal import Proposal, Signal
from ffe.risk.rules import RULES, judge_all
from ffe.risk.sizing import size_entry
from ffe.settings import RiskSettings
from ffe.venues.models import AccountState, Balance, Conversion, InstrumentSpec, Quote, VenuePosition

NOW = datetime(2018, 4, 4, 15, 30, 20, tzinfo=UTC)


def d(text: Any) -> Decimal:
    return Decimal(str(text))


def spec(symbol: str = "BTCUSD", **changes: Any) -> InstrumentSpec:
    crypto = symbol in {"BTCUSD", "ETHUSD"}
    jpy = symbol.endswith("JPY")
    values: dict[str, Any] = {
        "instrument": symbol,
        "venue": "coinbase" if crypto else "oanda",
        "price_increment": d("0.01") if crypto else d("0.001") if jpy else d("0.00001"),
        "size_increment": d("0.00000001") if crypto else d(1),
        "min_size": d("0.00001") if crypto else d(1),
        "max_size": d(3400) if crypto else d(100000000),
        "min_notional": d(1) if crypto else None,
        "max_notional": d(50000000) if crypto else None,
        "margin_rate": None if crypto else d("0.0333"),
        "taker_fee_rate": d("0.006") if crypto else d(0),
        "pip": d("0.01") if crypto or jpy else d("0.0001"),
        "tradeable": True,
        "status": "online",
        "fetched_at": NOW,
    }
    return InstrumentSpec(**(values | changes))


def quote(symbol: str = "BTCUSD", bid: Any = "6999.50", ask: Any = "7000.00", **changes: Any) -> Quote:
    values = {"instrument": symbol, "bid": d(bid), "ask": d(ask), "time": NOW, "tradeable": True, "status": "online"}
    return Quote(**(values | changes))


def account(
    equity: Any = 10000, available: Any = 10000, hold: Any = 0, currency: str = "USD", **conversions: Any
) -> AccountState:
    """`conversions` by currency: one factor for gain, loss and position; the account's own currency is 1."""
    factors = {currency: 1} | conversions
    return AccountState(
        venue="coinbase",
        account="acct-1",
        currency=currency,
        equity=d(equity),
        available=d(available),
        balances=(Balance(currency=currency, available=d(available), hold=d(hold)),),
        conversions={
            name: Conversion(gain=d(value), loss=d(value), position=d(value)) for name, value in factors.items()
        },
        source="a test",
        time=NOW,
    )


def position(symbol: str = "BTCUSD", units: Any = 0, protection: tuple[str, ...] = ()) -> VenuePosition:
    return VenuePosition(instrument=symbol, units=d(units), average_price=None, protection=protection)


def decision(symbol: str = "BTCUSD", action: str = "BUY", confidence: int = 80, **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "id": "d1",
        "cycle_id": "c1",
        "instrument": symbol,
        "timeframe": Timeframe.M5,
        "bar_close": datetime(2018, 4, 4, 15, 30, tzinfo=UTC),
        "action": Action(action),
        "confidence": confidence,
        "decided_by": Author.MODEL,
        "reason_code": "model",
        "reasoning": "a test",
        "decided_at": NOW,
    }
    return Decision(**(values | changes))


def trade(
    symbol: str = "BTCUSD", result: Any = "-0.01", side: Side = Side.BUY, ago: int = 600, held: int = 600
) -> ClosedTrade:
    """A round trip that ended `ago` seconds before NOW, `held` seconds after it began."""
    return ClosedTrade(
        instrument=symbol,
        side=side,
        units=d(1),
        entry_price=d(100),
        exit_price=d(100),
        realised=d(result) * 100,
        fees=d(0),
        return_on_notional=d(result),
        opened_at=NOW - timedelta(seconds=ago + held),
        closed_at=NOW - timedelta(seconds=ago),
        decision_id="d0",
    )


def holding(
    symbol: str = "ETHUSD", units: Any = 1, notional: Any = 1000, at_risk: Any = 0, ago: int | None = 600
) -> Held:
    return Held(
        instrument=symbol,
        units=d(units),
        notional=d(notional),
        stop_risk=None if at_risk is None else d(at_risk),
        opened_at=None if ago is None else NOW - timedelta(seconds=ago),
    )


def portfolio(equity: Any = 10000, **changes: Any) -> Portfolio:
    return Portfolio(**({"equity": d(equity), "currency": "USD", "now": NOW} | changes))


def proposal(symbol: str = "BTCUSD", side: Side = Side.BUY, **changes: Any) -> Proposal:
    """BTCUSD bought at 7000 with a stop at 6800 and a target at 7300, without fees."""
    values: dict[str, Any] = {
        "instrument": parse_instrument(symbol),
        "side": side,
        "confidence": 80,
        "atr": d(100),
        "quote": quote(symbol),
        "entry": d(7000),
        "stop": d(6800),
        "target": d(7300),
        "bound": d(7035),
        "units": d("0.5"),
        "unit_notional": d(7000),
        "unit_risk": d(200),
        "fee_rate": d(0),
    }
    return Proposal(**(values | changes))


def sized(side: Side = Side.BUY, atr: Any = 100, symbol: str = "BTCUSD", **given: Any) -> Any:
    """An entry drafted, judged by every rule and sized; a refusal of a rule is a Denial with its code."""
    settings, state = given.get("settings", RiskSettings()), given.get("account", account())
    market = Market(spec=given.get("spec", spec(symbol)), account=state, reserved=d(given.get("reserved", 0)))
    signal = Signal(
        instrument=parse_instrument(symbol), side=side, confidence=80, atr=d(atr), quote=given.get("quote", quote())
    )
    book = given.get("portfolio", portfolio(state.equity))
    draft = draft_entry(
        signal, market=market, portfolio=book, settings=settings, bars_per_year=given.get("bars_per_year")
    )
    if isinstance(draft, Denial):
        return draft
    verdicts = judge_all(RULES, draft.proposal, book, settings)
    for verdict in verdicts:
        if not verdict.allowed:
            return Denial(code=verdict.code, reason=verdict.reason, verdicts=verdicts)
    return size_entry(draft, verdicts, market=market, settings=settings)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The builders above, and the default risk settings."""
    return SimpleNamespace(
        spec=spec,
        quote=quote,
        account=account,
        position=position,
        decision=decision,
        trade=trade,
        holding=holding,
        portfolio=portfolio,
        proposal=proposal,
        sized=sized,
        now=NOW,
        settings=RiskSettings(),
        instrument=parse_instrument,
        d=d,
    )
