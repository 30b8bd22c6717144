"""What a report says: warnings that do not stop, checks that could not run, and the same verdict from every thread."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from expectations import validate as validation
from expectations.findings import findings_of
from ffe.market.calendar import ForexWeek
from ffe.market.models import Timeframe
from ffe.market.quality import QualityReport, Severity

Rows = list[dict[str, Any]]
RealRows = Callable[[str], Rows]
Validate = Callable[..., QualityReport]
MINUTE = timedelta(minutes=1)


def five_minute_rows(rows: Rows) -> Rows:
    """5m bars of 1m rows, whole buckets."""
    made = []
    for first in range(0, len(rows), 5):
        part = rows[first : first + 5]
        if Timeframe.M5.floor(part[0]["time"]) == part[0]["time"] and len(part) == 5:
            high, low = max(row["high"] for row in part), min(row["low"] for row in part)
            made.append(part[0] | {"high": high, "low": low, "close": part[-1]["close"]})
    return made


def only(report: QualityReport, check: str) -> Any:
    return next(finding for finding in report.findings if finding.check == check)


def test_importing_the_package_does_not_import_great_expectations() -> None:
    code = "import sys, expectations.validate, expectations.rules; print('great_expectations' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_report_names_batch_suite_and_number_of_checks(real_rows: RealRows, validate: Validate) -> None:
    report = validate("BTCUSD", real_rows("BTCUSD"))
    assert (report.suite, report.batch_id, report.checks) == ("bars-1m-v1", "0" * 64, 17)
    assert report.duration_ms > 0
    assert report.id != validate("BTCUSD", real_rows("BTCUSD")).id


def test_a_spike_is_a_warning_with_its_numbers(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("EURUSD")
    rows[300] |= {"close": rows[300]["close"] * 2, "high": rows[300]["close"] * 2}
    report = validate("EURUSD", rows)
    spike = only(report, "spike")
    assert report.passed
    assert spike.severity is Severity.WARNING
    assert "above 12 MAD = " in spike.message
    assert any(str(rows[300]["time"])[:16] in example for example in spike.examples)


def test_the_step_over_a_weekend_is_no_spike(validate: Validate) -> None:
    friday = datetime(2026, 7, 3, 18, 0, tzinfo=UTC)
    opens = ForexWeek().expected_opens(Timeframe.M5, friday, friday + timedelta(days=2, hours=8))
    prices = [
        Decimal(110 if at < np.datetime64("2026-07-04") else 140) + Decimal(i * i % 7) / 100
        for i, at in enumerate(opens)
    ]
    rows = [
        {"time": at.astype("datetime64[us]").item().replace(tzinfo=UTC), "volume": Decimal(1)}
        | dict.fromkeys(("open", "high", "low", "close"), price)
        for at, price in zip(opens, prices, strict=True)
    ]
    report = validate("EURUSD", rows, timeframe=Timeframe.M5)
    assert len(rows) > 60
    assert report.findings == ()


def test_crossed_bars_before_the_newest_are_a_warning(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("GBPUSD")
    for step in (10, 20):
        rows[step] |= {"bid_close": rows[step]["ask_close"] + Decimal("0.0001")}
    report = validate("GBPUSD", rows)
    assert report.passed
    assert only(report, "uncrossed").severity is Severity.WARNING


def test_a_short_old_hole_is_a_warning_that_names_where(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("BTCUSD")
    report = validate("BTCUSD", [*rows[:100], *rows[110:]])
    gap = only(report, "gaps")
    assert report.passed
    assert gap.severity is Severity.WARNING
    assert gap.message == "10 of 400 expected bars missing, 10 in a row at most"
    assert gap.examples == (f"{rows[100]['time']:%Y-%m-%dT%H:%M:%SZ} x 10",)


def test_single_quiet_minutes_are_natural_at_1m(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("BTCUSD")
    quiet = [row for index, row in enumerate(rows) if index % 4 != 1 or index > 396]
    assert validate("BTCUSD", quiet).passed


def test_one_missing_bar_among_the_newest_twelve_is_critical_above_1m(real_rows: RealRows, validate: Validate) -> None:
    rows = five_minute_rows(real_rows("BTCUSD"))
    assert validate("BTCUSD", rows, timeframe=Timeframe.M5).passed
    old, recent = ([*rows[:at], *rows[at + 1 :]] for at in (len(rows) - 13, len(rows) - 12))
    assert validate("BTCUSD", old, timeframe=Timeframe.M5).passed
    report = validate("BTCUSD", recent, timeframe=Timeframe.M5)
    assert only(report, "gaps").message == "1 missing around the newest 12 bars, limit 0"
    assert not report.passed


def test_a_hole_of_more_than_six_hours_is_critical_however_many_bars_there_are(validate: Validate) -> None:
    start = datetime(2024, 1, 3, tzinfo=UTC)
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), Decimal(5))
    rows = [{"time": start + step * timedelta(minutes=5), **prices} for step in range(1000)]
    rows = [row for step, row in enumerate(rows) if not 100 <= step < 173]
    assert validate("BTCUSD", rows[72:], timeframe=Timeframe.M5).passed is False
    report = validate("BTCUSD", rows, timeframe=Timeframe.M5)
    assert only(report, "gaps").message == "a hole of 6.1 h of open market, limit 6.0 h"


def test_bars_on_a_saturday_are_a_warning_for_forex_and_none_for_crypto(
    real_rows: RealRows, validate: Validate
) -> None:
    saturday = [row | {"time": row["time"] + timedelta(days=3)} for row in real_rows("EURUSD")]
    report = validate("EURUSD", saturday)
    assert only(report, "market-hours").severity is Severity.WARNING
    assert validate("BTCUSD", [row | {"time": row["time"] + timedelta(days=3)} for row in real_rows("BTCUSD")]).passed


def test_bars_without_volume_are_information_for_crypto(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("BTCUSD")
    for row in rows[:50]:
        row["volume"] = Decimal(0)
    report = validate("BTCUSD", rows)
    traded = only(report, "traded")
    assert report.passed
    assert traded.severity is Severity.INFO
    assert traded.message == "50 of 400 bars: 12.5% of the bars have no volume, limit 10%"


def test_examples_are_at_most_five_and_findings_serious_first(real_rows: RealRows, validate: Validate) -> None:
    rows = [row | {"high": row["low"], "low": row["high"]} for row in real_rows("EURUSD")]
    rows[10] |= {"bid_close": rows[10]["ask_close"] + 1}
    report = validate("EURUSD", rows)
    ranks = [list(Severity).index(finding.severity) for finding in report.findings]
    assert ranks == sorted(ranks)
    assert all(len(finding.examples) <= 5 for finding in report.findings)
    ohlc = only(report, "ohlc-consistent")
    assert ohlc.unexpected is not None
    assert ohlc.message.startswith(f"{ohlc.unexpected} of {len(rows)} bars")


def test_a_rule_that_raises_is_critical_even_where_its_breach_is_a_warning(
    real_rows: RealRows, validate: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ArithmeticError("no median")

    monkeypatch.setattr("expectations.rules.unspiked", broken)
    report = validate("BTCUSD", real_rows("BTCUSD"))
    (finding,) = report.critical
    assert (finding.check, finding.message) == ("spike", "could not check spike: no median")


def test_a_suite_that_cannot_be_built_is_critical(
    real_rows: RealRows, validate: Validate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise ImportError("no module named great_expectations")

    monkeypatch.setattr(validation, "_suite_factory", missing)
    report = validate("BTCUSD", real_rows("BTCUSD"))
    assert [finding.check for finding in report.critical] == ["suite"]
    assert "no module named great_expectations" in report.critical[0].message
    assert "bars of BTCUSD could not be checked" in caplog.text


def test_warming_fails_loudly_when_the_checks_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expectations.rules.consistent", lambda frame: 1 / 0)
    with pytest.raises(RuntimeError, match="could not check ohlc-consistent"):
        validation.warm()


def result(info: Any, check: str = "spike", *, success: bool = False) -> SimpleNamespace:
    config = SimpleNamespace(meta={"check": check}, kwargs={}, type="custom", severity=SimpleNamespace(value="warning"))
    return SimpleNamespace(
        success=success, expectation_config=config, exception_info=info, result={"observed_value": "seen"}
    )


@pytest.mark.parametrize(
    ("info", "severity", "message"),
    [
        (None, "warning", "seen"),
        ({"raised_exception": False}, "warning", "seen"),
        ({"raised_exception": True, "exception_message": "boom"}, "critical", "could not check spike: boom"),
        (
            {"('m', 'd', '')": {"raised_exception": True}},
            "critical",
            "could not check spike: an exception without a message",
        ),
        ({"a": {"raised_exception": False}, "b": "text"}, "warning", "seen"),
        (
            {"a": {"raised_exception": True, "exception_message": "x" * 500}},
            "critical",
            f"could not check spike: {'x' * 200}...",
        ),
    ],
)
def test_both_shapes_of_exception_info_tell_failed_from_not_checked(info: Any, severity: str, message: str) -> None:
    (finding,) = findings_of(SimpleNamespace(results=[result(info), result(None, "other", success=True)]))
    assert (finding.severity.value, finding.message) == (severity, message)


def test_the_gravest_finding_speaks_for_its_check() -> None:
    warning, critical = result(None), result({"raised_exception": True, "exception_message": "boom"})
    for order in ([warning, critical], [critical, warning]):
        (finding,) = findings_of(SimpleNamespace(results=order))
        assert finding.severity is Severity.CRITICAL


def test_eight_threads_never_get_another_threads_verdict(real_rows: RealRows, validate: Validate) -> None:
    good, bad = real_rows("BTCUSD"), real_rows("BTCUSD")
    bad[7] |= {"close": Decimal(-1)}

    def verdict(number: int) -> bool:
        return validate("BTCUSD", bad if number % 3 == 0 else good).passed

    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(verdict, range(24)))
    assert verdicts == [number % 3 != 0 for number in range(24)]
