"""Specs, quotes, accounts and decisions with the numbers that the venues really use."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.decision.models import Action, Author, Decision
from ffe.market.models import Timeframe, parse_instrument
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


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The builders above, and the default risk settings."""
    return SimpleNamespace(
        spec=spec,
        quote=quote,
        account=account,
        position=position,
        decision=decision,
        settings=RiskSettings(),
        instrument=parse_instrument,
        d=d,
    )
