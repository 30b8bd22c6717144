"""What the ledger exposes of cycles, trading, the model and its running; every metric of the table, from real records."""

import math
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "ledger"))

from builders import ACCOUNT, AT, decision, fill, filled
from filled_ledger import MINUTE, NOW, STAGES, answers, cycle, fill_ledger, preflight_of

from ffe.clock import FixedClock
from ffe.decision.models import Action, Author
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import upgrade
from ffe.ledger.models import ApiUsage
from ffe.ledger.monitoring_totals import Latency
from ffe.observe.metrics import METRICS, LedgerMetrics
from ffe.observe.metrics.families import distributed, measured
from ffe.observe.metrics.model import percentile
from ffe.orders.switch import SwitchState
from ffe.settings import Settings

Samples = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upgraded") / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def ledger(upgraded: Path, tmp_path: Path) -> Iterator[Ledger]:
    shutil.copy(upgraded, tmp_path / "ledger.sqlite")
    with closing(Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(data_dir=tmp_path)


def metrics_of(ledger: Ledger, settings: Settings, now: datetime = NOW) -> LedgerMetrics:
    return LedgerMetrics(ledger, FixedClock(now), settings)


def samples(families: Iterator[Metric] | LedgerMetrics) -> Samples:
    """Value of each sample by its name and label values."""
    collected = families.collect() if isinstance(families, LedgerMetrics) else families
    return {
        (sample.name, *sample.labels.values()): float(sample.value) for family in collected for sample in family.samples
    }


@pytest.fixture
def seen(ledger: Ledger, settings: Settings) -> Samples:
    fill_ledger(ledger)
    return samples(metrics_of(ledger, settings))


def test_a_full_ledger_has_a_sample_of_every_metric_with_the_labels_of_the_table(
    ledger: Ledger, settings: Settings
) -> None:
    fill_ledger(ledger)
    families = list(metrics_of(ledger, settings).collect())
    emitted = {sample.name for family in families for sample in family.samples}
    assert {name for spec in METRICS.values() for name in spec.samples} - emitted == set()
    assert len(families) == len(METRICS)
    for family in families:
        spec = METRICS.get(family.name) or METRICS[f"{family.name}_total"]
        assert (family.type, family.documentation) == (spec.kind, spec.help)
        for sample in family.samples:
            assert tuple(name for name in sample.labels if name != "le") == spec.labels, sample


def test_every_metric_is_described_and_says_its_unit_or_kind() -> None:
    assert all(spec.help.endswith(".") and len(spec.help) < 160 for spec in METRICS.values())
    assert all(name.endswith("_total") for name, spec in METRICS.items() if spec.kind == "counter")
    assert not [name for name, spec in METRICS.items() if spec.kind == "gauge" and name.endswith(("_total", "_count"))]


def test_cycles_by_outcome_and_the_wait_for_the_next(seen: Samples) -> None:
    assert seen["cycles_total", "sim", "5m", "completed"] == 4
    assert seen["cycles_total", "sim", "5m", "failed"] == 1
    assert seen["cycles_unfinished_24h", "sim", "5m"] == 1
    assert seen["cycle_last_finished_timestamp_seconds", "5m"] == (AT + timedelta(seconds=10)).timestamp()
    assert seen["cycle_idle_seconds", "5m"] == 290
    assert seen["cycle_period_seconds", "5m"] == 300
    assert seen["cycle_scheduled", "5m"] == 1
    assert seen["cycle_instrument", "5m", "EURUSD"] == 1


def test_stages_are_a_histogram_over_all_cycles(seen: Samples) -> None:
    assert seen["cycle_stage_seconds_count", "5m", "model"] == 5
    assert seen["cycle_stage_seconds_sum", "5m", "model"] == pytest.approx(5 * STAGES["model"] / 1000)
    assert seen["cycle_stage_seconds_bucket", "5m", "model", "2.5"] == 0
    assert seen["cycle_stage_seconds_bucket", "5m", "model", "5.0"] == 5
    assert seen["cycle_stage_seconds_bucket", "5m", "model", "+Inf"] == 5


def test_a_cycle_that_was_run_once_by_hand_is_not_waited_for(ledger: Ledger, settings: Settings) -> None:
    for number in range(3):
        cycle(ledger, f"close-{number}", AT + number * MINUTE, timeframe="1h")
    cycle(ledger, "unknown-market", AT, timeframe="4h")
    ledger.start_cycle("nothing", "sim", "15m", AT)
    ledger.finish_cycle("nothing", AT, {"instruments": []})
    ledger.start_cycle("other-mode", "live", "30m", AT)
    ledger.finish_cycle("other-mode", AT, {})
    seen = samples(metrics_of(ledger, settings))
    assert (seen["cycle_scheduled", "1h"], seen["cycle_scheduled", "4h"]) == (0, 0)
    assert not [key for key in seen if key[0] == "cycle_instrument"]
    assert seen["cycle_idle_seconds", "15m"] == 300
    assert ("cycle_idle_seconds", "30m") not in seen
    assert seen["cycles_total", "live", "30m", "completed"] == 1
    assert seen["cycles_total", "live", "30m", "failed"] == 0


def test_the_wait_for_a_forex_cycle_stops_with_its_market(ledger: Ledger, settings: Settings) -> None:
    friday = datetime(2018, 4, 6, 20, 55, tzinfo=UTC)
    ledger.start_cycle("last", "sim", "15m", friday)
    ledger.finish_cycle("last", friday, {"instruments": [{"instrument": "EURUSD"}]})
    seen = samples(metrics_of(ledger, settings, friday + timedelta(days=1)))
    assert seen["cycle_idle_seconds", "15m"] == 300


def test_decisions_by_author_and_the_reasons_of_holds(seen: Samples) -> None:
    assert seen["decisions_total", "model", "BUY"] == 2
    assert seen["decisions_total", "data-gate", "HOLD"] == 1
    assert seen["holds_total", "data-gate", "stale"] == 1
    assert ("holds_total", "model", "model") not in seen


def test_orders_and_what_they_hold(seen: Samples) -> None:
    assert seen["orders", "oanda", "FILLED"] == 1
    assert seen["orders", "oanda", "UNRESOLVED"] == 1
    assert seen["order_unknown_age_seconds", "oanda"] == 300
    assert seen["reservations_open", "oanda", "USD"] == 1
    assert seen["reservations_open_amount", "oanda", "USD"] == 98.17


def test_an_account_without_an_unknown_order_says_zero(ledger: Ledger, settings: Settings) -> None:
    filled(ledger, fill())
    assert samples(metrics_of(ledger, settings))["order_unknown_age_seconds", "oanda"] == 0


def test_a_position_is_worth_the_newest_price_on_record(seen: Samples) -> None:
    place = "oanda", ACCOUNT, "EURUSD"
    assert seen["position_units", *place] == 4000
    assert seen["position_notional", *place, "USD"] == 4920
    assert seen["position_pnl_unrealised", *place, "USD"] == pytest.approx(11.2)
    assert seen["position_pnl_realised", *place, "USD"] == 0


def test_without_a_price_of_today_a_position_is_worth_what_it_cost(ledger: Ledger, settings: Settings) -> None:
    filled(ledger, fill())
    seen = samples(metrics_of(ledger, settings))
    place = "oanda", ACCOUNT, "EURUSD", "USD"
    assert seen["position_notional", *place] == pytest.approx(4000 * 1.2272)
    assert seen["position_pnl_unrealised", *place] == 0


def test_drawdown_is_counted_from_the_peak_until_a_person_resumes(ledger: Ledger, settings: Settings) -> None:
    fill_ledger(ledger)
    metrics = metrics_of(ledger, settings)
    seen = samples(metrics)
    assert seen["account_equity", "oanda", ACCOUNT, "USD"] == 99990
    assert seen["account_drawdown_ratio", "oanda", ACCOUNT] == pytest.approx(0.01)
    assert seen["drawdown_limit_ratio",] == 0.05
    ledger.set_switch(SwitchState.HALT, "look", "person", AT)
    halted = samples(metrics)
    ledger.set_switch(SwitchState.NORMAL, "looked", "person", AT)
    assert ("account_drawdown_ratio", "oanda", ACCOUNT) not in samples(metrics)
    ledger.mark_equity("oanda", ACCOUNT, "USD", Decimal(-1), AT + 3 * MINUTE)
    lost = samples(metrics)
    assert [halted["kill_switch", state] for state in ("normal", "reduce-only", "halt", "flatten")] == [0, 0, 1, 0]
    assert lost["kill_switch", "normal"] == 1
    assert lost["account_drawdown_ratio", "oanda", ACCOUNT] == 1


def test_the_model_of_the_last_half_hour(ledger: Ledger, settings: Settings) -> None:
    fill_ledger(ledger)
    seen = samples(metrics_of(ledger, settings))
    assert seen["model_latency_seconds", "smollm2", "95"] == 3.10025
    assert seen["model_latency_seconds", "smollm2", "100"] == 3.10025
    assert seen["model_calls_30m", "smollm2", "answered"] == 1
    assert seen["model_calls_30m", "unknown", "failed"] == 1
    assert seen["model_tokens_30m", "smollm2", "prompt"] == 400
    assert seen["model_tokens_30m", "smollm2", "completion"] == 40
    later = samples(metrics_of(ledger, settings, AT + 31 * MINUTE))
    assert not [key for key in later if key[0] == "model_calls_30m"]


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=50), share=st.sampled_from([50, 95, 100]))
def test_a_percentile_is_the_smallest_value_with_its_share_at_or_below(values: list[float], share: int) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= share * len(values)
    assert sum(value < found for value in values) * 100 < share * len(values)


def test_grades_and_the_score_of_the_newest_calibration(seen: Samples) -> None:
    assert seen["grades_total", "5m"] == 1
    assert seen["calibration_brier_score", "before"] == 0.3
    assert seen["calibration_brier_score", "after"] == 0.25


def test_trouble_is_counted(seen: Samples) -> None:
    assert seen["incidents_1h", "VenueReadError"] == 2
    assert seen["incidents_24h", "VenueReadError"] == 2
    assert seen["differences_open", "oanda", "position"] == 1
    assert [seen[f"api_{what}_total", "oanda"] for what in ("calls", "errors", "seconds")] == [100, 2, 12.5]


def test_api_calls_begin_at_zero_with_the_day(ledger: Ledger, settings: Settings) -> None:
    fill_ledger(ledger)
    morning = samples(metrics_of(ledger, settings, AT + timedelta(hours=12)))
    assert morning["api_calls_total", "oanda"] == 0
    later = samples(metrics_of(ledger, settings, AT + timedelta(days=3)))
    assert ("api_calls_total", "oanda") not in later


def test_standing_checks_by_their_newest_run(seen: Samples) -> None:
    assert seen["check_passed", "preflight"] == 0
    assert seen["check_broken", "reality-check"] == 1
    assert seen["check_age_seconds", "reality-check"] == 300
    assert [seen["preflight_outcome", name] for name in ("ready", "signal-only", "refused")] == [0, 1, 0]
    assert seen["invariant_holds", "batch-passed"] == 1
    assert seen["invariant_holds", "workers-alive"] == 0
    assert ("invariant_holds", "alerts-wired") not in seen


def test_a_check_that_never_ran_is_infinitely_old(ledger: Ledger, settings: Settings) -> None:
    seen = samples(metrics_of(ledger, settings))
    assert seen["check_age_seconds", "preflight"] == math.inf
    assert ("check_passed", "preflight") not in seen


def test_neither_a_check_of_another_mode_nor_one_of_the_future_hides_what_this_mode_found(
    ledger: Ledger, settings: Settings
) -> None:
    refused = preflight_of((answers("oanda", refusals=("can withdraw",)),), "refused").model_dump(mode="json")
    ready = refused | {"outcome": "ready", "providers": []}
    broken = {"mode": "sim", "invariants": [{"name": "exact-money", "holds": "broken"}]}
    held = {"mode": "sim", "invariants": [{"name": "exact-money", "holds": "yes"}]}
    for at, other in ((NOW - MINUTE, {"mode": "paper"}), (NOW + timedelta(days=2), {"mode": "sim"})):
        ledger.record_check("preflight", at, passed=True, broken=0, document=ready | other)
        ledger.record_check("reality-check", at, passed=True, broken=0, document=held | other)
    ledger.record_check("preflight", AT, passed=False, broken=1, document=refused)
    ledger.record_check("reality-check", AT, passed=False, broken=1, document=broken)
    seen = samples(metrics_of(ledger, settings))
    for kind in ("preflight", "reality-check"):
        assert (seen["check_passed", kind], seen["check_age_seconds", kind]) == (0, 300)
    assert seen["preflight_outcome", "refused"] == 1
    assert seen["invariant_holds", "exact-money"] == 0
    assert seen["component_healthy", "oanda"] == 0


def test_health_is_what_was_last_written_down(ledger: Ledger, settings: Settings) -> None:
    providers = (
        answers("oanda"),
        answers("coinbase", balance="hidden"),
        answers("embedded", refusals=("can withdraw",)),
        answers("alpha-vantage", needed=False, balance="no key"),
    )
    found = preflight_of(providers, "refused")
    ledger.record_check("preflight", AT, passed=False, broken=2, document=found.model_dump(mode="json"))
    seen = samples(metrics_of(ledger, settings))
    healthy = {key[1]: value for key, value in seen.items() if key[0] == "component_healthy"}
    assert healthy == {"ledger": 1, "disk": 1, "oanda": 1, "coinbase": 0, "embedded": 0}


def test_a_full_disk_is_not_healthy_and_a_folder_that_is_not_here_has_none(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    full = settings.model_copy(update={"health": settings.health.model_copy(update={"min_free_mb": 10**12})})
    seen = samples(metrics_of(ledger, full))
    assert seen["component_healthy", "disk"] == 0
    assert 0 < seen["disk_free_bytes",] < seen["disk_free_limit_bytes",]
    elsewhere = samples(metrics_of(ledger, settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})))
    assert ("disk_free_bytes",) not in elsewhere
    assert ("component_healthy", "disk") not in elsewhere


def test_counters_only_grow_while_cycles_come_and_old_ones_settle(ledger: Ledger, settings: Settings) -> None:
    """Also across a new process, and a clock that is set back."""
    clock = FixedClock(AT)
    metrics, before = LedgerMetrics(ledger, clock, settings), Samples()
    for number in range(24):
        cycle(ledger, f"cycle-{number:02}", clock.now(), failed=number % 3 == 0)
        made = decision(id=f"{number:032}", cycle_id=f"cycle-{number:02}", decided_at=clock.now())
        ledger.record_decision(made)
        clock.advance(timedelta(minutes=7))
        now = {key: value for key, value in samples(metrics).items() if _grows(key[0])}
        assert all(now[key] >= value for key, value in before.items())
        before = now
    assert now["cycle_stage_seconds_count", "5m", "bars"] == 24
    assert now["decisions_total", "model", "BUY"] == 24
    fresh = {key: value for key, value in samples(LedgerMetrics(ledger, clock, settings)).items() if _grows(key[0])}
    assert fresh == now
    clock.advance(-timedelta(days=1))
    cycle(ledger, "again", clock.now())
    assert samples(metrics)["cycle_stage_seconds_count", "5m", "bars"] == 25


def _grows(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_sum", "_count"))


def test_looks_at_an_instrument_are_no_decisions(ledger: Ledger, settings: Settings) -> None:
    ledger.start_cycle("analysis-1", "sim", "5m", AT)
    ledger.record_decision(decision(cycle_id="analysis-1", action=Action.HOLD, decided_by=Author.FALLBACK))
    ledger.finish_cycle("analysis-1", AT, {})
    names = {key[0] for key in samples(metrics_of(ledger, settings))}
    assert not names & {"decisions_total", "holds_total", "cycles_total", "cycle_idle_seconds"}


def test_a_metric_without_a_line_in_the_table_can_not_be_made() -> None:
    with pytest.raises(KeyError, match="made_up"):
        measured("made_up", {(): 1.0})
    with pytest.raises(ValueError, match=r"orders has labels \('venue', 'state'\), not \('oanda',\)"):
        measured("orders", {("oanda",): 1})
    with pytest.raises(ValueError, match="cycle_stage_seconds has labels"):
        distributed("cycle_stage_seconds", {("5m",): Latency()})


def test_calls_of_a_whole_process_reach_the_exposition(ledger: Ledger, settings: Settings) -> None:
    hour = NOW.replace(minute=0, second=0)
    for _ in range(2):
        ledger.add_api_usage([ApiUsage(source="ollama", hour=hour, calls=3, errors=1, seconds=0.1)])
    assert samples(metrics_of(ledger, settings))["api_calls_total", "ollama"] == 6
