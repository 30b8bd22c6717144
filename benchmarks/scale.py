"""What a cycle costs as its instruments grow, in time and on disk: `python -m benchmarks.scale`. The numbers of docs/scaling.md.

Real simulator, SDKs, Great Expectations, ledger and Prefect API over every forex pair without the yen, on one drawn price path;
the model is a constant that says HOLD, because its cost is its own (`benchmarks.model`). Each round is a new bar. Asserts nothing.
"""

import argparse
import asyncio
import contextlib
import csv
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.cycle import _next_bar
from expectations.validate import warm
from ffe.cli.options import with_venues
from ffe.cli.surroundings import Surroundings
from ffe.cycle.engine import Engine
from ffe.llm.models import Completion, JsonSchema, Message, ModelHealth, ModelIdentity, Sampling
from ffe.market.models import INSTRUMENTS, AssetClass
from ffe.settings import load_settings

# The drawn prices have five decimals; a yen pair has three.
PAIRS = sorted(
    symbol for symbol, each in INSTRUMENTS.items() if each.asset_class is AssetClass.FOREX and each.quote != "JPY"
)
START = datetime(2026, 11, 9, tzinfo=UTC)
MINUTES = 3600


class Holding:
    """A language model that always says HOLD."""

    def identity(self) -> ModelIdentity:
        return ModelIdentity(adapter="recorded", model="constant", digest="0" * 64, runtime="bench")

    def complete(self, messages: Sequence[Message], schema: JsonSchema, sampling: Sampling) -> Completion:
        del messages, schema, sampling
        text = json.dumps({"action": "HOLD", "confidence": 50, "reasoning": "bench"})
        return Completion(
            text=text,
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=1,
            latency_ms=0.0,
            identity=self.identity(),
        )

    def health(self) -> ModelHealth:
        return ModelHealth(ok=True, detail="bench")

    def close(self) -> None:
        """Nothing to close."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instruments", type=int, nargs="+", default=[1, 4, 8, 16, 21])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bars = Path(folder) / "bars"
        _draw(bars)
        (Path(folder) / "data").mkdir()
        settings = load_settings(
            data_dir=Path(folder) / "data", instruments=PAIRS, clock=START + timedelta(hours=40, seconds=20)
        )
        settings = settings.model_copy(update={"simulator": settings.simulator.model_copy(update={"bars": bars})})
        with Surroundings(settings) as around:
            around.start_simulator()
            around.start_api()
            around.await_simulator()
            around.await_api()
            warm()
            engine = Engine.open(with_venues(settings.model_copy(update={"clock": None})))
            try:
                _measure(engine, around.simulator_control, options.instruments, options.rounds)
            finally:
                engine.close()


def _draw(folder: Path) -> None:
    """One random walk for every pair, so that none of them is worth more than the others to the checks."""
    folder.mkdir()
    walk, price = random.Random(7), 1.2
    rows = []
    for minute in range(MINUTES):
        opened, price = price, price * (1 + walk.gauss(0, 1e-4))
        low, high = min(opened, price) - 2e-5, max(opened, price) + 2e-5
        bid = [f"{value:.5f}" for value in (opened, high, low, price)]
        ask = [f"{value + 1e-4:.5f}" for value in (opened, high, low, price)]
        rows.append([(START + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ"), *bid, *ask])
    columns = ["time", *(f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close"))]
    for pair in PAIRS:
        with (folder / f"{pair[:3]}-{pair[3:]}_1m_bidask_drawn.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def _measure(engine: Engine, control: dict[str, str], sizes: list[int], rounds: int) -> None:
    from tasks import runtime

    engine._models[None] = Holding()
    runtime.use(engine)
    print(f"median of {rounds} cycles; ms, and kB that one cycle adds")
    stages = ("reconcile", "bars", "quality", "decide", "orders", "publish")
    print("".join(f"{name:>10}" for name in ("pairs", "wall", *stages, "ledger", "bars kB", "prefect")))
    for size in sizes:
        seen: list[dict[str, float]] = []
        for turn in range(rounds + 1):
            before = _disk(engine.settings.data_dir)
            started = time.perf_counter()
            report = asyncio.run(_cycle(engine, PAIRS[:size]))
            wall = (time.perf_counter() - started) * 1000
            grown = {name: (after - before[name]) / 1024 for name, after in _disk(engine.settings.data_dir).items()}
            if turn > 0:
                seen.append(report["timings_ms"] | {"wall": wall} | grown)
            _next_bar(engine, control)
        names = ("wall", *stages, "ledger", "bars kB", "prefect")
        print(
            f"{size:>10}"
            + "".join(f"{statistics.median(each.get(name, 0.0) for each in seen):>10.0f}" for name in names)
        )


async def _cycle(engine: Engine, pairs: list[str]) -> dict[str, Any]:
    from flows.trading_cycle import trading_cycle

    state = await trading_cycle(pairs, "5m", return_state=True)
    report = engine.ledger.cycle(str(state.state_details.flow_run_id)).summary or {}
    decided = {row["decision"]["decided_by"] for row in report["instruments"]}
    if decided != {"model"}:
        raise SystemExit(f"not every pair got as far as the model: {decided}")
    return dict(report)


def _disk(data: Path) -> dict[str, float]:
    """Bytes of the ledger, the bars and Prefect's database; of a database its pages, wherever SQLite keeps them at the moment."""

    def pages(path: Path) -> float:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            count, size = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            return float(count * size)

    bars = sum(path.stat().st_size for path in data.glob("bars/**/*") if path.is_file())
    return {"ledger": pages(data / "ledger.sqlite"), "bars kB": bars, "prefect": pages(data / "prefect" / "prefect.db")}


if __name__ == "__main__":
    main()
