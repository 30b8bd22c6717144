"""What every check is given, and what it gives back.

A check reads its facts fresh: the ledger by its own SQL, the venue by its own question. What it reads of the ledger is bounded by the
case's window, so that a ledger of years costs what a ledger of a month costs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, select
from sqlalchemy.sql.selectable import Subquery

from ffe.clock import rfc3339
from ffe.cycle.engine import Engine
from ffe.ledger.schema import METADATA
from ffe.observe.prefect_api import Api
from ffe.observe.reality.models import Row

ORDERS, DECISIONS, CYCLES = METADATA.tables["orders"], METADATA.tables["decision"], METADATA.tables["cycle"]


@dataclass(frozen=True)
class Window:
    """How far back the ledger is read: so many days, and at most so many rows of a kind, the newest."""

    days: int = 30
    most: int = 10_000


@dataclass(frozen=True)
class Case:
    """One look: at `now` of the engine's clock. `api` None: no running deployment belongs to it."""

    engine: Engine
    now: datetime
    window: Window
    api: Api | None = None
    automations: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()

    @property
    def since(self) -> datetime:
        return (self.now - timedelta(days=self.window.days)).replace(microsecond=0)

    def read(self, query: Select[Any]) -> list[dict[str, Any]]:
        with self.engine.ledger.database.read() as session:
            return [dict(row) for row in session.connection().execute(query).mappings()]

    def recent(self, table: Table, moment: str, *where: ColumnElement[bool]) -> Subquery:
        """The newest rows of a table within the window, by its column `moment`."""
        at = table.c[moment]
        query = select(table).where(at >= self.since, *where).order_by(at.desc()).limit(self.window.most)
        return query.subquery(table.name)

    def said(self, rows: int, what: str) -> str:
        """`rows` of `what`, and how far back was looked."""
        bound = f", the newest {self.window.most}" if rows >= self.window.most else ""
        return f"{rows} {what} since {rfc3339(self.since)}{bound}"


@dataclass(frozen=True)
class Finding:
    """`looked` is how much of what was looked at, `rule` what `rows` do to break the invariant: both read as one sentence."""

    looked: str
    rule: str
    rows: Sequence[Row] = ()


@dataclass(frozen=True)
class Exempt:
    """The invariant does not apply here, and why."""

    reason: str


@dataclass(frozen=True)
class Check:
    """`twice`: ledger and venue are read at two moments, so a difference is believed when it is still there at a second look."""

    name: str
    judge: Callable[[Case], Finding | Exempt]
    twice: bool = False
