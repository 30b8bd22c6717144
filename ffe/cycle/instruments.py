"""The venues' own rules for what we trade, read and recorded: minimum sizes, increments, fees, margin, whether it trades at all.

An order asks for them anyway before it is sized. Read once a day too, a change is seen by a person before an order meets it.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from ffe.cycle.engine import Engine
from ffe.market.models import Instrument
from ffe.venues.models import InstrumentSpec

# When it was read and whether the market is open this minute are no rules.
_NO_RULES = {"fetched_at", "status", "tradeable"}


class Synced(BaseModel):
    """An instrument's rules now, and what changed since they were last recorded: rule to (before, now). `known` False: first seen."""

    model_config = ConfigDict(frozen=True)

    spec: InstrumentSpec
    known: bool
    changes: dict[str, tuple[Any, Any]]


def sync_instrument(engine: Engine, instrument: Instrument) -> Synced:
    """Raises VenueError and its children when the venue does not say."""
    spec = engine.broker(instrument.venue).spec(instrument)
    before = engine.ledger.spec(instrument.venue, instrument.symbol)
    engine.ledger.record_spec(spec)
    return Synced(spec=spec, known=before is not None, changes={} if before is None else _changes(before, spec))


def _changes(before: InstrumentSpec, now: InstrumentSpec) -> dict[str, tuple[Any, Any]]:
    old, new = before.model_dump(exclude=_NO_RULES), now.model_dump(exclude=_NO_RULES)
    return {name: (old[name], new[name]) for name in new if old[name] != new[name]}
