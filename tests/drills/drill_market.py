"""A simulator whose clock stands still, its market as this process draws it, and an engine over both with patience for a moment only."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from ffe.clock import rfc3339
from ffe.money import round_nearest
from ffe.sources.models import BarBatch
from simulator.generated import DEMO_START, GeneratedMarket
from simulator.market import SimBar

SEED = 7
NOW = DEMO_START
TICK = Decimal("0.00001")  # of EURUSD at every feed
PRICES = ("open", "high", "low", "close")


@dataclass
class Venue:
    """Is a clock too: the venue's own, which moves only when it is told to."""

    ready: dict[str, Any]
    at: datetime = NOW

    @property
    def environment(self) -> dict[str, str]:
        found: dict[str, str] = self.ready["env"]
        return found

    def now(self) -> datetime:
        return self.at

    def control(self, path: str, **body: Any) -> dict[str, Any]:
        door = self.ready["control"]
        headers = {"Authorization": f"Bearer {door['token']}"}
        reply = httpx.post(f"{door['base_url']}/{path}", json=body, headers=headers, trust_env=False)
        reply.raise_for_status()
        document: dict[str, Any] = reply.json()
        return document

    def move(self, at: datetime) -> None:
        self.control("clock", rate=0, set=rfc3339(at))
        self.at = at

    def faults(self, *entries: dict[str, Any]) -> None:
        """Replaces them. One that is said twice happens once: two would undo each other, or take twice as much."""
        once = [entry for place, entry in enumerate(entries) if entry not in entries[:place]]
        self.control("faults", seed=SEED, faults=once)

    def asked(self) -> list[int]:
        """How many requests each fault has seen."""
        door = self.ready["control"]
        headers = {"Authorization": f"Bearer {door['token']}"}
        reply = httpx.get(f"{door['base_url']}/faults", headers=headers, trust_env=False)
        return [row["seen"] for row in reply.json()["faults"]]


@contextmanager
def running(folder: Path, plan: str = "premium", seed: int = SEED) -> Iterator[Venue]:
    """A simulator at the demo's moment, ended with the block."""
    command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(folder), "--seed", str(seed)]
    start = ["--start", rfc3339(NOW), "--alpha-vantage-plan", plan]
    process = subprocess.Popen([*command, *start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin:
        venue = Venue(json.loads(process.stdout.readline()))
        venue.move(NOW)
        yield venue
        process.stdin.close()
        assert process.wait(20) == 0


def strangers(batch: BarBatch, table: pa.Table, now: datetime, columns: Sequence[str] | None = None) -> list[datetime]:
    """Opens of the bars that are not the market's own, complete at `now`, to the last printed digit of `columns` (all of them)."""
    market = GeneratedMarket(SEED, NOW)
    seconds = int(batch.timeframe.duration.total_seconds())
    opens: Sequence[datetime] = table.column("time").to_pylist()
    drawn = market.bars(batch.instrument.symbol, seconds, min(opens), now)
    right = {bar.time: printed(batch, bar) for bar in drawn if bar.time + batch.timeframe.duration <= now}
    rows = table.select(list(columns or table.column_names)).to_pylist()
    return [at for at, row in zip(opens, rows, strict=True) if not _same(row, right.get(at))]


def printed(batch: BarBatch, bar: SimBar) -> dict[str, Any]:
    """A bar of the market with every column that the batch's source may have."""
    forex = batch.instrument.symbol != "BTCUSD"
    prices = [round_nearest(price, TICK) for price in astuple(bar.mid)] if forex else list(astuple(bar.trade))
    volume = Decimal(max(1, int(bar.volume))) if forex else bar.volume
    closes = {"bid_close": bar.bid.close, "ask_close": bar.ask.close}
    return {"time": bar.time, **dict(zip(PRICES, prices, strict=True)), "volume": volume, **closes}


def _same(row: dict[str, Any], right: dict[str, Any] | None) -> bool:
    return right is not None and all(right[name] == value for name, value in row.items())
