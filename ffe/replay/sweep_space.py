"""What a sweep tries: values by name, every combination of them or a random few, and the plan that each combination means.

`fast=5,10,20` names values, `slow=50:200:50` a range with both ends. A name belongs to the strategy; `risk.reward_risk` to the risk
settings and `plan.slippage_bps` to the replay's plan. Without a rule that says otherwise every combination is tried: a person who sweeps
ten thousand has to see ten thousand trials in the deflated Sharpe ratio, not a hidden random few.
"""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from itertools import product
from typing import Any

from pydantic import ValidationError

from ffe.errors import ConfigurationError, UnknownNameError
from ffe.replay.models import Plan
from ffe.settings import RiskSettings

Value = float | str
Combination = Mapping[str, Value]
Space = Mapping[str, tuple[Value, ...]]

RISK, PLAN = "risk.", "plan."
# Of the plan: its risk settings are named one by one, a return is a share of the capital, whatever that is, and the gates were made for
# one lookback.
OF_THE_PLAN = tuple(each.name for each in fields(Plan) if each.name not in ("risk", "capital", "lookback"))
# A table that nobody can read, and a deflated Sharpe ratio that nothing survives.
MOST = 100_000


def parse_space(texts: Iterable[str]) -> dict[str, tuple[Value, ...]]:
    """Values by name of `name=1,2,3` or `name=low:high:step`, in the order given; a value said twice is tried once.

    Raises:
        ConfigurationError: no name, no value, a name said twice, or a range that never ends.
        UnknownNameError: a `risk.` or `plan.` setting that does not exist.
    """
    found: dict[str, tuple[Value, ...]] = {}
    for text in texts:
        name, equals, said = (part.strip() for part in text.partition("="))
        if not name or not equals or not said:
            raise ConfigurationError(f"{text!r} is no parameter: write name=1,2,3 or name=low:high:step")
        if name in found:
            raise ConfigurationError(f"the parameter {name} is given twice")
        found[name] = tuple(dict.fromkeys(value for part in said.split(",") for value in _values(name, part.strip())))
    known(found)
    return found


def known(names: Iterable[str]) -> None:
    """Raises UnknownNameError for a name of `risk.` or `plan.` that is no setting; the strategy answers for its own."""
    for name in names:
        for prefix, those in ((RISK, list(RiskSettings.model_fields)), (PLAN, list(OF_THE_PLAN))):
            if name.startswith(prefix) and name.removeprefix(prefix) not in those:
                raise UnknownNameError("parameter", name, [prefix + each for each in those])


def _values(name: str, part: str) -> Iterable[Value]:
    if part.count(":") != 2:
        return (_value(name, part),)
    low, high, step = (_value(name, each) for each in part.split(":"))
    if isinstance(low, str) or isinstance(high, str) or isinstance(step, str) or step <= 0 or high < low:
        raise ConfigurationError(
            f"{name}={part} is no range: write low:high:step with numbers, low below high, step above 0"
        )
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > MOST:
        raise ConfigurationError(f"{name}={part} are {count} values; at most {MOST} are tried")
    # The printed sum, so that 0.1 + 2 * 0.1 is the 0.3 that a person would type.
    return [float(f"{low + index * step:.12g}") for index in range(count)]


def _value(name: str, text: str) -> Value:
    if not text:
        raise ConfigurationError(f"the parameter {name} has an empty value")
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        raise ConfigurationError(f"{name}={text}: a parameter is finite")
    return number


def combinations(space: Space, at_random: int | None = None, seed: int = 7) -> list[dict[str, Value]]:
    """Every combination, the last name's values fastest; with `at_random` so many different ones, in the same order each time.

    Raises:
        ConfigurationError: more than MOST.
    """
    count = math.prod(len(values) for values in space.values())
    if at_random is None or at_random >= count:
        if count > MOST:
            raise ConfigurationError(
                f"{count} combinations are too many, at most {MOST}: name fewer values, or try some at random"
            )
        return [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    # The generator is a choice that can be repeated, no secret.
    chosen = sorted(random.Random(seed).sample(range(count), min(at_random, MOST)))  # noqa: S311
    return [_combination(space, number) for number in chosen]


def _combination(space: Space, number: int) -> dict[str, Value]:
    """The combination of that number in the order of `itertools.product`, without the ones before it."""
    values: dict[str, Value] = {}
    for name in reversed(list(space)):
        number, index = divmod(number, len(space[name]))
        values[name] = space[name][index]
    return {name: values[name] for name in space}


def of_strategy(combination: Combination) -> dict[str, float]:
    """What the strategy is told.

    Raises:
        ConfigurationError: a value that is no number.
    """
    told = {name: value for name, value in combination.items() if not name.startswith((RISK, PLAN))}
    for name, value in told.items():
        if isinstance(value, str):
            raise ConfigurationError(f"{name}={value}: a strategy's parameter is a number")
    return {name: float(value) for name, value in told.items()}


def plan_of(plan: Plan, combination: Combination) -> Plan:
    """The plan with the `risk.` and `plan.` values of the combination.

    Raises:
        ConfigurationError: a value that the setting does not take.
    """
    risk = {name.removeprefix(RISK): said(value) for name, value in combination.items() if name.startswith(RISK)}
    own = {name.removeprefix(PLAN): value for name, value in combination.items() if name.startswith(PLAN)}
    try:
        changed = RiskSettings.model_validate(plan.risk.model_dump() | risk)
        return replace(plan, risk=changed, **{name: _of_plan(plan, name, value) for name, value in own.items()})
    except (ValidationError, ValueError) as error:
        reasons = (
            "; ".join(each["msg"] for each in error.errors()) if isinstance(error, ValidationError) else str(error)
        )
        raise ConfigurationError(f"{written(combination)}: {reasons}") from error


def _of_plan(plan: Plan, name: str, value: Value) -> Any:
    if name == "fills":
        return type(plan.fills)(said(value))
    number = float(value)
    if number < 0:
        raise ValueError(f"plan.{name} is not below 0")
    return number


def said(value: Value) -> str:
    """A value as a person types it: 20, not 20.0."""
    return value if isinstance(value, str) else f"{value:.12g}"


def written(combination: Combination) -> str:
    """`fast=5 slow=50`."""
    return " ".join(f"{name}={said(value)}" for name, value in combination.items()) or "-"
