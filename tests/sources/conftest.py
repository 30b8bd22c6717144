"""Bars made for the store, and a client that answers from a list."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ffe.market.models import Timeframe
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA

START = datetime(2024, 1, 31, 22, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def make_bars() -> Callable[..., pa.Table]:
    """`make_bars(steps, price=..., quoted=...)`: 5m bars at the given numbers of bars after 2024-01-31 22:00 UTC."""

    def made(steps: list[int], price: str = "100.5", *, quoted: bool = False) -> pa.Table:
        schema = QUOTED_BAR_SCHEMA if quoted else BAR_SCHEMA
        rows = [
            {name: START + step * Timeframe.M5.duration if name == "time" else Decimal(price) for name in schema.names}
            for step in steps
        ]
        return pa.Table.from_pylist(rows, schema=schema)

    return made


@dataclass
class ScriptedClient:
    """Answers `read` from a function of the call's parameters and remembers every call."""

    answer: Callable[[dict[str, Any]], Any]
    calls: list[dict[str, Any]] = field(default_factory=list)

    def read(self, target: Any, **kwargs: Any) -> Any:
        call = dict(kwargs) if kwargs else dict(target.params)
        self.calls.append(call)
        reply = self.answer(call)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture
def scripted() -> type[ScriptedClient]:
    return ScriptedClient
