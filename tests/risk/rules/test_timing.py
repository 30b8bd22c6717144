"""Rules about when: the cooldown after an exit, and the minimum hold after an entry."""

from types import SimpleNamespace
from typing import Any

import pytest

from ffe.orders.models import Side
from ffe.risk.rules import cooldown, minimum_hold


@pytest.mark.parametrize(("ago", "allowed"), [(0, False), (299, False), (300, True), (9999, True)])
def test_an_instrument_that_was_left_rests_for_five_minutes(make: SimpleNamespace, ago: int, allowed: bool) -> None:
    book = make.portfolio(trades=(make.trade(ago=ago),))
    verdict = cooldown.judge(make.proposal(), book, make.settings)
    assert (verdict.rule, verdict.code, verdict.allowed) == ("cooldown", "cooldown", allowed)
    assert f"left {ago} s ago" in verdict.reason
    assert "cooldown_seconds 300" in verdict.reason


def test_the_exit_of_another_instrument_holds_nothing_back(make: SimpleNamespace) -> None:
    verdict = cooldown.judge(make.proposal(), make.portfolio(trades=(make.trade("ETHUSD", ago=1),)), make.settings)
    assert verdict.allowed
    assert "no exit of BTCUSD on record" in verdict.reason


@pytest.mark.parametrize(
    ("reverse", "side", "allowed"), [(True, "SELL", True), (True, "BUY", False), (False, "SELL", False)]
)
def test_only_a_reversal_that_was_asked_for_skips_the_cooldown(
    make: SimpleNamespace, reverse: bool, side: str, allowed: bool
) -> None:
    """The last trade was long: the other side is SELL."""
    settings = make.settings.model_copy(update={"reverse": reverse})
    book = make.portfolio(trades=(make.trade("EURUSD", ago=1),))
    assert cooldown.judge(make.proposal("EURUSD", Side(side)), book, settings).allowed is allowed


@pytest.mark.parametrize(("age", "allowed"), [(0, False), (119, False), (120, True)])
def test_a_market_entered_within_two_minutes_is_not_entered_again(
    make: SimpleNamespace, age: int, allowed: bool
) -> None:
    left = make.portfolio(trades=(make.trade(ago=0, held=age),))
    rest = make.portfolio(positions=(make.holding("BTCUSD", ago=age), make.holding("ETHUSD", ago=0)))
    for book in (left, rest):
        verdict = minimum_hold.judge(make.proposal(), book, make.settings)
        assert (verdict.rule, verdict.code, verdict.allowed) == ("minimum_hold", "minimum_hold", allowed)
        assert f"entered {age} s ago" in verdict.reason


@pytest.mark.parametrize(
    "given",
    [{}, {"positions": ["BTCUSD"]}],
    ids=["nothing on record", "a rest of unknown age"],
)
def test_without_a_known_entry_there_is_nothing_to_hold(make: SimpleNamespace, given: dict[str, Any]) -> None:
    book = make.portfolio(positions=tuple(make.holding(name, ago=None) for name in given.get("positions", ())))
    verdict = minimum_hold.judge(make.proposal(), book, make.settings)
    assert verdict.allowed
    assert "no entry of BTCUSD on record" in verdict.reason
