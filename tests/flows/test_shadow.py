"""Shadow strategies in a whole cycle: on record after the orders, which are those of a cycle without them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ffe.decision.models import Action
from ffe.errors import LedgerError
from ffe.settings_replay import ShadowSettings

SYMBOLS = ("BTCUSD", "EURUSD")
START = ("--start", "2018-04-04T15:30:20Z")
NAMES = ("buy-and-hold", "sma-cross")

pytestmark = pytest.mark.slow


def ordered(ran: Any) -> dict[str, tuple[str, str, str]]:
    return {
        symbol: (ran.row(symbol)["decision"]["action"], ran.row(symbol)["order"]["side"], ran.row(symbol)["bar_close"])
        for symbol in SYMBOLS
    }


async def test_a_cycle_with_shadow_strategies_orders_what_it_orders_without_them(
    serve: Any, engine_on: Any, run_cycle: Any, tmp_path: Path
) -> None:
    alone = engine_on(serve(*START), ledger_url=f"sqlite:///{tmp_path}/alone.sqlite")
    first = await run_cycle(alone, *SYMBOLS)
    assert alone.ledger.shadows("sim", "5m") == []

    venue = serve(*START, "--data-dir", str(tmp_path / "other"))
    url = f"sqlite:///{tmp_path}/beside.sqlite"
    beside = engine_on(venue, ledger_url=url, shadow=ShadowSettings(strategies=NAMES))
    second = await run_cycle(beside, *SYMBOLS)
    assert second.state.is_completed()
    assert ordered(second) == ordered(first)
    for symbol in SYMBOLS:
        units = [Decimal(ran.row(symbol)["order"]["filled_units"]) for ran in (first, second)]
        # The two venues' clocks are seconds apart, and so are the prices that size the orders.
        assert units[1] == pytest.approx(units[0], rel=Decimal("0.05"))
    assert len(beside.ledger.orders(100)) == len(alone.ledger.orders(100)) == len(SYMBOLS)

    said = beside.ledger.shadows("sim", "5m")
    assert {(each.instrument, each.strategy) for each in said} == {(a, b) for a in SYMBOLS for b in NAMES}
    assert [each.error for each in said] == [None] * 4
    assert {each.action for each in said if each.strategy == "buy-and-hold"} == {Action.BUY}
    decisions = {each.instrument: each for each in beside.ledger.decisions()}
    for each in said:
        decision = decisions[each.instrument]
        assert (each.cycle_id, each.batch_id, each.bar_close) == (
            decision.cycle_id,
            decision.batch_id,
            decision.bar_close,
        )
        sent = [order.created_at for order in beside.ledger.orders(100)]
        assert each.decided_at > max(sent)


async def test_neither_a_broken_strategy_nor_a_ledger_that_refuses_it_hinders_the_cycle(
    serve: Any, engine_on: Any, run_cycle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("NAME, LOOKBACK = 'broken', 1\n\n\ndef actions(bars):\n    raise ValueError('no idea')\n")
    engine = engine_on(serve(*START), shadow=ShadowSettings(strategies=(str(broken),)))
    ran = await run_cycle(engine, "BTCUSD")
    assert ran.state.is_completed()
    assert ran.row("BTCUSD")["order"]["state"] == "FILLED"
    (said,) = engine.ledger.shadows("sim", "5m")
    assert (said.strategy, said.action) == ("broken", None)
    assert engine.ledger.incidents() == []

    def refuse(_: Any) -> int:
        raise LedgerError("database is locked")

    monkeypatch.setattr(engine.ledger, "record_shadows", refuse)
    again = await run_cycle(engine, "EURUSD")
    assert again.state.is_completed()
    assert again.row("EURUSD")["order"]["state"] == "FILLED"
    assert len(engine.ledger.shadows("sim", "5m")) == 1
    (incident,) = engine.ledger.incidents()
    assert (incident.type, incident.name) == ("LedgerError", "shadow")
