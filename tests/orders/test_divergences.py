"""Twenty-odd ways in which ledger and venue come apart: each is found, named, and settled or blocked; a second look changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from account import Account, long_after
from builders import dump
from scripted import SleepingClock, Venue

from ffe.ledger.ledger import Ledger
from ffe.orders.differences import DifferenceKind
from ffe.orders.models import Leg, Order, OrderState, Side
from ffe.orders.request import request_for
from ffe.venues.models import WorkingKind

K, S = DifferenceKind, OrderState


@dataclass(frozen=True)
class Seed:
    """`do` makes the divergence on an account that holds 4000 and was reconciled; `kind` blocks it, or `says` settles it."""

    name: str
    do: Callable[[Account], object]
    says: str = ""
    kind: DifferenceKind | None = None
    ours: str = "4000"
    spot: bool = False

    def __str__(self) -> str:
        return self.name


def _crash_after_the_claim(account: Account, **changes: Any) -> Order:
    """An order that was claimed and of which this ledger knows nothing more."""
    order, _ = account.ledger.plan(account.wanted(**changes), account.clock.now())
    account.ledger.reserve(order.id, "USD", Decimal(1), Decimal(10_000), account.clock.now())
    return account.ledger.claim(order.id, account.clock.now(), account.broker.checkpoint())


def _another(account: Account) -> dict[str, Any]:
    return {"bar_close": account.clock.now(), "units": Decimal(100)}


def lost_entry(account: Account) -> None:
    order = _crash_after_the_claim(account, **_another(account))
    account.venue.place(request_for(order), "fill", account.clock.now())


def lost_exit(account: Account) -> None:
    order = _crash_after_the_claim(account, **_another(account), leg=Leg.EXIT, side=Side.SELL)
    account.venue.place(request_for(order), "fill", account.clock.now())


def never_arrived(account: Account) -> None:
    _crash_after_the_claim(account, **_another(account))
    account.clock.advance(long_after())


def unresolved(account: Account) -> None:
    account.venue.dedupes = False
    _crash_after_the_claim(account, **_another(account))


def late_fill(account: Account) -> None:
    """A person gave the order up, and the venue filled it after all."""
    order = _crash_after_the_claim(account, **_another(account))
    account.ledger.transition(order.id, S.CANCELLED, account.clock.now(), reason="acknowledged_by_person")
    account.venue.place(request_for(order), "fill", account.clock.now())


def fill_that_the_order_does_not_list(account: Account) -> None:
    """The order reads as cancelled and empty, and the list of fills knows better."""
    order = _crash_after_the_claim(account, **_another(account))
    account.venue.place(request_for(order), "kill_rest", account.clock.now())
    at = account.clock.now()
    account.venue.trade(account.symbol, Side.BUY, "100", at=at, client_order_id=order.client_order_id)


def sent_from_a_restored_backup(account: Account) -> None:
    """This ledger is a copy from before the order went out: here it is only planned."""
    order, _ = account.ledger.plan(account.wanted(**_another(account)), account.clock.now())
    at = account.clock.now()
    account.venue.trade(account.symbol, Side.BUY, "100", at=at, client_order_id=order.client_order_id)


def hit(kind: WorkingKind, units: str | None = None, *, named: bool = True) -> Callable[[Account], None]:
    def do(account: Account) -> None:
        number = next(o.venue_order_id for o in account.venue.state.resting if o.kind is kind)
        account.venue.hit(number, at=account.clock.now(), units=units, named=named)

    return do


def trade(side: Side, units: str, **changes: Any) -> Callable[[Account], None]:
    def do(account: Account) -> None:
        account.venue.trade(account.symbol, side, units, at=account.clock.now(), **changes)

    return do


def held_before_by_somebody(account: Account) -> None:
    """External units, acknowledged, of which more is sold than there is: the rest was ours."""
    account.venue.trade(account.symbol, Side.BUY, "1000", at=account.clock.now())
    account.reconcile()
    account.venue.trade(account.symbol, Side.SELL, "1500", at=account.clock.now())


def foreign_order(account: Account) -> None:
    account.venue.rest(instrument="GBPUSD", side=Side.BUY)
    account.venue.rest(instrument=account.symbol, side=Side.BUY, client_order_id="somebody-elses")


def orphan(account: Account) -> None:
    """Closed by us, and its stop still rests."""
    kept = list(account.venue.state.resting)
    account.leave()
    account.venue.state.resting.extend(kept)


def placed_orphan(account: Account) -> None:
    """The same for a bracket that we put back ourselves: the venue says not whose it is."""
    without_stop(account)
    account.reconcile()
    orphan(account)


def without_stop(account: Account) -> None:
    account.venue.end(account.resting, "CANCELLED")


def half_a_bracket(account: Account) -> None:
    (order,) = account.venue.state.resting
    account.venue.state.resting[0] = order.model_copy(update={"units": Decimal(10)})


def replaced_by_hand(account: Account) -> None:
    (entry,) = account.ledger.orders()
    without_stop(account)
    values = {"protects": entry.client_order_id, "stop": Decimal("1.22")}
    account.venue.rest(instrument=account.symbol, side=Side.SELL, kind=WorkingKind.STOP_LOSS, **values)


def without_stop_and(*outcomes: str) -> Callable[[Account], None]:
    def do(account: Account) -> None:
        without_stop(account)
        account.broker.protections = list(outcomes) * 2

    return do


def pay(amount: str, *, told: bool = True) -> Callable[[Account], None]:
    return lambda account: account.venue.pay(amount, "TRANSFER_FUNDS", at=account.clock.now(), told=told)


SEEDS = [
    Seed("an entry filled and the answer was lost", lost_entry, "is FILLED", ours="4100"),
    Seed("a close filled and the answer was lost", lost_exit, "is FILLED", ours="3900"),
    Seed("an order never reached the venue", never_arrived, "is CANCELLED"),
    Seed("nobody knows what became of an order", unresolved, kind=K.UNRESOLVED_ORDER),
    Seed("an order that was given up filled after all", late_fill, "booked: CANCELLED", ours="4100"),
    Seed("a fill that its order does not list", fill_that_the_order_does_not_list, "booked: CANCELLED", ours="4100"),
    Seed("an order sent by another copy of the ledger", sent_from_a_restored_backup, "booked: DENIED", ours="4100"),
    Seed("the stop was hit", hit(WorkingKind.STOP_LOSS), "STOP_LOSS_ORDER SELL 4000", ours="0"),
    Seed("the target was hit", hit(WorkingKind.TAKE_PROFIT), "TAKE_PROFIT_ORDER SELL 4000", ours="0"),
    Seed("the bracket was hit", hit(WorkingKind.BRACKET), "BRACKET SELL 4000", ours="0", spot=True),
    Seed(
        "a bracket was hit that the venue has no name for",
        hit(WorkingKind.BRACKET, named=False),
        "BRACKET SELL 4000",
        ours="0",
        spot=True,
    ),
    Seed("the stop was hit in part", hit(WorkingKind.STOP_LOSS, "1500"), "STOP_LOSS_ORDER SELL 1500", ours="2500"),
    Seed("somebody closed our position by hand", trade(Side.SELL, "4000"), kind=K.EXTERNAL_TRADE, ours="0"),
    Seed("somebody closed a part of it", trade(Side.SELL, "1000"), kind=K.EXTERNAL_TRADE, ours="3000"),
    Seed(
        "the venue closed it for want of margin",
        trade(Side.SELL, "4000", cause="MARKET_ORDER_MARGIN_CLOSEOUT"),
        kind=K.EXTERNAL_TRADE,
        ours="0",
    ),
    Seed("somebody bought more by hand", trade(Side.BUY, "500"), kind=K.EXTERNAL_TRADE),
    Seed("somebody turned it around", trade(Side.SELL, "5000"), kind=K.EXTERNAL_TRADE, ours="0"),
    Seed("somebody sold theirs and some of ours", held_before_by_somebody, kind=K.EXTERNAL_TRADE, ours="3500"),
    Seed(
        "another engine traded here",
        trade(Side.BUY, "500", client_order_id="not-in-this-ledger"),
        kind=K.EXTERNAL_TRADE,
    ),
    Seed("units came from nowhere", trade(Side.BUY, "500", told=False), kind=K.POSITION),
    Seed("our units are gone and nobody says why", trade(Side.SELL, "4000", told=False), kind=K.POSITION),
    Seed("a stranger's order rests", foreign_order, kind=K.FOREIGN_ORDER),
    Seed("a stop outlived its entry", orphan, "of the closed entry", ours="0"),
    Seed("a bracket that we placed outlived its entry", placed_orphan, "of the closed entry", ours="0", spot=True),
    Seed("the stop is gone", without_stop, "put back as"),
    Seed("the bracket is gone", without_stop, "put back as", spot=True),
    Seed("the bracket covers less than is held", half_a_bracket, "put back as", spot=True),
    Seed("the stop was replaced by hand", replaced_by_hand, "seen working"),
    Seed("the stop is gone and the venue refuses another", without_stop_and("reject"), "is FILLED", ours="0"),
    Seed("the stop is gone and another was never sent", without_stop_and("not_sent"), "is FILLED", ours="0"),
    Seed("the stop is gone and another got no answer", without_stop_and("lost_before"), kind=K.UNPROTECTED),
    Seed("the stop is gone and the answer to another was lost", without_stop_and("lost_after"), "put back as"),
    Seed("the venue has no such stop", without_stop_and("unsupported"), "its exit is watched", spot=True),
    Seed("money was paid in", pay("250"), "TRANSFER_FUNDS: 250 USD"),
    Seed("money was charged", pay("-1.5"), "TRANSFER_FUNDS: -1.5 USD"),
    Seed("there is more money than anybody explains", pay("3", told=False), "unexplained-credit: 3"),
    Seed("money is missing", pay("-3", told=False), kind=K.BALANCE),
]


@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_every_divergence_is_found_named_and_settled_or_blocked(
    ledger: Ledger, clock: SleepingClock, seed: Seed
) -> None:
    account = Account(ledger, clock, Venue(dedupes=seed.spot))
    account.enter()
    clock.advance(timedelta(seconds=30))
    assert account.reconcile().clean
    seed.do(account)
    found = account.reconcile()
    assert [line for line in found.settled if seed.says in line] or seed.kind is not None
    assert {difference.kind for difference in found.open} == ({seed.kind} if seed.kind else set())
    assert account.position.units == Decimal(seed.ours)
    assert account.agrees is (seed.kind is not K.POSITION)
    before = dump(ledger)
    clock.advance(timedelta(seconds=10))
    again = account.reconcile()
    assert dump(ledger) == before
    assert again.open == found.open
    assert seed.kind is K.UNPROTECTED or (again.settled, again.incidents) == ((), ())


@pytest.mark.parametrize("seed", [seed for seed in SEEDS if seed.kind is not None], ids=str)
def test_what_is_not_settled_blocks_entries_there_and_is_an_incident(
    ledger: Ledger, clock: SleepingClock, seed: Seed
) -> None:
    account = Account(ledger, clock, Venue(dedupes=seed.spot))
    account.enter()
    clock.advance(timedelta(seconds=30))
    account.reconcile()
    seed.do(account)
    assert account.reconcile().incidents
    order = account.enter(bars=3)
    assert order.state is S.DENIED
    assert str(order.reason).startswith("blocked_by_")
    elsewhere = account.enter(bars=4, instrument="USDCAD").reason
    assert (elsewhere == "blocked_by_difference") is (seed.kind is K.BALANCE)


def test_an_account_that_held_something_before_keeps_it_as_external(margin: Account) -> None:
    margin.venue.trade("EURUSD", Side.BUY, "700", at=margin.clock.now())
    first = margin.reconcile()
    assert first.settled == ("EURUSD: 700 held before the first reconciliation, kept as external",)
    assert (first.clean, margin.position.units, margin.position.external) == (True, 0, 700)
    before = dump(margin.ledger)
    assert margin.reconcile().settled == ()
    assert dump(margin.ledger) == before


def test_a_ledger_without_a_cursor_starts_from_its_first_order(margin: Account) -> None:
    margin.venue.trade("EURUSD", Side.BUY, "700", at=margin.clock.now())
    order = margin.enter()
    margin.venue.hit(margin.resting[0], at=margin.clock.now(), units="4000")
    found = margin.reconcile()
    assert any("STOP_LOSS_ORDER" in line for line in found.settled)
    assert (found.clean, margin.position.units, margin.position.external) == (True, 0, 700)
    assert margin.ledger.order(order.id).state is S.FILLED


def test_units_of_ours_that_were_gone_before_the_first_reconciliation_are_a_difference(margin: Account) -> None:
    margin.enter()
    margin.venue.trade("EURUSD", Side.SELL, "4000", at=margin.clock.now(), told=False)
    (found,) = margin.reconcile().open
    assert found.kind is K.POSITION


def test_what_is_traded_after_an_opening_that_a_crash_cut_short_is_named(margin: Account) -> None:
    """The first run adopted 700 and died before it remembered how far it went; then there were 900."""
    margin.venue.trade("EURUSD", Side.BUY, "700", at=margin.clock.now())
    with pytest.raises(KeyboardInterrupt):
        margin.reconcile(on_step=_interrupt_at("observed"))
    margin.venue.trade("EURUSD", Side.BUY, "200", at=margin.clock.now())
    (found,) = margin.reconcile().open
    assert (found.kind, found.venue_says) == (K.EXTERNAL_TRADE, "MARKET_ORDER: BUY 200 at 1.2272")


def _interrupt_at(step: str) -> Callable[[str], None]:
    def check(here: str) -> None:
        if here == step:
            raise KeyboardInterrupt

    return check
