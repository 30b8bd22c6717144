"""Execution spec: the account and the market."""

from datetime import timedelta
from typing import Any

import pytest

from ffe.errors import VenueReadError


def test_tc_001(place: Any) -> None:
    """The account has one name, and its state says the same name, its currency and where the numbers come from."""
    state = place.broker.account_state([place.instrument])
    assert state.account == place.broker.account == place.again().account
    assert state.venue == place.broker.venue
    assert state.currency == "USD"
    assert state.source.startswith(place.broker.venue)


def test_tc_002(place: Any) -> None:
    """Equity and available are positive in an account with money, and no balance is negative."""
    state = place.broker.account_state([place.instrument])
    assert 0 < state.available <= state.equity
    assert all(item.available >= 0 and item.hold >= 0 for item in state.balances)
    assert state.conversions[place.instrument.quote].loss == 1


def test_tc_003(place: Any) -> None:
    """A venue that does not answer is an error on every read, never an empty account or an unknown order."""
    request, since = place.entry(), place.broker.checkpoint()
    place.submit(request)
    place.simulator.control("outage", **place.outage)
    broker = place.broker
    for read in (
        lambda: broker.account_state([place.instrument]),
        lambda: broker.quote(place.instrument),
        lambda: broker.position(place.instrument),
        broker.positions,
        broker.working_orders,
        broker.checkpoint,
        lambda: broker.activity(since),
        lambda: broker.lookup(request, since),
    ):
        with pytest.raises(VenueReadError):
            read()


def test_tc_004(place: Any) -> None:
    """The spec has positive increments, and a minimum size that lies on the size grid."""
    spec = place.broker.spec(place.instrument)
    assert (spec.instrument, spec.venue) == (place.instrument.symbol, place.broker.venue)
    assert min(spec.price_increment, spec.size_increment, spec.min_size, spec.pip) > 0
    assert spec.min_size % spec.size_increment == 0
    assert (spec.margin_rate is not None) == place.can.margin


def test_tc_005(place: Any) -> None:
    """A quote has its bid below its ask, both on the price grid, and the time of the venue's clock."""
    spec, quote = place.broker.spec(place.instrument), place.broker.quote(place.instrument)
    assert 0 < quote.bid < quote.ask
    assert quote.bid % spec.price_increment == quote.ask % spec.price_increment == 0
    assert quote.time.utcoffset() == timedelta(0)


def test_tc_006(place: Any) -> None:
    """An instrument that the venue does not list has no spec and no quote."""
    for read in (place.broker.spec, place.broker.quote):
        with pytest.raises(VenueReadError):
            read(place.unlisted)


def test_tc_007(place: Any) -> None:
    """A halted market says so before the order, and an order in it fills nothing."""
    request = place.entry()
    place.simulator.control("halt", instrument=place.instrument.symbol)
    flags = (place.broker.spec(place.instrument).tradeable, place.broker.quote(place.instrument).tradeable)
    assert False in flags
    order = place.outcome(request)
    assert (order.state.final, order.fills) == (True, ())
    assert order.reason
    assert place.units() == 0
