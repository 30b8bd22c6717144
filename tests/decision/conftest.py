"""A context made from real recorded bars, and a model that says what it is told to."""

import csv
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from ffe.clock import FixedClock, parse_time
from ffe.decision.context import build_context
from ffe.decision.models import Context
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.pulse import consensus, pulse
from ffe.market.quality import QualityReport
from ffe.sources.models import BAR_SCHEMA, BarBatch, to_frame

IDENTITY = ModelIdentity(adapter="embedded", model="scripted", digest="d" * 64, runtime="script 1", threads=1)


class ScriptedModel:
    """Gives the outcomes in turn: text, a (text, finish_reason) pair, or an exception to raise. `asked` keeps the messages."""

    def __init__(self, *outcomes: str | tuple[str, str] | Exception) -> None:
        self.outcomes, self.asked = list(outcomes), []

    def identity(self) -> ModelIdentity:
        return IDENTITY

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        self.asked.append(tuple(messages))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        text, reason = outcome if isinstance(outcome, tuple) else (outcome, "stop")
        return Completion(
            text=text, finish_reason=reason, prompt_tokens=9, completion_tokens=3, latency_ms=1.0, identity=IDENTITY
        )

    def health(self) -> ModelHealth:
        return ModelHealth(ok=True, detail="scripted")

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
def scripted() -> type[ScriptedModel]:
    return ScriptedModel


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2018, 4, 4, 12, 0, 5, tzinfo=UTC))


def read_table(path: Path) -> pa.Table:
    """Minute bars of a recorded file; the mid of bid and ask where there is no trade."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    time_name = next(iter(rows[0]))
    sides = ("",) if "open" in rows[0] else ("bid_", "ask_")
    columns: dict[str, list[object]] = {"time": [parse_time(row[time_name]) for row in rows]}
    for name in ("open", "high", "low", "close"):
        columns[name] = [sum(Decimal(row[side + name]) for side in sides) / len(sides) for row in rows]
    columns["volume"] = [Decimal(row.get("volume") or "0") for row in rows]
    return pa.table(columns, schema=BAR_SCHEMA)


def batch_of(table: pa.Table, symbol: str, timeframe: Timeframe) -> BarBatch:
    times = table.column("time").to_pylist()
    return BarBatch(
        id="b" * 64,
        instrument=parse_instrument(symbol),
        timeframe=timeframe,
        source="recorded",
        path="bars/batches/bb/b.parquet",
        rows=table.num_rows,
        first_open=times[0],
        last_open=times[-1],
        fetched_at=times[-1] + timedelta(minutes=1),
    )


def report_on(batch: BarBatch, *findings) -> QualityReport:
    return QualityReport(
        id="q1",
        batch_id=batch.id,
        suite="bars-1m-v1",
        checks=12,
        findings=findings,
        checked_at=batch.fetched_at,
        duration_ms=1.0,
    )


@pytest.fixture
def report() -> Callable[..., QualityReport]:
    return report_on


@pytest.fixture
def batch() -> Callable[..., BarBatch]:
    return batch_of


@pytest.fixture(scope="session")
def minutes(recorded_bars) -> dict[str, pa.Table]:
    """Real one-minute bars by symbol."""
    found = {}
    for path in sorted(recorded_bars.glob("*.csv")):
        symbol = path.name.split("_")[0].replace("-", "")
        found[symbol] = read_table(path)
    return found


@pytest.fixture(scope="session")
def contexts(minutes) -> list[Context]:
    """Contexts of real bars, three windows of 200 minutes for each instrument."""
    made = []
    for symbol, table in minutes.items():
        for start in (0, 90, 190):
            window = table.slice(start, 200)
            of_window = batch_of(window, symbol, Timeframe.M1)
            frames = pulse({Timeframe.M1: to_frame(window)}, Timeframe.M1)
            made.append(build_context(of_window, window, report_on(of_window), frames, consensus(frames)))
    return made


@pytest.fixture
def context(contexts) -> Context:
    return contexts[0]
