"""Health of what the ledger tells: that it can be written at all, how old its bars, cycles and checks are, and what waits for a person.

Ages are of the engine's clock. In `sim` that is the simulator's: where none runs, its market stands still and ages can't be judged. A
ledger that is not there is not made, and an old schema is not upgraded: looking changes nothing but one small row.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ffe.clock import Clock, SystemClock
from ffe.cycle.readiness import MODES
from ffe.errors import ConfigurationError, LedgerError
from ffe.ledger.database import Database, ledger_url
from ffe.ledger.freshness import NewestBars, newest_bars
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrations import HEAD
from ffe.ledger.models import CheckRun, Cycle
from ffe.ledger.probe import schema_revision, write_probe
from ffe.market.calendar import calendar_for
from ffe.market.freshness import check_freshness
from ffe.market.models import Instrument, parse_timeframe
from ffe.observe.health_models import Component, degraded, healthy, unhealthy
from ffe.observe.masking import masked
from ffe.orders.models import OrderState
from ffe.orders.switch import SwitchState
from ffe.settings import Settings

LEDGER, ORDERS, SWITCH, PREFLIGHT, REALITY, CYCLE = (
    "ledger",
    "unresolved orders",
    "kill switch",
    "preflight",
    "reality check",
    "cycle",
)
# seed-behaviours: nobody waits longer than this for the outcome of an order.
UNRESOLVED = timedelta(minutes=2)
# Two of their periods: preflight runs every hour, the reality check every half hour, a cycle once a bar.
PREFLIGHT_AGE, REALITY_AGE, PERIODS = timedelta(hours=2), timedelta(hours=1), 2
_WAITING = (OrderState.SUBMITTING, OrderState.UNRESOLVED)
_STILL = "no simulator runs, its market stands still: the age can't be judged"


def names(settings: Settings) -> tuple[str, ...]:
    """Of every component that is read from the ledger."""
    bars = tuple(f"bars {each.symbol}" for each in settings.instruments)
    return (LEDGER, *bars, ORDERS, SWITCH, CYCLE, PREFLIGHT, REALITY)


def ledger_health(settings: Settings, clock: Clock | None) -> list[Component]:
    """`clock` None: `sim` without a simulator. What can't be read makes every component of the ledger unhealthy."""
    try:
        ledger = _opened(settings)
    except (LedgerError, ConfigurationError) as error:
        return _nothing(settings, masked(str(error)))
    try:
        return _of(settings, ledger, None if clock is None else clock.now())
    except LedgerError as error:
        return _nothing(settings, masked(str(error)))
    finally:
        ledger.close()


def _nothing(settings: Settings, why: str) -> list[Component]:
    first, *others = names(settings)
    return [unhealthy(first, why), *(unhealthy(name, "not known without the ledger") for name in others)]


def _opened(settings: Settings) -> Ledger:
    """Raises LedgerError when there is none, when it can't be written, or when its schema is not this version's."""
    url = ledger_url(settings.resolved_ledger_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise LedgerError(f"there is no ledger yet at {url.database}: the first `ffe run` or `ffe up` makes it")
    database = Database(settings.resolved_ledger_url)
    try:
        found = schema_revision(database)
        if found != HEAD:
            raise LedgerError(f"the ledger's schema is at {found}, this version needs {HEAD}: `ffe db upgrade`")
        write_probe(database, SystemClock().now())
    except LedgerError:
        database.close()
        raise
    return Ledger(database)


def _of(settings: Settings, ledger: Ledger, now: datetime | None) -> list[Component]:
    with ledger.database.read() as session:
        bars = {each.instrument: each for each in newest_bars(session) if each.timeframe is settings.timeframe}
    return [
        healthy(LEDGER, f"opened, written, and its schema is at {HEAD}"),
        *(_bars(settings, each, bars.get(each.symbol), now) for each in settings.instruments),
        _orders(ledger, now),
        _switch(ledger),
        _cycle(settings, ledger.cycles(100), now),
        _preflight(settings, _newest(settings, ledger, "preflight", now), now),
        _reality(settings, _newest(settings, ledger, "reality-check", now), now),
    ]


def _bars(settings: Settings, instrument: Instrument, newest: NewestBars | None, now: datetime | None) -> Component:
    """Old bars are degraded: the freshness gate makes every decision on them a HOLD."""
    name, frame = f"bars {instrument.symbol}", settings.timeframe.value
    if newest is None:
        return degraded(name, f"no {frame} bars of {instrument.symbol} were ever recorded")
    if now is None:
        return degraded(name, _STILL)
    calendar = calendar_for(instrument, settings.calendar.holidays)
    found = check_freshness(newest.bar_close, settings.timeframe, now, calendar, settings.freshness)
    numbers = found.age_seconds, found.limit_seconds
    if not calendar.is_open(now):
        return healthy(name, f"{instrument.symbol} is closed", *numbers)
    return (healthy if found.fresh else degraded)(name, found.message, *numbers)


def _orders(ledger: Ledger, now: datetime | None) -> Component:
    """Without a clock every one that waits is too old: nobody can say otherwise."""
    limit = UNRESOLVED.total_seconds()
    waiting = [each for each in ledger.open_orders() if each.state in _WAITING]
    ages = [
        limit + 1 if now is None else (now - (each.submitted_at or each.created_at)).total_seconds() for each in waiting
    ]
    old = sum(age > limit for age in ages)
    if old:
        said = f"{old} orders are unresolved for more than {limit:.0f} s, the oldest for {max(ages):.0f} s: `ffe reconcile`"
        return unhealthy(ORDERS, said, max(ages), limit)
    return healthy(ORDERS, f"none is unresolved for more than {limit:.0f} s", max(ages, default=0.0), limit)


def _switch(ledger: Ledger) -> Component:
    switch = ledger.switch()
    ok = switch.state is SwitchState.NORMAL
    return (healthy if ok else degraded)(SWITCH, f"the kill switch is at {switch}")


def _cycle(settings: Settings, cycles: Sequence[Cycle], now: datetime | None) -> Component:
    """Time in which none of the instruments' markets is open does not count."""
    done = [each for each in cycles if each.mode == settings.mode.value and each.finished_at is not None]
    if not done:
        return degraded(CYCLE, f"no cycle in {settings.mode.value} has ever finished")
    if now is None:
        return degraded(CYCLE, _STILL)
    newest = max(done, key=lambda each: each.finished_at or each.started_at)
    ended = newest.finished_at or newest.started_at
    calendars = [calendar_for(each, settings.calendar.holidays) for each in settings.instruments]
    age = max((each.open_seconds(ended, now) for each in calendars if ended < now), default=0.0)
    limit = PERIODS * parse_timeframe(newest.timeframe).duration.total_seconds()
    said = f"the newest cycle finished {age:.0f} s of open market ago; limit {limit:.0f} s ({PERIODS} bars of {newest.timeframe})"
    return (healthy if age <= limit else degraded)(CYCLE, said, age, limit)


def _newest(settings: Settings, ledger: Ledger, kind: str, now: datetime | None) -> CheckRun | None:
    """Of this mode, and none from the future: another clock dated it, and it would stay the newest."""
    return next(iter(ledger.checks(kind, 1, mode=settings.mode.value, until=now)), None)


def _preflight(settings: Settings, run: CheckRun | None, now: datetime | None) -> Component:
    """In sim and paper no order needs one, so that none was made is fine there."""
    needed = settings.mode in MODES
    if run is None:
        make = degraded if needed else healthy
        return make(
            PREFLIGHT, f"none was made in {settings.mode.value}; orders there {'need' if needed else 'do not need'} one"
        )
    outcome, reason = run.document.get("outcome"), run.document.get("reason")
    if outcome == "refused" and needed:
        return unhealthy(PREFLIGHT, f"trading is refused: {reason}")
    if outcome != "ready":
        return degraded(PREFLIGHT, f"{outcome}: {reason}")
    return _aged(PREFLIGHT, run, now, PREFLIGHT_AGE, healthy if not needed else degraded)


def _reality(settings: Settings, run: CheckRun | None, now: datetime | None) -> Component:
    if run is None:
        return degraded(REALITY, f"none was ever made in {settings.mode.value}: `ffe reality-check`")
    if not run.passed:
        return unhealthy(REALITY, f"{run.broken} invariants are broken, 0 may be: `ffe reality-check`", run.broken, 0)
    return _aged(REALITY, run, now, REALITY_AGE, degraded)


def _aged(name: str, run: CheckRun, now: datetime | None, limit: timedelta, old: Callable[..., Component]) -> Component:
    """A check that passed; `old` is what it is worth beyond `limit`."""
    if now is None:
        return degraded(name, _STILL)
    age = (now - run.at).total_seconds()
    said = f"passed {age:.0f} s ago; limit {limit.total_seconds():.0f} s"
    return (healthy if now - run.at <= limit else old)(name, said, age, limit.total_seconds())
