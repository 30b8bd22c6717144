"""A ledger that was restored from a backup, older than what the venue has seen: it is reconciled, and sends nothing twice."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from account import Account
from builders import AT
from scripted import SleepingClock

from ffe.ledger.backup import backup, restore
from ffe.ledger.ledger import Ledger
from ffe.orders.differences import DifferenceKind
from ffe.orders.models import Order, OrderState, Side
from ffe.orders.protection import check_exits
from ffe.orders.reconcile import reconcile
from ffe.orders.service import OrderService
from ffe.orders.switch import SwitchState

LONG_AGO = timedelta(hours=1)


@pytest.fixture(params=["margin", "spot"])
def account(request: pytest.FixtureRequest) -> Account:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.zip"


def back_up(account: Account, file: Path) -> None:
    backup(str(account.ledger.database.url), file, force=True)


def restored(account: Account, file: Path) -> Account:
    """The account as the restored ledger sees it; the venue is the same, and so is its clock."""
    url = f"sqlite:///{file.parent}/restored.sqlite"
    restore(file, url, force=True)
    account.ledger.close()
    account.ledger = Ledger.open(url)
    return account


def resume(account: Account) -> None:
    account.ledger.set_switch(SwitchState.NORMAL, "reconciled", "person", account.clock.now())


def test_a_ledger_backed_up_last_agrees_with_the_venue_at_once(account: Account, file: Path) -> None:
    account.enter()
    account.clock.sleep(30)
    account.reconcile()
    back_up(account, file)
    again = restored(account, file)
    found = again.reconcile()
    assert (found.clean, found.settled, found.orders) == (True, (), ())
    assert again.agrees
    assert again.broker.sent == 1


def test_an_order_after_the_backup_is_found_and_blocks_its_instrument(account: Account, file: Path) -> None:
    account.reconcile()
    back_up(account, file)
    account.enter()
    account.clock.sleep(30)
    again = restored(account, file)
    found = again.reconcile()
    assert DifferenceKind.EXTERNAL_TRADE in {each.kind for each in found.open}
    assert again.agrees
    resume(again)
    # The same decision, which this ledger has never heard of, and the next one.
    for bars in (0, 1):
        assert again.enter(bars=bars).reason == "blocked_by_difference"
    assert again.broker.sent == 1


def test_a_decision_repeated_before_reconciling_is_halted_and_its_order_found(account: Account, file: Path) -> None:
    account.reconcile()
    back_up(account, file)
    account.enter()
    account.clock.sleep(30)
    again = restored(account, file)
    denied = again.enter()
    assert (denied.state, denied.reason) == (OrderState.DENIED, "kill_switch_halt")
    again.reconcile()
    assert again.agrees
    resume(again)
    assert again.enter().id == denied.id
    assert again.broker.sent == 1


@pytest.mark.parametrize("step", ["planned", "reserved", "checkpointed", "submitting", "answered"])
@pytest.mark.parametrize("wait", [timedelta(seconds=5), LONG_AGO])
def test_an_order_that_was_under_way_is_not_sent_again(
    account: Account, file: Path, step: str, wait: timedelta
) -> None:
    account.reconcile()

    def copy_at(here: str) -> None:
        if here == step:
            back_up(account, file)

    service = OrderService(account.ledger, account.broker, account.clock, sleep=account.clock.sleep, on_step=copy_at)
    order = service.execute(account.wanted(), account.wanted().reserve_amount)
    assert order.state is OrderState.FILLED
    account.clock.sleep(wait.total_seconds())
    again = restored(account, file)
    for _ in range(2):
        again.reconcile()
    assert again.agrees
    assert again.position.units == order.units
    resume(again)
    assert again.enter().id == order.id
    assert again.broker.sent == 1
    assert again.ledger.open_reservations() == []


def test_a_close_after_the_backup_is_not_repeated(account: Account, file: Path) -> None:
    account.enter()
    account.clock.sleep(30)
    account.reconcile()
    back_up(account, file)
    account.leave()
    account.clock.sleep(30)
    assert account.venue.units(account.symbol) == 0
    again = restored(account, file)
    again.reconcile()
    assert again.agrees
    resume(again)
    again.leave(bars=2)
    assert again.venue.units(again.symbol) == 0
    assert again.broker.sent == 2


def test_a_restored_ledger_is_reconciled_by_the_same_function(
    file: Path, margin: Account, clock: SleepingClock
) -> None:
    back_up(margin, file)
    again = restored(margin, file)
    found = reconcile(again.ledger, again.broker, clock, cycle_id="first", sleep=clock.sleep)
    assert (found.clean, found.at >= AT) == (True, True)


Act = Callable[[Account], object]


def stop_hit(account: Account) -> None:
    account.venue.hit(account.resting[0], at=account.clock.now())


def by_hand(account: Account) -> None:
    from ffe.orders.models import Side

    account.venue.trade(account.symbol, Side.SELL, "1000", at=account.clock.now())


@pytest.mark.parametrize("act", [stop_hit, by_hand])
def test_what_the_venue_did_after_the_backup_is_booked_once(account: Account, file: Path, act: Act) -> None:
    account.enter()
    account.clock.sleep(30)
    account.reconcile()
    back_up(account, file)
    act(account)
    account.clock.sleep(30)
    account.reconcile()
    seen = account.position
    again = restored(account, file)
    for _ in range(2):
        again.reconcile()
    assert again.agrees
    assert (again.position.units, again.position.external) == (seen.units, seen.external)
    assert again.broker.sent == 1


def with_coins_of_somebody_else(account: Account) -> None:
    """9000 units that no order of ours bought, acknowledged, beside our 4000."""
    account.reconcile()
    account.venue.trade(account.symbol, Side.BUY, "9000", at=account.clock.now())
    account.clock.sleep(30)
    account.reconcile()
    for each in account.ledger.differences():
        account.ledger.accept(each.id, account.clock.now(), "mine")
    account.enter()
    account.clock.sleep(30)
    account.reconcile()


def test_a_close_after_the_backup_is_not_repeated_on_what_somebody_else_holds(account: Account, file: Path) -> None:
    with_coins_of_somebody_else(account)
    back_up(account, file)
    account.leave(bars=1)
    account.clock.sleep(30)
    resting, sent = account.resting, account.broker.sent
    again = restored(account, file)
    for _ in range(2):
        again.reconcile()
    assert (again.position.units, again.position.external) == (0, 9000)
    assert again.agrees
    assert again.resting == resting
    resume(again)
    assert again.leave(bars=2).reason == "nothing_to_close"
    assert (again.venue.units(again.symbol), again.broker.sent) == (9000, sent)
    # Reconciled once, a stranger's trade moves the stranger's units again.
    again.venue.trade(again.symbol, Side.SELL, "1000", at=again.clock.now())
    again.clock.sleep(30)
    again.reconcile()
    assert (again.position.units, again.position.external) == (0, 8000)


def test_a_watched_exit_does_not_fire_in_a_restored_ledger_before_it_is_reconciled(
    account: Account, file: Path
) -> None:
    account.enter()
    account.clock.sleep(30)
    account.reconcile()
    back_up(account, file)
    again = restored(account, file)
    assert again.ledger.unread(again.broker.venue, again.broker.account)
    (entry,) = again.ledger.orders(1)
    again.ledger.watch(entry.id, again.clock.now(), "its venue can't hold a stop")
    again.venue.prices[again.symbol] = (Decimal("0.5"), Decimal("0.6"))
    assert exits(again) == []
    again.reconcile()
    assert not again.ledger.unread(again.broker.venue, again.broker.account)
    assert [order.reason for order in exits(again)] != []


def exits(account: Account) -> list[Order]:
    return check_exits(account.ledger, account.broker, account.clock, cycle_id="watch", sleep=account.clock.sleep)
