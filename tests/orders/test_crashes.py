"""Whatever is lost or killed, wherever: at most one order at the venue, every fill in the ledger, no money left aside."""

import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from builders import AT, bare_decision, intent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import OUTCOMES, CrashError, ScriptedBroker, SleepingClock, Venue

from ffe.ledger.ledger import Ledger
from ffe.orders.models import OrderState
from ffe.orders.resolve import QUIET, RESEND_WITHIN, recover
from ffe.orders.service import STEPS, OrderService

PLACES = (*STEPS[:4], "wire before", "wire after", *STEPS[4:])
# The outcomes that nobody sees are drawn more often: they are where a second order or a lost fill would come from.
ANSWERS = st.sampled_from((*OUTCOMES, "late", "late", "lost_before", "lost_after"))
RUNS = st.lists(
    st.tuples(
        ANSWERS,
        ANSWERS,
        st.none() | st.sampled_from(PLACES),
        st.integers(0, 8),
        st.sampled_from([0, 1, 30, 90, 400]),
    ),
    min_size=1,
    max_size=4,
)


def crash_at(place: str | None, here: str) -> None:
    if here == place:
        raise CrashError(here)


def attempt(ledger: Ledger, broker: ScriptedBroker, clock: SleepingClock, place: str | None) -> None:
    """One run of the engine over the same intent, which may end at `place` like a killed process."""
    broker._on_wire = lambda side: crash_at(place, f"wire {side}")
    service = OrderService(ledger, broker, clock, sleep=clock.sleep, on_step=lambda step: crash_at(place, step))
    try:
        recover(ledger, broker, clock, clock.sleep)
        service.execute(intent(account=broker.account), Decimal(10_000))
    except CrashError:
        return


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=RUNS, dedupes=st.booleans())
def test_no_schedule_of_losses_and_crashes_trades_twice_or_loses_a_fill(
    ledger: Ledger, runs: list[tuple[str, str, str | None, int, int]], dedupes: bool
) -> None:
    bare_decision(ledger)
    clock, venue, account = SleepingClock(AT), Venue(dedupes=dedupes), uuid4().hex
    for first, second, place, unreadable, pause in runs:
        broker = ScriptedBroker(venue, clock, outcomes=[first, second], account=account, unreadable=unreadable)
        attempt(ledger, broker, clock, place)
        clock.sleep(pause)
    honest = ScriptedBroker(venue, clock, outcomes=["fill"] * 9, account=account)
    for wait in (QUIET * 2, RESEND_WITHIN):
        clock.advance(wait)
        recover(ledger, honest, clock, clock.sleep)
    _same_as_the_venue(ledger, venue, account)


def _same_as_the_venue(ledger: Ledger, venue: Venue, account: str) -> None:
    assert len(venue.placed) <= 1
    assert ledger.open_orders("oanda", account) == []
    assert [kept for kept in ledger.open_reservations() if kept.account == account] == []
    at_venue = [fill for order in venue.placed for fill in venue.report(order).fills]
    (order,) = [order for order in ledger.orders(limit=10_000) if order.account == account]
    assert ledger.fills(order.id) == at_venue
    units = sum((fill.units for fill in at_venue), Decimal(0))
    assert order.filled_units == units
    assert [held.units for held in ledger.positions() if held.account == account] == ([units] if at_venue else [])


@pytest.mark.parametrize(
    ("dedupes", "place"), [(True, place) for place in PLACES] + [(False, place) for place in PLACES[3:6]]
)
def test_a_process_killed_at_any_step_leaves_at_most_one_order(
    ledger: Ledger, clock: SleepingClock, tmp_path: Path, dedupes: bool, place: str
) -> None:
    bare_decision(ledger)
    url, venue_file = str(ledger.database.url), tmp_path / "venue.json"
    worker = [sys.executable, str(Path(__file__).parent / "drill_worker.py"), url, str(venue_file), str(dedupes), place]
    assert subprocess.run(worker, check=False, timeout=60).returncode == -signal.SIGKILL
    venue = Venue.load(venue_file, dedupes=dedupes)
    reached = bool(venue.placed)
    attempt(ledger, ScriptedBroker(venue, clock), clock, None)
    clock.advance(QUIET + timedelta(seconds=1))
    attempt(ledger, ScriptedBroker(venue, clock), clock, None)
    (order,) = ledger.orders()
    lost = not reached and not dedupes
    assert len(venue.placed) == (0 if lost else 1)
    assert order.state is (OrderState.CANCELLED if lost else OrderState.FILLED)
    _same_as_the_venue(ledger, venue, order.account)
