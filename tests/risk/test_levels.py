"""Stops, targets and price bounds."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from ffe.market.models import AssetClass
from ffe.orders.models import Side
from ffe.risk.levels import Levels, levels, price_bound
from ffe.risk.models import Denial


def test_a_long_stops_two_atr_below_the_ask_and_takes_one_and_a_half_times_that(make: SimpleNamespace) -> None:
    found = levels(
        Side.BUY, Decimal(100), AssetClass.CRYPTO, spec=make.spec(), quote=make.quote(), settings=make.settings
    )
    assert isinstance(found, Levels)
    assert (found.entry, found.stop, found.target) == (Decimal(7000), Decimal(6800), Decimal(7300))
    assert found.distance == 200
    assert found.bound == Decimal(7035)
    assert found.clamps == ()


def test_a_short_is_the_mirror_image_from_the_bid(make: SimpleNamespace) -> None:
    quote = make.quote("USDJPY", "149.990", "150.000")
    found = levels(
        Side.SELL, Decimal("0.3"), AssetClass.FOREX, spec=make.spec("USDJPY"), quote=quote, settings=make.settings
    )
    assert isinstance(found, Levels)
    assert (found.entry, found.stop, found.target) == (Decimal("149.990"), Decimal("150.590"), Decimal("149.090"))
    assert found.bound < found.entry


@pytest.mark.parametrize(
    ("atr", "name", "after"),
    [("1", "stop_min", "70.00"), ("1000", "stop_max", "350.00")],
)
def test_a_crypto_stop_stays_between_one_and_five_percent(
    make: SimpleNamespace, atr: str, name: str, after: str
) -> None:
    found = levels(
        Side.BUY, Decimal(atr), AssetClass.CRYPTO, spec=make.spec(), quote=make.quote(), settings=make.settings
    )
    assert isinstance(found, Levels)
    clamp = found.clamps[0]
    assert (clamp.name, clamp.before, clamp.after) == (name, 2 * Decimal(atr), Decimal(after))
    assert "% of the entry" in clamp.rule


@pytest.mark.parametrize(("atr", "distance"), [("0.00001", "0.00120"), ("1", "0.01800")])
def test_a_forex_stop_stays_between_a_tenth_and_one_and_a_half_percent(
    make: SimpleNamespace, atr: str, distance: str
) -> None:
    quote = make.quote("EURUSD", "1.19990", "1.20000")
    found = levels(
        Side.BUY, Decimal(atr), AssetClass.FOREX, spec=make.spec("EURUSD"), quote=quote, settings=make.settings
    )
    assert isinstance(found, Levels)
    assert found.distance == Decimal(distance)


def test_the_price_bound_never_gives_away_more_than_half_a_stop(make: SimpleNamespace) -> None:
    quote = make.quote("EURUSD", "1.19990", "1.20000")
    found = levels(
        Side.BUY, Decimal("0.001"), AssetClass.FOREX, spec=make.spec("EURUSD"), quote=quote, settings=make.settings
    )
    assert isinstance(found, Levels)
    assert found.bound == Decimal("1.20100")
    assert [clamp.name for clamp in found.clamps] == ["price_bound"]


@pytest.mark.parametrize("atr", ["-1", "NaN", "Infinity"])
def test_without_an_atr_there_is_no_stop(make: SimpleNamespace, atr: str) -> None:
    found = levels(
        Side.BUY, Decimal(atr), AssetClass.CRYPTO, spec=make.spec(), quote=make.quote(), settings=make.settings
    )
    assert isinstance(found, Denial)
    assert found.code == "no_atr"


@pytest.mark.parametrize("side", list(Side))
def test_a_stop_inside_the_spread_is_denied(make: SimpleNamespace, side: Side) -> None:
    quote = make.quote("EURUSD", "1.19000", "1.20000")
    found = levels(
        side, Decimal("0.0001"), AssetClass.FOREX, spec=make.spec("EURUSD"), quote=quote, settings=make.settings
    )
    assert isinstance(found, Denial)
    assert found.code == "stop_not_placeable"
    assert "1.19000" in found.reason


def test_a_tick_too_coarse_for_the_stop_is_denied(make: SimpleNamespace) -> None:
    spec = make.spec("EURUSD", price_increment=Decimal(2))
    quote = make.quote("EURUSD", "1.19990", "1.20000")
    found = levels(Side.BUY, Decimal("0.001"), AssetClass.FOREX, spec=spec, quote=quote, settings=make.settings)
    assert isinstance(found, Denial)


@pytest.mark.parametrize(("side", "bound"), [(Side.BUY, "101"), (Side.SELL, "100")])
def test_a_bound_finer_than_the_tick_is_the_nearest_tick_that_can_fill(
    make: SimpleNamespace, side: Side, bound: str
) -> None:
    spec = make.spec(price_increment=Decimal(1))
    assert price_bound(side, Decimal("100.5"), Decimal("0.1"), spec) == Decimal(bound)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("least", "distance", "clamped"),
    [("0.0005", "0.002", []), ("0.002", "0.002", []), ("0.003", "0.003", ["min_trailing_distance"])],
)
def test_a_trailing_stop_keeps_the_distance_but_never_less_than_the_venue_takes(
    make: SimpleNamespace, side: Side, least: str, distance: str, clamped: list[str]
) -> None:
    quote = make.quote("EURUSD", "1.19990", "1.20000")
    settings = make.settings.model_copy(update={"trailing_stop": True})
    spec = make.spec("EURUSD", min_trailing_distance=Decimal(least))
    found = levels(side, Decimal("0.001"), AssetClass.FOREX, spec=spec, quote=quote, settings=settings)
    assert isinstance(found, Levels)
    assert found.trailing == found.distance == Decimal(distance)
    assert found.lost == found.distance + Decimal("0.0001")
    assert abs(found.target - found.entry) == found.distance * Decimal("1.5")
    assert [clamp.name for clamp in found.clamps if clamp.name != "price_bound"] == clamped


def test_a_trailing_distance_is_a_multiple_of_the_price_increment(make: SimpleNamespace) -> None:
    """Two ATR are 0.300 6; ticks are 0.001."""
    quote = make.quote("USDJPY", "149.990", "150.000")
    settings = make.settings.model_copy(update={"trailing_stop": True})
    spec = make.spec("USDJPY", min_trailing_distance=Decimal("0.05"))
    found = levels(Side.SELL, Decimal("0.1503"), AssetClass.FOREX, spec=spec, quote=quote, settings=settings)
    assert isinstance(found, Levels)
    assert found.trailing == Decimal("0.301")


@pytest.mark.parametrize(("wanted", "least"), [(True, None), (False, "0.0005")])
def test_a_stop_is_fixed_where_the_venue_has_no_other_or_nobody_asked(
    make: SimpleNamespace, wanted: bool, least: str | None
) -> None:
    quote = make.quote("EURUSD", "1.19990", "1.20000")
    settings = make.settings.model_copy(update={"trailing_stop": wanted})
    spec = make.spec("EURUSD", min_trailing_distance=None if least is None else Decimal(least))
    found = levels(Side.BUY, Decimal("0.001"), AssetClass.FOREX, spec=spec, quote=quote, settings=settings)
    assert isinstance(found, Levels)
    assert found.trailing is None
    assert found.lost == found.distance
