"""What reconciliation asks of a broker and does through it: what happened, what rests, putting protection back, taking it away."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from ffe.errors import NotSentError, OrderRejectedError, VenueReadError
from ffe.money import round_nearest
from ffe.orders.models import OrderState, Side
from ffe.venues.models import Activity, OrderRequest, Protection, WorkingKind

ROUTES = {"EURUSD": "oanda.pricing", "BTCUSD": "coinbase.best_bid_ask"}
ZERO = Decimal(0)


@pytest.fixture
def move(simulator: Any) -> Iterator[Callable[[Any, str], None]]:
    """The market jumps by so many percent, and three minutes go by in which the venue meets what rests; it jumps back in the end."""
    done: list[tuple[Any, Decimal]] = []

    def jump(market: Any, percent: Decimal) -> None:
        name = market.instrument.symbol
        fault = {"kind": "price_jump", "route": ROUTES[name], "instrument": name, "percent": str(percent), "count": 1}
        simulator.control("faults", faults=[fault])
        market.broker.quote(market.instrument)
        simulator.control("faults", faults=[])
        simulator.control("clock", advance_seconds=180)

    def apply(market: Any, percent: str) -> None:
        done.append((market, Decimal(percent)))
        jump(market, Decimal(percent))

    yield apply
    for market, percent in done:
        jump(market, round(10000 / (100 + percent) - 100, 6))


def adds_up(before: Activity, after: Activity) -> bool:
    names = before.totals.keys() | after.totals.keys() | after.moved.keys()
    return all(
        before.totals.get(name, ZERO) + after.moved.get(name, ZERO) == after.totals.get(name, ZERO) for name in names
    )


def bare(market: Any, **changes: Any) -> OrderRequest:
    request: OrderRequest = market.entry(stop_loss=None, take_profit=None, **changes)
    return request


def within(market: Any, percent: int) -> OrderRequest:
    """An entry whose stop and target are so many percent away."""
    tick, quote = market.broker.spec(market.instrument).price_increment, market.broker.quote(market.instrument)
    stop, target = (quote.mid * (100 + way) / 100 for way in (-percent, percent))
    request: OrderRequest = market.entry(stop_loss=round_nearest(stop, tick), take_profit=round_nearest(target, tick))
    return request


def protection(market: Any, entry: OrderRequest, **changes: Any) -> Protection:
    quote = market.broker.quote(market.instrument)
    values = {
        "client_order_id": f"protects-{entry.client_order_id}",
        "entry_client_order_id": entry.client_order_id,
        "instrument": entry.instrument,
        "side": Side.SELL,
        "units": entry.units,
        "stop_loss": quote.bid - market.step,
        "take_profit": quote.ask + market.step,
    }
    return Protection(**(values | changes))


def test_an_entry_and_its_close_are_told_once_with_the_ids_that_their_orders_gave(market: Any) -> None:
    before = market.broker.activity(market.broker.checkpoint())
    entry = market.entry()
    bought = market.submit(entry)
    middle = market.broker.activity(before.checkpoint)
    assert [(each.client_order_id, each.fill) for each in middle.executions] == [
        (entry.client_order_id, fill) for fill in bought.fills
    ]
    closing = market.exit()
    sold = market.submit(closing)
    after = market.broker.activity(middle.checkpoint)
    assert [(each.client_order_id, each.fill) for each in after.executions] == [
        (closing.client_order_id, fill) for fill in sold.fills
    ]
    assert {each.protects for each in after.executions} == {None}
    assert adds_up(before, middle)
    assert adds_up(middle, after)
    assert market.broker.activity(after.checkpoint) == after.model_copy(
        update={"executions": (), "moved": _none(after)}
    )


def _none(activity: Activity) -> dict[str, Decimal]:
    """OANDA names its one currency even where nothing moved."""
    return dict.fromkeys(activity.moved, ZERO) if set(activity.moved) == {"USD"} else {}


def test_oanda_names_the_entry_whose_trade_a_close_took_from_when_that_trade_is_gone_too(oanda_market: Any) -> None:
    market, entry = oanda_market, oanda_market.entry()
    since = market.broker.checkpoint()
    market.submit(entry)
    market.submit(market.exit())
    opened, closed = market.broker.activity(since).executions
    assert (opened.closes, closed.closes, closed.cause) == (None, entry.client_order_id, "MARKET_ORDER")


def test_a_stop_that_was_met_is_told_with_its_entry(market: Any, move: Callable[[Any, str], None]) -> None:
    entry = within(market, 2)
    order = market.submit(entry)
    before = market.broker.activity(market.broker.checkpoint())
    move(market, "-3")
    after = market.broker.activity(before.checkpoint)
    (stop,) = after.executions
    assert (stop.protects, stop.side, stop.fill.units) == (entry.client_order_id, Side.SELL, entry.units)
    assert stop.venue_order_id in order.protection_ids
    assert adds_up(before, after)
    with pytest.raises(NotSentError, match="FILLED"):
        market.broker.cancel([stop.venue_order_id])


def test_a_coinbase_stop_that_was_jumped_over_rests_without_being_a_stop(
    coinbase_market: Any, move: Callable[[Any, str], None]
) -> None:
    """The venue sells at a limit 5 % through the trigger: further down it holds the units and protects nothing."""
    market = coinbase_market
    entry = within(market, 2)
    order = market.submit(entry)
    move(market, "-12")
    (left,) = market.broker.working_orders()
    assert (left.venue_order_id, left.protects) == (*order.protection_ids, entry.client_order_id)
    assert (left.kind, left.units, left.stop, left.target) == (WorkingKind.BRACKET, entry.units, None, None)
    assert market.broker.position(market.instrument).protection == order.protection_ids


def test_what_rests_is_described_with_the_entry_that_it_protects(market: Any) -> None:
    entry = market.entry()
    order = market.submit(entry)
    resting = market.broker.working_orders()
    assert {each.venue_order_id for each in resting} == set(order.protection_ids)
    assert {(each.protects, each.side) for each in resting} == {(entry.client_order_id, Side.SELL)}
    assert {each.stop for each in resting} - {None} == {entry.stop_loss}
    assert {each.target for each in resting} - {None} == {entry.take_profit}


def test_protection_asked_for_twice_is_placed_once_and_cancelled_twice_without_complaint(market: Any) -> None:
    entry = bare(market)
    assert market.submit(entry).protection_ids == ()
    wanted = protection(market, entry)
    first, second = market.broker.protect(wanted), market.broker.protect(wanted)
    assert len(first) == len(second)
    assert {each.venue_order_id for each in market.broker.working_orders()} == set(second)
    assert set(market.broker.position(market.instrument).protection) == set(second)
    for _ in range(2):
        market.broker.cancel(second)
    assert market.broker.working_orders() == []
    assert market.broker.position(market.instrument).units == entry.units


def test_a_trailing_stop_of_a_held_trade_replaces_a_fixed_one_only_where_asked(oanda_market: Any) -> None:
    market = oanda_market
    entry = market.entry()
    market.submit(entry)
    market.broker.protect(
        protection(market, entry, stop_loss=None, take_profit=None, trailing_distance=Decimal("0.005"))
    )
    kinds = {each.kind for each in market.broker.working_orders()}
    assert kinds == {WorkingKind.STOP_LOSS, WorkingKind.TAKE_PROFIT, WorkingKind.TRAILING_STOP}


def test_an_oanda_entry_may_bring_a_trailing_stop(oanda_market: Any) -> None:
    market = oanda_market
    order = market.submit(bare(market, trailing_distance=Decimal("0.005")))
    (stop,) = market.broker.working_orders()
    assert order.protection_ids == (stop.venue_order_id,)
    assert (stop.kind, stop.target) == (WorkingKind.TRAILING_STOP, None)


def test_two_orders_that_take_from_one_trade_name_the_same_entry(oanda_market: Any) -> None:
    market, entry = oanda_market, bare(oanda_market)
    market.submit(entry)
    since = market.broker.checkpoint()
    for _ in range(2):
        market.submit(market.exit(units=Decimal(300)))
    assert [each.closes for each in market.broker.activity(since).executions] == [entry.client_order_id] * 2


def test_a_trailing_stop_is_never_sent_to_coinbase(coinbase_market: Any) -> None:
    market = coinbase_market
    with pytest.raises(NotSentError, match="no trailing stop"):
        market.submit(bare(market, trailing_distance=Decimal(50)))
    assert market.broker.position(market.instrument).units == 0


def test_a_reduce_only_close_takes_the_stops_of_the_trades_it_closes_and_leaves_the_others(oanda_market: Any) -> None:
    market = oanda_market
    first, second = market.entry(), market.entry(units=Decimal(400))
    market.submit(first)
    market.submit(second)
    since = market.broker.checkpoint()
    market.submit(market.exit(units=Decimal(1100)))
    assert {each.protects for each in market.broker.working_orders()} == {second.client_order_id}
    parts = [(each.closes, each.fill.units) for each in market.broker.activity(since).executions]
    assert parts == [(first.client_order_id, Decimal(1000)), (second.client_order_id, Decimal(100))]
    market.submit(market.exit())
    assert market.broker.working_orders() == []


def test_protection_of_an_entry_that_is_not_there_is_refused(market: Any) -> None:
    with pytest.raises((OrderRejectedError, NotSentError)):
        market.broker.protect(protection(market, bare(market)))
    assert market.broker.working_orders() == []


def test_a_price_finer_than_the_venues_is_never_sent_as_protection(market: Any) -> None:
    entry = bare(market)
    market.submit(entry)
    wanted = protection(market, entry)
    assert wanted.stop_loss is not None
    finer = wanted.model_copy(update={"stop_loss": wanted.stop_loss + Decimal("0.0000001")})
    with pytest.raises(NotSentError, match="not a multiple"):
        market.broker.protect(finer)
    assert market.broker.working_orders() == []


def test_the_second_copy_of_an_oanda_entry_is_answered_with_the_first(oanda_market: Any) -> None:
    market, request = oanda_market, oanda_market.entry()
    since = market.broker.checkpoint()
    first = market.broker.submit(request, since)
    second = market.broker.submit(request, since)
    assert (second.state, second.fills) == (OrderState.FILLED, first.fills)
    assert second.protection_ids == first.protection_ids
    assert market.broker.position(market.instrument).units == request.units


def test_nobody_is_asked_what_a_venue_can_do(simulator: Any) -> None:
    for broker in (simulator.oanda(), simulator.coinbase()):
        assert broker.capabilities.protection == "attached"
        assert broker.resendable() == broker.capabilities.dedupes_client_order_id
        assert broker.capabilities.margin == broker.capabilities.short == broker.capabilities.trailing_stop
        broker.close()


def test_a_broker_works_on_after_its_idle_connections_were_closed(market: Any) -> None:
    assert market.broker.checkpoint()
    market.broker.close()
    assert market.broker.checkpoint()


def test_an_outage_is_never_an_empty_list_or_a_quiet_account(market: Any, simulator: Any) -> None:
    since = market.broker.checkpoint()
    simulator.control("outage", venue=market.broker.venue)
    for question in (market.broker.working_orders, lambda: market.broker.activity(since)):
        with pytest.raises(VenueReadError):
            question()
    with pytest.raises(NotSentError):
        market.broker.protect(protection_of_nothing(market))
    simulator.control("resume")


def protection_of_nothing(market: Any) -> Protection:
    return Protection(
        client_order_id="p",
        entry_client_order_id="e",
        instrument=market.instrument.symbol,
        side=Side.SELL,
        units=market.unit,
        stop_loss=Decimal(1),
        take_profit=Decimal(2),
    )
