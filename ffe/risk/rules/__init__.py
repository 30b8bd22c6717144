"""The rules: one file each, all of one shape, all asked, none before another has answered.

judge(signal or proposal, portfolio, settings) -> Verdict. A rule can refuse, or name the most units it allows; it can't enlarge
anything. Only entries are judged: a close passes. A rule that raises is a closed gate.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from ffe.risk.models import Verdict
from ffe.risk.portfolio import Portfolio
from ffe.risk.proposal import Proposal, Signal
from ffe.risk.rules import (
    confidence,
    cooldown,
    correlated_exposure,
    daily_loss,
    drawdown,
    exposure,
    gross_exposure,
    leverage,
    loss_streak,
    minimum_hold,
    portfolio_heat,
    reward_risk,
    slippage,
    spread,
    value_at_risk,
)
from ffe.risk.rules.verdicts import refused
from ffe.settings import RiskSettings

S = TypeVar("S", bound=Signal)

SIGNAL_RULES: tuple[Callable[[Signal, Portfolio, RiskSettings], Verdict], ...] = (
    confidence.judge,
    daily_loss.judge,
    drawdown.judge,
    loss_streak.judge,
    cooldown.judge,
    minimum_hold.judge,
    spread.judge,
)
RULES: tuple[Callable[[Proposal, Portfolio, RiskSettings], Verdict], ...] = (
    *SIGNAL_RULES,
    slippage.judge,
    reward_risk.judge,
    exposure.judge,
    gross_exposure.judge,
    correlated_exposure.judge,
    leverage.judge,
    portfolio_heat.judge,
    value_at_risk.judge,
)


def judge_all(
    rules: Sequence[Callable[[S, Portfolio, RiskSettings], Verdict]],
    signal: S,
    portfolio: Portfolio,
    settings: RiskSettings,
) -> tuple[Verdict, ...]:
    """What each of `rules` says, in their order."""
    return tuple(_asked(rule, signal, portfolio, settings) for rule in rules)


def _asked(
    rule: Callable[[S, Portfolio, RiskSettings], Verdict], signal: S, portfolio: Portfolio, settings: RiskSettings
) -> Verdict:
    try:
        return rule(signal, portfolio, settings)
    except Exception as error:  # noqa: BLE001 - fail closed: whatever went wrong, the answer is no
        name = rule.__module__.rpartition(".")[2]
        return refused(name, "rule_failed", f"rule {name} failed: {type(error).__name__}: {error}")


def account_verdicts(
    equity: Decimal, day_start: Decimal | None, peak: Decimal | None, settings: RiskSettings
) -> tuple[Verdict, Verdict]:
    """Daily loss and drawdown alone, for a look at the account without a trade. All amounts in the account currency."""
    return (
        daily_loss.judge_equity(equity, day_start, settings),
        drawdown.judge_equity(equity, peak, settings),
    )
