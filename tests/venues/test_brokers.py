"""Both brokers through the real SDKs against the real simulator: what every venue must do alike, and where they differ."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ffe.clock import SystemClock
from ffe.errors import (
    AuthenticationError,
    NotSentError,
    OrderRejectedError,
    OutcomeUnknownError,
    PermissionDeniedError,
    VenueReadError,
)
from ffe.market.models import parse_instrument
from ffe.orders.models import OrderState, Side
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.coinbase import CoinbaseBroker
from ffe.venues.oanda import OandaBroker

BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")


def test_an_entry_is_filled_protected_and_found_again(market: Any) -> None:
    request = market.entry()
    checkpoint = market.broker.checkpoint()
    assert market.broker.lookup(request, checkpoint) is None
    order = market.broker.submit(request, checkpoint)
    assert order.state is OrderState.FILLED
    assert order.filled_units == request.units
    assert order.average_price == market.broker.quote(market.instrument).ask
    assert order.client_order_id == request.client_order_id
    assert order.protection_ids
    assert market.broker.lookup(request, checkpoint) == order
    held = market.broker.position(market.instrument)
    assert held.units == request.units
    assert set(held.protection) == set(order.protection_ids)
    assert held in market.broker.positions()


def test_a_close_takes_all_and_leaves_no_protection(market: Any) -> None:
    market.submit(market.entry())
    order = market.submit(market.exit())
    assert order.state is OrderState.FILLED
    assert order.protection_ids == ()
    held = market.broker.position(market.instrument)
    assert (held.units, held.protection) == (0, ())
    assert market.instrument.symbol not in {item.instrument for item in market.broker.positions()}


def test_an_entry_without_protection_shows_none(market: Any) -> None:
    order = market.submit(market.entry(stop_loss=None, take_profit=None, price_bound=None))
    assert order.state is OrderState.FILLED
    assert order.protection_ids == ()


def test_equity_and_available_move_with_a_position(market: Any) -> None:
    before = market.broker.account_state([market.instrument])
    market.submit(market.entry())
    after = market.broker.account_state([market.instrument])
    assert after.available < before.available
    assert before.equity - before.equity / 50 < after.equity < before.equity
    assert after.account == market.broker.account == before.account
    assert after.source.startswith(market.broker.venue)
    assert after.conversions["USD"].loss == 1


def test_a_price_beyond_the_bound_is_not_a_fill(market: Any) -> None:
    quote = market.broker.quote(market.instrument)
    order = market.submit(market.entry(price_bound=quote.ask - market.step, stop_loss=None, take_profit=None))
    assert order.state is OrderState.CANCELLED
    assert order.reason
    assert order.fills == ()
    assert market.broker.position(market.instrument).units == 0


def test_prices_and_sizes_finer_than_the_venues_are_never_sent(market: Any) -> None:
    request = market.entry()
    fine = market.broker.spec(market.instrument).size_increment / 10
    checkpoint = market.broker.checkpoint()
    for change in (
        {"units": request.units + fine},
        {"units": Decimal(0)},
        {"price_bound": request.price_bound + Decimal("0.0000001")},
        {"stop_loss": request.stop_loss - Decimal("0.0000001")},
    ):
        with pytest.raises(NotSentError):
            market.broker.submit(market.entry(**change), checkpoint)
    assert market.broker.position(market.instrument).units == 0


def test_an_order_larger_than_the_account_does_not_fill_and_says_why(market: Any) -> None:
    request = market.entry(units=Decimal(90_000_000) if market.broker.venue == "oanda" else Decimal(1000))
    checkpoint = market.broker.checkpoint()
    if market.broker.venue == "oanda":
        order = market.broker.submit(request, checkpoint)
        assert (order.state, order.reason) == (OrderState.CANCELLED, "INSUFFICIENT_MARGIN")
        assert market.broker.lookup(request, checkpoint) == order
    else:
        with pytest.raises(OrderRejectedError) as caught:
            market.broker.submit(request, checkpoint)
        assert "INSUFFICIENT_FUND" in caught.value.reason


def test_a_halted_market_says_so_before_and_at_the_order(market: Any, simulator: Any) -> None:
    request = market.entry()
    simulator.control("halt", instrument=market.instrument.symbol)
    flags = (market.broker.spec(market.instrument).tradeable, market.broker.quote(market.instrument).tradeable)
    assert False in flags
    if market.broker.venue == "oanda":
        assert market.submit(request).reason == "MARKET_HALTED"
    else:
        with pytest.raises(OrderRejectedError) as caught:
            market.submit(request)
        assert caught.value.reason == "PRODUCT_TRADING_HALTED"


def test_an_outage_is_an_error_everywhere_and_never_an_empty_account(market: Any, simulator: Any) -> None:
    request = market.entry()
    checkpoint = market.broker.checkpoint()
    broker = market.broker
    simulator.control("outage", venue=broker.venue)
    for read in (
        lambda: broker.account_state([market.instrument]),
        lambda: broker.quote(market.instrument),
        lambda: broker.position(market.instrument),
        broker.positions,
        broker.checkpoint,
        lambda: broker.lookup(request, checkpoint),
    ):
        with pytest.raises(VenueReadError, match="503"):
            read()


def test_an_order_into_an_outage_is_unknown_at_oanda_and_unsent_at_coinbase(market: Any, simulator: Any) -> None:
    """OANDA's rules are cached, so the order itself meets the outage; Coinbase's product read fails before anything is sent."""
    request = market.entry()
    checkpoint = market.broker.checkpoint()
    market.broker.spec(market.instrument)
    market.broker.account_state([market.instrument])
    simulator.control("outage", venue=market.broker.venue)
    kind = OutcomeUnknownError if market.broker.venue == "oanda" else NotSentError
    with pytest.raises(kind, match="503"):
        market.broker.submit(request, checkpoint)


def test_who_may_resend(simulator: Any) -> None:
    assert simulator.coinbase().resendable()
    assert not simulator.oanda().resendable()


def test_the_rules_come_from_the_venue(simulator: Any) -> None:
    bitcoin, euro = simulator.coinbase().spec(BTC), simulator.oanda().spec(EUR)
    assert bitcoin.size_increment == Decimal("1E-8")
    assert bitcoin.min_notional == 1
    assert (bitcoin.taker_fee_rate, bitcoin.margin_rate) == (Decimal("0.006"), None)
    assert (euro.price_increment, euro.size_increment, euro.pip) == (Decimal("0.00001"), 1, Decimal("0.0001"))
    assert (euro.margin_rate, euro.min_notional) == (Decimal("0.0333"), None)


@pytest.mark.parametrize("symbol", ["ADAUSD", "CADJPY"])
def test_an_instrument_that_the_venue_does_not_list_is_an_error(simulator: Any, symbol: str) -> None:
    instrument = parse_instrument(symbol)
    broker = getattr(simulator, instrument.venue)()
    with pytest.raises(VenueReadError):
        broker.spec(instrument)
    with pytest.raises(VenueReadError):
        broker.quote(instrument)


def test_spot_cannot_be_sold_short(coinbase_market: Any) -> None:
    short = coinbase_market.entry(side=Side.SELL, price_bound=None, stop_loss=None, take_profit=None)
    with pytest.raises(OrderRejectedError) as caught:
        coinbase_market.submit(short)
    assert "INSUFFICIENT_FUND" in caught.value.reason


def test_a_short_is_negative_and_a_buy_closes_it(oanda_market: Any) -> None:
    market = oanda_market
    quote = market.broker.quote(EUR)
    short = market.entry(
        side=Side.SELL, price_bound=quote.bid, stop_loss=quote.ask + market.step, take_profit=quote.bid - market.step
    )
    order = market.submit(short)
    assert order.average_price == quote.bid
    assert market.broker.position(EUR).units == -1000
    closing = market.exit()
    assert closing.side is Side.BUY
    assert market.submit(closing).state is OrderState.FILLED
    assert market.broker.position(EUR).units == 0


def test_a_close_larger_than_the_position_cannot_turn_it_around(oanda_market: Any) -> None:
    market = oanda_market
    market.submit(market.entry())
    market.submit(market.exit(units=Decimal(5000)))
    assert market.broker.position(EUR).units >= 0


def test_one_order_that_closes_several_trades_has_a_fill_for_each(oanda_market: Any) -> None:
    market = oanda_market
    first = market.submit(market.entry())
    second = market.submit(market.entry(units=Decimal(501)))
    checkpoint = market.broker.checkpoint()
    closing = market.exit(units=Decimal(1200))
    order = market.broker.submit(closing, checkpoint)
    assert [fill.units for fill in order.fills] == [1000, 200]
    assert len({fill.venue_fill_id for fill in (*order.fills, *first.fills, *second.fills)}) == 4
    assert market.broker.lookup(closing, checkpoint) == order


def test_the_same_oanda_order_sent_twice_fills_twice_and_both_are_reported(oanda_market: Any) -> None:
    market = oanda_market
    market.submit(market.entry())
    checkpoint = market.broker.checkpoint()
    closing = market.exit(units=Decimal(300))
    for _ in range(2):
        market.broker.submit(closing, checkpoint)
    found = market.broker.lookup(closing, checkpoint)
    assert found is not None
    assert found.filled_units == 600


def test_a_second_opening_fill_of_one_oanda_order_is_refused_by_the_trades_id(oanda_market: Any) -> None:
    market = oanda_market
    request = market.entry()
    market.submit(request)
    again = market.submit(request)
    assert again.state is OrderState.CANCELLED
    assert again.reason == "CLIENT_TRADE_ID_ALREADY_EXISTS"
    assert market.broker.position(EUR).units == request.units


def test_a_refused_oanda_order_is_found_as_rejected(oanda_market: Any) -> None:
    market = oanda_market
    request = market.entry(units=Decimal(200_000_000))
    checkpoint = market.broker.checkpoint()
    with pytest.raises(OrderRejectedError) as caught:
        market.broker.submit(request, checkpoint)
    assert caught.value.reason == "UNITS_LIMIT_EXCEEDED"
    found = market.broker.lookup(request, checkpoint)
    assert found is not None
    assert (found.state, found.reason) == (OrderState.REJECTED, "UNITS_LIMIT_EXCEEDED")


@pytest.mark.parametrize("duplicate_error", [False, True])
def test_the_same_coinbase_order_sent_twice_is_one_order(
    simulator: Any, coinbase_market: Any, duplicate_error: bool
) -> None:
    market = coinbase_market
    simulator.control("switches", coinbase_duplicate_error=duplicate_error)
    request = market.entry()
    first = market.submit(request)
    assert market.submit(request) == first
    assert market.broker.position(BTC).units == request.units


def test_another_coinbase_order_under_the_same_id_is_an_alarm(simulator: Any, coinbase_market: Any) -> None:
    market = coinbase_market
    request = market.entry()
    market.submit(request)
    other = request.model_copy(update={"units": Decimal("0.02")})
    with pytest.raises(OutcomeUnknownError, match=r"0\.01.*not BUY 0\.02"):
        market.submit(other)


def test_a_coinbase_order_still_working_is_accepted_and_filled_later(simulator: Any, coinbase_market: Any) -> None:
    market = coinbase_market
    simulator.control("switches", coinbase_fill_after_polls=3)
    request = market.entry()
    checkpoint = market.broker.checkpoint()
    order = market.broker.submit(request, checkpoint)
    assert order.state is OrderState.ACCEPTED
    assert order.venue_order_id
    states = [market.broker.lookup(request, checkpoint).state for _ in range(3)]
    assert states[-1] is OrderState.FILLED


def test_a_coinbase_order_filled_in_part_books_what_was_filled(simulator: Any, coinbase_market: Any) -> None:
    market = coinbase_market
    simulator.control("switches", depth={"BTCUSD": "0.004"})
    order = market.submit(market.entry())
    assert order.state is OrderState.CANCELLED
    assert order.filled_units == Decimal("0.004")
    assert order.reason
    assert order.fees > 0


def test_a_coinbase_close_whose_protection_is_gone_otherwise_is_not_sent(simulator: Any, coinbase_market: Any) -> None:
    market = coinbase_market
    request = market.entry()
    order = market.submit(request)
    closing = market.exit(cancel_first=(str(order.venue_order_id),))
    with pytest.raises(NotSentError, match="FILLED"):
        market.submit(closing)
    assert market.broker.position(BTC).units == request.units


def test_a_view_only_coinbase_key_reads_but_its_order_is_not_sent(simulator: Any, coinbase_market: Any) -> None:
    market = coinbase_market
    viewer = simulator.coinbase(**simulator.control("coinbase/keys", can_trade=False))
    assert viewer.quote(BTC).bid > 0
    with pytest.raises(NotSentError) as caught:
        viewer.submit(market.entry(), viewer.checkpoint())
    assert isinstance(caught.value.__cause__, PermissionDeniedError)


def test_a_wrong_key_is_an_authentication_error(simulator: Any, api_secret: str) -> None:
    door = simulator.info["oanda"]
    with pytest.raises(AuthenticationError):
        OandaBroker(OandaClient(door["base_url"], "wrong", door["account_id"]), SystemClock()).checkpoint()
    with pytest.raises(AuthenticationError):
        _ = simulator.coinbase(api_secret=api_secret).account


def test_an_account_that_is_not_the_tokens_is_a_permission_error(simulator: Any) -> None:
    door = simulator.info["oanda"]
    broker = OandaBroker(OandaClient(door["base_url"], door["token"], "101-001-0000000-001"), SystemClock())
    with pytest.raises((PermissionDeniedError, VenueReadError)):
        broker.account_state([])


def test_rules_are_asked_again_after_a_quarter_of_an_hour(simulator: Any) -> None:
    class Jumping(SystemClock):
        step = timedelta(0)

        def now(self) -> Any:
            return super().now() + self.step

    clock = Jumping()
    door, keys = simulator.info["oanda"], simulator.info["coinbase"]
    broker = OandaBroker(OandaClient(door["base_url"], door["token"], door["account_id"]), clock)
    first = broker.spec(EUR)
    assert broker.spec(EUR) is first
    Jumping.step = timedelta(minutes=15)
    assert broker.spec(EUR) is not first
    Jumping.step = timedelta(minutes=-60)
    assert broker.spec(EUR).fetched_at < first.fetched_at
    fees = CoinbaseBroker(CoinbaseClient(keys["base_url"], keys["api_key"], keys["api_secret"]), clock)
    assert fees.spec(BTC).fetched_at < first.fetched_at


def test_a_cross_is_converted_through_the_accounts_currency(simulator: Any) -> None:
    pound = parse_instrument("GBPUSD")
    state = simulator.oanda().account_state([EUR, pound])
    assert state.currency == "USD"
    assert set(state.conversions) >= {"USD", "EUR", "GBP"}
    assert simulator.oanda().account_state([]).conversions.keys() == {"USD"}


def test_one_account_state_is_in_one_currency(simulator: Any) -> None:
    broker = simulator.coinbase()
    with pytest.raises(VenueReadError, match="EUR and USD"):
        broker.account_state([BTC, parse_instrument("ETHEUR")])
    with pytest.raises(VenueReadError, match="no GBP wallet"):
        broker.account_state([parse_instrument("BTCGBP")])
    assert broker.account_state([]).currency == "USD"
