"""Nothing is made and nothing is lost in a paper account: any sequence of orders, prices and cancels; many processes; a kill."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_market import OneMarket, open_broker, request

from ffe.errors import NotSentError, OrderRejectedError
from ffe.market.models import Instrument
from ffe.orders.models import Side
from ffe.venues.models import Activity
from ffe.venues.paper import PaperBroker

SCRIPT = Path(__file__).parent / "paper_market.py"


def conserved(activity: Activity, venue: str, balance: Decimal) -> None:
    """Cash and units follow from the fills alone, and the fills are all there is."""
    cash, units, cost = balance, Decimal(0), Decimal(0)
    for execution in activity.executions:
        signed = execution.fill.units * execution.side.sign
        units += signed
        cash -= signed * execution.fill.price + execution.fill.fee
        cost += execution.fill.price * abs(signed)
    if venue == "coinbase":
        assert abs(activity.totals["USD"] - cash) <= len(activity.executions) * Decimal("1E-8")
        assert activity.totals.get("BTC", 0) == units
    elif units == 0:
        assert abs(activity.totals["USD"] - cash) <= len(activity.executions) * Decimal("0.0001")
    assert activity.moved == activity.totals


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.integers(1, 60), st.booleans()),
        st.tuples(st.just("sell"), st.integers(1, 60), st.booleans()),
        st.tuples(st.just("move"), st.integers(-300, 300), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 3), st.booleans()),
    ),
    max_size=12,
)


def play(market: OneMarket, broker: PaperBroker, instrument: Instrument, steps: Sequence[Any]) -> None:
    for number, (what, size, flag) in enumerate(steps):
        if what == "move":
            market.bid = (market.bid * (10_000 + size) / 10_000).quantize(market.tick)
        elif what == "cancel":
            broker.cancel([item.venue_order_id for item in broker.working_orders()][:size])
        else:
            side = Side.BUY if what == "buy" else Side.SELL
            sign, gap = side.sign, market.bid / 50
            gap = gap.quantize(market.tick)
            levels = {"stop_loss": market.bid - sign * gap, "take_profit": market.bid + sign * gap} if flag else {}
            try:
                broker.submit(request(f"order-{number}", instrument, side, size, **levels), "any")
            except (OrderRejectedError, NotSentError):
                continue


@pytest.mark.parametrize("venue", ["oanda", "coinbase"])
@given(steps=STEPS)
def test_money_is_conserved_and_nothing_is_overdrawn(
    venue: str, steps: Sequence[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    market, broker, instrument = open_broker(venue, tmp_path_factory.mktemp("book"))
    begin = broker.checkpoint().rpartition("-")[0] + "-0"
    play(market, broker, instrument, steps)
    state = broker.account_state([instrument])
    assert all(balance.available >= 0 and balance.hold >= 0 for balance in state.balances)
    activity = broker.activity(begin)
    conserved(activity, venue, Decimal(10_000))
    held = broker.position(instrument)
    signed = sum((item.fill.units * item.side.sign for item in activity.executions), Decimal(0))
    assert held.units == signed
    working = broker.working_orders()
    assert {item.venue_order_id for item in working} == set(held.protection)
    assert sum((item.units or Decimal(0) for item in working), Decimal(0)) <= abs(held.units)


@pytest.mark.parametrize("venue", ["oanda", "coinbase"])
def test_processes_share_one_account_and_no_order_is_lost_or_doubled(venue: str, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "trade", venue, str(tmp_path)]
    workers = [subprocess.Popen([*command, str(worker), "5"]) for worker in range(3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    _, broker, instrument = open_broker(venue, tmp_path)
    activity = broker.activity(broker.checkpoint().rpartition("-")[0] + "-0")
    names = [item.client_order_id for item in activity.executions]
    assert sorted(names) == sorted({f"{worker}-{number}" for worker in range(3) for number in range(5)} | {"shared"})
    assert len({item.fill.venue_fill_id for item in activity.executions}) == 16
    conserved(activity, venue, Decimal(10_000))
    assert broker.position(instrument).units == sum(item.fill.units for item in activity.executions)


def test_a_process_killed_inside_a_change_leaves_the_account_as_it_was(tmp_path: Path) -> None:
    _, broker, instrument = open_broker("coinbase", tmp_path)
    before = broker.account_state([instrument])
    victim = subprocess.run([sys.executable, str(SCRIPT), "die", str(tmp_path)], timeout=120, check=False)
    assert victim.returncode == -signal.SIGKILL
    assert broker.account_state([instrument]) == before
