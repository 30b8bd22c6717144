"""Rules about what the account went through: the day's loss, the drawdown, losses in a row. The first two trip the kill switch."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.risk.models import Verdict
from ffe.risk.rules import account_verdicts, daily_loss, drawdown, loss_streak
from ffe.settings import RiskSettings


@pytest.mark.parametrize(
    ("equity", "allowed"), [("9800.01", True), (9800, False), (5000, False), (10500, True), (-1, False)]
)
def test_two_percent_below_the_days_start_trips(make: SimpleNamespace, equity: Any, allowed: bool) -> None:
    book = make.portfolio(equity, day_start_equity=Decimal(10000))
    verdict = daily_loss.judge(make.proposal(), book, make.settings)
    assert (verdict.rule, verdict.allowed, verdict.trips) == ("daily_loss", allowed, not allowed)
    assert str(equity) in verdict.reason
    assert "10000, max_daily_loss 2 %" in verdict.reason


@pytest.mark.parametrize(("equity", "allowed"), [("9500.01", True), (9500, False), (11000, True)])
def test_five_percent_below_the_peak_trips(make: SimpleNamespace, equity: Any, allowed: bool) -> None:
    book = make.portfolio(equity, peak_equity=Decimal(10000))
    verdict = drawdown.judge(make.proposal(), book, make.settings)
    assert (verdict.rule, verdict.allowed, verdict.trips) == ("drawdown", allowed, not allowed)
    assert "10000, max_drawdown 5 %" in verdict.reason


@pytest.mark.parametrize("rule", [daily_loss, drawdown])
def test_an_account_without_marks_starts_now_and_trades(make: SimpleNamespace, rule: Any) -> None:
    verdict = rule.judge(make.proposal(), make.portfolio(), make.settings)
    assert (verdict.allowed, verdict.trips) == (True, False)
    assert "now" in verdict.reason


@pytest.mark.parametrize("mark", [0, -10])
def test_marks_that_are_not_positive_trip(mark: int) -> None:
    for verdict in account_verdicts(Decimal(100), Decimal(mark), Decimal(mark), RiskSettings()):
        assert (verdict.allowed, verdict.trips) == (False, True)


def test_the_account_is_looked_at_without_a_trade() -> None:
    quiet = account_verdicts(Decimal(9900), Decimal(10000), Decimal(10000), RiskSettings())
    lost = account_verdicts(Decimal(9700), Decimal(10000), Decimal(10000), RiskSettings())
    down = account_verdicts(Decimal(9500), Decimal(9500), Decimal(10000), RiskSettings())
    assert [verdict.rule for verdict in quiet] == ["daily_loss", "drawdown"]
    assert [[verdict.trips for verdict in pair] for pair in (quiet, lost, down)] == [
        [False, False],
        [True, False],
        [False, True],
    ]


def after(make: SimpleNamespace, results: list[str], ago: int = 60, **changes: Any) -> Verdict:
    """`results` newest first, a minute apart, the newest `ago` seconds old, in turns of two instruments."""
    names = ("BTCUSD", "ETHUSD")
    trades = tuple(make.trade(names[at % 2], text, ago=ago + at * 60) for at, text in enumerate(results))
    return loss_streak.judge(make.proposal(), make.portfolio(trades=trades), make.settings.model_copy(update=changes))


def test_four_losses_in_a_row_pause_the_account(make: SimpleNamespace) -> None:
    verdict = after(make, ["-0.01"] * 4 + ["0.02"])
    assert (verdict.rule, verdict.allowed, verdict.trips) == ("loss_streak", False, False)
    assert "4 losing trades in a row, pause at loss_streak 4 for 3600 s" in verdict.reason


@pytest.mark.parametrize(
    "results",
    [[], ["-0.01"] * 3, ["0.001", *["-0.01"] * 9], ["-0.01", "-0.01", "0", "-0.01", "-0.01"]],
    ids=["no trade", "three", "a win since", "one came out even"],
)
def test_fewer_losses_or_a_win_between_pause_nothing(make: SimpleNamespace, results: list[str]) -> None:
    assert after(make, results).allowed


@pytest.mark.parametrize(("ago", "allowed"), [(3599, False), (3600, True)])
def test_the_pause_ends_by_itself(make: SimpleNamespace, ago: int, allowed: bool) -> None:
    assert after(make, ["-0.01"] * 5, ago).allowed is allowed


def test_the_length_of_streak_and_pause_are_settings(make: SimpleNamespace) -> None:
    assert not after(make, ["-0.01"], loss_streak=1).allowed
    assert after(make, ["-0.01"] * 4, loss_streak_pause_seconds=0).allowed
