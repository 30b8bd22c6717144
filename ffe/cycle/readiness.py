"""Whether an order may go to a venue at all: in practice and live a preflight stands before every one of them.

A preflight stands for the venues that it asked, with the account of then. One that was ready stands for an hour. One that was not is made again after five minutes, so that a mended key need not wait. The
look is made when a decision wants an order, before anything is read for it. Protection, exits that are watched from here and the kill
switch's own closes do not pass here: what reduces risk is never held up. In sim and paper no order needs one.
"""

import threading
from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

from pydantic import ValidationError

from ffe.cycle import incidents
from ffe.cycle.engine import Engine
from ffe.errors import RefusedError
from ffe.observe.preflight import account_mark, run_preflight
from ffe.observe.preflight_models import Preflight
from ffe.risk.models import Denial
from ffe.settings import Mode

KIND = "preflight"
FAILED, SIGNAL_ONLY = "preflight_failed", "signal_only"
STANDS = {"ready": timedelta(hours=1), "signal-only": timedelta(minutes=5), "refused": timedelta(minutes=5)}
MODES = (Mode.PRACTICE, Mode.LIVE)

_looking = threading.Lock()


def newest(engine: Engine) -> Preflight | None:
    """The newest recorded one of this mode, however old; None without one that can be read."""
    for run in engine.ledger.checks(KIND, 10, mode=engine.settings.mode.value, until=engine.clock.now()):
        try:
            return Preflight.model_validate(run.document)
        except ValidationError:
            continue
    return None


def standing(engine: Engine, venues: Collection[str] = ()) -> Preflight | None:
    """The newest one while it still stands, and only if it asked each of `venues` with the account of now.

    One from the future was made by another clock and does not stand.
    """
    found = newest(engine)
    if found is None or any(found.accounts.get(each) != account_mark(engine.settings, each) for each in venues):
        return None
    age = engine.clock.now() - found.at
    return found if timedelta(0) <= age < STANDS[found.outcome] else None


def record(engine: Engine, found: Preflight) -> Preflight:
    """Writes it down as the newest one."""
    engine.ledger.record_check(
        KIND, found.at, passed=found.outcome == "ready", broken=found.broken, document=found.model_dump(mode="json")
    )
    return found


def ensure(engine: Engine, venues: Collection[str]) -> Preflight:
    """The one that stands for `venues`, or one made now of them and the settings' own, recorded, with an incident when it refuses."""
    with _looking:
        found = standing(engine, venues)
        if found is None:
            found = record(engine, run_preflight(engine, venues))
            if found.outcome == "refused":
                _incident(engine, found)
    return found


def denial(engine: Engine, venue: str) -> Denial | None:
    """Why no order of a decision may go to `venue` now; None in sim and paper, and where a ready preflight stands."""
    if engine.settings.mode not in MODES:
        return None
    found = ensure(engine, [venue])
    if found.outcome == "ready":
        return None
    code = FAILED if found.outcome == "refused" else SIGNAL_ONLY
    return Denial(code=code, reason=f"no order to {venue}: the preflight is {found.outcome}: {found.reason}")


def blocked(engine: Engine, venue: str) -> str | None:
    """`denial` in one sentence."""
    found = denial(engine, venue)
    return None if found is None else found.reason


def require(engine: Engine) -> None:
    """Makes or finds a preflight where the mode needs one.

    Raises:
        RefusedError: it is refused; says why.
    """
    if engine.settings.mode not in MODES:
        return
    found = ensure(engine, engine.settings.venues)
    if found.outcome == "refused":
        raise RefusedError(f"preflight refused: {found.reason} (`ffe preflight` shows every answer)")


def _incident(engine: Engine, found: Preflight) -> None:
    error = RefusedError(f"preflight refused: {found.reason}")
    incidents.write(engine, incidents.of_error(error), KIND, run_id=f"preflight-{uuid4().hex}")
