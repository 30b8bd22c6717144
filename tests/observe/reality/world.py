"""What the checks look at, made by the real parts, and the ways to break it."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from account import Account
from builders import AT, BAR, batch, call, context, decision, linked_decision, report, sizing, spec
from scripted import SleepingClock, Venue
from scripted_venue import State
from sqlalchemy import update

from ffe.cycle.engine import Engine
from ffe.decision.answer import Answer
from ffe.decision.models import Action, Author
from ffe.decision.verdict import Verdict
from ffe.ledger.ledger import Ledger
from ffe.ledger.schema import METADATA
from ffe.market.models import parse_instrument
from ffe.market.quality import Freshness
from ffe.observe.prefect_api import Api
from ffe.observe.reality.check import CHECKS, check_reality
from ffe.observe.reality.models import Invariant, Reality
from ffe.settings import Settings
from ffe.sources.store import BarStore

FRESH = Freshness(
    bar_close=BAR, age_seconds=20, limit_seconds=900, fresh=True, message="newest 5m bar closed 0.3 min ago"
)
LEDGER_AND_VENUE = tuple(
    check.name for check in CHECKS if check.name not in ("alarms-wired", "workers-alive", "deployments-running")
)


@dataclass
class World:
    engine: Engine
    account: Account

    @property
    def ledger(self) -> Ledger:
        return self.engine.ledger

    @property
    def clock(self) -> SleepingClock:
        return self.account.clock

    def check(self, api: Api | None = None, automations: tuple[str, ...] = (), **options: Any) -> Reality:
        return check_reality(self.engine, api, automations, sleep=self.clock.sleep, **options)

    def broken(self) -> dict[str, Invariant]:
        return {each.name: each for each in self.check().broken}

    def only(self, name: str) -> Invariant:
        """What is found of the one invariant that is broken."""
        found = self.broken()
        assert set(found) == {name}, {key: (each.detail, each.rows) for key, each in found.items()}
        return found[name]

    def why(self, name: str) -> str:
        """What the one row says that breaks the one invariant."""
        found = self.only(name)
        assert (found.count, len(found.rows)) == (1, 1)
        return found.rows[0]["why"]

    def put(self, table: str, where: dict[str, Any] | None = None, **values: Any) -> None:
        """What somebody writes into the database past the ledger; `where` None: into every row."""
        known = METADATA.tables[table]
        query = update(known).values(**values)
        for name, value in (where or {}).items():
            query = query.where(known.c[name] == value)
        with self.ledger.database.writing_connection() as connection:
            assert connection.execute(query).rowcount > 0

    def run(self, statement: str) -> None:
        with self.ledger.database.writing_connection() as connection:
            connection.exec_driver_sql(statement)


def traded(ledger: Ledger, folder: Path) -> World:
    """A filled entry on a new ledger, reconciled."""
    _record(ledger)
    world = _world(ledger, folder, SleepingClock(AT))
    world.account.enter()
    world.account.reconcile()
    return world


def again(ledger: Ledger, folder: Path, venue: State) -> World:
    """A minute later, over a copy of the ledger that `traded` left, and of its venue."""
    world = _world(ledger, folder, SleepingClock(AT + timedelta(minutes=1)))
    world.account.venue.state = venue.model_copy(deep=True)
    return world


def _world(ledger: Ledger, folder: Path, clock: SleepingClock) -> World:
    account = Account(ledger, clock, Venue(dedupes=False))
    settings = Settings(instruments=(parse_instrument("EURUSD"),), data_dir=folder)
    engine = Engine(settings, clock, ledger, BarStore(folder / "bars", "sim"))
    engine._brokers["oanda"] = account.broker
    return World(engine, account)


def _record(ledger: Ledger) -> None:
    made = linked_decision()
    ledger.start_cycle(made.cycle_id, "sim", "5m", AT)
    ledger.record_batch(batch())
    ledger.record_quality(report(freshness=FRESH))
    answer = Answer(reasoning="trend up", action=Action.BUY, confidence=75)
    ledger.record_verdict(made.cycle_id, context(), Verdict(calls=(call(),), answer=answer, error=None), AT)
    ledger.record_decision(made)
    ledger.record_sizing(made.id, sizing())
    ledger.record_spec(spec())
    held = {"action": Action.HOLD, "bar_close": None}
    ledger.record_decision(decision(id="1" * 32, instrument="GBPUSD", model_call_id="m" * 32, **held))
    ledger.record_decision(decision(id="2" * 32, instrument="USDJPY", decided_by=Author.MARKET_HOURS, **held))
