"""Every fault of the simulator at the first source of bars, at the second and at both: the market's own bars come, or nothing is traded.

Real simulator with its relay, real SDKs, a real ledger and the real gates. Nobody ever makes a bar up: each one of every batch is held against
the simulated market itself. Crypto and forex are played at the same time, as a cycle does.
"""

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from drill_cycle import BARS, Played, opened, play, play_both
from drill_faults import CASES, CRYPTO, FOREX, SECOND, SYMBOLS, VENUES, Case, Effect
from drill_market import NOW, Venue, running, strangers

from ffe.cycle import bars
from ffe.cycle.engine import Engine
from ffe.decision.models import Action, Author, Decision
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.sources.models import Outcome, SourceAnswer
from simulator.faults_kinds import KINDS

pytestmark = pytest.mark.slow
TRADED = ("time", "open", "high", "low", "close")
# What the suite calls a hole in the past and exchanged sides.
FLAWS = {"gaps", "uncrossed"}
# Before any price jumps: the market has no jump in a bar that is over by then.
EARLIER = NOW - timedelta(hours=1)
REVOKED = {"kind": "revoke_key", "count": None}
# Happening once, with their options.
HICCUPS = {"reset": {}, "server_error": {}, "empty": {}, "truncated": {}, "rate_limit": {"retry_after": 0}}


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with running(tmp_path_factory.mktemp("failover")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new ledger's folder, to copy: making one takes longer than most cases."""
    folder = tmp_path_factory.mktemp("blank")
    Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}").close()
    return folder


@pytest.fixture
def engine(venue: Venue, tmp_path: Path, blank: Path) -> Iterator[Engine]:
    """On the venue's clock, which is put back first."""
    venue.faults()
    venue.move(NOW)
    shutil.copytree(blank, tmp_path / "data")
    with opened(venue, tmp_path) as engine:
        yield engine
    venue.faults()


def judge(played: Played, engine: Engine, venue: Venue, effects: Mapping[str, Effect]) -> None:
    """Holds what happened against what each source's answer comes to, in the order in which they are asked."""
    asked = list(effects)
    giver = next((source for source, effect in effects.items() if effect is not Effect.FAILED), None)
    down = asked if giver is None else asked[: asked.index(giver)]
    assert engine.ledger.orders() == []
    if giver is None:
        assert played.incident is not None
        assert played.incident in engine.ledger.incidents()
        for source in down:
            assert re.search(rf"\b{source} failed: \S", played.incident.message)
            assert re.search(rf"\b{source} failed: \S", played.incident.traceback)
        assert played.incident.traceback.count("Error: ") > len(down)
        assert_no_secret(played.incident.traceback + played.incident.message, venue)
        assert decisions(engine, played.symbol) == []
        return
    assert played.batch is not None
    assert played.batch.source == giver
    said = [(answer.source, answer.outcome) for answer in played.batch.answers]
    assert said == [*((source, Outcome.FAILED) for source in down), (giver, Outcome.ANSWERED)]
    for answer in played.batch.answers[:-1]:
        assert answer.error is not None
        assert answer.message
        assert f"{answer.error}: " in (answer.chain or "")
        assert_no_secret(f"{answer.chain} {answer.message}", venue)
    if effects[giver] is Effect.HELD:
        assert_held(played, engine)
    else:
        assert_trusted(played, engine, warned=effects[giver] is Effect.WARNED)


def assert_no_secret(told: str, venue: Venue) -> None:
    """No token, key or secret is in it."""
    secrets = [text for name, text in venue.environment.items() if name.endswith(("TOKEN", "KEY", "SECRET"))]
    assert [secret for secret in secrets if secret in told] == []


def assert_trusted(played: Played, engine: Engine, *, warned: bool) -> None:
    """All of them are the market's own, and they go to the model, with a warning where something is wrong beside the prices."""
    assert played.batch is not None
    assert played.checked is not None
    assert strangers(played.batch, played.table, engine.clock.now(), TRADED if warned else None) == []
    assert played.batch.rows >= BARS - 3
    assert any(finding.check in FLAWS for finding in played.checked.report.warnings) is warned
    assert (played.checked.hold, decisions(engine, played.symbol)) == (None, [])
    assert played.checked.context is not None


def assert_held(played: Played, engine: Engine) -> None:
    """HOLD by the data gate: no context for a model, nothing remembered. At most the one corrupted bar is not the market's."""
    assert played.batch is not None
    assert played.checked is not None
    assert len(strangers(played.batch, played.table, engine.clock.now())) <= 1
    assert played.checked.context is None
    (decision,) = decisions(engine, played.symbol)
    assert decision == played.checked.hold
    assert (decision.action, decision.decided_by) == (Action.HOLD, Author.DATA_GATE)
    assert decision.batch_id == played.batch.id
    batch = played.batch
    assert engine.store.covered(batch.instrument, batch.timeframe, batch.source) == []


def decisions(engine: Engine, symbol: str) -> list[Decision]:
    return [decision for decision in engine.ledger.decisions() if decision.instrument == symbol]


def test_every_kind_of_fault_has_its_place_in_the_table() -> None:
    assert {case.kind for case in CASES} == set(KINDS)
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_bar_that_is_not_the_markets_would_be_seen(engine: Engine) -> None:
    for played in play_both(engine).values():
        assert played.batch is not None
        assert played.table is not None
        rows = played.table.to_pylist()
        rows[7]["close"] += Decimal("0.00001")
        made_up = {**rows[8], "time": rows[8]["time"] + timedelta(minutes=1)}
        table = pa.Table.from_pylist([*rows[:9], made_up, *rows[9:]], schema=played.table.schema)
        assert strangers(played.batch, table, NOW) == [rows[7]["time"], made_up["time"]]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def test_a_fault_at_the_first_source(case: Case, venue: Venue, engine: Engine) -> None:
    venue.faults(*(case.entry(first, symbol) for first, symbol in SYMBOLS.items()))
    for first, played in play_both(engine).items():
        judge(played, engine, venue, {first: case.effect(first), SECOND: Effect.SERVED})


def test_a_fault_at_the_second_source_while_the_first_is_down(case: Case, venue: Venue, engine: Engine) -> None:
    down = [{**REVOKED, "venue": VENUES[first]} for first in SYMBOLS]
    venue.faults(*down, *(case.entry(SECOND, symbol) for symbol in SYMBOLS.values()))
    for first, played in play_both(engine).items():
        judge(played, engine, venue, {first: Effect.FAILED, SECOND: case.effect(SECOND)})


def test_a_fault_everywhere(case: Case, venue: Venue, engine: Engine) -> None:
    venue.faults(*(case.entry(source, symbol) for first, symbol in SYMBOLS.items() for source in (first, SECOND)))
    for first, played in play_both(engine).items():
        judge(played, engine, venue, {source: case.effect(source) for source in (first, SECOND)})


@pytest.mark.parametrize("kind", HICCUPS)
def test_a_hiccup_is_no_failover(kind: str, venue: Venue, engine: Engine) -> None:
    venue.faults(*({**HICCUPS[kind], "kind": kind, "route": f"{VENUES[first]}.candles"} for first in SYMBOLS))
    for first, played in play_both(engine).items():
        judge(played, engine, venue, {first: Effect.SERVED})
    assert venue.asked() == [1, 1]


@pytest.mark.parametrize("kind", ["stale_bars", "duplicate_bars", "unordered_bars"])
def test_what_was_held_is_not_remembered(kind: str, venue: Venue, engine: Engine) -> None:
    """Good bars, then wrong ones, then good ones: of the wrong ones nothing is left."""
    venue.move(EARLIER)
    play_both(engine, "before")
    venue.move(EARLIER + timedelta(minutes=5))
    venue.faults(*({"kind": kind, "route": f"{VENUES[first]}.candles", "count": None} for first in SYMBOLS))
    for played in play_both(engine, "wrong").values():
        assert played.checked is not None
        assert played.checked.hold is not None
    venue.faults()
    for first, played in play_both(engine, "after").items():
        assert played.batch is not None
        assert played.checked is not None
        assert played.checked.context is not None
        assert played.batch.source == first
        assert strangers(played.batch, played.table, venue.now()) == []


@pytest.mark.parametrize("first", [CRYPTO, FOREX])
def test_a_source_that_keeps_failing_is_left_alone_and_tried_again(first: str, venue: Venue, engine: Engine) -> None:
    instrument = parse_instrument(SYMBOLS[first])
    venue.faults({**REVOKED, "venue": VENUES[first]})

    def answer(after: float) -> SourceAnswer:
        """What the first source says `after` seconds more."""
        venue.move(venue.now() + timedelta(seconds=after))
        batch = bars.fetch_batch(engine, instrument, Timeframe.M5)
        assert strangers(batch, engine.store.load(batch), venue.now()) == []
        return batch.answers[0]

    assert [answer(1).outcome for _ in range(5)] == [Outcome.FAILED] * 5
    asked = venue.asked()
    assert [answer(after).outcome for after in (0, 29)] == [Outcome.SKIPPED] * 2
    assert venue.asked() == asked
    assert answer(1).outcome is Outcome.FAILED
    # The one trial failed, so the pause is twice as long.
    assert [answer(after).outcome for after in (31, 28)] == [Outcome.SKIPPED] * 2
    venue.faults()
    back = answer(1)
    assert (back.source, back.outcome) == (first, Outcome.ANSWERED)
    assert answer(1).outcome is Outcome.ANSWERED


@pytest.mark.parametrize("kind", ["revoke_key", "reset", "stall", "html", "nan_bars"])
def test_a_second_opinion_that_cannot_be_had_takes_nothing_away(kind: str, venue: Venue, tmp_path: Path) -> None:
    venue.move(NOW)
    venue.faults({"kind": kind, "route": f"{VENUES[SECOND]}.candles", "count": None})
    with opened(venue, tmp_path, FFE_SOURCES__CROSS_CHECK="true") as engine:
        for first, played in play_both(engine).items():
            judge(played, engine, venue, {first: Effect.SERVED})
    assert venue.asked()[0] > 0
    venue.faults()


def test_two_sources_that_see_different_markets_are_believed_neither(venue: Venue, tmp_path: Path) -> None:
    venue.move(NOW)
    with running(tmp_path / "elsewhere", seed=8) as other:
        elsewhere = {name: text for name, text in other.environment.items() if "ALPHA_VANTAGE" in name}
        with opened(venue, tmp_path, FFE_SOURCES__CROSS_CHECK="true", **elsewhere) as engine:
            played = play(engine, "BTCUSD", "drill")
            assert_held(played, engine)
            assert played.checked is not None
            assert any(SECOND in finding.message for finding in played.checked.report.critical)


def test_a_free_key_says_that_intraday_bars_are_not_in_its_plan_and_serves_daily_ones(tmp_path: Path) -> None:
    with running(tmp_path / "venue", plan="free") as free, opened(free, tmp_path) as engine:
        free.faults(*({**REVOKED, "venue": VENUES[first]} for first in SYMBOLS))
        intraday = play(engine, "BTCUSD", "intraday")
        assert intraday.incident is not None
        assert "premium" in intraday.incident.message
        for symbol in SYMBOLS.values():
            # Its plan allows one request a second.
            free.move(free.now() + timedelta(seconds=1))
            played = play(engine, symbol, "daily", Timeframe.D1)
            assert played.batch is not None
            assert played.batch.source == SECOND
            assert_trusted(played, engine, warned=False)
