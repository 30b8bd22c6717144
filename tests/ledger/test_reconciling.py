"""Cursor, adjustments and cash: what reconciliation keeps, once each."""

from datetime import timedelta
from decimal import Decimal

from builders import ACCOUNT, AT, BAR, dump, fill, filled, planned, submitted

from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Adjustment, Cursor
from ffe.venues.models import CashEvent

LATER = AT + timedelta(minutes=5)
TOTALS = {"USD": Decimal("100.50"), "BTC": Decimal("0.00000001")}
HELD = Adjustment(
    id="a1",
    venue="oanda",
    account=ACCOUNT,
    instrument="EURUSD",
    units=Decimal("-250"),
    price=None,
    cause="held before",
    time=AT,
)
INTEREST = CashEvent(
    venue_id="6420", cause="DAILY_FINANCING", currency="USD", amount=Decimal("-0.1"), instrument="EURUSD", time=AT
)


def test_an_account_never_read_has_no_cursor(ledger: Ledger) -> None:
    assert ledger.cursor("oanda", ACCOUNT) is None
    assert ledger.first_checkpoint("oanda", ACCOUNT) is None


def test_a_cursor_moves_with_news_and_only_with_news(ledger: Ledger) -> None:
    ledger.move_cursor("oanda", ACCOUNT, "6410", TOTALS, AT)
    before = dump(ledger)
    ledger.move_cursor("oanda", ACCOUNT, "6410", TOTALS, LATER)
    assert dump(ledger) == before
    first = ledger.cursor("oanda", ACCOUNT)
    assert first == Cursor(venue="oanda", account=ACCOUNT, checkpoint="6410", totals=TOTALS, at=AT)
    ledger.move_cursor("oanda", ACCOUNT, "6410", {"USD": Decimal(99)}, LATER)
    moved = ledger.cursor("oanda", ACCOUNT)
    assert moved is not None
    assert (moved.totals, moved.at) == ({"USD": Decimal(99)}, LATER)


def test_the_first_checkpoint_is_the_oldest_orders_that_has_one(ledger: Ledger) -> None:
    planned(ledger, bar_close=BAR - timedelta(minutes=5))
    assert ledger.first_checkpoint("oanda", ACCOUNT) is None
    submitted(ledger)
    assert ledger.first_checkpoint("oanda", ACCOUNT) == "6410"
    assert ledger.first_checkpoint("coinbase", ACCOUNT) is None


def test_units_that_are_not_ours_stand_beside_ours(ledger: Ledger) -> None:
    filled(ledger, fill())
    assert ledger.adjust(HELD) is True
    assert ledger.adjust(HELD.model_copy(update={"units": Decimal(9)})) is False
    assert ledger.adjust(HELD.model_copy(update={"id": "a2", "units": Decimal(50), "time": LATER})) is True
    position = ledger.position("oanda", ACCOUNT, "EURUSD")
    assert (position.units, position.external) == (Decimal(4000), Decimal(-200))
    assert ledger.positions() == [position]
    assert [kept.id for kept in ledger.adjustments("oanda", ACCOUNT)] == ["a1", "a2"]
    assert ledger.adjustments("oanda", ACCOUNT)[0] == HELD
    assert ledger.adjustments("oanda", "another") == []


def test_a_position_that_never_was_is_flat(ledger: Ledger) -> None:
    flat = ledger.position("oanda", ACCOUNT, "EURUSD")
    assert (flat.units, flat.average_price, flat.realised, flat.external) == (0, None, 0, 0)
    assert flat.updated_at is None
    assert ledger.positions() == []
    ledger.adjust(HELD)
    assert ledger.positions() == [flat.model_copy(update={"external": Decimal(-250)})]


def test_cash_is_kept_once_by_the_venues_id(ledger: Ledger) -> None:
    later = INTEREST.model_copy(update={"venue_id": "6421", "time": LATER, "instrument": None})
    assert ledger.record_cash("oanda", ACCOUNT, INTEREST) is True
    assert ledger.record_cash("oanda", ACCOUNT, later) is True
    assert ledger.record_cash("oanda", ACCOUNT, INTEREST) is False
    assert ledger.cash_events("oanda", ACCOUNT) == [later, INTEREST]
    assert ledger.cash_events("oanda", ACCOUNT, limit=1) == [later]
    assert ledger.cash_events("coinbase", ACCOUNT) == []
