"""Every decision with bars behind it gets its grade when its horizon is over, once, and what fails at one market stops no other."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from builders import ACCOUNT, batch, call, decision, fill, grade, intent, report, spec, venue_order

from ffe.clock import FixedClock
from ffe.cycle.engine import Engine
from ffe.decision.models import Action, Author, Decision
from ffe.errors import TransientSourceError, VenueReadError
from ffe.feedback import run
from ffe.feedback.models import Grade
from ffe.feedback.report import GradingReport, by_author
from ffe.feedback.run import calibrate, grade_all, waiting
from ffe.ledger.ledger import Ledger
from ffe.market.calendar import calendar_for
from ffe.market.models import AssetClass, Instrument, Timeframe, parse_instrument
from ffe.market.quality import Finding, QualityReport, Severity
from ffe.orders.models import Leg, OrderState, Side
from ffe.settings import SourcesSettings, load_settings
from ffe.sources.chain import SourceChain
from ffe.sources.incremental import Incremental
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA, BarBatch
from ffe.sources.store import BarStore

BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
M5, M15, H1 = Timeframe.M5, Timeframe.M15, Timeframe.H1
# A Wednesday.
CLOSE = datetime(2024, 3, 20, 12, 0, tzinfo=UTC)
HORIZON = timedelta(hours=1)


@dataclass
class Venue:
    """A bar for every expected open since `begin` but those in `quiet`, on a wave around 100. Spans in `broken` raise; `calls` are those asked.

    `quoted` bars have a spread of 0.02 around the close.
    """

    name: str
    clock: FixedClock
    begin: datetime = datetime(2023, 1, 1, tzinfo=UTC)
    quiet: list[tuple[datetime, datetime]] = field(default_factory=list)
    broken: list[tuple[datetime, datetime]] = field(default_factory=list)
    calls: list[tuple[datetime, datetime]] = field(default_factory=list)
    quoted: bool = False

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        self.calls.append((start, end))
        if any(start < last and first < end for first, last in self.broken):
            raise TransientSourceError(f"{self.name}: 503")
        until = min(end, timeframe.floor(self.clock.now()))
        expected = calendar_for(instrument).expected_opens(timeframe, max(start, self.begin), until).tolist()
        opens = [moment.replace(tzinfo=UTC) for moment in expected]
        rows = [self._bar(at, at + timeframe.duration) for at in opens if not self._silent(at)]
        return pa.Table.from_pylist(rows, schema=QUOTED_BAR_SCHEMA if self.quoted else BAR_SCHEMA)

    def _silent(self, at: datetime) -> bool:
        return any(first <= at < last for first, last in self.quiet)

    def _bar(self, start: datetime, end: datetime) -> dict[str, Any]:
        open_, close = price(start), price(end)
        edge = Decimal("0.2")
        bar = {"time": start, "open": open_, "close": close, "high": max(open_, close) + edge}
        bar |= {"low": min(open_, close) - edge, "volume": Decimal(1)}
        return bar | (
            {"bid_close": close - Decimal("0.01"), "ask_close": close + Decimal("0.01")} if self.quoted else {}
        )

    def close(self) -> None:
        self.calls.clear()


def price(at: datetime) -> Decimal:
    """A wave of two hours and one of nine."""
    hours = at.timestamp() / 3600
    return round(Decimal(100 + 3 * math.sin(math.pi * hours) + 5 * math.sin(2 * math.pi * hours / 9)), 4)


@dataclass
class Suite:
    """Fails Coinbase's batches that hold a bar of `bad`."""

    bad: list[datetime] = field(default_factory=list)
    seen: int = 0

    def __call__(self, table: pa.Table, of: BarBatch, now: datetime, *_: Any, **__: Any) -> QualityReport:
        self.seen += 1
        rows = [at for at in self.bad if of.source == "coinbase" and of.first_open <= at <= of.last_open]
        finding = Finding(check="price-spikes", severity=Severity.CRITICAL, message="too far")
        return QualityReport(
            id=f"r{self.seen}-{of.id[:8]}",
            batch_id=of.id,
            suite="history",
            checks=1,
            findings=(finding,) if rows else (),
            checked_at=now,
            duration_ms=1.0,
        )


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(CLOSE + HORIZON)


@pytest.fixture
def coinbase(clock: FixedClock) -> Venue:
    return Venue("coinbase", clock)


@pytest.fixture
def oanda(clock: FixedClock) -> Venue:
    return Venue("oanda", clock, quoted=True)


@pytest.fixture
def engine(ledger: Ledger, tmp_path: Path, clock: FixedClock, coinbase: Venue, oanda: Venue) -> Engine:
    made = Engine(load_settings(data_dir=tmp_path), clock, ledger, BarStore(tmp_path / "bars"))
    for kind, venue in ((AssetClass.CRYPTO, coinbase), (AssetClass.FOREX, oanda)):
        source = Incremental(venue, made.store, clock)
        made._chains[kind] = SourceChain([source], ledger, clock, SourcesSettings())
    ledger.record_batch(batch())
    ledger.record_quality(report())
    ledger.record_spec(spec())
    ledger.record_spec(
        spec(instrument="BTCUSD", venue="coinbase", price_increment=Decimal("0.01"), taker_fee_rate=Decimal("0.001"))
    )
    return made


@pytest.fixture
def suite() -> Suite:
    return Suite()


def decided(ledger: Ledger, instrument: Instrument = BTC, action: Action = Action.BUY, **changes: Any) -> Decision:
    """A recorded decision with a batch behind it, in a cycle of its own."""
    values: dict[str, Any] = {"bar_close": CLOSE, "timeframe": M5, "batch_id": "b" * 64, "model_digest": "d1"}
    values |= changes
    number = len(ledger.decisions(10_000))
    values |= {"id": f"d{number}", "cycle_id": f"c{number}", "decided_at": values["bar_close"] + timedelta(seconds=20)}
    made = decision(instrument=instrument.symbol, action=action, **values)
    ledger.start_cycle(made.cycle_id, "sim", "5m", made.decided_at)
    ledger.record_decision(made)
    return made


def counts(found: GradingReport) -> dict[str, tuple[int, int, int]]:
    return {
        f"{each.instrument} {each.timeframe.value}": (each.graded, each.pending, each.missing) for each in found.markets
    }


def graded(engine: Engine) -> dict[str, Grade]:
    return {each.decision_id: each for each in engine.ledger.grades()}


def test_whoever_decided_what_is_graded_when_the_horizon_is_over(engine: Engine, suite: Suite) -> None:
    ledger = engine.ledger
    made = [
        decided(ledger, action=Action.BUY),
        decided(ledger, action=Action.SELL),
        decided(ledger, action=Action.HOLD),
        decided(ledger, action=Action.HOLD, decided_by=Author.DATA_GATE),
        decided(ledger, action=Action.HOLD, decided_by=Author.RISK_GATE),
    ]
    young = decided(ledger, bar_close=CLOSE + M5.duration)
    nothing = decided(ledger, action=Action.HOLD, decided_by=Author.MARKET_HOURS, batch_id=None)
    found = grade_all(engine, engine.clock.now(), suite)
    assert counts(found) == {"BTCUSD 5m": (5, 1, 0)}
    assert not found.failed
    grades = graded(engine)
    assert set(grades) == {each.id for each in made}
    assert young.id not in grades
    assert nothing.id not in grades
    buy, sell, hold = (grades[each.id] for each in made[:3])
    assert (buy.net_return, sell.net_return, hold.net_return) == (buy.long_return, buy.short_return, 0.0)
    assert {each.known_at for each in grades.values()} == {CLOSE + HORIZON}
    assert buy.entry_price == price(CLOSE)
    rows = by_author(list(grades.values()))
    assert [(row.decided_by, row.action, row.count) for row in rows] == [
        (Author.DATA_GATE, Action.HOLD, 1),
        (Author.MODEL, Action.BUY, 1),
        (Author.MODEL, Action.HOLD, 1),
        (Author.MODEL, Action.SELL, 1),
        (Author.RISK_GATE, Action.HOLD, 1),
    ]


def test_a_second_run_changes_nothing_and_asks_nobody(engine: Engine, suite: Suite, coinbase: Venue) -> None:
    decided(engine.ledger)
    grade_all(engine, engine.clock.now(), suite)
    before = graded(engine)
    coinbase.calls.clear()
    again = grade_all(engine, engine.clock.now(), suite)
    assert (again.markets, coinbase.calls) == ((), [])
    assert graded(engine) == before


def test_hour_by_hour_or_all_at_once_the_grades_are_the_same(
    engine: Engine, suite: Suite, clock: FixedClock, tmp_path: Path, coinbase: Venue
) -> None:
    """What came after a grade was known can't have changed it: the first time round nobody had it yet."""
    actions = [Action.BUY, Action.SELL, Action.HOLD]
    for step in range(9):
        decided(engine.ledger, action=actions[step % 3], bar_close=CLOSE + step * timedelta(minutes=25))
    for _ in range(6):
        grade_all(engine, clock.now(), suite)
        clock.advance(timedelta(hours=1))
    hourly = graded(engine)
    assert len(hourly) == 9
    with engine.ledger.database.write() as session:
        session.connection().exec_driver_sql("DELETE FROM grade")
    engine.store = BarStore(tmp_path / "other")
    source = Incremental(coinbase, engine.store, clock)
    engine._chains[AssetClass.CRYPTO] = SourceChain([source], engine.ledger, clock, SourcesSettings())
    grade_all(engine, clock.now(), suite)
    at_once = graded(engine)
    differing = [
        name for name, each in at_once.items() if each != hourly[name].model_copy(update={"graded_at": each.graded_at})
    ]
    assert differing == []
    assert len({each.graded_at for each in hourly.values()}) > 1


def test_costs_are_the_recorded_fee_and_the_spread_of_the_bars_or_the_worst_allowed(
    engine: Engine, suite: Suite
) -> None:
    crypto, forex = decided(engine.ledger, BTC), decided(engine.ledger, EUR)
    grade_all(engine, engine.clock.now(), suite)
    grades = graded(engine)
    assert grades[crypto.id].cost == pytest.approx(0.005 + 2 * 0.001)
    assert grades[forex.id].cost == pytest.approx(0.02 / 100, rel=0.1)


def test_the_venue_is_asked_for_a_specification_that_is_not_on_record(engine: Engine, suite: Suite) -> None:
    known = spec(instrument="ETHUSD", venue="coinbase", taker_fee_rate=Decimal("0.002"))
    engine._brokers["coinbase"] = SimpleNamespace(spec=lambda instrument: known, close=lambda: None)
    made = decided(engine.ledger, parse_instrument("ETHUSD"))
    grade_all(engine, engine.clock.now(), suite)
    assert graded(engine)[made.id].cost == pytest.approx(0.005 + 2 * 0.002)
    assert engine.ledger.spec("coinbase", "ETHUSD") == known


def test_a_horizon_over_the_weekend_ends_on_sunday(engine: Engine, suite: Suite, clock: FixedClock) -> None:
    friday = datetime(2024, 3, 22, 20, 0, tzinfo=UTC)
    made = decided(engine.ledger, EUR, timeframe=M15, bar_close=friday)
    clock.at = friday + timedelta(hours=12)
    assert counts(grade_all(engine, clock.now(), suite)) == {"EURUSD 15m": (0, 1, 0)}
    # Four bars until the close at 21:00, eight from Sunday 21:00 on.
    clock.at = datetime(2024, 3, 24, 23, 0, tzinfo=UTC)
    assert counts(grade_all(engine, clock.now(), suite)) == {"EURUSD 15m": (1, 0, 0)}
    assert graded(engine)[made.id].known_at == clock.at


def test_bars_that_failed_are_no_ground_for_a_grade(engine: Engine, suite: Suite) -> None:
    suite.bad.append(CLOSE + 3 * M5.duration)
    made, other = decided(engine.ledger, BTC), decided(engine.ledger, EUR, timeframe=M15, bar_close=CLOSE - 4 * HORIZON)
    found = grade_all(engine, engine.clock.now(), suite)
    assert counts(found) == {"BTCUSD 5m": (0, 0, 1), "EURUSD 15m": (1, 0, 0)}
    assert found.failed
    assert set(graded(engine)) == {other.id}
    (incident,) = engine.ledger.incidents()
    assert (incident.type, incident.instrument) == ("BarsMissing", "BTCUSD")
    assert "1 decisions on BTCUSD 5m can't be graded" in incident.message
    assert "price-spikes: too far" in incident.message
    suite.bad.clear()
    assert counts(grade_all(engine, engine.clock.now(), suite)) == {"BTCUSD 5m": (1, 0, 0)}
    assert made.id in graded(engine)


def test_a_source_that_is_down_leaves_the_decision_for_the_next_run(
    engine: Engine, suite: Suite, coinbase: Venue
) -> None:
    coinbase.broken.append((CLOSE, CLOSE + HORIZON))
    decided(engine.ledger)
    found = grade_all(engine, engine.clock.now(), suite)
    assert counts(found) == {"BTCUSD 5m": (0, 0, 1)}
    assert "503" in (found.markets[0].problem or "")
    coinbase.broken.clear()
    assert counts(grade_all(engine, engine.clock.now(), suite)) == {"BTCUSD 5m": (1, 0, 0)}


def test_whatever_is_raised_at_one_market_stops_no_other(
    engine: Engine, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(instrument: Instrument) -> Any:
        raise VenueReadError("no specification", request="GET /products", response="500")

    engine._brokers["coinbase"] = SimpleNamespace(spec=refused, close=lambda: None)
    decided(engine.ledger, parse_instrument("ETHUSD"))
    decided(engine.ledger, EUR)
    found = grade_all(engine, engine.clock.now(), suite)
    assert [(each.instrument, each.graded, each.problem) for each in found.markets] == [
        ("ETHUSD", 0, "VenueReadError: no specification"),
        ("EURUSD", 1, None),
    ]
    (incident,) = engine.ledger.incidents()
    assert (incident.type, incident.instrument, incident.request) == ("VenueReadError", "ETHUSD", "GET /products")


def test_an_old_horizon_is_not_fetched_but_graded_when_the_store_has_it(
    engine: Engine, suite: Suite, coinbase: Venue, clock: FixedClock
) -> None:
    made = decided(engine.ledger)
    clock.advance(timedelta(days=3))
    found = grade_all(engine, clock.now(), suite)
    assert (counts(found), coinbase.calls, found.failed) == ({"BTCUSD 5m": (0, 0, 1)}, [], False)
    from ffe.cycle.backfill import backfill

    backfill(engine, BTC, M5, 5, suite)
    assert counts(grade_all(engine, clock.now(), suite)) == {"BTCUSD 5m": (1, 0, 0)}
    assert graded(engine)[made.id].known_at == CLOSE + HORIZON


def test_after_two_weeks_and_two_horizons_nobody_waits_any_more(
    engine: Engine, suite: Suite, clock: FixedClock
) -> None:
    decided(engine.ledger)
    decided(engine.ledger, timeframe=Timeframe.D1, bar_close=CLOSE.replace(hour=0))
    clock.at = CLOSE + timedelta(days=14, hours=2)
    assert waiting(engine, clock.now()) == [("BTCUSD", Timeframe.D1), ("BTCUSD", M5)]
    clock.advance(timedelta(minutes=1))
    assert waiting(engine, clock.now()) == [("BTCUSD", Timeframe.D1)]
    clock.advance(timedelta(days=23))
    assert waiting(engine, clock.now()) == [("BTCUSD", Timeframe.D1)]
    clock.advance(timedelta(days=2))
    assert waiting(engine, clock.now()) == []


def test_a_horizon_in_which_nothing_was_printed_waits_without_an_incident(
    engine: Engine, suite: Suite, coinbase: Venue, clock: FixedClock
) -> None:
    coinbase.quiet.append((CLOSE, CLOSE + HORIZON))
    decided(engine.ledger)
    clock.advance(timedelta(hours=1))
    found = grade_all(engine, clock.now(), suite)
    assert (counts(found), found.failed) == ({"BTCUSD 5m": (0, 0, 1)}, False)


def test_a_market_too_young_for_an_atr_has_no_grade(engine: Engine, suite: Suite, coinbase: Venue) -> None:
    coinbase.begin = CLOSE - 14 * M5.duration
    decided(engine.ledger)
    assert counts(grade_all(engine, engine.clock.now(), suite)) == {"BTCUSD 5m": (0, 0, 1)}
    coinbase.begin = CLOSE - 15 * M5.duration
    assert counts(grade_all(engine, engine.clock.now(), suite)) == {"BTCUSD 5m": (1, 0, 0)}


def test_a_decision_whose_stop_could_not_be_placed_has_no_grade(engine: Engine, suite: Suite) -> None:
    engine.ledger.record_spec(spec(instrument="LTCUSD", venue="coinbase", price_increment=Decimal(1000)))
    decided(engine.ledger, parse_instrument("LTCUSD"))
    assert counts(grade_all(engine, engine.clock.now(), suite)) == {"LTCUSD 5m": (0, 0, 1)}


def test_a_missing_bar_inside_the_horizon_is_passed_over(engine: Engine, suite: Suite, coinbase: Venue) -> None:
    coinbase.quiet.append((CLOSE, CLOSE + M5.duration))
    made = decided(engine.ledger)
    grade_all(engine, engine.clock.now(), suite)
    assert graded(engine)[made.id].entry_price == price(CLOSE + M5.duration)


def test_a_grade_names_the_prompt_of_the_call_that_was_heard(engine: Engine, suite: Suite) -> None:
    ledger = engine.ledger
    ledger.start_cycle("c0", "sim", "5m", CLOSE)
    ledger.record_model_calls(
        "c0", "BTCUSD", CLOSE, [call(id="m0", prompt_version="v0"), call(id="m1", prompt_version="v9")]
    )
    asked, not_asked = decided(ledger, model_call_id="m1"), decided(ledger)
    grade_all(engine, engine.clock.now(), suite)
    assert graded(engine)[asked.id].prompt_version == "v9"
    assert graded(engine)[not_asked.id].prompt_version is None


def of_model(number: int, **changes: Any) -> dict[str, Any]:
    bar_close = CLOSE - timedelta(days=10) + number * timedelta(hours=2)
    values = {
        "decision_id": f"d{number}",
        "bar_close": bar_close,
        "known_at": bar_close + HORIZON,
        "stated": 0.6 + 0.3 * (number % 4) / 3,
        "paid": number % 3 == 0,
        "token": None,
        "odds": None,
    }
    return values | changes


def with_grades(ledger: Ledger, numbers: range, **changes: Any) -> None:
    for number in numbers:
        values = of_model(number, **changes)
        decided(ledger, bar_close=values["bar_close"])
        assert ledger.record_grade(grade(**values))


def test_grades_make_a_calibration_once_there_are_enough_and_a_new_one_only_from_new_grades(engine: Engine) -> None:
    ledger, now = engine.ledger, engine.clock.now()
    with_grades(ledger, range(29))
    assert calibrate(engine, now) == ()
    with_grades(ledger, range(29, 40))
    (first,) = calibrate(engine, now)
    assert (first.model_digest, first.prompt_version, first.grades) == ("d1", "v1", 40)
    assert ledger.calibrations() == [first]
    assert calibrate(engine, now + timedelta(hours=1)) == ()
    with_grades(ledger, range(40, 42))
    (second,) = calibrate(engine, now + timedelta(hours=2))
    assert second.known_until > first.known_until
    assert len(ledger.calibrations()) == 2


def test_a_calibration_knows_nothing_of_later(engine: Engine) -> None:
    with_grades(engine.ledger, range(60))
    then = of_model(39)["known_at"]
    (early,) = calibrate(engine, then)
    assert (early.grades, early.known_until) == (40, then)


def test_grades_without_a_model_or_a_prompt_make_no_calibration(engine: Engine) -> None:
    with_grades(engine.ledger, range(40), prompt_version=None)
    assert calibrate(engine, engine.clock.now()) == ()


def test_a_fit_that_fails_is_an_incident_and_the_grades_stand(
    engine: Engine, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("no such curve")

    with_grades(engine.ledger, range(3))
    made = decided(engine.ledger)
    monkeypatch.setattr(run, "fit", broken)
    found = grade_all(engine, engine.clock.now(), suite)
    assert (counts(found), found.problem) == ({"BTCUSD 5m": (1, 0, 0)}, "ValueError: no such curve")
    assert found.failed
    assert made.id in graded(engine)
    assert engine.ledger.incidents()[0].type == "ValueError"


def test_no_closed_trade_loses_its_decision_and_every_one_of_them_is_graded(engine: Engine, suite: Suite) -> None:
    """In, more, part out, out by the stop, and turned round at a stroke: each part goes back to the decision that began it."""
    ledger = engine.ledger
    legs = [
        (Leg.ENTRY, Side.BUY, "4000"),
        (Leg.ENTRY, Side.BUY, "1000"),
        (Leg.EXIT, Side.SELL, "2000"),
        (Leg.WATCHED, Side.SELL, "3000"),
        (Leg.ENTRY, Side.SELL, "500"),
        (Leg.ENTRY, Side.BUY, "900"),
        (Leg.EXIT, Side.SELL, "400"),
    ]
    began = CLOSE - timedelta(hours=2)
    for number, (leg, side, units) in enumerate(legs):
        at = began + number * M5.duration
        made = decided(ledger, EUR, Action.BUY if side is Side.BUY else Action.SELL, bar_close=at)
        order, _ = ledger.plan(intent(decision_id=made.id, leg=leg, side=side, units=Decimal(units), bar_close=at), at)
        ledger.reserve(order.id, order.reserve_currency, Decimal(0), Decimal(10_000_000), at)
        order = ledger.transition(order.id, OrderState.SUBMITTING, at, checkpoint="1")
        filled = fill(number, units).model_copy(update={"time": at + timedelta(seconds=30)})
        ledger.book(order.id, venue_order(order, OrderState.FILLED, filled, venue_order_id=f"v{number}"), at)
    trades = ledger.closed_trades("oanda", ACCOUNT)
    assert len(trades) == 4
    assert sum(trade.units for trade in trades) == Decimal(5900)
    grade_all(engine, engine.clock.now(), suite)
    grades = graded(engine)
    for trade in trades:
        began_it = ledger.decision(trade.decision_id)
        assert began_it.instrument == trade.instrument
        assert (began_it.action is Action.BUY) == (trade.side is Side.BUY)
        assert trade.decision_id in grades
