"""The live side of the parity test: the trading cycle itself, in mode paper, against the real simulator through the real SDKs.

Its own function, `flows.trading_cycle.run_cycle`, is run for every bar, its tasks called directly, so that a day takes a minute and not
ten; every so often the flow is run whole, with Prefect around each task. Engine and simulator stand still at each bar's close and the lag.
"""

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from expectations.validate import validate_bars
from ffe.clock import FixedClock, rfc3339
from ffe.cycle import steps
from ffe.cycle.engine import Engine
from ffe.decision.models import Context
from ffe.decision.verdict import AskedVerdict
from ffe.llm.protocol import LanguageModel
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import QualityReport, Reference
from ffe.orders.models import Leg, Side
from ffe.processes import Child
from ffe.settings import load_settings
from ffe.sources.models import BarBatch, to_frame
from tasks import runtime

EVERYTHING = 100_000


@dataclass(frozen=True)
class Decided:
    """The decision on one instrument as the ledger has it, the arithmetic of its order, and how that ended."""

    action: str
    author: str
    code: str
    confidence: int
    sizing: tuple[Any, ...] | None
    order: str | None


@dataclass(frozen=True, order=True)
class Filled:
    at: datetime
    instrument: str
    leg: Leg
    side: Side
    units: Decimal
    price: Decimal
    fee: Decimal


@dataclass
class Day:
    """What the live engine did: decisions by (bar close in epoch seconds, instrument), equity by (the same, venue) as reconciled."""

    decisions: dict[tuple[int, str], Decided] = field(default_factory=dict)
    equity: dict[tuple[int, str], Decimal] = field(default_factory=dict)
    contexts: dict[tuple[int, str], Context] = field(default_factory=dict)
    fills: list[Filled] = field(default_factory=list)
    asked: list[AskedVerdict] = field(default_factory=list)
    final: dict[str, Decimal] = field(default_factory=dict)


class Venue:
    """A running simulator; its clock stands still where it is put."""

    def __init__(self, ready: Mapping[str, Any]) -> None:
        self.environment: dict[str, str] = ready["env"]
        self._door = ready["control"]
        self._post(rate=0)

    def put(self, moment: datetime) -> None:
        self._post(set=rfc3339(moment))

    def _post(self, **body: Any) -> None:
        headers = {"Authorization": f"Bearer {self._door['token']}"}
        url = f"{self._door['base_url']}/clock"
        httpx.post(url, json=body, headers=headers, trust_env=False, timeout=30).raise_for_status()


@contextmanager
def simulator(folder: Path, bars: Path, start: datetime) -> Iterator[Venue]:
    command = [sys.executable, "-m", "simulator", "--exit-with-stdin", "--data-dir", str(folder / "venue")]
    command += ["--bars", str(bars), "--start", rfc3339(start)]
    with (folder / "simulator.log").open("w") as log:
        child = Child.spawn("simulator", command, env=os.environ, log=log, read=True)
    try:
        yield Venue(child.ready(60))
    finally:
        child.close()


@contextmanager
def paper_engine(venue: Venue, folder: Path, model: LanguageModel, **overrides: Any) -> Iterator[Engine]:
    """In mode paper, its clock standing still. Nobody gives a second opinion: replay has none."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in venue.environment.items():
            patch.setenv(name, value)
        for name, value in {"CRYPTO": "coinbase", "FOREX": "oanda", "CROSS_CHECK": "false"}.items():
            patch.setenv(f"FFE_SOURCES__{name}", value)
        engine = Engine.open(load_settings(mode="paper", data_dir=folder / "data", **overrides))
    engine.clock = FixedClock(datetime(2017, 1, 1, tzinfo=UTC))
    engine._models[None] = model
    runtime.use(engine)
    try:
        yield engine
    finally:
        runtime.use(None)
        engine.close()


class Judge:
    """The real suite. What it said of the very same bars it says again, as a live cycle does of a frame that has passed."""

    def __init__(self) -> None:
        self._said: dict[tuple[Any, ...], QualityReport] = {}
        self.asked = 0

    def __call__(
        self,
        table: pa.Table,
        batch: BarBatch,
        now: datetime,
        references: tuple[Reference, ...] = (),
        *,
        calendar: str | None = None,
    ) -> QualityReport:
        frame = to_frame(table)
        numbers = frame.drop(columns="time").to_numpy().tobytes()
        key = (batch.instrument.symbol, batch.timeframe, tuple(frame.columns), tuple(frame["time"]), numbers)
        if key not in self._said:
            self.asked += 1
            self._said[key] = validate_bars(table, batch, now, references, calendar=calendar)
        fresh = {"id": uuid.uuid4().hex, "batch_id": batch.id, "checked_at": now}
        return self._said[key].model_copy(update=fresh)


class Driver:
    """Runs cycles one after the other and keeps what came of them."""

    def __init__(self, engine: Engine, venue: Venue, judge: Judge, timeframe: Timeframe, lag: timedelta) -> None:
        self.engine, self.day = engine, Day()
        self._venue, self._judge, self._timeframe, self._lag = venue, judge, timeframe, lag
        self._close = 0

    async def cycle(self, close: datetime, symbols: tuple[str, ...], *, whole_flow: bool = False) -> None:
        """The cycle that decides on the bars of `symbols` that close then."""
        from flows.trading_cycle import run_cycle, trading_cycle

        now, self._close = close + self._lag, int(close.timestamp())
        self._venue.put(now)
        self.engine.clock.at = now
        if whole_flow:
            state = await trading_cycle(list(symbols), self._timeframe.value, return_state=True)
            cycle_id = str(state.state_details.flow_run_id)
        else:
            cycle = steps.Cycle(id=str(uuid.uuid4()), timeframe=self._timeframe)
            with direct(self._reconciled, self._judge):
                await run_cycle(cycle, [parse_instrument(symbol) for symbol in symbols])
            cycle_id = cycle.id
        self._keep(cycle_id)

    def finish(self) -> Day:
        ledger = self.engine.ledger
        orders = ledger.orders(EVERYTHING)
        self.day.fills = sorted(
            Filled(fill.time, order.instrument, order.leg, order.side, fill.units, fill.price, fill.fee)
            for order in orders
            for fill in ledger.fills(order.id)
        )
        self.day.asked = ledger.verdicts(EVERYTHING)
        for venue in self.engine.settings.venues:
            broker = self.engine.broker(venue)
            self.day.final[venue] = broker.account_state(self.engine.settings.instruments_at(venue)).equity
        return self.day

    def _reconciled(self, venue: str) -> None:
        broker = self.engine.broker(venue)
        marks = self.engine.ledger.equity_marks(venue, broker.account, datetime.min.replace(tzinfo=UTC))
        self.day.equity[self._close, venue] = marks[-1].equity

    def _keep(self, cycle_id: str) -> None:
        report = self.engine.ledger.cycle(cycle_id).summary
        assert report is not None
        for row in report["instruments"]:
            decision, order, key = row["decision"], row["order"], (self._close, row["instrument"])
            assert decision is not None, row
            sizing = self.engine.ledger.sizing(decision["id"])
            self.day.decisions[key] = Decided(
                action=decision["action"],
                author=decision["decided_by"],
                code=decision["reason_code"],
                confidence=decision["confidence"],
                sizing=None if sizing is None else sized(sizing),
                order=None if order is None else order["state"],
            )


def sized(sizing: Any) -> tuple[Any, ...]:
    """Everything in a sizing that is a number or a name."""
    names = ("method", "units", "entry_price", "stop_loss", "take_profit", "notional", "risk_amount", "balance")
    clamps = tuple((clamp.name, clamp.before, clamp.after) for clamp in sizing.clamps)
    return (*(getattr(sizing, name) for name in names), clamps)


@dataclass(frozen=True)
class Done:
    """A future whose task has run."""

    value: Any = None
    error: Exception | None = None
    task_run_id: uuid.UUID = field(default_factory=uuid.uuid4)

    def result(self, *, raise_on_failure: bool = True) -> Any:
        if self.error is not None and raise_on_failure:
            raise self.error
        return self.error or self.value

    def wait(self) -> None:
        """It has run."""


class Direct:
    """A task without Prefect: its function, called where it would be submitted; `then` is told its first argument."""

    def __init__(self, task: Any, then: Callable[[Any], None] | None = None) -> None:
        self._work, self._then = task.fn, then

    def submit(self, *args: Any, **kwargs: Any) -> Done:
        try:
            done = Done(self._work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as a future keeps it
            return Done(error=error)
        if self._then is not None:
            self._then(args[0])
        return done


class Unpublished:
    """A task that shows people something: nobody is looking."""

    def submit(self, *args: Any, **kwargs: Any) -> Done:
        del args, kwargs
        return Done()

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs


@contextmanager
def direct(reconciled: Callable[[str], None], judge: Judge) -> Iterator[None]:
    """The tasks and the inner flow of a trading cycle as plain functions; nothing is published."""
    from flows import decide, trading_cycle, verdicts
    from tasks import bars

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fetch_bars", "check_bars", "plan_order", "submit_order", "resume_order"):
            patch.setattr(trading_cycle, name, Direct(getattr(trading_cycle, name)))
        patch.setattr(trading_cycle, "reconcile_venue", Direct(trading_cycle.reconcile_venue, reconciled))
        for name in ("publish_quality", "publish_trend", "publish_report"):
            patch.setattr(trading_cycle, name, Unpublished())
        patch.setattr(bars, "validate_and_save", judge)
        patch.setattr(verdicts, "decide", verdicts.decide.fn)
        patch.setattr(decide, "ask_model", decide.ask_model.fn)
        patch.setattr(verdicts, "record_outage", lambda *_: "not published")
        yield
