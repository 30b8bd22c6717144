"""Position sizes: worked examples, every clamp, and the properties that hold for any spec."""

from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe.market.models import parse_instrument
from ffe.orders.models import Side
from ffe.risk.models import Denial
from ffe.risk.sizing import SizedEntry, size_entry
from ffe.settings import RiskSettings


def sized(make: SimpleNamespace, side: Side = Side.BUY, atr: Any = 100, symbol: str = "BTCUSD", **given_: Any) -> Any:
    return size_entry(
        side,
        Decimal(str(atr)),
        instrument=parse_instrument(symbol),
        account=given_.get("account", make.account()),
        reserved=Decimal(str(given_.get("reserved", 0))),
        spec=given_.get("spec", make.spec(symbol)),
        quote=given_.get("quote", make.quote()),
        settings=given_.get("settings", make.settings),
    )


# A margin position may then be as large as the leverage limit allows.
UNCAPPED = RiskSettings(max_position=Decimal(5))


def clamps(entry: SizedEntry) -> list[str]:
    return [clamp.name for clamp in entry.sizing.clamps]


def test_one_percent_of_equity_is_at_risk_between_entry_and_stop(make: SimpleNamespace) -> None:
    entry = sized(make, settings=RiskSettings(max_position=Decimal(1)), account=make.account(1000, 100000))
    assert entry.sizing.units == Decimal("0.05000000")
    assert entry.sizing.risk_amount == 10
    assert entry.sizing.notional == 350
    assert (entry.sizing.stop_loss, entry.sizing.take_profit) == (6800, 7300)
    assert (entry.sizing.method, entry.sizing.balance_source) == ("atr_risk", "a test")
    assert clamps(entry) == []


def test_the_reference_example_of_a_yen_pair_comes_out_at_25000_units(make: SimpleNamespace) -> None:
    """venues.md 4.3: USD account, USD_JPY 150.000, stop 0.300, risk 50 USD, factor 1/150."""
    entry = sized(
        make,
        atr="0.15",
        symbol="USDJPY",
        account=make.account(5000, 5000, JPY=Decimal(1) / 150),
        quote=make.quote("USDJPY", "149.995", "150.000"),
        settings=UNCAPPED,
    )
    assert entry.sizing.units in {Decimal(24999), Decimal(25000)}
    assert entry.sizing.risk_amount <= 50
    assert "max_leverage" in clamps(entry) or entry.sizing.notional <= 25000


def test_a_cross_pair_uses_margin_of_its_base_in_home_currency(make: SimpleNamespace) -> None:
    """EURGBP at 0.88 with GBPUSD 1.40: a euro is worth 1.232 USD, whatever the pair's own price says."""
    entry = sized(
        make,
        atr="0.002",
        symbol="EURGBP",
        account=make.account(10000, 10000, GBP="1.4"),
        quote=make.quote("EURGBP", "0.87990", "0.88000"),
        settings=UNCAPPED,
    )
    assert entry.sizing.units == 17857
    assert entry.sizing.notional == 17857 * Decimal("1.232")
    assert entry.reserve_currency == "USD"
    assert entry.reserve_amount == pytest.approx(entry.sizing.notional * Decimal("0.0333"), rel=Decimal("0.01"))


def test_a_spot_position_is_a_quarter_of_equity_at_most(make: SimpleNamespace) -> None:
    entry = sized(make, account=make.account(10000, 10000))
    assert clamps(entry) == ["max_position", "round_down"]
    assert entry.sizing.notional <= 2500
    assert entry.sizing.clamps[0].before == Decimal("0.5")
    assert "25 % of equity 10000" in entry.sizing.clamps[0].rule


def test_margin_positions_share_one_leverage_limit(make: SimpleNamespace) -> None:
    """1332 USD of margin stand for 40,000 of notional; 5 x 10,000 leaves 10,000 for this one."""
    entry = sized(
        make,
        atr="0.0006",
        symbol="EURUSD",
        account=make.account(10000, 8000, hold=1332),
        quote=make.quote("EURUSD", "1.24990", "1.25000"),
        settings=UNCAPPED,
    )
    assert "max_leverage" in clamps(entry)
    assert entry.sizing.units == 8000


def test_no_leverage_left_is_a_denial(make: SimpleNamespace) -> None:
    denial = sized(
        make,
        atr="0.0006",
        symbol="EURUSD",
        account=make.account(10000, 8000, hold=2000),
        quote=make.quote("EURUSD", "1.24990", "1.25000"),
    )
    assert isinstance(denial, Denial)
    assert denial.code == "below_minimum"


def test_free_balance_counts_fee_and_slippage_and_what_is_reserved(make: SimpleNamespace) -> None:
    entry = sized(make, account=make.account(10000, 1000), reserved=500)
    assert "available" in clamps(entry)
    assert entry.reserve_amount <= 500
    assert entry.reserve_amount > Decimal("499.99")
    assert entry.price_bound == 7035
    assert entry.reserve_amount == entry.sizing.units * Decimal("7035") * Decimal("1.006")


def test_the_short_of_a_margin_pair_reserves_at_its_entry_which_is_the_dearer_price(make: SimpleNamespace) -> None:
    entry = sized(
        make,
        Side.SELL,
        "0.003",
        "EURUSD",
        account=make.account(10000, 10000),
        quote=make.quote("EURUSD", "1.2", "1.2001"),
    )
    assert entry.price_bound < Decimal("1.2")
    assert entry.reserve_amount >= entry.sizing.notional * Decimal("0.0333")


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"max_size": Decimal("0.01")}, "max_size"), ({"max_notional": Decimal(50)}, "max_notional")],
)
def test_the_venues_maximum_shrinks_the_order(make: SimpleNamespace, changes: dict[str, Any], name: str) -> None:
    entry = sized(make, spec=make.spec(**changes))
    assert name in clamps(entry)
    assert entry.sizing.units <= Decimal("0.01")


def test_a_venue_without_maximum_shrinks_nothing(make: SimpleNamespace) -> None:
    entry = sized(make, spec=make.spec(max_size=None, max_notional=None, min_notional=None))
    assert clamps(entry) == ["max_position", "round_down"]


def test_a_size_below_the_minimum_is_skipped_and_never_raised(make: SimpleNamespace) -> None:
    denial = sized(
        make,
        atr="0.01",
        symbol="EURUSD",
        account=make.account("0.2", "0.2"),
        quote=make.quote("EURUSD", "1.19990", "1.20000"),
    )
    assert isinstance(denial, Denial)
    assert denial.code == "below_minimum"
    assert "is below EURUSD min_size 1" in denial.reason
    assert "size 0." in denial.reason


def test_a_notional_below_the_minimum_names_both_numbers(make: SimpleNamespace) -> None:
    denial = sized(make, account=make.account(3, 3))
    assert isinstance(denial, Denial)
    assert denial.code == "below_minimum"
    assert denial.reason.startswith("notional 0.74")
    assert denial.reason.endswith("is below BTCUSD min_notional 1")


def test_an_entry_whose_exit_could_not_be_placed_is_denied(make: SimpleNamespace) -> None:
    denial = sized(make, account=make.account("4.01", 10), settings=RiskSettings(per_trade=Decimal("0.1")))
    assert isinstance(denial, Denial)
    assert denial.code == "exit_not_placeable"
    assert "min_notional 1" in denial.reason


@pytest.mark.parametrize(
    ("equity", "available", "reserved"),
    [(0, 100, 0), (-5, 100, 0), (100, 0, 0), (100, -3, 0), (100, 50, 50), (100, 50, 60)],
)
def test_without_a_free_balance_there_is_no_order(
    make: SimpleNamespace, equity: int, available: int, reserved: int
) -> None:
    denial = sized(make, account=make.account(equity, available), reserved=reserved)
    assert isinstance(denial, Denial)
    assert denial.code == "no_balance"


def test_a_quote_currency_without_conversion_is_denied(make: SimpleNamespace) -> None:
    quote = make.quote("USDJPY", "149.995", "150.000")
    for state in (make.account(), make.account(JPY=0)):
        denial = sized(make, symbol="USDJPY", account=state, quote=quote)
        assert isinstance(denial, Denial)
        assert denial.code == "no_conversion"


def test_a_stop_that_cannot_be_placed_denies_the_size(make: SimpleNamespace) -> None:
    denial = sized(make, atr="NaN")
    assert isinstance(denial, Denial)
    assert denial.code == "no_atr"


SYMBOLS = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD", "USDJPY", "EURGBP", "EURJPY", "AUDNZD")


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Any pair, price, tick, lot, limits, balance and ATR: sane or not."""
    symbol = draw(st.sampled_from(SYMBOLS))
    crypto = symbol in {"BTCUSD", "ETHUSD"}
    tick = Decimal(1).scaleb(-draw(st.integers(2, 5)))
    bid = draw(st.integers(60, 10_000_000)) * tick
    lot = Decimal(1).scaleb(-draw(st.integers(0, 8)))
    equity = Decimal(draw(st.integers(1, 10**9))) / 100
    available = equity * draw(st.integers(0, 110)) / 100
    maybe = st.none() | st.integers(1, 10**7).map(Decimal)
    return {
        "symbol": symbol,
        "side": Side.BUY if crypto else draw(st.sampled_from(Side)),
        "tick": tick,
        "lot": lot,
        "bid": bid,
        "ask": bid + draw(st.integers(0, 30)) * tick,
        "min_size": lot * draw(st.integers(1, 100)),
        "max_size": draw(maybe),
        "min_notional": draw(st.none() | st.integers(1, 50).map(Decimal)),
        "max_notional": draw(maybe),
        "margin_rate": None if crypto else Decimal(draw(st.integers(1, 50))) / 100,
        "fee": Decimal(draw(st.integers(0, 120))) / 10000,
        "atr": draw(st.integers(0, 10**6)) * tick / 10,
        "equity": equity,
        "available": available,
        "hold": equity * draw(st.integers(0, 30)) / 100,
        "reserved": available * draw(st.integers(0, 105)) / 100,
        "factor": Decimal(draw(st.integers(1, 2 * 10**12))).scaleb(-10),
    }


@settings(max_examples=400, deadline=None)
@given(case=cases())
def test_a_size_never_breaks_a_limit_whatever_the_spec(make: SimpleNamespace, case: dict[str, Any]) -> None:
    spec = make.spec(
        case["symbol"],
        price_increment=case["tick"],
        size_increment=case["lot"],
        min_size=case["min_size"],
        max_size=case["max_size"],
        min_notional=case["min_notional"],
        max_notional=case["max_notional"],
        margin_rate=case["margin_rate"],
        taker_fee_rate=case["fee"],
    )
    quote_currency = parse_instrument(case["symbol"]).quote
    factor = Decimal(1) if quote_currency == "USD" else case["factor"]
    state = make.account(case["equity"], case["available"], case["hold"], **{quote_currency: factor})
    risk = RiskSettings()
    entry = sized(
        make,
        case["side"],
        case["atr"],
        case["symbol"],
        account=state,
        reserved=case["reserved"],
        spec=spec,
        quote=make.quote(case["symbol"], case["bid"], case["ask"]),
        settings=risk,
    )
    if isinstance(entry, Denial):
        assert entry.reason
        return
    sizing, free = entry.sizing, case["available"] - case["reserved"]
    assert sizing.units > 0
    assert sizing.units % spec.size_increment == 0
    assert sizing.units >= spec.min_size
    assert spec.max_size is None or sizing.units <= spec.max_size
    assert sizing.units * sizing.entry_price >= (spec.min_notional or 0)
    assert spec.max_notional is None or sizing.units * sizing.entry_price <= spec.max_notional
    assert 0 < entry.reserve_amount <= free
    assert sizing.stop_loss is not None
    assert sizing.take_profit is not None
    real_risk = sizing.units * abs(sizing.entry_price - sizing.stop_loss) * factor
    assert real_risk <= sizing.risk_amount <= risk.per_trade * case["equity"]
    notional = sizing.units * sizing.entry_price * factor
    assert notional <= sizing.notional
    assert notional <= risk.max_position * case["equity"]
    if spec.margin_rate is not None:
        assert notional + case["hold"] / spec.margin_rate <= risk.max_leverage * case["equity"]
    for price in (sizing.stop_loss, sizing.take_profit, entry.price_bound):
        assert price % spec.price_increment == 0
        assert price > 0
    low, high = sorted((sizing.stop_loss, sizing.take_profit))
    assert low < case["bid"] <= case["ask"] < high
    steps = [clamp for clamp in sizing.clamps if clamp.name not in {"stop_min", "stop_max", "price_bound"}]
    assert all(clamp.after < clamp.before for clamp in steps)
    assert all(one.after == two.before for one, two in pairwise(steps))
    assert not steps or steps[-1].after == sizing.units
