"""Closed trades against a simple computation of their own: every unit by itself, in fractions."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

from builders import ACCOUNT, AT, BAR, bare_decision, fill, filled, intent, venue_order
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Adjustment
from ffe.ledger.position import own_units
from ffe.ledger.trades import Played, trades_of
from ffe.orders.models import Fill, Leg, OrderState, Side

SHARED = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FILLS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(Side), st.integers(1, 9), st.integers(1, 50), st.integers(0, 7)),
    max_size=14,
)
Simple = tuple[int, Side, int, int, int]
EXACT = Decimal("1e-18")


def played(number: int, fill_of: Simple) -> Played:
    order, side, units, price, fee = fill_of
    time = AT + timedelta(seconds=number)
    return Played(
        f"o{order}", f"d{number}", Leg.ENTRY, side, Decimal(units), Decimal(price), Decimal(fee), quoted=True, time=time
    )


def unit_by_unit(fills: list[Simple]) -> list[tuple[int, Fraction, Fraction]]:
    """(units, realised, fees) of each order that closed something of a trip: one unit at a time, each at the average price."""
    held: list[tuple[Fraction, Fraction]] = []
    side, trip = Side.BUY, 0
    closed: defaultdict[tuple[int, int], list[tuple[Fraction, Fraction]]] = defaultdict(list)
    for order, way, units, price, fee in fills:
        for _ in range(units):
            if held and way is not side:
                average = sum(paid for paid, _ in held) / Fraction(len(held))
                carried = sum(cost for _, cost in held) / Fraction(len(held))
                closed[trip, order].append(((price - average) * side.sign, carried + Fraction(fee, units)))
                held = [(average, carried)] * (len(held) - 1)
                continue
            if not held:
                side, trip = way, trip + 1
            held.append((Fraction(price), Fraction(fee, units)))
    return [(len(parts), sum(p for p, _ in parts), sum(f for _, f in parts)) for parts in closed.values()]


@given(FILLS)
def test_every_closed_unit_is_counted_once_at_the_average_price(fills: list[Simple]) -> None:
    found = trades_of("EURUSD", [played(number, simple) for number, simple in enumerate(fills)])
    expected = unit_by_unit(fills)
    assert [int(trade.units) for trade in found] == [units for units, _, _ in expected]
    for trade, (units, realised, fees) in zip(found, expected, strict=True):
        assert abs(Fraction(trade.realised) - realised) < EXACT
        assert abs(Fraction(trade.fees) - fees) < EXACT
        assert abs((trade.exit_price - trade.entry_price) * units * trade.side.sign - trade.realised) < EXACT
        notional = trade.entry_price * units
        assert abs(trade.return_on_notional * notional - (trade.realised - trade.fees)) < EXACT
        assert trade.opened_at < trade.closed_at


@SHARED
@given(
    st.lists(
        st.tuples(
            st.sampled_from(Side),
            st.decimals("0.00000001", 3, places=8),
            st.decimals("0.01", 9000, places=2),
        ),
        max_size=6,
    )
)
def test_trades_realise_what_the_position_realised(ledger: Ledger, trades: list[tuple[Side, Decimal, Decimal]]) -> None:
    account = uuid4().hex
    bare_decision(ledger)
    for number, (side, units, price) in enumerate(trades):
        bar_close = BAR + timedelta(minutes=5 * number)
        order, _ = ledger.plan(intent(account=account, side=side, units=units, bar_close=bar_close), AT)
        ledger.reserve(order.id, "USD", Decimal(0), Decimal(0), AT)
        ledger.claim(order.id, AT, "1")
        made = fill(number, str(units), str(price))
        ledger.book(order.id, venue_order(order, OrderState.FILLED, made), AT)
    realised = sum((trade.realised for trade in ledger.closed_trades("oanda", account)), Decimal(0))
    assert abs(realised - ledger.position("oanda", account, "EURUSD").realised) < EXACT, "28 digits, rounded twice"


def close(ledger: Ledger, leg: Leg, *fills: Fill) -> None:
    units = sum(each.units for each in fills)
    order, _ = ledger.plan(intent(leg=leg, side=Side.SELL, units=Decimal(units)), AT)
    ledger.reserve(order.id, "USD", Decimal(0), Decimal(0), AT)
    ledger.claim(order.id, AT, "1")
    ledger.book(order.id, venue_order(order, OrderState.FILLED, *fills), AT)


def test_a_round_trip_names_its_entry_its_prices_and_its_fees(ledger: Ledger) -> None:
    filled(ledger, fill(1, "1000", "1.20", "2"), fill(2, "3000", "1.24", "6"))
    close(ledger, Leg.EXIT, fill(3, "1000", "1.25", "3"), fill(4, "1000", "1.27", "3"))
    (trade,) = ledger.closed_trades("oanda", ACCOUNT)
    assert (trade.instrument, trade.side, trade.units) == ("EURUSD", Side.BUY, Decimal(2000))
    assert (trade.entry_price, trade.exit_price, trade.realised) == (Decimal("1.23"), Decimal("1.26"), Decimal(60))
    assert trade.fees == Decimal(10), "half of the entry's 8 and all of the exit's 6"
    assert trade.return_on_notional == (Decimal(60) - Decimal(10)) / Decimal(2460)
    assert (trade.opened_at, trade.closed_at) == (fill(1).time, fill(4).time)
    assert trade.decision_id == "d" * 32


def test_fees_in_another_currency_stay_out_of_the_return(ledger: Ledger) -> None:
    foreign = fill(1, "4000", "1.20", "2").model_copy(update={"fee_currency": "CHF"})
    filled(ledger, foreign)
    close(ledger, Leg.EXIT, fill(2, "4000", "1.21").model_copy(update={"fee": Decimal(2), "fee_currency": "CHF"}))
    (trade,) = ledger.closed_trades("oanda", ACCOUNT)
    assert (trade.fees, trade.return_on_notional) == (Decimal(4), Decimal(40) / Decimal(4800))


def test_trades_come_newest_first_from_when_and_as_many_as_asked_for(ledger: Ledger) -> None:
    filled(ledger, fill())
    close(ledger, Leg.EXIT, fill(2, "1000"))
    close(ledger, Leg.WATCHED, fill(3, "2000"))
    close(ledger, Leg.REPAIR, fill(4, "1000"))
    units = [int(trade.units) for trade in ledger.closed_trades("oanda", ACCOUNT)]
    assert units == [1000, 2000, 1000]
    assert [t.closed_at for t in ledger.closed_trades("oanda", ACCOUNT, limit=2)] == [fill(4).time, fill(3).time]
    assert len(ledger.closed_trades("oanda", ACCOUNT, since=fill(3).time)) == 2
    assert ledger.closed_trades("coinbase", ACCOUNT) == []


CLOSES = [leg for leg in Leg if not leg.opens]


@given(st.sampled_from(CLOSES), st.integers(-9, 9), st.sampled_from(Side), st.integers(1, 9))
def test_a_close_moves_our_units_towards_zero_and_never_past_it(leg: Leg, held: int, side: Side, units: int) -> None:
    own = own_units(Decimal(held), leg, side, Decimal(units))
    assert 0 <= own <= units
    after = held + own * side.sign
    assert abs(after) == abs(held) - own
    assert own == units or after == 0 or held * side.sign > 0
    assert own_units(Decimal(held), Leg.ENTRY, side, Decimal(units)) == units


def test_what_a_flatten_takes_beyond_ours_is_external_and_no_trade_of_ours(ledger: Ledger) -> None:
    filled(ledger, fill())
    ledger.adjust(
        Adjustment(
            id="a1",
            venue="oanda",
            account=ACCOUNT,
            instrument="EURUSD",
            units=Decimal(500),
            price=None,
            cause="x",
            time=AT,
        )
    )
    order, _ = ledger.plan(intent(leg=Leg.FLATTEN, side=Side.SELL, units=Decimal(4500)), AT)
    ledger.reserve(order.id, "USD", Decimal(0), Decimal(0), AT)
    ledger.claim(order.id, AT, "1")
    report = venue_order(order, OrderState.FILLED, fill(2, "1500", "1.25"), fill(3, "2500", "1.25"), fill(4, "500"))
    for _ in range(2):
        done = ledger.book(order.id, report, AT)
    held = ledger.position("oanda", ACCOUNT, "EURUSD")
    assert (done.filled_units, held.units, held.external) == (Decimal(4500), Decimal(0), Decimal(0))
    (trade,) = ledger.closed_trades("oanda", ACCOUNT)
    assert (trade.units, trade.realised) == (Decimal(4000), held.realised)
