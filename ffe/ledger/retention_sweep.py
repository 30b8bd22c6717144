"""One run of the retention: where it works, what it may do, and how long its transactions took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, func, select, tuple_
from sqlmodel import Session

from ffe.ledger.database import Database
from ffe.ledger.schema import METADATA
from ffe.ledger.tables import LedgerRow

BATCH, PAUSE = 200, 0.05


class Removal(BaseModel):
    """`removed` of one kind, and how many that are as old were `kept` because something rests on them. `days` None: nothing was looked at."""

    model_config = ConfigDict(frozen=True)

    kind: str
    days: int | None
    removed: int = 0
    kept: int = 0
    size: int = 0


@dataclass
class Sweep:
    """`now` is the engine's clock, which rows go by; `wall` this machine's, which the times of files go by."""

    database: Database
    data_dir: Path
    now: datetime
    wall: datetime
    dry_run: bool = False
    sleep: Callable[[float], None] = time.sleep
    spent: list[float] = field(default_factory=list)

    def before(self, days: int) -> datetime:
        return self.now - timedelta(days=days)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One short transaction; whoever waits for the database gets it afterwards."""
        began = time.monotonic()
        with self.database.write() as session:
            yield session
        self.spent.append(time.monotonic() - began)
        self.sleep(PAUSE)

    def delete(self, table: type[LedgerRow], which: Any) -> int:
        """Rows of `table` that fit, a batch at a time; how many those were, or in a dry run would be."""
        if self.dry_run:
            return self.count(table, which)
        key: Any = list(METADATA.tables[str(table.__tablename__)].primary_key.columns)
        removed = 0
        while some := self._some(key, which):
            # Asked once more under the lock: what has changed in between may stay.
            keys = tuple_(*key).in_(some) if len(key) > 1 else key[0].in_([value for (value,) in some])
            with self.writing() as session:
                gone = session.connection().execute(delete(table).where(keys, which)).rowcount
            removed += gone
            if gone < BATCH:
                break
        return removed

    def _some(self, key: Any, which: Any) -> list[tuple[Any, ...]]:
        with self.database.read() as session:
            return [tuple(row) for row in session.connection().execute(select(*key).where(which).limit(BATCH))]

    def count(self, table: type[LedgerRow], which: Any) -> int:
        with self.database.read() as session:
            return int(session.connection().execute(select(func.count()).select_from(table).where(which)).scalar_one())
