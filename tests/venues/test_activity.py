"""What the real simulator never says: money that moved in other ways, an account that changes while it is read, replies out of step."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.clock import rfc3339
from ffe.errors import NotSentError, OrderRejectedError, OutcomeUnknownError, VenueReadError
from ffe.orders.models import Side
from ffe.venues import coinbase_activity, coinbase_resting, oanda_activity, oanda_resting
from ffe.venues.coinbase_activity import Place
from ffe.venues.models import Balance, InstrumentSpec, Protection, WorkingKind

AT = datetime(2018, 4, 4, 15, 30, tzinfo=UTC)


class Scripted:
    """A client whose replies are given by the name of the SDK's method or endpoint, one after the other; the last one stays."""

    account_id = "101"

    def __init__(self, **replies: Any) -> None:
        self.replies = {name: list(value) if isinstance(value, list) else [value] for name, value in replies.items()}
        self.asked: list[str] = []

    def read(self, endpoint: Any, **_: Any) -> Any:
        name = endpoint if isinstance(endpoint, str) else type(endpoint).__name__
        self.asked.append(name)
        waiting = self.replies[name]
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(found, Exception):
            raise found
        return found

    send = read


def transaction(number: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"id": str(number), "type": kind, "time": "2018-04-04T15:30:00.000000000Z"} | fields


def page(*transactions: dict[str, Any], last: int | None = None) -> dict[str, Any]:
    newest = max((int(item["id"]) for item in transactions), default=10)
    return {"transactions": list(transactions), "lastTransactionID": str(newest if last is None else last)}


def summary(last: int, balance: str = "100.0000") -> dict[str, Any]:
    return {"account": {"currency": "USD", "balance": balance}, "lastTransactionID": str(last)}


def oanda(client: Scripted, since: str = "10") -> Any:
    return oanda_activity.activity(client, since)  # type: ignore[arg-type]


def test_financing_transfers_and_dividends_are_cash_and_add_up() -> None:
    moves = (
        transaction(11, "DAILY_FINANCING", financing="-1.5", accountBalance="98.5"),
        transaction(12, "TRANSFER_FUNDS", amount="20", accountBalance="118.5"),
        transaction(13, "DIVIDEND_ADJUSTMENT", dividendAdjustment="0.25", accountBalance="118.75"),
        transaction(14, "CLIENT_CONFIGURE"),
    )
    found = oanda(Scripted(TransactionsSinceID=page(*moves), AccountSummary=summary(14, "118.75")))
    assert [(event.cause, event.amount) for event in found.cash] == [
        ("DAILY_FINANCING", Decimal("-1.5")),
        ("TRANSFER_FUNDS", Decimal(20)),
        ("DIVIDEND_ADJUSTMENT", Decimal("0.25")),
    ]
    assert (found.moved, found.totals) == ({"USD": Decimal("18.75")}, {"USD": Decimal("118.75")})
    assert found.checkpoint == "14"


def test_money_that_moves_in_a_way_that_nobody_knows_is_an_error() -> None:
    strange = transaction(11, "LOYALTY_BONUS", accountBalance="99")
    with pytest.raises(VenueReadError, match="LOYALTY_BONUS moved money"):
        oanda(Scripted(TransactionsSinceID=page(strange), AccountSummary=summary(11)))


@pytest.mark.parametrize("key", ["tradeOpened", "tradeReduced", "tradesClosed"])
def test_units_that_move_in_a_way_that_nobody_knows_are_an_error(key: str) -> None:
    strange = transaction(11, "CORPORATE_ACTION", **{key: {"tradeID": "7"}})
    with pytest.raises(VenueReadError, match="CORPORATE_ACTION moved units"):
        oanda(Scripted(TransactionsSinceID=page(strange), AccountSummary=summary(11)))


def test_a_balance_that_is_older_than_the_transactions_is_not_believed() -> None:
    paid = transaction(11, "TRANSFER_FUNDS", amount="5", accountBalance="105")
    client = Scripted(
        TransactionsSinceID=[page(paid), page(last=11)], AccountSummary=[summary(10, "100"), summary(11, "105")]
    )
    found = oanda(client)
    assert (found.moved, found.totals) == ({"USD": Decimal(5)}, {"USD": Decimal(105)})


def test_transactions_are_put_in_order_before_the_last_is_taken_for_the_checkpoint() -> None:
    paid = [transaction(number, "TRANSFER_FUNDS", amount="1", accountBalance="1") for number in (13, 11, 12)]
    found = oanda(Scripted(TransactionsSinceID=page(*paid), AccountSummary=summary(13)))
    assert ([event.venue_id for event in found.cash], found.checkpoint) == (["11", "12", "13"], "13")


def test_a_transaction_that_arrives_in_between_is_read_before_the_balance_is_believed() -> None:
    late = transaction(11, "TRANSFER_FUNDS", amount="5", accountBalance="105")
    client = Scripted(TransactionsSinceID=[page(last=10), page(late)], AccountSummary=summary(11, "105"))
    found = oanda(client)
    assert (found.moved, found.checkpoint) == ({"USD": Decimal(5)}, "11")
    assert client.asked.count("AccountSummary") == 2


def test_an_account_that_never_stands_still_is_an_error() -> None:
    with pytest.raises(VenueReadError, match="changed 5 times"):
        oanda(Scripted(TransactionsSinceID=page(last=10), AccountSummary=summary(99)))


def test_nothing_new_gives_the_same_checkpoint_back() -> None:
    found = oanda(Scripted(TransactionsSinceID=page(last=10), AccountSummary=summary(10)))
    assert (found.checkpoint, found.executions, found.cash) == ("10", (), ())


def pending(number: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"id": str(number), "type": kind, "state": "PENDING"} | fields


def test_somebodys_limit_order_rests_and_a_stop_whose_trade_is_gone_does_not() -> None:
    orders = [
        pending(20, "LIMIT", instrument="EUR_USD", units="-500", price="1.3"),
        pending(21, "STOP_LOSS", tradeID="9", price="1.1"),
    ]
    (found,) = oanda_resting.working_orders(Scripted(OrdersPending={"orders": orders}, OpenTrades={"trades": []}))  # type: ignore[arg-type]
    assert (found.kind, found.side, found.units, found.protects) == (WorkingKind.OTHER, Side.SELL, 500, None)


REFUSED = OrderRejectedError("no such order", reason="ORDER_DOESNT_EXIST")


@pytest.mark.parametrize(
    ("details", "left", "wanted"),
    [
        ({"order": {"state": "CANCELLED"}}, [], None),
        ({"order": {"state": "FILLED"}}, [], "it is FILLED"),
        (VenueReadError("away"), [], "can't be read"),
        ({"order": {"state": "CANCELLED"}}, [{"id": "5"}], "still work"),
    ],
)
def test_a_cancellation_that_was_refused_counts_only_while_the_order_works_or_has_filled(
    details: Any, left: list[dict[str, str]], wanted: str | None
) -> None:
    client = Scripted(OrderCancel=REFUSED, OrderDetails=details, OrdersPending={"orders": left})
    if wanted is None:
        oanda_resting.cancel(client, ["5"])  # type: ignore[arg-type]
        return
    with pytest.raises(NotSentError, match=wanted):
        oanda_resting.cancel(client, ["5"])  # type: ignore[arg-type]


def test_nothing_to_cancel_asks_nobody() -> None:
    client = Scripted()
    oanda_resting.cancel(client, [])  # type: ignore[arg-type]
    assert client.asked == []


def fill(number: int, seconds: float, side: str = "BUY", **fields: Any) -> dict[str, Any]:
    return {
        "entry_id": f"e{number}",
        "order_id": f"o{number}",
        "product_id": "BTC-USD",
        "side": side,
        "size": "0.5",
        "price": "100",
        "commission": "0.3",
        "size_in_quote": False,
        "trade_time": rfc3339(AT + timedelta(seconds=seconds)),
    } | fields


def balances(*cash: str) -> Callable[[], dict[str, Balance]]:
    """Wallets as they read, one time after the other; the last one stays."""
    waiting = list(cash)

    def read() -> dict[str, Balance]:
        value = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return {"USD": Balance(currency="USD", available=Decimal(value), hold=Decimal(0))}

    return read


def coinbase(since: str, fills: Any, wallets: Callable[[], dict[str, Balance]] | None = None) -> Any:
    replies = [{"fills": each, "cursor": ""} for each in fills]
    order = {"order": {"order_id": "o1", "client_order_id": "c1", "order_type": "MARKET"}}
    client = Scripted(get_fills=replies, get_order=order)
    return coinbase_activity.activity(client, since, wallets or balances("10"))  # type: ignore[arg-type]


def test_a_fill_counts_once_however_often_and_however_late_it_is_listed() -> None:
    first = coinbase(rfc3339(AT), [[fill(1, 1)]])
    assert [each.fill.venue_fill_id for each in first.executions] == ["e1"]
    assert first.moved == {"BTC": Decimal("0.5"), "USD": Decimal("-50.3")}
    late = coinbase(first.checkpoint, [[fill(2, 0.5, "SELL"), fill(1, 1)]])
    assert [each.fill.venue_fill_id for each in late.executions] == ["e2"]
    assert late.moved == {"BTC": Decimal("-0.5"), "USD": Decimal("49.7")}
    again = coinbase(late.checkpoint, [[fill(1, 1), fill(2, 0.5, "SELL")]])
    assert (again.executions, again.moved, again.checkpoint) == ((), {}, late.checkpoint)


def test_what_is_older_than_two_minutes_leaves_the_checkpoint() -> None:
    place = Place.parse(coinbase(rfc3339(AT), [[fill(1, 1), fill(2, 300)]]).checkpoint)
    assert (place.time, place.seen) == (AT + timedelta(seconds=300), {"e2": AT + timedelta(seconds=300)})


def test_a_fill_that_is_missing_from_one_list_is_not_new_in_the_next() -> None:
    first = coinbase(rfc3339(AT), [[fill(1, 1)]])
    without = coinbase(first.checkpoint, [[fill(2, 60)]])
    again = coinbase(without.checkpoint, [[fill(1, 1), fill(2, 60)]])
    assert (len(without.executions), again.executions, again.checkpoint) == (1, (), without.checkpoint)


def test_a_fill_that_the_venue_numbered_late_stays_known_as_long_as_it_is_listed() -> None:
    late = fill(1, 1, sequence_timestamp=rfc3339(AT + timedelta(seconds=290)))
    first = coinbase(rfc3339(AT), [[late, fill(2, 300)]])
    assert len(first.executions) == 2
    again = coinbase(first.checkpoint, [[late, fill(2, 300), fill(3, 310)]])
    assert [each.fill.venue_fill_id for each in again.executions] == ["e3"]


def test_an_order_that_filled_in_parts_is_read_once() -> None:
    found = coinbase(rfc3339(AT), [[fill(1, 1), fill(2, 2, order_id="o1")]])
    assert [each.client_order_id for each in found.executions] == ["c1", "c1"]


def test_a_fill_that_two_pages_list_counts_once() -> None:
    assert coinbase(rfc3339(AT), [[fill(1, 1), fill(1, 1)]]).moved == {"BTC": Decimal("0.5"), "USD": Decimal("-50.3")}


def test_nothing_new_at_coinbase_gives_the_same_text_back() -> None:
    for since in (rfc3339(AT), coinbase(rfc3339(AT), [[fill(1, 1)]]).checkpoint):
        assert coinbase(since, [[fill(9, -30)] if "|" not in since else []]).checkpoint == since


def test_a_fill_of_an_order_for_an_amount_of_money_is_turned_into_units() -> None:
    for_money = fill(1, 1, size="100", price="7000", size_in_quote=True)
    (bought,) = coinbase(rfc3339(AT), [[for_money]]).executions
    assert bought.fill.units == Decimal("0.01428571")
    with pytest.raises(VenueReadError, match="without a price"):
        coinbase(rfc3339(AT), [[for_money | {"price": "0"}]])


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=12),
    st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=6),
)
def test_every_fill_counts_exactly_once_in_whatever_lists_it_appears(
    seconds: list[int], hidden: list[set[int]]
) -> None:
    """The venue lists what is younger than the time it is asked from, and each time leaves some of it out, but nothing for ever."""
    fills = [fill(number, at) for number, at in enumerate(sorted(seconds))]
    told, since = list[str](), rfc3339(AT)
    for left_out in [*hidden, set[int]()]:
        start = rfc3339(Place.parse(since).time - coinbase_activity.MARGIN)
        shown = [each for number, each in enumerate(fills) if number not in left_out and each["trade_time"] >= start]
        found = coinbase(since, [shown])
        told += [each.fill.venue_fill_id for each in found.executions]
        since = found.checkpoint
    assert len(told) == len(set(told))
    newest = max(seconds)
    assert {f"e{number}" for number, at in enumerate(sorted(seconds)) if at >= newest - 120} <= set(told)


def test_a_plain_moment_counts_only_what_came_after_it() -> None:
    assert coinbase(rfc3339(AT), [[fill(1, -60)]]).executions == ()


def test_wallets_that_change_while_they_are_read_are_read_again_with_their_fills() -> None:
    found = coinbase(rfc3339(AT), [[], [fill(1, 1)]], balances("100", "49.7"))
    assert (found.totals["USD"], len(found.executions)) == (Decimal("49.7"), 1)
    with pytest.raises(VenueReadError, match="changed 5 times"):
        coinbase(rfc3339(AT), [[]], balances(*(str(number) for number in range(20))))


def test_a_fill_of_a_product_without_a_quote_is_unreadable() -> None:
    with pytest.raises(VenueReadError, match="BASE-QUOTE"):
        coinbase(rfc3339(AT), [[fill(1, 1, product_id="BTCUSD")]])


SPEC = InstrumentSpec(
    instrument="BTCUSD",
    venue="coinbase",
    price_increment=Decimal("0.01"),
    size_increment=Decimal("0.00000001"),
    min_size=Decimal("0.00001"),
    max_size=None,
    min_notional=None,
    max_notional=None,
    margin_rate=None,
    taker_fee_rate=Decimal("0.006"),
    pip=Decimal("0.01"),
    tradeable=True,
    status="online",
    fetched_at=AT,
)


def protect(answer: Any, order: Any = None, listed: Any = (), **changes: Any) -> tuple[str, ...]:
    values: dict[str, Any] = {
        "client_order_id": "p1",
        "entry_client_order_id": "c1",
        "instrument": "BTCUSD",
        "side": Side.SELL,
        "units": Decimal("0.5"),
        "stop_loss": Decimal(90),
        "take_profit": Decimal(110),
    }
    client = Scripted(
        create_order=answer,
        get_order={"order": order or {"order_id": "b1", "status": "OPEN"}},
        list_orders={"orders": list(listed), "has_next": False},
    )
    return coinbase_resting.protect(client, Protection(**values | changes), SPEC, "BTC-USD")  # type: ignore[arg-type]


ACCEPTED = {"success": True, "success_response": {"order_id": "b1"}}
TAKEN = {"success": False, "error_response": {"error": "DUPLICATE_CLIENT_ORDER_ID"}}
BRACKET = {
    "order_id": "b1",
    "client_order_id": "p1",
    "product_id": "BTC-USD",
    "side": "SELL",
    "filled_size": "0.1",
    "order_configuration": {
        "trigger_bracket_gtc": {"base_size": "0.5", "limit_price": "110", "stop_trigger_price": "90"}
    },
}


def test_a_bracket_is_reported_by_its_id_and_a_second_asking_finds_the_first() -> None:
    assert protect(ACCEPTED) == ("b1",)
    assert protect(TAKEN, listed=[BRACKET]) == ("b1",)
    with pytest.raises(OutcomeUnknownError, match="does not work"):
        protect(TAKEN)


@pytest.mark.parametrize(
    ("answer", "order", "changes", "reason"),
    [
        ({"success": False, "error_response": {"error": "INSUFFICIENT_FUND"}}, None, {}, "INSUFFICIENT_FUND"),
        (ACCEPTED, {"order_id": "b1", "status": "FAILED"}, {}, "FAILED"),
        (ACCEPTED, None, {"take_profit": None}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        (ACCEPTED, None, {"trailing_distance": Decimal(5)}, "UNSUPPORTED_ORDER_CONFIGURATION"),
    ],
)
def test_protection_that_the_venue_does_not_take_is_a_rejection(
    answer: Any, order: Any, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(OrderRejectedError) as caught:
        protect(answer, order, **changes)
    assert caught.value.reason == reason


def test_open_orders_of_every_kind_are_described() -> None:
    stop = BRACKET | {
        "order_id": "s1",
        "order_configuration": {
            "stop_limit_stop_limit_gtc": {"base_size": "0.5", "limit_price": "89", "stop_price": "90"}
        },
    }
    limit = BRACKET | {"order_id": "l1", "order_configuration": {"limit_limit_gtc": {"limit_price": "120"}}}
    client = Scripted(list_orders={"orders": [BRACKET, stop, limit], "has_next": False})
    found = coinbase_resting.working_orders(client)  # type: ignore[arg-type]
    assert [(each.kind, each.units, each.stop, each.target) for each in found] == [
        (WorkingKind.BRACKET, Decimal("0.4"), Decimal(90), Decimal(110)),
        (WorkingKind.STOP_LOSS, Decimal("0.4"), Decimal(90), None),
        (WorkingKind.OTHER, None, None, None),
    ]
