"""No order of a decision goes to a venue without a preflight that stands: who makes one, how long it stands, what it says to the order."""

import shutil
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ffe.clock import FixedClock
from ffe.cycle import ordering, readiness
from ffe.cycle.engine import Engine
from ffe.decision.models import Action, Author, Decision
from ffe.errors import RefusedError
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.observe.preflight import account_mark
from ffe.observe.preflight_models import Preflight
from ffe.orders.models import Order, OrderState
from ffe.settings import load_settings
from ffe.sources.store import BarStore

NOW = datetime(2024, 5, 15, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def engine(tmp_path: Path, empty_ledger: Path) -> Iterator[Callable[..., Engine]]:
    """An engine of a mode, whose clock a test moves; no venue is ever reached."""
    engines: list[Engine] = []
    shutil.copy(empty_ledger, tmp_path / "ledger.sqlite")

    def made(mode: str = "practice") -> Engine:
        settings = load_settings(data_dir=tmp_path, mode=mode)
        ledger = Ledger.open(settings.resolved_ledger_url)
        engines.append(Engine(settings, FixedClock(NOW), ledger, BarStore(tmp_path / "bars", mode)))
        return engines[-1]

    yield made
    for each in engines:
        each.close()


class Looks:
    """Stands for `run_preflight`: the outcomes in turn, the last one for ever; counts how often somebody looked."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes, self.made, self.also = list(outcomes), 0, list[Collection[str]]()

    def __call__(self, engine: Engine, also: Collection[str] = ()) -> Preflight:
        self.made += 1
        self.also.append(also)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        return preflight(engine, outcome, accounts=accounts(engine, *engine.settings.venues, *also))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Looks]:
    def set_up(*outcomes: Any) -> Looks:
        found = Looks(*outcomes)
        monkeypatch.setattr(readiness, "run_preflight", found)
        return found

    return set_up


def accounts(engine: Engine, *venues: str) -> dict[str, str]:
    return {venue: account_mark(engine.settings, venue) for venue in venues}


def preflight(engine: Engine, outcome: Any, **changes: Any) -> Preflight:
    return Preflight(
        at=engine.clock.now(),
        mode=engine.settings.mode.value,
        outcome=outcome,
        reason="because",
        providers=(),
        checks=(),
        skew_seconds={},
        took_ms=1.0,
        network_ms=0.5,
    ).model_copy(update=changes)


def test_nothing_stands_before_anybody_looked(engine: Any) -> None:
    assert readiness.standing(engine()) is None


@pytest.mark.parametrize(("outcome", "minutes"), [("ready", 60), ("signal-only", 5), ("refused", 5)])
def test_a_look_stands_for_its_time_and_not_longer(engine: Any, outcome: str, minutes: int) -> None:
    found = engine()
    made = readiness.record(found, preflight(found, outcome))
    found.clock.advance(timedelta(minutes=minutes, seconds=-1))
    assert readiness.standing(found) == made
    found.clock.advance(timedelta(seconds=1))
    assert readiness.standing(found) is None
    assert readiness.newest(found) == made


def test_a_look_of_another_mode_of_the_future_or_of_another_version_does_not_stand(engine: Any) -> None:
    found = engine()
    ready = preflight(found, "ready")
    readiness.record(found, ready.model_copy(update={"mode": "live"}))
    assert readiness.standing(found) is None
    readiness.record(found, ready.model_copy(update={"at": NOW + timedelta(seconds=1)}))
    assert readiness.standing(found) is None
    found.clock.advance(timedelta(minutes=1))
    found.ledger.record_check("preflight", found.clock.now(), passed=True, broken=0, document={"mode": "practice"})
    assert readiness.standing(found) is not None


def test_one_look_serves_every_order_of_an_hour(engine: Any, looks: Any) -> None:
    looked, found = looks("ready"), engine()
    assert readiness.blocked(found, "oanda") is None
    assert readiness.blocked(found, "coinbase") is None
    assert looked.made == 1
    found.clock.advance(timedelta(hours=1))
    assert readiness.blocked(found, "oanda") is None
    assert looked.made == 2
    assert [run.passed for run in found.ledger.checks("preflight")] == [True, True]


def test_a_look_that_asked_another_venue_alone_lets_no_order_to_this_one(
    engine: Any, looks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_INSTRUMENTS", "EURUSD")
    looked, found = looks("refused", "ready"), engine()
    readiness.record(found, preflight(found, "ready", accounts=accounts(found, "oanda")))
    assert readiness.blocked(found, "oanda") is None
    assert looked.made == 0
    assert readiness.blocked(found, "coinbase") is not None
    assert list(looked.also) == [["coinbase"]]
    found.clock.advance(timedelta(minutes=5))
    assert readiness.blocked(found, "coinbase") is None
    assert readiness.blocked(found, "oanda") is None
    assert looked.made == 2


@pytest.mark.parametrize(
    ("venue", "name"),
    [
        ("oanda", "FFE_OANDA__TOKEN"),
        ("oanda", "FFE_OANDA__ACCOUNT_ID"),
        ("oanda", "FFE_OANDA__BASE_URL"),
        ("coinbase", "FFE_COINBASE__API_KEY"),
        ("coinbase", "FFE_COINBASE__API_SECRET"),
        ("coinbase", "FFE_COINBASE__BASE_URL"),
    ],
)
def test_a_look_with_another_account_stands_for_the_other_venue_only(
    engine: Any, looks: Any, monkeypatch: pytest.MonkeyPatch, venue: str, name: str
) -> None:
    looked, before = looks("ready"), engine()
    assert readiness.blocked(before, venue) is None
    monkeypatch.setenv(name, "http://127.0.0.1:9/other")
    after = engine()
    assert readiness.blocked(after, "coinbase" if venue == "oanda" else "oanda") is None
    assert looked.made == 1
    assert readiness.blocked(after, venue) is None
    assert looked.made == 2


def test_a_run_looks_again_where_the_standing_look_left_out_a_venue_of_its_own(engine: Any, looks: Any) -> None:
    looked, found = looks("refused"), engine()
    readiness.record(found, preflight(found, "ready", accounts=accounts(found, "oanda")))
    with pytest.raises(RefusedError, match="preflight refused"):
        readiness.require(found)
    assert looked.made == 1


@pytest.mark.parametrize(
    ("outcome", "code", "broken"), [("refused", "preflight_failed", 1), ("signal-only", "signal_only", 0)]
)
def test_without_a_ready_one_no_order_goes_out_and_only_a_refusal_is_an_incident(
    engine: Any, looks: Any, outcome: str, code: str, broken: int
) -> None:
    looked, found = looks(outcome), engine()
    denial = readiness.denial(found, "oanda")
    assert denial is not None
    assert (denial.code, denial.reason) == (code, f"no order to oanda: the preflight is {outcome}: because")
    assert readiness.blocked(found, "oanda") == denial.reason
    assert looked.made == 1
    assert [each.message for each in found.ledger.incidents()] == ["preflight refused: because"] * broken
    assert [run.passed for run in found.ledger.checks("preflight")] == [False]


def test_what_was_mended_is_seen_after_five_minutes(engine: Any, looks: Any) -> None:
    looks("refused", "ready")
    found = engine()
    assert readiness.blocked(found, "oanda") is not None
    found.clock.advance(timedelta(minutes=5))
    assert readiness.blocked(found, "oanda") is None


@pytest.mark.parametrize("mode", ["sim", "paper"])
def test_in_sim_and_paper_nobody_has_to_look(engine: Any, looks: Any, mode: str) -> None:
    looked, found = looks("refused"), engine(mode)
    assert readiness.blocked(found, "oanda") is None
    readiness.require(found)
    assert looked.made == 0


def test_a_run_is_refused_before_anything_where_the_look_is(engine: Any, looks: Any) -> None:
    looks("refused", "signal-only")
    found = engine("live")
    with pytest.raises(RefusedError, match="preflight refused: because"):
        readiness.require(found)
    found.clock.advance(timedelta(minutes=5))
    readiness.require(found)


@pytest.mark.parametrize(("outcome", "code"), [("refused", "preflight_failed"), ("signal-only", "signal_only")])
def test_a_planned_order_becomes_a_hold_by_the_risk_gate_before_the_venue_is_asked(
    engine: Any, looks: Any, monkeypatch: pytest.MonkeyPatch, outcome: str, code: str
) -> None:
    looks(outcome)
    found = engine()
    recorded: list[Decision] = []
    monkeypatch.setattr(Ledger, "record_decision", lambda _, decision: recorded.append(decision))
    monkeypatch.setattr(Ledger, "record_sizing", lambda *_: None)
    wanted = Decision.model_construct(
        id="d", action=Action.BUY, confidence=90, decided_by=Author.MODEL, reasoning="trend up", timeframe=Timeframe.M5
    )

    class Batch:
        instrument = parse_instrument("EURUSD")

    planned = ordering.plan_order(found, wanted, None, Batch())
    assert planned.plan is None
    held = planned.decision
    assert (held.action, held.decided_by, held.reason_code) == (Action.HOLD, Author.RISK_GATE, code)
    assert "BUY at 90 by model: trend up" in held.reasoning
    assert recorded == [held]


@pytest.mark.parametrize("state", [OrderState.PLANNED, OrderState.RESERVED])
def test_an_order_that_a_crash_left_unsent_stays_so_until_a_look_is_ready(
    engine: Any, looks: Any, state: OrderState
) -> None:
    looks("signal-only")
    left = Order.model_construct(id="o", venue="oanda", state=state)
    assert ordering.resume(engine(), left, parse_instrument("EURUSD")) is left


def test_an_order_that_was_sent_is_not_looked_for_again(engine: Any, looks: Any) -> None:
    looked = looks("refused")
    sent = Order.model_construct(id="o", venue="oanda", state=OrderState.FILLED)
    assert ordering.resume(engine(), sent, parse_instrument("EURUSD")) is sent
    assert looked.made == 0
