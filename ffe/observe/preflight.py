"""The look before trading: one round of reads at everything that the settings trade on, side by side, and one outcome.

Nothing here is taken on trust: an answer comes from a reply of this round (Alpha Vantage's may be some hours old: it gives 25 a day).
Every needed answer has to be there. The clocks are the engine's and the venue's: in `sim` the engine follows the simulator's, anywhere
else its clock is this machine's, and by that one Coinbase's signatures are dated.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from ffe.clock import rfc3339
from ffe.cycle.engine import Engine
from ffe.errors import FfeError, LedgerError
from ffe.ledger.migrations import HEAD
from ffe.ledger.probe import schema_revision, write_probe
from ffe.market.models import Instrument, parse_instrument
from ffe.observe.masking import masked
from ffe.observe.preflight_models import Check, Preflight, judge
from ffe.observe.probe_model import ModelProbe
from ffe.observe.probe_sources import AlphaVantageProbe
from ffe.settings import Mode, Settings
from ffe.venues.factory import coinbase_client, oanda_client, open_broker
from ffe.venues.probe import Answers, Heard, Probe, ProviderAnswers, hear, no, offset, unknown
from ffe.venues.probe_coinbase import CoinbaseProbe
from ffe.venues.probe_oanda import OandaProbe
from ffe.venues.wire import Limits

__all__ = ["Check", "Preflight", "account_mark", "run_preflight"]

_THREADS = 16
_MEGABYTE = 1024 * 1024
# What a venue is asked about where the settings trade nothing at it.
_USUAL = {"coinbase": parse_instrument("BTCUSD"), "oanda": parse_instrument("EURUSD")}


@dataclass(frozen=True)
class _Round:
    """What every probe heard, by its name."""

    heard: Mapping[str, Answers]
    network_ms: float


def run_preflight(engine: Engine, also: Collection[str] = ()) -> Preflight:
    """Asks every venue and provider of the settings, and looks at ledger, disk and clocks. Bounded by FFE_PREFLIGHT__TIMEOUT_SECONDS.

    `also` names venues that are asked whether or not the settings have an instrument there. Records nothing: the caller does, with `ledger.record_check`. Never raises for what a provider or the machine answers.
    """
    started = time.perf_counter()
    refused: dict[str, ProviderAnswers] = {}
    asked = sorted({*engine.settings.venues, *also})
    probes = _venue_probes(engine, asked, refused)
    others = {
        each.name: each for each in (AlphaVantageProbe.of(engine), ModelProbe(engine.settings)) if each is not None
    }
    try:
        local = _local_checks(engine)
        told = _ask({name: probe.reads() for name, probe in (probes | others).items()}, engine)
        venues = {name: probe.judge(told.heard[name]) for name, probe in probes.items()} | refused
        clocks = {name: _clock_check(engine.settings, name, probe, told.heard[name]) for name, probe in probes.items()}
    finally:
        for probe in probes.values():
            probe.close()
    providers = (
        *(venues[name] for name in sorted(venues)),
        *(probe.judge(told.heard[name]) for name, probe in others.items()),
    )
    checks = (*local, *(check for check, _ in clocks.values()))
    outcome, reason = judge(providers, checks)
    return Preflight(
        at=engine.clock.now(),
        mode=engine.settings.mode.value,
        outcome=outcome,
        reason=reason,
        providers=providers,
        checks=checks,
        accounts={venue: account_mark(engine.settings, venue) for venue in asked},
        notes=tuple(note for probe in others.values() for note in probe.notes(told.heard[probe.name])),
        skew_seconds={name: clocks[name][1] if name in clocks else None for name in sorted(venues)},
        took_ms=(time.perf_counter() - started) * 1000,
        network_ms=told.network_ms,
    )


def account_mark(settings: Settings, venue: str) -> str:
    """Sixteen hex digits that are others with another host, account or key; from the digest of a key nobody learns it."""
    oanda, coinbase = settings.oanda, settings.coinbase
    parts = {
        "oanda": (oanda.base_url, oanda.account_id, oanda.token),
        "coinbase": (coinbase.base_url, coinbase.api_key, coinbase.api_secret),
    }.get(venue, ())
    plain = [each.get_secret_value() if isinstance(each, SecretStr) else each for each in parts]
    return hashlib.sha256(json.dumps([venue, *plain]).encode()).hexdigest()[:16]


def _venue_probes(engine: Engine, asked: Collection[str], refused: dict[str, ProviderAnswers]) -> dict[str, Probe]:
    """A probe of each venue that the mode may trade at; for the others, what stands in the way goes to `refused`."""
    probes: dict[str, Probe] = {}
    for venue in asked:
        try:
            probes[venue] = _venue_probe(engine, venue)
        except FfeError as error:
            why = no(str(error))
            nothing = unknown("nothing was asked")
            refused[venue] = ProviderAnswers(
                provider=venue,
                authenticated=why,
                account_active=nothing,
                can_trade=nothing,
                balance_readable=nothing,
                market_data_readable=nothing,
            )
    return probes


def _venue_probe(engine: Engine, venue: str) -> Probe:
    """Raises RefusedError and its children when the mode may not trade there: credentials, host, live not armed."""
    settings = engine.settings
    open_broker(venue, settings, engine.clock).close()
    instruments: list[Instrument] = settings.instruments_at(venue) or [_USUAL[venue]]
    limits, trades = _limits(settings), settings.mode is not Mode.PAPER
    if venue == "coinbase":
        client = coinbase_client(settings, limits)
        return CoinbaseProbe(client, instruments, trades=trades, seconds=limits.total)
    now = engine.clock.now()
    quoting = [each for each in instruments if engine.calendar(each).is_open(now)]
    return OandaProbe(oanda_client(settings, limits), instruments, quoting, trades=trades)


def _limits(settings: Settings) -> Limits:
    seconds = settings.preflight.timeout_seconds
    return Limits(
        connect=min(3.0, seconds), read=seconds, call=seconds, total=seconds, attempts=2, retry_after_cap=seconds
    )


def _ask(reads: Mapping[str, Mapping[str, Callable[[], Any]]], engine: Engine) -> _Round:
    """All of them at once. The time on the network is what passed while this process computed nothing."""
    wall, computing = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="preflight") as pool:
        asked = {
            (name, what): pool.submit(hear, read, engine.clock)
            for name, several in reads.items()
            for what, read in several.items()
        }
        heard: dict[str, dict[str, Heard]] = {name: {} for name in reads}
        for (name, what), each in asked.items():
            heard[name][what] = each.result()
    waited = time.perf_counter() - wall - (time.process_time() - computing)
    return _Round(heard, max(0.0, waited) * 1000)


def _clock_check(settings: Settings, name: str, probe: Probe, heard: Answers) -> tuple[Check, float | None]:
    limit, told = settings.preflight.max_clock_skew_seconds, probe.server_time(heard)
    title = f"clock {name}"
    if told is None:
        return Check(name=title, passed=False, detail=f"{name} did not tell its time; limit {limit:g} s"), None
    read, theirs = told
    ahead, half = offset(read, theirs)
    seconds, wrong = ahead.total_seconds(), half.total_seconds()
    detail = (
        f"{name} says {rfc3339(theirs)}, the engine {rfc3339(theirs - ahead)}: {abs(seconds):.3f} s "
        f"{'ahead of' if seconds > 0 else 'behind'} the engine, at most {wrong:.3f} s of it on the way; limit {limit:g} s"
    )
    return Check(name=title, passed=abs(seconds) - wrong <= limit, detail=detail), seconds


def _local_checks(engine: Engine) -> tuple[Check, ...]:
    return (_ledger(engine), _schema(engine), _folder(engine.settings), _disk(engine.settings))


def _ledger(engine: Engine) -> Check:
    try:
        write_probe(engine.ledger.database, engine.clock.now())
    except LedgerError as error:
        return Check(name="ledger", passed=False, detail=masked(str(error)))
    return Check(name="ledger", passed=True, detail="opened and written")


def _schema(engine: Engine) -> Check:
    try:
        found = schema_revision(engine.ledger.database)
    except LedgerError as error:
        return Check(name="schema", passed=False, detail=masked(str(error)))
    return Check(name="schema", passed=found == HEAD, detail=f"the ledger is at {found}, this version needs {HEAD}")


def _folder(settings: Settings) -> Check:
    try:
        with tempfile.TemporaryFile(dir=settings.data_dir) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        detail = f"the data folder {settings.data_dir} can't be written: {error.strerror}"
        return Check(name="data folder", passed=False, detail=detail)
    return Check(name="data folder", passed=True, detail=f"{settings.data_dir} takes files")


def _disk(settings: Settings) -> Check:
    limit = settings.health.min_free_mb
    try:
        free = shutil.disk_usage(settings.data_dir).free // _MEGABYTE
    except OSError as error:
        return Check(
            name="disk", passed=False, detail=f"the free space of {settings.data_dir} can't be read: {error.strerror}"
        )
    return Check(name="disk", passed=free >= limit, detail=f"{free} MB free, {limit} MB needed")
