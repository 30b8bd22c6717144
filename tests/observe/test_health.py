"""Each component of `ffe health` is made to fail once, and nothing that is away or locked ever holds the look up."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ffe.clock import FixedClock, SystemClock
from ffe.errors import ConfigurationError, ModelUnavailableError, RefusedError
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrations import HEAD
from ffe.llm.devices import Device, DeviceError
from ffe.llm.ollama_state import LoadedModel
from ffe.market.models import Timeframe, parse_instrument
from ffe.observe import health, health_machine
from ffe.observe.health import check_health
from ffe.observe.health_models import Component, Health, Status, degraded, healthy, unhealthy, worst
from ffe.observe.prefect_api import Api, WorkerSeen
from ffe.orders.models import OrderState, Side
from ffe.orders.switch import SwitchState
from ffe.settings import PlacementPolicy, Settings, load_settings
from ffe.sources.models import BarBatch

# A Wednesday noon: every market is open. And a Saturday: forex is closed.
NOW = datetime(2024, 5, 15, 12, 0, 20, tzinfo=UTC)
SATURDAY = datetime(2024, 5, 18, 12, 0, 20, tzinfo=UTC)
BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
FRAME = Timeframe.M5


@dataclass
class Prefect:
    """Answers as `Api` does; what is an exception is raised."""

    up: Exception | None = None
    cpu: Any = 10.0
    gpu: Any = 10.0
    late: Any = 0
    url: str = "http://127.0.0.1:4200/api"

    def healthy(self) -> None:
        if self.up is not None:
            raise self.up

    def workers(self, pool: str) -> tuple[WorkerSeen, ...]:
        age = getattr(self, pool)
        if isinstance(age, Exception):
            raise age
        if age is None:
            return (WorkerSeen("never", None, "ONLINE"),)
        return (WorkerSeen("one", SystemClock().now() - timedelta(seconds=age), "ONLINE"),)

    def late_runs(self) -> int:
        if isinstance(self.late, Exception):
            raise self.late
        return int(self.late)


@dataclass
class System:
    """A running system, whole until a test breaks it."""

    settings: Settings
    ledger: Ledger
    prefect: Any = field(default_factory=Prefect)
    clock: Any = field(default_factory=lambda: FixedClock(NOW))

    def look(self, **changes: Any) -> Health:
        settings = self.settings.model_copy(update=changes)
        return check_health(settings, self.prefect, self.clock, seconds=20)

    def of(self, name: str, **changes: Any) -> Component:
        return next(each for each in self.look(**changes).components if each.name == name)

    def bars(self, instrument: Any, closed: datetime) -> None:
        opened = closed - FRAME.duration
        self.ledger.record_batch(
            BarBatch(
                id=uuid4().hex,
                instrument=instrument,
                timeframe=FRAME,
                source=instrument.venue,
                first_open=opened,
                last_open=opened,
                rows=1,
                fetched_at=closed + timedelta(seconds=1),
                path=f"{instrument.symbol}-{closed:%H%M%S}",
                sha256="0" * 64,
            )
        )

    def cycle(self, name: str, finished: datetime | None, mode: str = "paper") -> None:
        self.ledger.start_cycle(name, mode, FRAME.value, NOW - timedelta(hours=3))
        if finished is not None:
            self.ledger.finish_cycle(name, finished, {})

    def check(self, kind: str, at: datetime, *, broken: int = 0, **document: Any) -> None:
        self.ledger.record_check(kind, at, passed=broken == 0, broken=broken, document=document)

    def preflight(self, at: datetime, outcome: str, mode: str = "paper") -> None:
        self.check("preflight", at, broken=int(outcome != "ready"), mode=mode, outcome=outcome, reason="because")

    def reality(self, at: datetime, broken: int = 0, mode: str = "paper") -> None:
        self.check("reality-check", at, broken=broken, mode=mode)


@pytest.fixture
def system(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    monkeypatch.chdir(data_dir)
    settings = load_settings(data_dir=data_dir, mode="paper", instruments=(BTC, EUR))
    ledger = Ledger.open(settings.resolved_ledger_url)
    found = System(settings, ledger)
    for instrument in (BTC, EUR):
        found.bars(instrument, NOW - timedelta(seconds=20))
    found.cycle("c" * 32, NOW - timedelta(minutes=4))
    found.preflight(NOW - timedelta(minutes=30), "ready")
    found.reality(NOW - timedelta(minutes=20))
    yield found
    ledger.close()


def test_a_whole_system_is_healthy_in_every_component(system: System) -> None:
    found = system.look()
    assert {each.name: each.status for each in found.components} == dict.fromkeys(
        (
            "prefect server",
            "workers cpu",
            "workers gpu",
            "late runs",
            "ledger",
            "bars BTCUSD",
            "bars EURUSD",
            "unresolved orders",
            "kill switch",
            "cycle",
            "preflight",
            "reality check",
            "disk",
            "gpu",
        ),
        Status.HEALTHY,
    )
    assert (found.status, found.mode) == (Status.HEALTHY, "paper")


def test_the_worst_component_is_the_whole_and_nothing_found_is_not_well() -> None:
    well, less, ill = healthy("a", "-"), degraded("b", "-"), unhealthy("c", "-")
    assert worst([well]) is Status.HEALTHY
    assert worst([less, well]) is Status.DEGRADED
    assert worst([well, ill, less]) is Status.UNHEALTHY
    assert worst([]) is Status.UNHEALTHY


# Prefect


def test_without_a_known_server_it_says_how_one_is_named(system: System) -> None:
    system.prefect = None
    server = system.of("prefect server")
    assert (server.status, "PREFECT_API_URL is not set" in server.detail) == (Status.UNHEALTHY, True)
    assert system.of("late runs").status is Status.UNHEALTHY


def test_a_server_that_is_down_is_the_finding(system: System) -> None:
    system.prefect = Api("http://127.0.0.1:9/api")
    found = system.look()
    assert found.status is Status.UNHEALTHY
    assert "does not answer" in found.components[0].detail
    assert system.of("ledger").status is Status.HEALTHY


@pytest.mark.parametrize("pool", ["cpu", "gpu"])
@pytest.mark.parametrize(
    ("age", "text"),
    [
        (91.0, "the last one was heard 91 s ago, limit 90 s"),
        (None, "none was ever heard"),
        (-172800.0, "the last one was heard 172800 s in the future, limit 90 s"),
    ],
)
def test_a_worker_is_away_when_its_heartbeat_is_old_whatever_the_server_calls_it(
    system: System, pool: str, age: float | None, text: str
) -> None:
    setattr(system.prefect, pool, age)
    found = system.of(f"workers {pool}")
    assert text in found.detail
    assert found.status is (Status.UNHEALTHY if pool == "cpu" else Status.DEGRADED)
    assert system.of(f"workers {pool}", decide="pool").status is Status.UNHEALTHY


def test_a_pool_that_is_not_there_is_unhealthy(system: System) -> None:
    system.prefect.gpu = ConfigurationError("has no work pool gpu")
    assert system.of("workers gpu") == unhealthy("workers gpu", "has no work pool gpu")


def test_late_runs_are_degraded_and_unknown_ones_unhealthy(system: System) -> None:
    system.prefect.late = 3
    found = system.of("late runs")
    assert (found.status, found.value, found.limit) == (Status.DEGRADED, 3, 0)
    system.prefect.late = RefusedError("gone")
    assert system.of("late runs").status is Status.UNHEALTHY


# the ledger


def test_a_fresh_checkout_says_what_to_start(system: System, tmp_path: Path) -> None:
    found = system.look(data_dir=tmp_path / "fresh")
    assert found.status is Status.UNHEALTHY
    ledger = next(each for each in found.components if each.name == "ledger")
    assert "the first `ffe run` or `ffe up` makes it" in ledger.detail
    assert not (tmp_path / "fresh").exists()
    assert {each.status for each in found.components if each.name in ("cycle", "preflight", "kill switch")} == {
        Status.UNHEALTHY
    }


def test_a_ledger_of_an_older_schema_is_not_upgraded_by_looking(system: System) -> None:
    path = system.settings.data_dir / "ledger.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("UPDATE ledger_version SET version_num = '0001'")
    found = system.of("ledger")
    assert found.status is Status.UNHEALTHY
    assert f"the ledger's schema is at 0001, this version needs {HEAD}: `ffe db upgrade`" in found.detail
    assert other.execute("SELECT version_num FROM ledger_version").fetchone() == ("0001",)
    other.close()


def test_a_ledger_that_takes_no_write_is_unhealthy(system: System) -> None:
    other = sqlite3.connect(system.settings.data_dir / "ledger.sqlite", isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE UPDATE ON check_run BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.execute("CREATE TRIGGER full2 BEFORE INSERT ON check_run BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.close()
    assert "disk full" in system.of("ledger").detail


def test_a_ledger_that_breaks_while_it_is_read_is_unhealthy(system: System) -> None:
    other = sqlite3.connect(system.settings.data_dir / "ledger.sqlite", isolation_level=None)
    other.execute("PRAGMA foreign_keys=OFF")
    other.execute("DROP TABLE kill_switch")
    other.close()
    found = system.of("ledger")
    assert found.status is Status.UNHEALTHY
    assert "kill_switch" in found.detail


def test_a_url_that_is_no_ledger_is_unhealthy(system: System) -> None:
    assert "not supported" in system.of("ledger", ledger_url="mysql://host/db").detail


def test_a_server_of_a_ledger_that_is_away_is_unhealthy(system: System) -> None:
    found = system.of("ledger", ledger_url="postgresql://nobody:secret-word@127.0.0.1:9/ledger")
    assert found.status is Status.UNHEALTHY
    assert "secret-word" not in found.detail


def test_a_locked_ledger_does_not_hold_the_look_up(system: System) -> None:
    other = sqlite3.connect(system.settings.data_dir / "ledger.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found = check_health(system.settings, system.prefect, system.clock, seconds=0.5)
    other.execute("ROLLBACK")
    other.close()
    assert found.status is Status.UNHEALTHY
    assert next(each for each in found.components if each.name == "ledger").detail == "no answer in time"
    assert found.components[0].status is Status.HEALTHY


def test_a_look_that_fails_itself_is_a_failed_look(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Component:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(health.health_machine, "disk_health", broken)
    assert "ZeroDivisionError: by zero" in system.of("disk").detail


def test_old_bars_are_degraded_with_age_and_limit_while_their_market_is_open(system: System) -> None:
    system.clock = FixedClock(NOW + timedelta(minutes=30))
    found = system.of("bars EURUSD")
    assert (found.status, found.value, found.limit) == (Status.DEGRADED, 1820.0, 900.0)


def test_bars_of_a_closed_market_are_not_old(system: System) -> None:
    system.clock = FixedClock(SATURDAY)
    assert system.of("bars EURUSD").detail == "EURUSD is closed"
    assert system.of("bars BTCUSD").status is Status.DEGRADED


def test_bars_that_were_never_recorded_are_said(system: System) -> None:
    other = parse_instrument("ETHUSD")
    found = system.of("bars ETHUSD", instruments=(other,))
    assert (found.status, found.detail) == (Status.DEGRADED, "no 5m bars of ETHUSD were ever recorded")


def test_where_the_market_stands_still_no_age_is_judged(system: System) -> None:
    system.clock = None
    for name in ("bars BTCUSD", "cycle", "preflight", "reality check"):
        found = system.of(name)
        assert (found.status, "no simulator runs" in found.detail) == (Status.DEGRADED, True), name
    assert system.of("unresolved orders").status is Status.HEALTHY


@pytest.fixture
def unresolved(system: System) -> Any:
    """An order whose outcome nobody has known since `submitted`."""

    def make(submitted: datetime | None, state: OrderState = OrderState.UNRESOLVED) -> Any:
        class Waiting:
            pass

        order: Any = Waiting()
        order.state, order.submitted_at, order.created_at = state, submitted, NOW - timedelta(minutes=3)
        order.side, order.units = Side.BUY, Decimal(1)
        return order

    return make


@pytest.mark.parametrize("state", [OrderState.UNRESOLVED, OrderState.SUBMITTING])
def test_an_order_whose_outcome_is_unknown_for_two_minutes_needs_a_person(
    system: System, unresolved: Any, monkeypatch: pytest.MonkeyPatch, state: OrderState
) -> None:
    waiting = [unresolved(NOW - timedelta(seconds=121), state)]
    monkeypatch.setattr(Ledger, "open_orders", lambda _: waiting)
    found = system.of("unresolved orders")
    assert (found.status, found.value, found.limit) == (Status.UNHEALTHY, 121.0, 120.0)
    waiting[:] = [unresolved(NOW - timedelta(seconds=119), state), unresolved(NOW, OrderState.ACCEPTED)]
    assert system.of("unresolved orders").status is Status.HEALTHY
    waiting[:] = [unresolved(None, state)]
    assert system.of("unresolved orders").value == 180.0
    system.clock = None
    assert system.of("unresolved orders").status is Status.UNHEALTHY


def test_a_kill_switch_that_is_set_is_degraded(system: System) -> None:
    system.ledger.set_switch(SwitchState.HALT, "drill", "person", NOW)
    found = system.of("kill switch")
    assert (found.status, "halt" in found.detail, "drill" in found.detail) == (Status.DEGRADED, True, True)


def test_a_cycle_is_missing_after_two_of_its_bars_in_open_market(system: System) -> None:
    system.clock = FixedClock(NOW + timedelta(minutes=6, seconds=1))
    found = system.of("cycle")
    assert (found.status, found.value, found.limit) == (Status.DEGRADED, 601.0, 600.0)
    system.clock = FixedClock(SATURDAY)
    assert system.of("cycle", instruments=(BTC,)).status is Status.DEGRADED
    system.cycle("d" * 32, SATURDAY - timedelta(hours=14, minutes=55))
    assert system.of("cycle", instruments=(EUR,)).status is Status.HEALTHY


def test_only_a_cycle_of_this_mode_that_came_to_its_end_counts(system: System) -> None:
    system.cycle("d" * 32, NOW, mode="live")
    system.cycle("e" * 32, None)
    assert system.of("cycle").value == 240.0
    assert system.of("cycle", mode=system.settings.mode.__class__.PRACTICE).detail == (
        "no cycle in practice has ever finished"
    )
    system.cycle("f" * 32, NOW + timedelta(minutes=1))
    assert system.of("cycle").value == 0.0


# standing checks

PRACTICE = {"mode": load_settings(mode="practice").mode}


def test_where_orders_need_a_preflight_none_or_an_old_one_is_degraded_and_a_refusal_unhealthy(system: System) -> None:
    assert system.of("preflight", **PRACTICE).status is Status.DEGRADED
    system.preflight(NOW - timedelta(hours=2, seconds=1), "ready", "practice")
    found = system.of("preflight", **PRACTICE)
    assert (found.status, found.value, found.limit) == (Status.DEGRADED, 7201.0, 7200.0)
    system.preflight(NOW - timedelta(minutes=3), "signal-only", "practice")
    assert system.of("preflight", **PRACTICE).detail == "signal-only: because"
    system.preflight(NOW - timedelta(minutes=2), "refused", "practice")
    assert system.of("preflight", **PRACTICE) == unhealthy("preflight", "trading is refused: because")
    system.preflight(NOW - timedelta(minutes=1), "ready", "practice")
    assert system.of("preflight", **PRACTICE).status is Status.HEALTHY


def test_in_sim_and_paper_a_preflight_may_be_missing_or_old_and_a_refusal_is_degraded(system: System) -> None:
    system.clock = FixedClock(NOW + timedelta(days=1))
    assert system.of("preflight").status is Status.HEALTHY
    system.preflight(NOW + timedelta(hours=23), "refused")
    assert system.of("preflight").status is Status.DEGRADED
    assert "do not need one" in system.of("preflight", mode=load_settings(mode="sim").mode).detail


def test_a_broken_or_missing_or_old_reality_check_is_said(system: System) -> None:
    system.clock = FixedClock(NOW + timedelta(hours=1))
    assert system.of("reality check").status is Status.DEGRADED
    system.reality(NOW + timedelta(minutes=50), broken=2)
    found = system.of("reality check")
    assert (found.status, found.value, found.limit) == (Status.UNHEALTHY, 2, 0)
    assert system.of("reality check", **PRACTICE).detail == "none was ever made in practice: `ffe reality-check`"


def test_neither_a_check_of_another_mode_nor_one_of_the_future_hides_a_broken_one(system: System) -> None:
    system.reality(NOW - timedelta(minutes=10), broken=1)
    system.preflight(NOW - timedelta(minutes=10), "refused")
    for at, mode in ((NOW - timedelta(minutes=1), "practice"), (NOW + timedelta(days=2), "paper")):
        system.reality(at, mode=mode)
        system.preflight(at, "ready", mode)
    assert system.of("reality check").status is Status.UNHEALTHY
    assert system.of("preflight").detail == "refused: because"


# the machine


def test_too_little_free_space_is_said_with_both_numbers(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Usage:
        free: int

    for free, status in ((499, Status.UNHEALTHY), (999, Status.DEGRADED), (1000, Status.HEALTHY)):
        usage = Usage(free * 1024 * 1024)
        monkeypatch.setattr(health_machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        found = system.of("disk")
        assert (found.status, found.value, found.limit) == (status, free, 500)


def test_a_data_folder_that_is_gone_is_unhealthy(system: System, tmp_path: Path) -> None:
    assert "can't be read" in system.of("disk", data_dir=tmp_path / "gone").detail


def card(**changes: Any) -> Device:
    told = {"index": 0, "name": "H200", "capability": 9.0, "driver": "570.1", "memory_total": 1, "memory_used": 0}
    return Device(**(told | changes))


def requiring(settings: Settings, model: str = "embedded", host: str = "http://127.0.0.1:11434") -> dict[str, Any]:
    return {
        "placement": settings.placement.model_copy(update={"policy": PlacementPolicy.REQUIRE_GPU}),
        "ollama": settings.ollama.model_copy(update={"host": host}),
        "model": model,
    }


@pytest.mark.parametrize(
    ("cards", "status", "text"),
    [
        ((card(),), Status.HEALTHY, "H200: driver and capability meet the floors"),
        ((), Status.UNHEALTHY, "no NVIDIA card"),
        ((card(capability=3.5, driver="590"),), Status.UNHEALTHY, "compute capability 3.5 is below 5.0"),
        (DeviceError("NVML failed: lost"), Status.UNHEALTHY, "NVML failed: lost"),
    ],
)
def test_where_a_gpu_is_required_its_card_has_to_meet_the_floors(
    system: System, monkeypatch: pytest.MonkeyPatch, cards: Any, status: Status, text: str
) -> None:
    def devices() -> Any:
        if isinstance(cards, Exception):
            raise cards
        return cards

    monkeypatch.setattr(health_machine, "devices", devices)
    found = system.of("gpu", **requiring(system.settings))
    assert (found.status, text in found.detail) == (status, True), found


@pytest.mark.parametrize(
    ("running", "host", "status"),
    [
        (LoadedModel(model="m", digest="d", size=100, size_vram=100), "http://127.0.0.1:1", Status.HEALTHY),
        (LoadedModel(model="m", digest="d", size=100, size_vram=60), "http://127.0.0.1:1", Status.UNHEALTHY),
        (LoadedModel(model="m", digest="d", size=0, size_vram=0), "http://127.0.0.1:1", Status.UNHEALTHY),
        (None, "http://gpu-host:1", Status.DEGRADED),
        (None, "http://127.0.0.1:1", Status.HEALTHY),
        (ModelUnavailableError("refused"), "http://127.0.0.1:1", Status.UNHEALTHY),
    ],
)
def test_a_loaded_model_is_judged_by_its_share_on_the_device(
    system: System, monkeypatch: pytest.MonkeyPatch, running: Any, host: str, status: Status
) -> None:
    def loaded(_: Any) -> Any:
        if isinstance(running, Exception):
            raise running
        return running

    monkeypatch.setattr(health_machine, "loaded", loaded)
    monkeypatch.setattr(health_machine, "devices", lambda: (card(),))
    assert system.of("gpu", **requiring(system.settings, "ollama", host)).status is status
