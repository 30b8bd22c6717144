"""All rules are asked, all answers are kept, and one that breaks is a closed gate."""

import pkgutil
from types import SimpleNamespace
from typing import Any

from ffe.risk import rules
from ffe.risk.models import Verdict
from ffe.risk.rules import RULES, SIGNAL_RULES, judge_all


def test_every_file_in_the_package_is_a_rule_on_the_list() -> None:
    files = {module.name for module in pkgutil.iter_modules(rules.__path__)} - {"verdicts"}
    assert {rule.__module__.rpartition(".")[2] for rule in RULES} == files
    assert len(RULES) == len(files) == 15


def test_every_rule_answers_under_the_name_of_its_file(make: SimpleNamespace) -> None:
    said = judge_all(RULES, make.proposal(), make.portfolio(), make.settings)
    assert [verdict.rule for verdict in said] == [rule.__module__.rpartition(".")[2] for rule in RULES]
    assert all(verdict.allowed and verdict.reason for verdict in said)


def test_one_refusal_stops_no_other_rule_from_answering(make: SimpleNamespace) -> None:
    book = make.portfolio(9000, peak_equity=make.d(10000), day_start_equity=make.d(10000), trades=(make.trade(ago=1),))
    said = judge_all(RULES, make.proposal(confidence=1), book, make.settings)
    assert [verdict.rule for verdict in said if not verdict.allowed] == [
        "confidence",
        "daily_loss",
        "drawdown",
        "cooldown",
    ]
    assert [verdict.rule for verdict in said if verdict.trips] == ["daily_loss", "drawdown"]
    assert len(said) == len(RULES)


def test_a_rule_that_raises_refuses_under_its_own_name(make: SimpleNamespace) -> None:
    """A bid and ask of zero have no mid price to measure the spread against."""
    said = judge_all(SIGNAL_RULES, make.proposal(quote=make.quote(bid=0, ask=0)), make.portfolio(), make.settings)
    (broken,) = [verdict for verdict in said if not verdict.allowed]
    assert (broken.rule, broken.code, broken.most, broken.trips) == ("spread", "rule_failed", 0, False)
    assert broken.reason.startswith("rule spread failed: InvalidOperation")


def test_a_rule_may_be_anything_that_is_called_like_one(make: SimpleNamespace) -> None:
    def shut(*_given: Any) -> Verdict:
        raise RuntimeError("no answer")

    (said,) = judge_all((shut,), make.proposal(), make.portfolio(), make.settings)
    assert not said.allowed
    assert "RuntimeError: no answer" in said.reason
