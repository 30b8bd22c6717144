"""Every fault through the real SDKs and our own brokers: what a caller sees is the row of its table, and never a guess."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ffe.clock import FixedClock, parse_time
from ffe.errors import (
    AuthenticationError,
    NotSentError,
    OrderRejectedError,
    OutcomeUnknownError,
    VenueError,
    VenueReadError,
)
from ffe.market.models import parse_instrument
from ffe.orders.models import OrderState, Side
from ffe.venues.clients import CoinbaseClient, OandaClient
from ffe.venues.coinbase import CoinbaseBroker
from ffe.venues.models import OrderRequest
from ffe.venues.oanda import OandaBroker
from ffe.venues.wire import Limits

LIMITS = Limits(connect=0.5, read=0.25, call=0.5, total=1.2, attempts=2, backoff=0.01, backoff_cap=0.02)
INSTRUMENT = {"oanda": parse_instrument("EURUSD"), "coinbase": parse_instrument("BTCUSD")}
UNITS = {"oanda": Decimal(100), "coinbase": Decimal("0.001")}
TABLE = "oanda_trade", "coinbase_order"
LONG = {"seconds": 5}

# fault, text of the SDK's own exception behind ours: the rows of the wire fault table.
UNKNOWN = [
    ({"kind": "lost_reply", **LONG}, "ReadTimeout"),
    ({"kind": "delay", **LONG}, "ReadTimeout"),
    ({"kind": "reset"}, "ConnectionError"),
    ({"kind": "close"}, "ConnectionError"),
    ({"kind": "bad_status_line"}, "ConnectionError"),
    ({"kind": "truncated"}, "ChunkedEncodingError"),
    ({"kind": "stall", **LONG}, "ConnectionError"),
    ({"kind": "drip", "bytes_per_second": 20}, "DeadlineError"),
    ({"kind": "slow_header", "bytes_per_second": 20}, "DeadlineError"),
    ({"kind": "empty"}, "JSONDecodeError"),
    ({"kind": "html"}, "JSONDecodeError"),
    ({"kind": "server_error", "status": 500}, "V20Error HTTPError"),
    ({"kind": "server_error", "status": 502, "body": "html"}, "V20Error HTTPError"),
    ({"kind": "server_error", "status": 503}, "V20Error HTTPError"),
    ({"kind": "server_error", "status": 504, "body": "html"}, "V20Error HTTPError"),
]


@pytest.fixture(scope="module")
def simulator(simulator_server: Any) -> Any:
    """Its clock stands still, so that nothing but our requests changes an account."""
    simulator_server.control("clock", rate=0)
    return simulator_server


@pytest.fixture
def faults(simulator: Any) -> Iterator[Any]:
    """`faults(*entries)` replaces them; none before and after."""

    def put(*entries: dict[str, Any]) -> None:
        simulator.control("faults", faults=list(entries))

    put()
    yield put
    put()


@pytest.fixture(scope="module", params=["oanda", "coinbase"])
def venue(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def broker(simulator: Any, venue: str) -> Iterator[Any]:
    clock, door = FixedClock(parse_time(simulator.line["clock"])), simulator.line[venue]
    opened: Any
    if venue == "oanda":
        opened = OandaBroker(OandaClient(door["base_url"], door["token"], door["account_id"], LIMITS), clock)
    else:
        client = CoinbaseClient(door["base_url"], door["api_key"], door["api_secret"], LIMITS)
        opened = CoinbaseBroker(client, clock, sleep=lambda _: None)
    opened.spec(INSTRUMENT[venue])
    yield opened
    opened.close()


def entry(venue: str, **changes: Any) -> OrderRequest:
    values = {
        "client_order_id": str(uuid4()),
        "instrument": INSTRUMENT[venue].symbol,
        "side": Side.BUY,
        "units": UNITS[venue],
    }
    return OrderRequest(**(values | changes))


def orders(simulator: Any, venue: str, request: OrderRequest) -> int:
    """How many orders of this request the venue ever made."""
    rows = simulator.state()
    if venue == "oanda":
        made = [row for row in rows.get("oanda_transaction", {}).values() if row.get("type") == "MARKET_ORDER"]
        return sum(row["clientExtensions"]["id"] == request.client_order_id for row in made)
    return sum(row["client_id"] == request.client_order_id for row in rows.get("coinbase_order", {}).values())


def sides(fault: dict[str, Any]) -> list[str]:
    late = {"truncated", "stall", "drip", "slow_header"}
    return ["after"] if fault["kind"] in late else ["before", "after"]


SENDS = [
    pytest.param(*row, when, id=f"{row[0]['kind']}-{row[0].get('status', '')}-{when}")
    for row in UNKNOWN
    for when in sides(row[0])
]


@pytest.mark.parametrize(("fault", "behind", "when"), SENDS)
def test_the_outcome_of_an_order_is_unknown_whether_the_venue_took_it_or_not(
    simulator: Any, broker: Any, venue: str, faults: Any, fault: dict[str, Any], behind: str, when: str
) -> None:
    request, checkpoint = entry(venue), broker.checkpoint()
    faults({**fault, "route": f"{venue}.orders.create", "when": when})
    with pytest.raises(OutcomeUnknownError) as caught:
        broker.submit(request, checkpoint)
    assert type(caught.value.__cause__).__name__ in behind.split()
    # A delayed request is still on its way; every other one was taken or never will be.
    if fault["kind"] != "delay":
        assert orders(simulator, venue, request) == (1 if when == "after" else 0)
        found = broker.lookup(request, checkpoint)
        assert (found is not None) == (when == "after")


def test_200_instead_of_201_is_unknown_at_oanda_and_its_fill_is_found(
    simulator: Any, broker: Any, venue: str, faults: Any
) -> None:
    request, checkpoint = entry(venue), broker.checkpoint()
    faults({"kind": "ok_for_created", "route": f"{venue}.orders.create"})
    if venue == "oanda":
        with pytest.raises(OutcomeUnknownError) as caught:
            broker.submit(request, checkpoint)
        assert isinstance(caught.value.__cause__, ValueError)
    else:
        broker.submit(request, checkpoint)
    assert broker.lookup(request, checkpoint).state is OrderState.FILLED
    assert orders(simulator, venue, request) == 1


@pytest.mark.parametrize(
    ("fault", "behind"),
    [({"kind": "rate_limit"}, "V20Error HTTPError"), ({"kind": "revoke_key"}, "AuthenticationError")],
)
def test_what_the_venue_turned_away_is_certainly_not_an_order(
    simulator: Any, broker: Any, venue: str, faults: Any, fault: dict[str, Any], behind: str
) -> None:
    request, checkpoint = entry(venue), broker.checkpoint()
    faults({**fault, "route": f"{venue}.orders.create"})
    with pytest.raises(NotSentError) as caught:
        broker.submit(request, checkpoint)
    assert type(caught.value.__cause__).__name__ in behind.split()
    assert orders(simulator, venue, request) == 0


def test_a_halted_market_fills_nothing(broker: Any, venue: str, faults: Any) -> None:
    request, checkpoint = entry(venue), broker.checkpoint()
    faults({"kind": "halt", "route": f"{venue}.orders.create"})
    if venue == "oanda":
        order = broker.submit(request, checkpoint)
        assert (order.state, order.reason, order.fills) == (OrderState.CANCELLED, "MARKET_HALTED", ())
    else:
        with pytest.raises(OrderRejectedError) as caught:
            broker.submit(request, checkpoint)
        assert caught.value.reason == "PRODUCT_TRADING_HALTED"


def test_an_order_under_maintenance_is_unknown_and_not_there(
    simulator: Any, broker: Any, venue: str, faults: Any
) -> None:
    request, checkpoint = entry(venue), broker.checkpoint()
    window = {"kind": "maintenance", "from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    faults({**window, "route": f"{venue}.orders.create"})
    with pytest.raises(OutcomeUnknownError):
        broker.submit(request, checkpoint)
    faults({**window, "venue": venue})
    with pytest.raises(VenueReadError):
        broker.lookup(request, checkpoint)
    faults()
    assert broker.lookup(request, checkpoint) is None
    assert orders(simulator, venue, request) == 0


def test_fields_that_nobody_knows_change_nothing(broker: Any, venue: str, faults: Any) -> None:
    request, checkpoint = entry(venue), broker.checkpoint()
    faults({"kind": "extra_field", "venue": venue, "count": None})
    broker.submit(request, checkpoint)
    assert broker.lookup(request, checkpoint).state is OrderState.FILLED
    assert broker.position(INSTRUMENT[venue]).units > 0


def test_a_status_that_nobody_knows_is_never_taken_for_a_fill_or_an_end(broker: Any, venue: str, faults: Any) -> None:
    request, checkpoint = entry(venue), broker.checkpoint()
    broker.submit(request, checkpoint)
    faults({"kind": "unknown_enum", "venue": venue, "count": None})
    try:
        found = broker.lookup(request, checkpoint)
    except VenueError:
        found = None
    assert found is None or found.state not in {OrderState.CANCELLED, OrderState.REJECTED}
    faults()
    assert broker.lookup(request, checkpoint).state is OrderState.FILLED


READS = ("lost_reply", "truncated", "reset", "html", "server_error")


@pytest.mark.parametrize(
    "fault",
    [row[0] for row in UNKNOWN if row[0]["kind"] in READS],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)
def test_a_read_heals_from_one_fault_and_fails_loudly_on_a_lasting_one(
    broker: Any, venue: str, faults: Any, fault: dict[str, Any]
) -> None:
    route = {"oanda": "oanda.pricing", "coinbase": "coinbase.*"}[venue]
    faults({**fault, "route": route})
    assert broker.quote(INSTRUMENT[venue]).ask > 0
    faults({**fault, "route": route, "count": None})
    with pytest.raises(VenueReadError) as caught:
        broker.quote(INSTRUMENT[venue])
    assert caught.value.transient


def test_a_read_waits_as_long_as_a_rate_limit_says(broker: Any, venue: str, faults: Any) -> None:
    faults({"kind": "rate_limit", "retry_after": 0, "venue": venue})
    assert broker.quote(INSTRUMENT[venue]).ask > 0
    faults({"kind": "rate_limit", "retry_after": 30, "venue": venue})
    with pytest.raises(VenueReadError):
        broker.quote(INSTRUMENT[venue])


def test_a_clock_that_is_off_refuses_every_signature(simulator: Any, faults: Any) -> None:
    door = simulator.line["coinbase"]
    client = CoinbaseClient(door["base_url"], door["api_key"], door["api_secret"], LIMITS)
    faults({"kind": "clock_offset", "seconds": 300})
    with pytest.raises(AuthenticationError):
        client.read("get_accounts")
    told = parse_time(client.read("get_unix_time")["iso"])
    faults()
    assert (told - parse_time(client.read("get_unix_time")["iso"])).total_seconds() == 300
    client.close()


def test_an_order_that_fails_after_it_was_accepted_is_a_rejection(simulator: Any, faults: Any) -> None:
    door, clock = simulator.line["coinbase"], FixedClock(parse_time(simulator.line["clock"]))
    broker = CoinbaseBroker(
        CoinbaseClient(door["base_url"], door["api_key"], door["api_secret"], LIMITS), clock, sleep=lambda _: None
    )
    request, checkpoint = entry("coinbase"), broker.checkpoint()
    faults({"kind": "async_reject", "reason": "REJECT_REASON_RISK"})
    broker.submit(request, checkpoint)
    found = broker.lookup(request, checkpoint)
    assert found is not None
    assert (found.state, found.fills) == (OrderState.REJECTED, ())
    broker.close()


def test_a_thin_book_fills_in_part_and_says_so(simulator: Any, faults: Any) -> None:
    door, clock = simulator.line["coinbase"], FixedClock(parse_time(simulator.line["clock"]))
    broker = CoinbaseBroker(
        CoinbaseClient(door["base_url"], door["api_key"], door["api_secret"], LIMITS), clock, sleep=lambda _: None
    )
    request, checkpoint = entry("coinbase"), broker.checkpoint()
    faults({"kind": "thin_book", "instrument": "BTCUSD", "units": "0.0004", "venue": "coinbase", "count": None})
    broker.submit(request, checkpoint)
    found = broker.lookup(request, checkpoint)
    assert found is not None
    assert found.filled_units == Decimal("0.0004")
    assert found.state is OrderState.CANCELLED
    broker.close()
