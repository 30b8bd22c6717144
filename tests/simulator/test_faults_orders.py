"""The whole order path under each fault: one order at the venue or none, and a ledger that knows which after it asked."""

import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from builders import AT, bare_decision, intent

from ffe.clock import FixedClock, parse_time
from ffe.ledger.ledger import Ledger
from ffe.orders.models import Order, OrderState
from ffe.orders.resolve import QUIET, resolve
from ffe.orders.service import OrderService
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.coinbase import CoinbaseBroker
from ffe.venues.oanda import OandaBroker
from ffe.venues.wire import Limits

LIMITS = Limits(connect=0.5, read=0.25, call=0.5, total=1.2, attempts=2, backoff=0.01, backoff_cap=0.02)
LONG = {"seconds": 5}
LOSING = [
    {"kind": "lost_reply", **LONG},
    {"kind": "reset"},
    {"kind": "close"},
    {"kind": "bad_status_line"},
    {"kind": "truncated"},
    {"kind": "stall", **LONG},
    {"kind": "drip", "bytes_per_second": 20},
    {"kind": "empty"},
    {"kind": "html"},
    {"kind": "server_error", "status": 500},
    {"kind": "server_error", "status": 504, "body": "html"},
    {"kind": "ok_for_created"},
]
ONLY_AFTER = {"truncated", "stall", "drip", "ok_for_created"}
PLENTY = Decimal(1_000_000)


class Clock(FixedClock):
    """The venue's time, standing still but for our own sleeps."""

    def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))


class Desk:
    """One venue of a real simulator, a broker on the real SDK, and a fresh ledger."""

    def __init__(self, server: Any, venue: str, folder: Path) -> None:
        self.server, self.venue = server, venue
        self.ledger = Ledger.open(f"sqlite:///{folder}/ledger.sqlite")
        self.clock = Clock(parse_time(server.line["clock"]))
        door = server.line[venue]
        self.broker: Any
        if venue == "oanda":
            client = OandaClient(door["base_url"], door["token"], door["account_id"], LIMITS)
            self.broker = OandaBroker(client, self.clock)
        else:
            key = CoinbaseClient(door["base_url"], door["api_key"], door["api_secret"], LIMITS)
            self.broker = CoinbaseBroker(key, self.clock, sleep=self.clock.sleep)
        bare_decision(self.ledger)

    def faults(self, *faults: dict[str, Any]) -> None:
        self.server.control("faults", faults=[{"route": f"{self.venue}.orders.create", **fault} for fault in faults])

    def execute(self, number: int) -> Order:
        """A market buy whose key no other test has."""
        small = {"oanda": ("EURUSD", "100", "1.23"), "coinbase": ("BTCUSD", "0.001", "65000")}[self.venue]
        wanted = intent(
            venue=self.venue,
            account=self.broker.account,
            instrument=small[0],
            units=Decimal(small[1]),
            reference_price=Decimal(small[2]),
            price_bound=None,
            stop_loss=None,
            take_profit=None,
            bar_close=AT + timedelta(minutes=5 * number),
        )
        service = OrderService(self.ledger, self.broker, self.clock, sleep=self.clock.sleep)
        return service.execute(wanted, PLENTY)

    def settled(self, order: Order) -> Order:
        """After the quiet period, when a later run asks again."""
        self.clock.advance(QUIET + timedelta(seconds=1))
        return resolve(order, self.ledger, self.broker, self.clock, self.clock.sleep)

    def made(self, order: Order) -> int:
        """How many orders with this client id the venue ever made."""
        state = self.server.state()
        if self.venue == "oanda":
            rows = [row for row in state["oanda_transaction"].values() if row.get("type") == "MARKET_ORDER"]
            return sum(row["clientExtensions"]["id"] == order.client_order_id for row in rows)
        return sum(row["client_id"] == order.client_order_id for row in state.get("coinbase_order", {}).values())

    def filled(self, order: Order) -> Decimal:
        """Units that the venue filled for this client id."""
        state = self.server.state()
        if self.venue == "oanda":
            rows = [row for row in state["oanda_transaction"].values() if row.get("type") == "ORDER_FILL"]
            found = [row["units"] for row in rows if row.get("clientOrderID") == order.client_order_id]
        else:
            rows = [row for row in state["coinbase_order"].values() if row["client_id"] == order.client_order_id]
            found = [row["filled"] for row in rows]
        return sum(map(Decimal, found), Decimal(0))

    def agrees(self, order: Order) -> bool:
        booked = self.ledger.order(order.id)
        return booked.filled_units == self.filled(order) and (
            not booked.state.final or self.ledger.open_reservations() == []
        )


@pytest.fixture(scope="module")
def server(simulator_server: Any) -> Any:
    simulator_server.control("clock", rate=0)
    return simulator_server


@pytest.fixture(params=["oanda", "coinbase"])
def desk(request: pytest.FixtureRequest, server: Any, tmp_path: Path) -> Iterator[Desk]:
    """Each venue in turn; no faults before and after."""
    opened = Desk(server, request.param, tmp_path)
    opened.faults()
    yield opened
    opened.faults()
    opened.broker.close()
    opened.ledger.close()


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """A fresh number each time: no two orders of this module share a client id."""
    return iter(range(1, 10_000))


CASES = [
    pytest.param(fault, when, id=f"{fault['kind']}-{fault.get('status', '')}-{when}")
    for fault in LOSING
    for when in ("before", "after")
    if when == "after" or fault["kind"] not in ONLY_AFTER
]


@pytest.mark.parametrize(("fault", "when"), CASES)
def test_a_lost_outcome_ends_as_one_order_or_none(
    desk: Desk, numbers: Iterator[int], fault: dict[str, Any], when: str
) -> None:
    desk.faults({**fault, "when": when})
    order = desk.execute(next(numbers))
    if when == "after":
        assert (order.state, desk.made(order)) == (OrderState.FILLED, 1)
    elif desk.broker.resendable():
        # Coinbase dedupes the client id, so the identical request was sent once more.
        assert (order.state, desk.made(order)) == (OrderState.FILLED, 1)
    else:
        assert (order.state, desk.made(order)) == (OrderState.UNRESOLVED, 0)
        assert desk.settled(order).state is OrderState.CANCELLED
        assert desk.made(order) == 0
    assert desk.agrees(order)


@pytest.mark.parametrize("fault", [{"kind": "rate_limit"}, {"kind": "revoke_key"}], ids=["rate_limit", "revoke_key"])
def test_an_order_that_was_turned_away_is_denied_and_not_there(
    desk: Desk, numbers: Iterator[int], fault: dict[str, Any]
) -> None:
    desk.faults(fault)
    order = desk.execute(next(numbers))
    assert (order.state, desk.made(order)) == (OrderState.DENIED, 0)
    assert desk.agrees(order)


def test_a_late_commit_is_one_order_however_often_it_was_looked_for(desk: Desk, numbers: Iterator[int]) -> None:
    """The client gives up, the request arrives later: the resolver meets it at the next look at the latest."""
    desk.faults({"kind": "delay", "seconds": 0.7})
    order = desk.execute(next(numbers))
    if not order.state.final:
        wait_for(lambda: desk.made(order) == 1)
        order = desk.settled(order)
    wait_for(lambda: desk.made(order) == 1)
    assert (order.state, desk.made(order)) == (OrderState.FILLED, 1)
    assert desk.agrees(order)


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_halt_at_the_order_leaves_nothing_behind(desk: Desk, numbers: Iterator[int]) -> None:
    desk.faults({"kind": "halt"})
    order = desk.execute(next(numbers))
    assert order.state in {OrderState.CANCELLED, OrderState.REJECTED}
    assert order.filled_units == 0
    assert desk.agrees(order)


def test_fields_that_nobody_knows_are_no_trouble(desk: Desk, numbers: Iterator[int]) -> None:
    desk.faults({"kind": "extra_field", "route": f"{desk.venue}.*", "count": None})
    order = desk.execute(next(numbers))
    assert (order.state, desk.made(order)) == (OrderState.FILLED, 1)
    assert desk.agrees(order)


def test_a_word_that_nobody_knows_is_settled_when_the_venue_is_understood_again(
    desk: Desk, numbers: Iterator[int]
) -> None:
    desk.faults({"kind": "unknown_enum", "route": f"{desk.venue}.*", "count": None})
    order = desk.execute(next(numbers))
    desk.faults()
    order = order if order.state.final else desk.settled(order)
    assert (order.state, desk.made(order)) == (OrderState.FILLED, 1)
    assert desk.agrees(order)


def test_a_rejection_after_acceptance_is_booked_as_one(server: Any, tmp_path: Path, numbers: Iterator[int]) -> None:
    desk = Desk(server, "coinbase", tmp_path)
    desk.faults({"kind": "async_reject"})
    order = desk.execute(next(numbers))
    assert (order.state, order.filled_units, desk.made(order)) == (OrderState.REJECTED, 0, 1)
    assert desk.agrees(order)
    desk.broker.close()
    desk.ledger.close()


def test_a_part_that_a_thin_book_gave_is_booked_exactly(server: Any, tmp_path: Path, numbers: Iterator[int]) -> None:
    desk = Desk(server, "coinbase", tmp_path)
    thin = {"kind": "thin_book", "instrument": "BTCUSD", "units": "0.0004", "route": "coinbase.*", "count": None}
    desk.faults(thin)
    order = desk.execute(next(numbers))
    desk.faults()
    assert (order.state, order.filled_units) == (OrderState.CANCELLED, Decimal("0.0004"))
    assert desk.agrees(order)
    desk.broker.close()
    desk.ledger.close()
