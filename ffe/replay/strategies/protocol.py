"""What every strategy can do, and the one that is made of a strategy file's functions."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from ffe.errors import ConfigurationError, FfeError, UnknownNameError
from ffe.replay.models import Bars, Signals

# Of a rule that knows no doubt. Nothing asks a baseline how sure it is.
CERTAIN = 100


class Strategy(Protocol):
    """`lookback`: bars, its own among them, that one action may depend on. `unbounded`: replayed without rules, all in and all out.

    `params`: every parameter with its value.
    """

    @property
    def name(self) -> str: ...

    @property
    def lookback(self) -> int: ...

    @property
    def unbounded(self) -> bool: ...

    @property
    def params(self) -> Mapping[str, float]: ...

    def signals(self, bars: Bars) -> Signals:
        """What it says at each bar's close. Raises ConfigurationError when that is not one action a bar."""
        ...


@dataclass(frozen=True)
class RuleStrategy:
    """A strategy file with its parameters filled in.

    `copies`: the rule is somebody else's, and gets bars of its own. Ours get a view that they can't write to: a copy of a million bars
    takes longer than most of them do.
    """

    name: str
    rule: Callable[..., npt.ArrayLike]
    lookback: int
    unbounded: bool = False
    params: Mapping[str, float] = field(default_factory=dict)
    copies: bool = False

    @classmethod
    def of(cls, module: ModuleType, params: Mapping[str, float]) -> Self:
        """Raises ConfigurationError when the module is no strategy or a value is refused, UnknownNameError for a parameter it lacks."""
        rule = getattr(module, "actions", None)
        name = getattr(module, "NAME", None)
        if not callable(rule) or not isinstance(name, str):
            raise ConfigurationError(f"{module.__name__} is no strategy: it needs NAME and actions(bars)")
        filled = _filled(name, rule, params)
        bars = getattr(module, "lookback", None)
        lookback = bars(**_shared(bars, filled)) if callable(bars) else getattr(module, "LOOKBACK", None)
        if not isinstance(lookback, int) or lookback < 1:
            raise ConfigurationError(f"strategy {name} needs LOOKBACK or lookback(), 1 bar or more; it is {lookback}")
        return cls(name, rule, lookback, bool(getattr(module, "UNBOUNDED", False)), filled)

    def signals(self, bars: Bars) -> Signals:
        """Actions of the rule, those on fewer bars than the lookback left out, each with confidence 100.

        Raises:
            ConfigurationError: the rule failed, or gave anything but -1, 0 or 1 for each bar.
        """
        said = self._said(bars)
        if said.shape != (len(bars),):
            raise ConfigurationError(f"strategy {self.name} gave actions of shape {said.shape} for {len(bars)} bars")
        if not np.isin(said, (-1, 0, 1)).all():
            raise ConfigurationError(f"strategy {self.name} gave an action that is not -1, 0 or 1")
        actions = said.astype(np.int8)
        actions[: self.lookback - 1] = 0
        return Signals(actions, np.full(len(bars), CERTAIN, np.int64))

    def _said(self, bars: Bars) -> npt.NDArray[Any]:
        """Bars are lent to be read: what a rule wrote into them, the fills would be made of."""
        try:
            return np.asarray(self.rule(_lent(bars, copies=self.copies), **self.params))
        except FfeError:
            raise
        except Exception as error:
            failed = f"strategy {self.name} failed on {len(bars)} bars: {type(error).__name__}: {error}"
            raise ConfigurationError(failed) from error


def _lent(bars: Bars, *, copies: bool) -> Bars:
    """The rows, read-only. Behind a view lies the whole array, with what comes later, and it can be made writable again.

    A copy has just these rows, and no digest: that is one of all that a replay has, and no rerun's.
    """
    lent = {name: getattr(bars, name) for name in ("times", "mid", "bid", "ask", "volume", "after")}
    lent = {name: values.copy() if copies else values.view() for name, values in lent.items()}
    for values in lent.values():
        values.flags.writeable = False
    return replace(bars, **lent, sha256="" if copies else bars.sha256)


def parameters(rule: Callable[..., Any]) -> dict[str, float]:
    """Names of a strategy's parameters with their defaults."""
    signature = inspect.signature(rule).parameters.values()
    return {each.name: each.default for each in signature if each.kind is inspect.Parameter.KEYWORD_ONLY}


def _filled(name: str, rule: Callable[..., Any], params: Mapping[str, float]) -> dict[str, float]:
    """Defaults with `params` over them; a default that is whole wants a whole number."""
    known = parameters(rule)
    for given, value in params.items():
        if given not in known:
            raise UnknownNameError(f"parameter of {name}", given, known or ["(it has none)"])
        if isinstance(known[given], int) and not float(value).is_integer():
            raise ConfigurationError(f"{name}: {given} must be a whole number, it is {value}")
    return {key: type(default)(params.get(key, default)) for key, default in known.items()}


def _shared(function: Callable[..., Any], filled: Mapping[str, float]) -> dict[str, float]:
    return {name: filled[name] for name in parameters(function)}
