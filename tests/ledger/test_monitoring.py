"""What a monitor reads of orders, money and calls as it stands."""

from datetime import timedelta
from decimal import Decimal

from builders import (
    ACCOUNT,
    AT,
    BAR,
    bare_decision,
    calibration,
    call,
    context,
    decision,
    difference,
    fill,
    filled,
    grade,
    intent,
    record_chain,
    submitted,
)

from ffe.decision.models import Action, Author
from ffe.decision.verdict import Verdict
from ffe.ledger import monitoring
from ffe.ledger.cycles import ANALYSIS
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import ApiUsage
from ffe.ledger.monitoring import OpenReservations, Peak, Usage
from ffe.ledger.monitoring_recent import Asked, incidents_since, model_calls_since
from ffe.ledger.monitoring_totals import (
    BUCKETS,
    KEPT,
    CycleTotals,
    Decided,
    Latency,
    cycles_between,
    decisions_between,
    unfinished_cycles,
)
from ffe.orders.models import OrderState
from ffe.orders.switch import SwitchState

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def test_orders_are_counted_by_venue_and_state(ledger: Ledger) -> None:
    filled(ledger, fill())
    another = ledger.plan(intent(bar_close=BAR + 5 * MINUTE), AT)[0]
    with ledger.database.read() as session:
        counts = monitoring.orders_by_state(session)
    assert counts == {("oanda", "FILLED"): 1, ("oanda", another.state.value): 1}


def test_the_oldest_unknown_order_of_a_venue_is_by_when_it_was_sent(ledger: Ledger) -> None:
    first = submitted(ledger)
    ledger.transition(first.id, OrderState.UNRESOLVED, AT + MINUTE, reason="no answer")
    second = ledger.plan(intent(bar_close=BAR + 5 * MINUTE, account="101-001-2"), AT)[0]
    ledger.reserve(second.id, "USD", Decimal(1), Decimal(1000), AT)
    ledger.transition(second.id, OrderState.SUBMITTING, AT + 2 * MINUTE, checkpoint="1")
    with ledger.database.read() as session:
        assert monitoring.accounts(session) == [("oanda", ACCOUNT), ("oanda", "101-001-2")]
        assert monitoring.oldest_unknown(session) == {"oanda": ledger.order(first.id).submitted_at}


def test_without_an_unknown_order_there_is_no_oldest_one(ledger: Ledger) -> None:
    filled(ledger, fill())
    with ledger.database.read() as session:
        assert monitoring.oldest_unknown(session) == {}


def test_only_open_reservations_are_added_up_and_to_the_last_digit(ledger: Ledger) -> None:
    filled(ledger, fill())
    for number, amount in enumerate(("0.1", "0.000000000000000002")):
        order = ledger.plan(intent(bar_close=BAR + (5 + 5 * number) * MINUTE), AT)[0]
        ledger.reserve(order.id, "USD", Decimal(amount), Decimal(1000), AT)
    with ledger.database.read() as session:
        held = monitoring.reservations(session)
    assert held == {("oanda", "USD"): OpenReservations(2, Decimal("0.100000000000000002"))}


def test_the_newest_close_that_was_asked_about_is_the_price(ledger: Ledger) -> None:
    for number, close in enumerate(("1.1", "1.2")):
        cycle = f"cycle-{number}"
        ledger.start_cycle(cycle, "sim", "5m", AT)
        asked = context(last_close=Decimal(close))
        ledger.record_verdict(cycle, asked, Verdict(calls=(), answer=None, error=None), AT + number * MINUTE)
    with ledger.database.read() as session:
        assert monitoring.newest_closes(session, ["EURUSD", "GBPUSD"], AT) == {"EURUSD": Decimal("1.2")}
        assert monitoring.newest_closes(session, ["EURUSD"], AT + DAY) == {}


def test_equity_and_peak_are_those_since_a_person_resumed(ledger: Ledger) -> None:
    def mark(equity: int, minute: int) -> None:
        ledger.mark_equity("oanda", ACCOUNT, "USD", Decimal(equity), AT + minute * MINUTE)

    bare_decision(ledger)
    filled(ledger, fill())
    with ledger.database.read() as session:
        assert monitoring.newest_equity(session, "oanda", ACCOUNT) is None
        assert monitoring.peaks(session, AT - DAY, AT + DAY) == {}
    mark(9, 0)
    mark(100, 1)
    mark(80, 2)
    with ledger.database.read() as session:
        assert monitoring.peaks(session, AT - DAY, AT + DAY) == {Peak("oanda", ACCOUNT, 0): Decimal(100)}
        assert monitoring.peaks(session, AT + 2 * MINUTE, AT + DAY) == {Peak("oanda", ACCOUNT, 0): Decimal(80)}
        assert monitoring.peaks(session, AT - DAY, AT + MINUTE) == {Peak("oanda", ACCOUNT, 0): Decimal(9)}
    ledger.set_switch(SwitchState.HALT, "look", "person", AT)
    ledger.set_switch(SwitchState.NORMAL, "looked", "person", AT)
    mark(85, 3)
    with ledger.database.read() as session:
        found = monitoring.newest_equity(session, "oanda", ACCOUNT)
        assert monitoring.peaks(session, AT - DAY, AT + DAY) == {Peak("oanda", ACCOUNT, 1): Decimal(85)}
    assert found is not None
    assert (found[0].equity, found[1]) == (Decimal(85), 1)


def test_open_differences_are_counted_and_settled_ones_are_not(ledger: Ledger) -> None:
    ledger.observe("oanda", ACCOUNT, [difference(), difference("GBPUSD", instrument="GBPUSD")], AT)
    with ledger.database.read() as session:
        assert monitoring.open_differences(session) == {("oanda", "position"): 2}
    ledger.observe("oanda", ACCOUNT, [], AT)
    with ledger.database.read() as session:
        assert monitoring.open_differences(session) == {}


def test_api_usage_begins_with_the_day_and_remembers_who_was_called_the_day_before(ledger: Ledger) -> None:
    day = AT.replace(hour=0, minute=0, second=0)
    hours = [("oanda", 0), ("oanda", 15), ("coinbase", -3), ("alpha-vantage", -30)]
    ledger.add_api_usage(
        [
            ApiUsage(source=source, hour=day + timedelta(hours=hour), calls=10, errors=1, seconds=0.5)
            for source, hour in hours
        ]
    )
    with ledger.database.read() as session:
        found = monitoring.api_usage_since(session, day)
    assert found == {"oanda": Usage(20, 2, 1.0), "coinbase": Usage(0, 0, 0.0)}


def test_grades_are_counted_and_the_newest_calibration_has_the_score(ledger: Ledger) -> None:
    with ledger.database.read() as session:
        assert monitoring.newest_brier(session) is None
    record_chain(ledger)
    ledger.record_grade(grade())
    ledger.record_calibration(calibration())
    ledger.record_calibration(calibration(id="l" * 32, fitted_at=AT - DAY, brier_after=0.1, known_until=BAR - DAY))
    with ledger.database.read() as session:
        assert monitoring.grades_by_timeframe(session) == {"5m": 1}
        assert monitoring.newest_brier(session) == (0.3, 0.25)


def decide(ledger: Ledger, number: int, minute: int, cycle: str | None = None) -> None:
    name = f"cycle-{number}" if cycle is None else cycle
    ledger.start_cycle(name, "sim", "5m", AT)
    changes = {"action": Action.HOLD, "decided_by": Author.DATA_GATE, "reason_code": "stale"} if number % 2 else {}
    made = decision(id=f"{number:032}", cycle_id=name, decided_at=AT + minute * MINUTE, **changes)
    ledger.record_decision(made)


def test_decisions_are_counted_by_author_action_and_reason_and_looks_are_none(ledger: Ledger) -> None:
    for number, minute in enumerate((0, 1, 2, 3)):
        decide(ledger, number, minute)
    decide(ledger, 8, 1, f"{ANALYSIS}1")
    bought, held = Decided("model", "BUY", "model"), Decided("data-gate", "HOLD", "stale")
    with ledger.database.read() as session:
        assert decisions_between(session, AT, AT + DAY) == {bought: 2, held: 2}
        first = decisions_between(session, AT, AT + 2 * MINUTE)
        second = decisions_between(session, AT + 2 * MINUTE, AT + DAY)
    assert first == {bought: 1, held: 1}
    assert first + second == {bought: 2, held: 2}


def ran(ledger: Ledger, name: str, minute: int, *, error: str | None = None, seconds: float = 10) -> None:
    at = AT + minute * MINUTE
    ledger.start_cycle(name, "sim", "5m", at)
    summary = {
        "timings_ms": {"bars": 400.0, "model": 9000.0},
        "instruments": [{"instrument": "EURUSD", "error": error}],
    }
    ledger.finish_cycle(name, at + timedelta(seconds=seconds), summary)


def totals(ledger: Ledger, start: int, end: int) -> CycleTotals:
    with ledger.database.read() as session:
        return cycles_between(session, AT + start * MINUTE, AT + end * MINUTE)


def test_cycles_are_counted_by_outcome_with_the_time_of_their_stages(ledger: Ledger) -> None:
    ran(ledger, "a", 0)
    ran(ledger, "b", 5, error="VenueReadError")
    ran(ledger, f"{ANALYSIS}c", 6)
    ledger.start_cycle("running", "sim", "5m", AT + 10 * MINUTE)
    ledger.start_cycle("empty", "sim", "1h", AT + 11 * MINUTE)
    ledger.finish_cycle("empty", AT + 12 * MINUTE, {})
    found = totals(ledger, 0, 60)
    assert found.outcomes == {("sim", "5m", "completed"): 1, ("sim", "5m", "failed"): 1, ("sim", "1h", "completed"): 1}
    bars = found.stages["5m", "bars"]
    assert (bars.counts[BUCKETS.index(0.5)], sum(bars.counts), bars.seconds) == (2, 2, 0.8)
    assert found.stages["5m", "model"].counts[BUCKETS.index(10.0)] == 2
    assert [each.instruments for each in found.newest["sim", "5m"]] == [("EURUSD",), ("EURUSD",)]
    assert found.newest["sim", "1h"][0].finished_at == AT + 12 * MINUTE


def test_stretches_added_up_are_the_whole(ledger: Ledger) -> None:
    for number in range(KEPT + 3):
        ran(ledger, f"cycle-{number:02}", number, error="x" if number % 5 == 0 else None)
    whole = totals(ledger, 0, 60)
    parts = totals(ledger, 0, 7) + totals(ledger, 7, 7) + totals(ledger, 7, 60)
    assert parts == whole
    assert len(whole.newest["sim", "5m"]) == KEPT
    assert whole.newest["sim", "5m"][-1].started_at == AT + (KEPT + 2) * MINUTE


def test_a_latency_lies_in_the_bucket_of_its_bound_and_above_the_last_in_none() -> None:
    counts = Latency().with_one(BUCKETS[0]).with_one(BUCKETS[0] + 1e-9).with_one(BUCKETS[-1] + 1).counts
    assert counts == (1, 1, *(0,) * (len(BUCKETS) - 2), 1)


def test_cycles_that_never_finished_are_those_that_had_time_to(ledger: Ledger) -> None:
    ran(ledger, "done", 0)
    for name, minute in (("died", 1), ("running", 30), (f"{ANALYSIS}look", 1)):
        ledger.start_cycle(name, "sim", "5m", AT + minute * MINUTE)
    with ledger.database.read() as session:
        assert unfinished_cycles(session, AT, AT + 15 * MINUTE) == {("sim", "5m"): 1}


def test_model_calls_of_late_are_those_that_began_then(ledger: Ledger) -> None:
    ledger.start_cycle("c" * 32, "sim", "5m", AT)
    failed = call(id="f" * 32, identity=None, error="late", prompt_tokens=None, completion_tokens=None, latency_ms=9.0)
    old = call(id="o" * 32, started_at=AT - MINUTE)
    ledger.record_model_calls("c" * 32, "EURUSD", BAR, [call(), failed, old])
    with ledger.database.read() as session:
        found = model_calls_since(session, AT)
    assert sorted(found) == [
        Asked(model="smollm2", answered=True, seconds=3.10025, prompt_tokens=400, completion_tokens=40),
        Asked(model="unknown", answered=False, seconds=0.009, prompt_tokens=0, completion_tokens=0),
    ]


def test_incidents_count_their_repetitions(ledger: Ledger) -> None:
    for message, at in (("HTTP 503", AT - DAY), ("HTTP 503", AT), ("HTTP 502", AT), ("no answer", AT)):
        ledger.record_incident(type="VenueReadError", message=message, traceback="", at=at)
    with ledger.database.read() as session:
        assert incidents_since(session, AT - MINUTE) == {"VenueReadError": 3}
        assert incidents_since(session, AT + MINUTE) == {}
