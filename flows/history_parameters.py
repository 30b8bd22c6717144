"""Parameters of the flows that replay history.

A strategy is one of ours by name: whoever may start a run in the UI does not choose which file of a worker's disk is run as code.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from ffe.errors import UnknownNameError
from ffe.replay.deciding import LLM
from ffe.replay.strategies import STRATEGIES

ASKED = (*STRATEGIES, LLM)


def _rule(name: str) -> str:
    return _of(name, tuple(STRATEGIES))


def _strategy(name: str) -> str:
    return _of(name, ASKED)


def _of(name: str, known: tuple[str, ...]) -> str:
    if name not in known:
        raise ValueError(str(UnknownNameError("strategy", name, known)))
    return name


RuleName = Annotated[str, AfterValidator(_rule), WithJsonSchema({"type": "string", "enum": list(STRATEGIES)})]
StrategyName = Annotated[str, AfterValidator(_strategy), WithJsonSchema({"type": "string", "enum": list(ASKED)})]
BarFile = Annotated[str, Field(min_length=1, pattern=r"\.(csv|parquet)$")]
