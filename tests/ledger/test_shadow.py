"""Shadow decisions as the ledger keeps them, the trader beside them, and the way of an older ledger to the schema that has them."""

from datetime import timedelta

import pytest
from alembic import command
from builders import AT, BAR, decision, dump
from builders import shadow_decision as shadow
from sqlalchemy import inspect

from ffe.decision.models import Action, Author
from ffe.errors import LedgerError
from ffe.ledger.database import Database
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import config, revision, upgrade
from ffe.ledger.migrations import HEAD
from ffe.ledger.schema import METADATA
from ffe.market.models import Timeframe

STEP = timedelta(minutes=5)
NAMES = {"orders": "c" * 32, "later": "e" * 32, "analysis": "analysis-1", "paper": "p" * 32}


@pytest.fixture
def cycles(ledger: Ledger) -> Ledger:
    """A ledger with cycles to hang decisions on, one of them in another mode."""
    for name, cycle_id in NAMES.items():
        ledger.start_cycle(cycle_id, "paper" if name == "paper" else "sim", "5m", AT)
    return ledger


def test_a_shadow_decision_comes_back_as_it_was_recorded(cycles: Ledger) -> None:
    made = shadow()
    failed = shadow(
        strategy="mine", params={}, action=None, confidence=None, error="ValueError: no", bid=None, ask=None
    )
    assert cycles.record_shadows([made, failed]) == 2
    kept = cycles.shadows("sim", "5m")
    assert kept == [failed, made]
    assert list(kept[1].params) == ["slow", "fast"]


def test_what_a_strategy_said_first_in_a_cycle_stands(cycles: Ledger) -> None:
    assert cycles.record_shadows([shadow()]) == 1
    assert cycles.record_shadows([shadow(action=Action.SELL), shadow(instrument="GBPUSD")]) == 1
    assert cycles.record_shadows([]) == 0
    found = {each.instrument: each.action for each in cycles.shadows("sim", "5m")}
    assert found == {"EURUSD": Action.BUY, "GBPUSD": Action.BUY}


def test_a_shadow_decision_needs_its_cycle(ledger: Ledger) -> None:
    with pytest.raises(LedgerError):
        ledger.record_shadows([shadow()])
    assert ledger.shadows("sim", "5m") == []


def test_shadow_decisions_are_found_by_mode_timeframe_and_the_close_of_their_bar(cycles: Ledger) -> None:
    late = shadow(cycle_id=NAMES["later"], bar_close=BAR + STEP, decided_at=AT + STEP)
    other = shadow(cycle_id=NAMES["paper"])
    hourly = shadow(cycle_id=NAMES["later"], timeframe=Timeframe.H1)
    cycles.record_shadows([late, shadow(), other])
    assert cycles.shadows("sim", "5m") == [shadow(), late]
    assert cycles.shadows("sim", "5m", since=BAR + STEP) == [late]
    assert cycles.shadows("sim", "5m", until=BAR) == [shadow()]
    assert cycles.shadows("paper", "5m", since=BAR, until=BAR) == [other]
    assert cycles.shadows("sim", "1h") == []
    cycles.record_shadows([hourly])
    assert cycles.shadows("sim", "1h") == []


def test_the_trader_is_whoever_was_asked_and_no_gate(cycles: Ledger) -> None:
    asked = decision(opinion=Action.BUY)
    overruled = decision(
        id="1" * 32,
        instrument="GBPUSD",
        action=Action.HOLD,
        decided_by=Author.RISK_GATE,
        opinion=Action.SELL,
        decided_at=AT + timedelta(seconds=1),
    )
    silent = decision(
        id="2" * 32, cycle_id=NAMES["later"], action=Action.HOLD, decided_by=Author.FALLBACK, bar_close=BAR + STEP
    )
    gate = decision(
        id="3" * 32, instrument="BTCUSD", action=Action.HOLD, decided_by=Author.MARKET_HOURS, bar_close=None
    )
    curious = decision(id="4" * 32, cycle_id=NAMES["analysis"], opinion=Action.SELL)
    elsewhere = decision(id="5" * 32, cycle_id=NAMES["paper"], opinion=Action.SELL)
    for each in (silent, overruled, asked, gate, curious, elsewhere):
        cycles.record_decision(each)
    assert cycles.trader_decisions("sim", "5m", since=BAR, until=BAR + STEP) == [asked, overruled, silent]
    assert cycles.trader_decisions("sim", "5m", since=BAR + STEP, until=BAR + STEP) == [silent]
    assert cycles.trader_decisions("sim", "5m", since=BAR, until=BAR) == [asked, overruled]
    assert cycles.trader_decisions("sim", "1h", since=BAR, until=BAR + STEP) == []


def test_a_cycle_is_explained_with_its_shadow_decisions(cycles: Ledger) -> None:
    cycles.record_shadows([shadow(), shadow(instrument="BTCUSD"), shadow(cycle_id=NAMES["later"])])
    found = cycles.explain(NAMES["orders"])
    assert found is not None
    told = [(each["instrument"], each["strategy"], each["action"]) for each in found["shadow_decisions"]]
    assert told == [("BTCUSD", "sma-cross", "BUY"), ("EURUSD", "sma-cross", "BUY")]


def test_a_shadow_decision_writes_nothing_but_itself(cycles: Ledger) -> None:
    before = dump(cycles)
    cycles.record_shadows([shadow()])
    after = dump(cycles)
    assert {name for name in after if after[name] != before[name]} == {"shadow_decision"}


def test_a_ledger_of_the_fifth_schema_gets_the_table_and_can_go_back(empty_url: str) -> None:
    database = Database(empty_url)
    with database.writing_connection() as connection:
        command.upgrade(config(connection), "0005")
        assert "shadow_decision" not in inspect(connection).get_table_names()
    assert upgrade(empty_url) is True
    with database.engine.connect() as connection:
        assert revision(connection) == HEAD
        stored = {each["name"]: each["nullable"] for each in inspect(connection).get_columns("shadow_decision")}
        table = METADATA.tables["shadow_decision"]
        assert stored == {column.name: column.nullable for column in table.columns}
        keys = inspect(connection).get_pk_constraint("shadow_decision")["constrained_columns"]
        assert keys == ["cycle_id", "instrument", "strategy"]
        indexes = {each["name"] for each in inspect(connection).get_indexes("shadow_decision")}
        assert indexes == {index.name for index in table.indexes}
    with database.writing_connection() as connection:
        command.downgrade(config(connection), "0005")
        assert "shadow_decision" not in inspect(connection).get_table_names()
        assert revision(connection) == "0005"
    database.close()
