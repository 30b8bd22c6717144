"""Position sizes: worked examples and every clamp. What holds for any spec is in test_sizing_properties."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.orders.models import Side
from ffe.risk.models import Denial
from ffe.risk.sizing import SizedEntry
from ffe.settings import RiskSettings, SizingMethod


def sized(make: SimpleNamespace, side: Side = Side.BUY, atr: Any = 100, symbol: str = "BTCUSD", **given_: Any) -> Any:
    return make.sized(side, atr, symbol, **given_)


# A margin position may then be as large as the leverage limit allows.
UNCAPPED = RiskSettings(max_position=Decimal(5), max_gross=Decimal(5), max_correlated=Decimal(5))


def clamps(entry: SizedEntry) -> list[str]:
    return [clamp.name for clamp in entry.sizing.clamps]


def test_one_percent_of_equity_is_at_risk_between_entry_and_stop(make: SimpleNamespace) -> None:
    entry = sized(
        make,
        settings=RiskSettings(max_position=Decimal(1), max_correlated=Decimal(1)),
        account=make.account(1000, 100000),
    )
    assert entry.sizing.units == Decimal("0.05000000")
    assert entry.sizing.risk_amount == 10
    assert entry.sizing.notional == 350
    assert (entry.sizing.stop_loss, entry.sizing.take_profit) == (6800, 7300)
    assert (entry.sizing.method, entry.sizing.balance_source) == ("atr-risk", "a test")
    assert clamps(entry) == []


def test_the_reference_example_of_a_yen_pair_comes_out_at_25000_units(make: SimpleNamespace) -> None:
    """USD account, USD_JPY 150.000, stop 0.300, risk 50 USD, factor 1/150."""
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
    assert denial.code == "max_leverage"
    assert "60060.06006006006 of at most 50000 USD, 500 % of equity 10000" in denial.reason


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
    assert "is below BTCUSD min_notional 1; BTCUSD notional held 0 of at most 0.75 USD" in denial.reason


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


def test_whatever_the_method_the_stop_never_costs_more_than_the_budget(make: SimpleNamespace) -> None:
    """A tenth of equity with a stop 2.857 % away risks 0.2857 %; a budget of 0.1 % cuts it to the third."""
    risk = RiskSettings(sizing=SizingMethod.FIXED_FRACTION, per_trade=Decimal("0.001"))
    entry = sized(make, settings=risk)
    assert clamps(entry) == ["per_trade"]
    assert (entry.sizing.method, entry.sizing.units, entry.sizing.risk_amount) == (
        "fixed-fraction",
        Decimal("0.05"),
        10,
    )
    assert "0.1 % of equity 10000" in entry.sizing.clamps[0].rule


def test_a_rule_that_allows_less_becomes_a_clamp_with_its_reason(make: SimpleNamespace) -> None:
    book = make.portfolio(positions=(make.holding("ETHUSD", 1, 4500),))
    entry = sized(make, portfolio=book)
    assert clamps(entry) == ["max_position", "max_correlated", "round_down"]
    assert entry.sizing.notional <= 500
    assert "ETHUSD" in entry.sizing.clamps[1].rule


def test_a_trailing_stop_is_sized_with_the_spread_it_starts_behind(make: SimpleNamespace) -> None:
    """EURUSD at 1.2, two ATR are 0.002; the spread of 0.0001 comes on top: 100 USD / 0.0021."""
    quote = make.quote("EURUSD", "1.19990", "1.20000")
    spec = make.spec("EURUSD", min_trailing_distance=Decimal("0.0005"))
    wide = UNCAPPED.model_copy(update={"trailing_stop": True, "max_leverage": Decimal(20), "max_gross": Decimal(20)})
    wide = wide.model_copy(update={"max_position": Decimal(20), "max_correlated": Decimal(20)})
    entry = sized(make, atr="0.001", symbol="EURUSD", quote=quote, spec=spec, settings=wide)
    assert entry.trailing_distance == Decimal("0.00200")
    assert entry.sizing.stop_loss == Decimal("1.19800")
    assert entry.sizing.units == 47619
