"""Whatever an account does: after a reconciliation the ledger explains the venue, and the next one changes nothing."""

import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from account import Account, long_after
from builders import AT, dump
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import CrashError, SleepingClock, Venue

from ffe.ledger.ledger import Ledger
from ffe.orders.models import Side
from ffe.orders.protection import check_exits
from ffe.orders.reconcile import RECONCILE_STEPS, acknowledge

EVENTS = st.sampled_from(
    [
        "enter",
        "enter lost_after",
        "enter late",
        "enter partial",
        "leave",
        "leave lost_after",
        "leave partial",
        "hit",
        "hit in part",
        "stop gone",
        "protect refused",
        "protect lost",
        "bought by hand",
        "sold by hand",
        "paid",
        "watch",
        "halted reconcile",
        "reconcile",
    ]
)


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that was upgraded once, to be copied for each example."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    Ledger.open(f"sqlite:///{path}").close()
    return path


def happen(account: Account, event: str, number: int) -> None:
    word, _, rest = event.partition(" ")
    outcomes = [rest] if rest else []
    stop = next((o.venue_order_id for o in account.venue.state.resting if o.stop is not None and o.protects), None)
    now = account.clock.now()
    if word == "enter" and account.position.units == 0:
        account.enter(*outcomes, bars=number)
    elif word == "leave" and account.position.units > 0:
        account.leave(*outcomes, bars=number, units=account.position.units)
    elif word == "hit" and stop is not None and account.venue.units(account.symbol) > 1000:
        account.venue.hit(stop, at=now, units="500" if rest else None)
    elif event == "stop gone":
        account.venue.end(account.resting, "CANCELLED")
    elif word == "protect":
        account.broker.protections = ["reject" if rest == "refused" else "lost_before"]
    elif rest == "by hand" and (word == "bought" or account.venue.units(account.symbol) > 700):
        account.venue.trade(account.symbol, Side.BUY if word == "bought" else Side.SELL, "700", at=now)
    elif word == "paid":
        account.venue.pay("12.5", "TRANSFER", at=now)
    elif word == "watch":
        check_exits(account.ledger, account.broker, account.clock, cycle_id="watch", sleep=account.clock.sleep)
    elif word == "halted":
        _halted(account, RECONCILE_STEPS[number % len(RECONCILE_STEPS)])
    elif word == "reconcile":
        account.reconcile()


def _halted(account: Account, step: str) -> None:
    def die(here: str) -> None:
        if here == step:
            raise CrashError(here)

    with pytest.raises(CrashError):
        account.reconcile(on_step=die)


@settings(max_examples=60, deadline=None)
@given(events=st.lists(st.tuples(EVENTS, st.sampled_from([0, 1, 30, 90])), max_size=12), spot=st.booleans())
def test_the_ledger_explains_the_venue_whatever_happened(
    empty_ledger: Path, events: list[tuple[str, int]], spot: bool
) -> None:
    with TemporaryDirectory() as folder:
        path = shutil.copy(empty_ledger, folder)
        ledger, clock = Ledger.open(f"sqlite:///{path}"), SleepingClock(AT)
        account = Account(ledger, clock, Venue(dedupes=spot))
        account.reconcile()
        for number, (event, pause) in enumerate(events):
            happen(account, event, number)
            clock.sleep(pause)
        _settles(account)
        ledger.close()


def _settles(account: Account) -> None:
    account.broker.protections, account.broker._outcomes = [], []
    account.clock.advance(long_after())
    account.reconcile()
    for found in account.reconcile().open:
        acknowledge(account.ledger, account.broker, account.clock, found.id, "seen")
    assert account.reconcile().open == ()
    before = dump(account.ledger)
    account.clock.advance(timedelta(seconds=5))
    account.reconcile()
    assert dump(account.ledger) == before
    assert account.agrees
    assert account.ledger.open_reservations() == []
    ids = [order.client_order_id for order in account.venue.placed]
    assert len(ids) == len(set(ids))
    _is_protected(account)


def _is_protected(account: Account) -> None:
    """What is long of ours at the venue has a stop. Ours may be short against somebody else's long: nothing to protect then."""
    held = min(account.position.units, account.venue.units(account.symbol))
    stops = [order for order in account.venue.state.resting if order.stop is not None and order.side is Side.SELL]
    assert held <= 0 or stops
