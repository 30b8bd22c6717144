"""The paper broker over a market that stands still until it is told to move: fills, refusals, resting orders, lookups, the book."""

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ffe.clock import FixedClock
from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError, VenueReadError
from ffe.market.models import Instrument, parse_instrument
from ffe.orders.models import OrderState, Side
from ffe.settings import PaperSettings
from ffe.venues import paper, paper_book
from ffe.venues.clients import CoinbaseClient
from ffe.venues.models import InstrumentSpec, OrderRequest, Protection, Quote, WorkingKind
from ffe.venues.paper import PaperBroker
from ffe.venues.paper_book import PaperBook
from ffe.venues.paper_data import ReadingCoinbaseClient, ReadingOandaClient
from ffe.venues.paper_prices import read_prices

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
D = Decimal
RULES: dict[str, dict[str, Any]] = {
    "EURUSD": {"price": "0.00001", "size": "1", "min": "1", "max": "1000000", "margin": "0.0333", "fee": "0"},
    "EURGBP": {"price": "0.00001", "size": "1", "min": "1", "max": "1000000", "margin": None, "fee": "0.001"},
    "USDJPY": {"price": "0.001", "size": "1", "min": "1", "max": None, "margin": "0.0333", "fee": "0"},
    "GBPUSD": {"price": "0.00001", "size": "1", "min": "1", "max": None, "margin": "0.0333", "fee": "0"},
    "BTCUSD": {"price": "0.01", "size": "0.00000001", "min": "0.0001", "max": "100", "margin": None, "fee": "0.006"},
    "ETHUSD": {"price": "0.01", "size": "0.00000001", "min": "0.0001", "max": None, "margin": None, "fee": "0.006"},
}
LEVELS = {
    "EURUSD": ("1.09994", "1.10006"),
    "EURGBP": ("0.85990", "0.86010"),
    "USDJPY": ("149.990", "150.010"),
    "GBPUSD": ("1.27990", "1.28010"),
    "BTCUSD": ("59990.00", "60010.00"),
    "ETHUSD": ("2499.00", "2501.00"),
}


@dataclass
class StillMarket:
    """Quotes and rules by symbol; `shut` symbols are not tradeable, `silent` ones have no price."""

    venue: str
    levels: dict[str, tuple[str, str]] = field(default_factory=lambda: dict(LEVELS))
    shut: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    closed: bool = False

    def spec(self, instrument: Instrument) -> InstrumentSpec:
        rules = RULES[instrument.symbol]
        spot = self.venue == "coinbase"
        return InstrumentSpec(
            instrument=instrument.symbol,
            venue=self.venue,
            price_increment=D(rules["price"]),
            size_increment=D(rules["size"]),
            min_size=D(rules["min"]),
            max_size=None if rules["max"] is None else D(rules["max"]),
            min_notional=D(10) if spot else None,
            max_notional=D(500_000) if instrument.symbol == "BTCUSD" else None,
            margin_rate=None if rules["margin"] is None else D(rules["margin"]),
            taker_fee_rate=D(rules["fee"]),
            pip=D(rules["price"]),
            tradeable=not (spot and instrument.symbol in self.shut),
            status="online",
            fetched_at=NOW,
            min_trailing_distance=None if spot else D("0.0005"),
        )

    def quote(self, instrument: Instrument) -> Quote:
        if instrument.symbol in self.silent:
            raise VenueReadError(f"no price for {instrument.symbol}")
        bid, ask = self.levels[instrument.symbol]
        tradeable = self.venue == "coinbase" or instrument.symbol not in self.shut
        return Quote(
            instrument=instrument.symbol, bid=D(bid), ask=D(ask), time=NOW, tradeable=tradeable, status="tradeable"
        )

    def close(self) -> None:
        self.closed = True


@dataclass
class Place:
    """One paper account and orders that suit it."""

    market: StillMarket
    broker: PaperBroker
    symbol: str
    unit: Decimal

    @property
    def instrument(self) -> Instrument:
        return parse_instrument(self.symbol)

    def order(self, **changes: Any) -> OrderRequest:
        values = {
            "client_order_id": str(uuid4()),
            "instrument": self.symbol,
            "side": Side.BUY,
            "units": self.unit,
        }
        return OrderRequest(**(values | changes))

    def submit(self, request: OrderRequest) -> Any:
        return self.broker.submit(request, self.broker.checkpoint())

    def move(self, bid: str, ask: str) -> None:
        self.market.levels[self.symbol] = (bid, ask)

    def units(self) -> Decimal:
        return self.broker.position(self.instrument).units


def open_place(venue: str, folder: Path, **settings: Any) -> Place:
    market = StillMarket(venue)
    chosen = PaperSettings(**settings)
    book = PaperBook(folder / "data" / "paper.sqlite", f"paper-{venue}", chosen.balance)
    symbol, unit = ("EURUSD", D(1000)) if venue == "oanda" else ("BTCUSD", D("0.01"))
    return Place(market, PaperBroker(market, book, FixedClock(NOW), chosen), symbol, unit)


@pytest.fixture
def margin(tmp_path: Path) -> Place:
    return open_place("oanda", tmp_path)


@pytest.fixture
def wallets(tmp_path: Path) -> Place:
    return open_place("coinbase", tmp_path)


@pytest.fixture(params=["oanda", "coinbase"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return open_place(request.param, tmp_path)


def bracket(place: Place) -> dict[str, Decimal]:
    if place.market.venue == "oanda":
        return {"stop_loss": D("1.09000"), "take_profit": D("1.12000")}
    return {"stop_loss": D("58000"), "take_profit": D("63000")}


def test_an_account_opens_with_its_deposit(place: Place) -> None:
    state = place.broker.account_state([])
    assert (state.currency, state.equity, state.available) == ("USD", 10_000, 10_000)
    assert state.account == place.broker.account == f"paper-{place.market.venue}"
    first = place.broker.checkpoint().rpartition("-")[0]
    activity = place.broker.activity(f"{first}-0")
    assert [event.cause for event in activity.cash] == ["PAPER_DEPOSIT"]
    assert activity.moved == activity.totals == {"USD": 10_000}
    assert place.broker.activity(activity.checkpoint).checkpoint == activity.checkpoint


def test_a_buy_pays_the_ask_and_slippage_and_a_sell_gets_less_than_the_bid(margin: Place) -> None:
    bought = margin.submit(margin.order())
    # 1.10006 x 1.0001 = 1.100170006, up to the next tick.
    assert bought.average_price == D("1.10018")
    sold = margin.submit(margin.order(side=Side.SELL, reduce_only=True))
    # 1.09994 x 0.9999 = 1.099830006, down.
    assert sold.average_price == D("1.09983")
    assert margin.broker.account_state([]).equity == 10_000 - 1000 * D("0.00035")


def test_a_spot_fill_costs_the_takers_fee(wallets: Place) -> None:
    order = wallets.submit(wallets.order())
    assert order.average_price == D("60016.01")
    assert order.fees == D("3.60096060")
    totals = wallets.broker.activity(wallets.broker.checkpoint()).totals
    assert totals == {"USD": 10_000 - D("600.1601") - order.fees, "BTC": D("0.01")}


def test_without_slippage_a_fill_is_at_the_quote(tmp_path: Path) -> None:
    place = open_place("oanda", tmp_path, slippage_bps=D(0))
    assert place.submit(place.order()).average_price == D("1.10006")


def test_a_price_beyond_the_bound_is_cancelled_and_changes_nothing(place: Place) -> None:
    before = place.broker.account_state([])
    bound = place.broker.quote(place.instrument).ask
    order = place.submit(place.order(price_bound=bound))
    assert (order.state, order.fills) == (OrderState.CANCELLED, ())
    assert order.reason in {"BOUNDS_VIOLATION", "Immediate or cancel order could not be filled"}
    assert place.broker.account_state([]).equity == before.equity
    sale = place.order(side=Side.SELL, price_bound=bound)
    if place.broker.capabilities.short:
        assert place.submit(sale).state is OrderState.CANCELLED


def test_a_repeated_client_order_id_gets_the_order_it_had(place: Place) -> None:
    request = place.order(**bracket(place))
    first = place.submit(request)
    assert place.submit(request) == first == place.broker.lookup(request, "any")
    assert place.units() == place.unit
    assert place.broker.resendable()
    other = request.model_copy(update={"units": place.unit * 2})
    with pytest.raises(OutcomeUnknownError, match="not BUY"):
        place.submit(other)
    assert place.broker.lookup(place.order(), "any") is None


def test_a_refused_order_stays_refused_under_its_id(wallets: Place) -> None:
    request = wallets.order(units=D("1"))
    for _ in range(2):
        with pytest.raises(OrderRejectedError) as caught:
            wallets.submit(request)
        assert caught.value.reason == "INSUFFICIENT_FUND"
    found = wallets.broker.lookup(request, "any")
    assert found is not None
    assert found.state is OrderState.REJECTED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"units": D("0.00005")}, "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"),
        ({"units": D("101")}, "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"),
        ({"units": D("0.00012")}, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
        ({"units": D("9")}, "PREVIEW_INVALID_QUOTE_SIZE_TOO_LARGE"),
        ({"side": Side.SELL}, "INSUFFICIENT_FUND"),
        ({"stop_loss": D("59990"), "take_profit": D("63000")}, "INVALID_ATTACHED_STOP_LOSS_PRICE"),
        ({"stop_loss": D("58000"), "take_profit": D("60010")}, "INVALID_ATTACHED_TAKE_PROFIT_PRICE"),
    ],
)
def test_what_coinbase_would_refuse_is_refused(wallets: Place, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(OrderRejectedError) as caught:
        wallets.submit(wallets.order(**change))
    assert caught.value.reason == reason
    assert wallets.units() == 0


def test_a_sell_brings_no_bracket(wallets: Place) -> None:
    wallets.submit(wallets.order())
    with pytest.raises(OrderRejectedError, match="INVALID_ORDER_SIDE_FOR_ATTACHED_TPSL"):
        wallets.submit(wallets.order(side=Side.SELL, **bracket(wallets)))


def test_half_a_bracket_is_none(wallets: Place) -> None:
    assert wallets.submit(wallets.order(stop_loss=D("58000"))).protection_ids == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"units": D(400_000)}, "INSUFFICIENT_MARGIN"),
        ({"stop_loss": D("1.09994")}, "STOP_LOSS_ON_FILL_LOSS"),
        ({"take_profit": D("1.10018")}, "TAKE_PROFIT_ON_FILL_LOSS"),
        ({"side": Side.SELL, "stop_loss": D("1.10006")}, "STOP_LOSS_ON_FILL_LOSS"),
        ({"trailing_distance": D("0.0004")}, "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MINIMUM_NOT_MET"),
        ({"reduce_only": True}, "INSUFFICIENT_LIQUIDITY"),
    ],
)
def test_what_oanda_would_cancel_is_cancelled(margin: Place, change: dict[str, Any], reason: str) -> None:
    order = margin.submit(margin.order(**change))
    assert (order.state, order.reason) == (OrderState.CANCELLED, reason)
    assert margin.units() == 0


def test_a_size_over_oandas_limit_is_refused(margin: Place) -> None:
    with pytest.raises(OrderRejectedError, match="UNITS_LIMIT_EXCEEDED"):
        margin.submit(margin.order(units=D(1_000_001)))


def test_a_closed_market_fills_nothing_and_triggers_nothing(place: Place) -> None:
    place.submit(place.order(**bracket(place)))
    place.market.shut.add(place.symbol)
    place.move("1.00000", "1.00010") if place.market.venue == "oanda" else place.move("50000", "50010")
    assert place.units() == place.unit
    if place.market.venue == "oanda":
        assert place.submit(place.order()).reason == "MARKET_HALTED"
    else:
        with pytest.raises(OrderRejectedError, match="PRODUCT_TRADING_HALTED"):
            place.submit(place.order())
    place.market.shut.clear()
    assert place.units() == 0


def test_what_is_finer_than_the_venues_grid_is_never_sent(place: Place) -> None:
    for change in (
        {"units": D("0.000000001")},
        {"units": D(0)},
        {"stop_loss": D("1.0000001")},
        {"price_bound": D("1.0000001")},
        {"instrument": "XYZ"},
    ):
        with pytest.raises(NotSentError):
            place.submit(place.order(**change))


def test_no_price_is_an_error_and_never_an_old_price(place: Place) -> None:
    place.submit(place.order(**bracket(place)))
    place.market.silent.add(place.symbol)
    broker = place.broker
    for read in (
        lambda: broker.account_state([place.instrument]),
        broker.positions,
        broker.working_orders,
        broker.checkpoint,
        lambda: broker.activity("x-1"),
        lambda: broker.lookup(place.order(), "any"),
    ):
        with pytest.raises(VenueReadError, match="no price"):
            read()
    with pytest.raises(NotSentError, match="no price"):
        broker.submit(place.order(), "any")


def test_a_met_stop_sells_at_the_quote_then_seen_and_its_sibling_goes(margin: Place) -> None:
    request = margin.order(**bracket(margin))
    entry = margin.submit(request)
    assert len(entry.protection_ids) == 2
    since = margin.broker.checkpoint()
    margin.move("1.05000", "1.05012")
    activity = margin.broker.activity(since)
    (execution,) = activity.executions
    assert (execution.protects, execution.cause) == (request.client_order_id, "STOP_LOSS_ORDER")
    assert (execution.client_order_id, execution.side) == (None, Side.SELL)
    assert execution.fill.price == D("1.04989")
    assert activity.totals["USD"] - activity.moved["USD"] == 10_000
    assert margin.broker.working_orders() == []
    found = margin.broker.lookup(request, "any")
    assert found is not None
    assert found.protection_ids == ()


def test_a_met_target_is_a_limit_that_slippage_does_not_pass(margin: Place) -> None:
    margin.submit(margin.order(**bracket(margin)))
    since = margin.broker.checkpoint()
    margin.move("1.12000", "1.12012")
    (execution,) = margin.broker.activity(since).executions
    assert (execution.cause, execution.fill.price) == ("TAKE_PROFIT_ORDER", D("1.12000"))


def test_a_shorts_target_and_stop_are_bought(margin: Place) -> None:
    levels = {"stop_loss": D("1.12000"), "take_profit": D("1.09000")}
    margin.submit(margin.order(side=Side.SELL, **levels))
    assert margin.units() == -1000
    assert margin.broker.account_state([]).equity < 10_000
    since = margin.broker.checkpoint()
    margin.move("1.08988", "1.09000")
    (execution,) = margin.broker.activity(since).executions
    assert (execution.side, execution.fill.price) == (Side.BUY, D("1.09000"))
    margin.submit(margin.order(side=Side.SELL, stop_loss=D("1.10000")))
    margin.move("1.13000", "1.13012")
    assert margin.units() == 0


def test_a_trailing_stop_follows_and_never_goes_back(margin: Place) -> None:
    margin.submit(margin.order(trailing_distance=D("0.00500")))
    (stop,) = margin.broker.working_orders()
    assert (stop.kind, stop.stop) == (WorkingKind.TRAILING_STOP, D("1.09494"))
    margin.move("1.11000", "1.11012")
    assert margin.broker.working_orders()[0].stop == D("1.10500")
    margin.move("1.10600", "1.10612")
    assert margin.broker.working_orders()[0].stop == D("1.10500")
    margin.move("1.10500", "1.10512")
    assert margin.units() == 0


def test_a_bracket_holds_its_units_and_a_close_cancels_it_first(wallets: Place) -> None:
    entry = wallets.submit(wallets.order(**bracket(wallets)))
    held = {item.currency: item for item in wallets.broker.account_state([wallets.instrument]).balances}
    assert (held["BTC"].available, held["BTC"].hold) == (0, D("0.01"))
    with pytest.raises(OrderRejectedError, match="INSUFFICIENT_FUND"):
        wallets.submit(wallets.order(side=Side.SELL, reduce_only=True))
    with pytest.raises(NotSentError, match="unknown"):
        wallets.submit(wallets.order(side=Side.SELL, cancel_first=("nobody",)))
    closing = wallets.order(side=Side.SELL, reduce_only=True, cancel_first=entry.protection_ids)
    assert wallets.submit(closing).state is OrderState.FILLED
    assert wallets.broker.positions() == []


@pytest.mark.parametrize(("bid", "price"), [("57000.00", "56994.30"), ("63001.00", "63000.00")])
def test_a_met_bracket_sells_what_it_holds(wallets: Place, bid: str, price: str) -> None:
    request = wallets.order(**bracket(wallets))
    entry = wallets.submit(request)
    since = wallets.broker.checkpoint()
    wallets.move(bid, str(D(bid) + 20))
    (execution,) = wallets.broker.activity(since).executions
    assert (execution.venue_order_id,) == entry.protection_ids
    assert (execution.protects, execution.fill.price) == (request.client_order_id, D(price))
    with pytest.raises(NotSentError, match="FILLED"):
        wallets.broker.cancel(entry.protection_ids)


def test_a_cancel_that_comes_too_late_keeps_the_fill_that_it_met(wallets: Place) -> None:
    entry = wallets.submit(wallets.order(**bracket(wallets)))
    wallets.move("57000.00", "57020.00")
    with pytest.raises(NotSentError, match="FILLED"):
        wallets.broker.cancel(entry.protection_ids)
    wallets.move("59990.00", "60010.00")
    assert wallets.units() == 0


def test_cancelling_twice_is_no_error(place: Place) -> None:
    entry = place.submit(place.order(**bracket(place)))
    place.broker.cancel(entry.protection_ids)
    place.broker.cancel(entry.protection_ids)
    assert place.broker.working_orders() == []
    assert place.broker.position(place.instrument).protection == ()
    with pytest.raises(NotSentError, match="nobody is unknown"):
        place.broker.cancel(["nobody"])


def protection(place: Place, entry: OrderRequest, **changes: Any) -> Protection:
    values = {
        "client_order_id": str(uuid4()),
        "entry_client_order_id": entry.client_order_id,
        "instrument": place.symbol,
        "side": Side.SELL,
        "units": place.unit,
        **bracket(place),
    }
    return Protection(**(values | changes))


def test_protection_asked_for_twice_is_placed_once(place: Place) -> None:
    entry = place.order()
    place.submit(entry)
    wanted = protection(place, entry)
    ids = place.broker.protect(wanted)
    assert place.broker.protect(wanted) == ids
    assert {item.venue_order_id for item in place.broker.working_orders()} == set(ids)
    assert {item.protects for item in place.broker.working_orders()} == {entry.client_order_id}
    assert place.broker.lookup(entry, "any").protection_ids == ids  # type: ignore[union-attr]


def test_a_trailing_stop_is_never_sent_where_there_is_none(wallets: Place) -> None:
    with pytest.raises(NotSentError, match="no trailing stop"):
        wallets.submit(wallets.order(trailing_distance=D(500)))


def test_another_level_replaces_a_trades_stop(margin: Place) -> None:
    entry = margin.order(**bracket(margin))
    margin.submit(entry)
    wanted = protection(margin, entry, stop_loss=D("1.08000"), trailing_distance=D("0.01000"))
    margin.broker.protect(wanted)
    assert margin.broker.protect(wanted) == margin.broker.protect(wanted)
    stops = {item.kind: item.stop for item in margin.broker.working_orders()}
    assert stops == {
        WorkingKind.TAKE_PROFIT: None,
        WorkingKind.STOP_LOSS: D("1.08000"),
        WorkingKind.TRAILING_STOP: D("1.08994"),
    }


def test_protection_that_the_venue_would_refuse_is_refused(margin: Place, wallets: Place) -> None:
    with pytest.raises(OrderRejectedError, match="NO_SUCH_TRADE"):
        margin.broker.protect(protection(margin, margin.order()))
    entry = margin.order()
    margin.submit(entry)
    with pytest.raises(OrderRejectedError, match="MINIMUM_NOT_MET"):
        margin.broker.protect(protection(margin, entry, trailing_distance=D("0.00001")))
    for change, reason in (
        ({"take_profit": None}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        ({"trailing_distance": D(500)}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        ({"units": D("0.00001")}, "TOO_SMALL"),
        ({"units": D("0.000000015")}, "INVALID_SIZE_PRECISION"),
        ({}, "INSUFFICIENT_FUND"),
    ):
        with pytest.raises(OrderRejectedError, match=reason):
            wallets.broker.protect(protection(wallets, wallets.order(), **change))
    with pytest.raises(NotSentError, match="multiple"):
        wallets.broker.protect(protection(wallets, wallets.order(), stop_loss=D("0.001")))


def test_trades_are_closed_first_in_first_out_and_turn_around(margin: Place) -> None:
    first, second = margin.order(**bracket(margin)), margin.order(units=D(500))
    margin.submit(first)
    margin.submit(second)
    since = margin.broker.checkpoint()
    part = margin.submit(margin.order(side=Side.SELL, units=D(1200), reduce_only=True))
    assert [fill.units for fill in part.fills] == [1000, 200]
    assert margin.broker.working_orders() == []
    assert margin.broker.position(margin.instrument).average_price == D("1.10018")
    turned = margin.submit(margin.order(side=Side.SELL, units=D(800)))
    assert [fill.units for fill in turned.fills] == [300, 500]
    executions = margin.broker.activity(since).executions
    closed = [first.client_order_id, second.client_order_id, second.client_order_id, None]
    assert [item.closes for item in executions] == closed
    assert margin.units() == -500


def test_a_cross_is_booked_in_the_home_currency(margin: Place) -> None:
    cross = margin.order(instrument="EURGBP")
    order = margin.broker.submit(cross, "any")
    # 1000 x 0.86019 GBP x 0.1 % at 1.28 USD, the mid.
    assert order.fees == D("1.1010")
    state = margin.broker.account_state([parse_instrument("USDJPY")])
    # A spec without a margin rate takes all of it: 1000 EUR at 1.10 USD.
    assert state.equity - state.available == D("1100.0000")
    assert state.conversions["JPY"].gain == D("0.0066662223")
    assert state.conversions["GBP"].loss == D("1.28010")
    yen = margin.broker.submit(margin.order(instrument="USDJPY"), "any")
    assert yen.average_price == D("150.026")
    assert {held.instrument for held in margin.broker.positions()} == {"EURGBP", "USDJPY"}


def test_equity_counts_wallets_at_the_bid(wallets: Place) -> None:
    wallets.submit(wallets.order())
    ether = parse_instrument("ETHUSD")
    wallets.market.silent.add("ETHUSD")
    state = wallets.broker.account_state([wallets.instrument, ether])
    assert state.equity == state.available + D("0.01") * D("59990.00")
    assert state.conversions["USD"].gain == 1
    with pytest.raises(VenueReadError, match="EUR and USD"):
        wallets.broker.account_state([wallets.instrument, parse_instrument("ETHEUR")])
    with pytest.raises(VenueReadError, match="no GBP wallet"):
        wallets.broker.account_state([parse_instrument("ETHGBP")])


def test_a_checkpoint_of_another_book_is_refused(place: Place) -> None:
    own = place.broker.checkpoint()
    name = own.rpartition("-")[0]
    for strange in ("paper-00000000-1", "12", f"{name}-x", f"{name}-9999", ""):
        with pytest.raises(VenueReadError, match="none of the paper book"):
            place.broker.activity(strange)


def test_a_second_broker_on_the_same_file_sees_the_same_account(place: Place, tmp_path: Path) -> None:
    place.submit(place.order(**bracket(place)))
    again = open_place(place.market.venue, tmp_path).broker
    assert again.checkpoint() == place.broker.checkpoint()
    assert again.positions() == place.broker.positions()


def test_an_account_that_others_keep_changing_is_an_error_in_the_end(
    margin: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_place("oanda", tmp_path)
    names = iter(["EURUSD", "GBPUSD", "USDJPY"])

    def others_trade_meanwhile(*arguments: Any, **options: Any) -> Any:
        prices = read_prices(*arguments, **options)
        with monkeypatch.context() as undisturbed:
            undisturbed.setattr(paper, "read_prices", read_prices)
            other.broker.submit(other.order(instrument=next(names)), "any")
        return prices

    monkeypatch.setattr(paper, "read_prices", others_trade_meanwhile)
    with pytest.raises(VenueReadError, match="changed 3 times"):
        margin.broker.positions()


def test_a_book_that_cannot_be_used_is_a_venue_error(margin: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    margin.broker.checkpoint()
    margin.broker._book.file.write_bytes(b"not a database at all, however long this text may be" * 100)
    with pytest.raises(VenueReadError, match=r"paper\.sqlite could not be used"):
        margin.broker.positions()
    with pytest.raises(NotSentError, match="could not be used"):
        margin.broker.submit(margin.order(), "any")


def test_a_commit_that_fails_leaves_the_outcome_unknown(margin: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def execute(self, statement: str) -> None:
            raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(paper_book, "_commit", lambda _, commit=paper_book._commit: commit(Failing()))
    with pytest.raises(OutcomeUnknownError, match="disk full"):
        margin.broker.submit(margin.order(), "any")


def test_the_clients_of_paper_mode_cannot_send() -> None:
    with pytest.raises(NotSentError, match="never sends"):
        ReadingOandaClient("http://127.0.0.1:1", "t", "a").send(object())
    client: CoinbaseClient = ReadingCoinbaseClient("http://127.0.0.1:1", "k", "s")
    with pytest.raises(NotSentError, match="create_order was not sent"):
        client.send("create_order", client_order_id="x")


def test_a_venue_of_no_known_pair_to_the_home_currency_is_an_error(margin: Place) -> None:
    strange = Instrument(symbol="SEKNOK", base="SEK", quote="NOK", asset_class=margin.instrument.asset_class)
    with pytest.raises(VenueReadError, match="NOK"):
        margin.broker.account_state([strange])


def test_closing_the_broker_closes_its_data(place: Place) -> None:
    place.broker.close()
    assert place.market.closed
