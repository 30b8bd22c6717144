"""Strategies by name, and by the path of a user's own file.

A file is executed anew for each call: what it keeps of an earlier one, on later bars or of another instrument, would be knowledge that no
live cycle has, and no rerun on truncated bars would show it. It keeps out mistakes, not somebody who is set on cheating himself.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.abc import InspectLoader
from importlib.util import decode_source
from pathlib import Path
from types import CodeType, ModuleType
from typing import Self

import numpy.typing as npt

from ffe.errors import ConfigurationError, UnknownNameError
from ffe.replay.models import Bars
from ffe.replay.strategies import buy_and_hold, hold, mean_reversion, momentum, random, sma_cross
from ffe.replay.strategies.protocol import RuleStrategy, Strategy

MODULES: Mapping[str, ModuleType] = {
    module.NAME: module for module in (sma_cross, momentum, mean_reversion, hold, buy_and_hold, random)
}
STRATEGIES: Mapping[str, Strategy] = {name: RuleStrategy.of(module, {}) for name, module in MODULES.items()}
NO_PARAMS: Mapping[str, float] = {}


def find_strategy(name_or_path: str, params: Mapping[str, float] = NO_PARAMS) -> Strategy:
    """A known name, or the path of a .py file of the same shape, with `params` over its defaults.

    Raises:
        UnknownNameError: neither; names the nearest known ones. Also for a parameter that the strategy lacks.
        ConfigurationError: a file that can't be run or is no strategy, or a value that the strategy refuses.
    """
    module = MODULES.get(name_or_path)
    if module is not None:
        return RuleStrategy.of(module, params)
    path = Path(name_or_path).expanduser()
    if path.suffix != ".py":
        raise UnknownNameError("strategy", name_or_path, MODULES)
    file = StrategyFile.read(path)
    return replace(RuleStrategy.of(file.module(), params), rule=file.actions, copies=True)


@dataclass(frozen=True)
class StrategyFile(InspectLoader):
    """A user's file as it was when it was read; it runs in this process, with this user's rights."""

    path: Path
    source: bytes
    code: CodeType

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ConfigurationError when there is none or it is no Python."""
        if not path.is_file():
            raise ConfigurationError(f"no strategy file at {path}")
        try:
            source = path.read_bytes()
            return cls(path, source, compile(source, str(path), "exec", dont_inherit=True))
        except (OSError, SyntaxError, ValueError) as error:
            raise _failed(path, error) from error

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return self.code

    def get_source(self, fullname: str) -> str:
        del fullname
        return decode_source(self.source)

    def module(self) -> ModuleType:
        """A new module of a name of the file's own. Raises ConfigurationError when the file fails."""
        made = ModuleType(f"strategy_{hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:12]}")
        made.__file__, made.__loader__ = str(self.path), self
        try:
            self.exec_module(made)
        except Exception as error:
            raise _failed(self.path, error) from error
        return made

    def actions(self, bars: Bars, **params: float) -> npt.ArrayLike:
        """What the file says as if it had never been asked before."""
        said: npt.ArrayLike = self.module().actions(bars, **params)
        return said


def _failed(path: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"strategy file {path} failed: {type(error).__name__}: {error}")
