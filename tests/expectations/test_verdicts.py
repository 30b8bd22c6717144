"""What a report says: warnings that do not stop, checks that could not run, and the same verdict from every thread."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from excerpts import LOST_WEEK, WEEKEND

from expectations import validate as validation
from expectations.findings import findings_of
from ffe.market.calendar import ForexWeek, calendar_for
from ffe.market.holidays import closed
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import QualityReport, Severity
from ffe.sources.models import BAR_SCHEMA, PRICE_BAR_SCHEMA

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
    assert (report.suite, report.batch_id, report.checks) == ("bars-minute-crypto-v2", "0" * 64, 23)
    assert report.duration_ms > 0
    assert report.id != validate("BTCUSD", real_rows("BTCUSD")).id


def test_a_spike_is_a_warning_with_its_numbers(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("EURUSD")
    up = Decimal("1.005")
    for row in rows[300:]:
        row |= {name: price * up for name, price in row.items() if name not in {"time", "volume"}}
    report = validate("EURUSD", rows)
    spike = only(report, "spike")
    assert report.passed
    assert spike.severity is Severity.WARNING
    assert "above 12 MAD = " in spike.message
    assert any(f"time={rows[300]['time']:%Y-%m-%dT%H:%M:%SZ}" in example for example in spike.examples)


def test_the_step_over_a_weekend_is_no_spike(validate: Validate) -> None:
    friday = datetime(2026, 7, 3, 18, 0, tzinfo=UTC)
    opens = ForexWeek().expected_opens(Timeframe.M5, friday, friday + timedelta(days=2, hours=8))
    prices = [
        Decimal(110 if at < np.datetime64("2026-07-04") else 112) + Decimal(i * i % 7) / 1000
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


def test_bars_on_a_saturday_are_critical_for_forex_and_nothing_for_crypto(
    real_rows: RealRows, validate: Validate
) -> None:
    saturday = [row | {"time": row["time"] + timedelta(days=3)} for row in real_rows("EURUSD")]
    finding = only(validate("EURUSD", saturday), "market-hours")
    assert finding.severity is Severity.CRITICAL
    assert finding.message == "400 of 400 bars: bar while forex-week is closed"
    assert validate("BTCUSD", [row | {"time": row["time"] + timedelta(days=3)} for row in real_rows("BTCUSD")]).passed


def test_five_minutes_of_an_early_opening_are_a_warning(validate: Validate) -> None:
    rows = WEEKEND.rows()
    # Sunday 2014-05-04 21:00 UTC is 17:00 in New York.
    opening = next(at for at, row in enumerate(rows) if row["time"] >= datetime(2014, 5, 4, 21, tzinfo=UTC))
    early = [rows[opening] | {"time": datetime(2014, 5, 4, 20, 60 - step, tzinfo=UTC)} for step in (6, 5, 4, 3, 2, 1)]
    warned = validate("EURUSD", [*rows[:opening], *early[1:], *rows[opening:]])
    assert warned.passed
    assert only(warned, "market-hours").severity is Severity.WARNING
    refused = validate("EURUSD", [*rows[:opening], *early, *rows[opening:]])
    assert only(refused, "market-hours").severity is Severity.CRITICAL


def test_a_day_that_a_person_added_to_the_calendar_is_not_missed(validate: Validate) -> None:
    rows = [row for row in LOST_WEEK.rows() if row["time"] > datetime(2016, 12, 9, tzinfo=UTC)]
    days = [closed(date(2016, 12, day)) for day in (12, 13, 14, 15, 16)]
    calendar = calendar_for(parse_instrument("EURUSD"), tuple(days)).name
    assert not validate("EURUSD", rows, timeframe=Timeframe.H1).passed
    assert "a hole of" not in str(validate("EURUSD", rows, timeframe=Timeframe.H1, calendar=calendar).critical)


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

    monkeypatch.setattr("expectations.series.unspiked", broken)
    report = validate("BTCUSD", real_rows("BTCUSD"))
    (finding,) = report.critical
    assert (finding.check, finding.message) == ("spike", "could not check spike: no median")


def test_a_suite_that_cannot_be_built_is_critical(
    real_rows: RealRows, validate: Validate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise ImportError("no module named great_expectations")

    monkeypatch.setattr(validation, "load_suites", missing)
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


def test_history_may_be_short_and_have_gaps_but_not_bad_bars(real_rows: RealRows, validate: Validate) -> None:
    rows = [*real_rows("BTCUSD")[:10], *real_rows("BTCUSD")[-10:]]
    assert {finding.check for finding in validate("BTCUSD", rows).critical} == {"enough-bars", "gaps"}
    report = validate("BTCUSD", rows, history=True)
    assert report.passed
    assert only(report, "gaps").severity is Severity.WARNING
    rows[3] |= {"close": Decimal(0)}
    assert not validate("BTCUSD", rows, history=True).passed


def test_history_has_no_bar_of_the_future_either(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("BTCUSD")[-5:]
    early = rows[-1]["time"]
    report = validate("BTCUSD", rows, early, history=True)
    assert [finding.check for finding in report.critical] == ["not-from-the-future"]
    at = f"{early:%Y-%m-%dT%H:%M}"
    assert report.critical[0].message == (
        f"1 of 5 bars: not complete at {at}:05Z, 1 still running and the others in the future"
    )


def test_one_bar_of_history_is_enough_to_judge(real_rows: RealRows, validate: Validate) -> None:
    assert validate("EURUSD", real_rows("EURUSD")[-1:], history=True).findings == ()


def test_forex_bars_without_quotes_are_judged_as_plain_bars(real_rows: RealRows, validate: Validate) -> None:
    rows = [{key: row[key] for key in BAR_SCHEMA.names} for row in real_rows("EURUSD")]
    assert validate("EURUSD", rows).passed


def test_forex_bars_without_volume_are_judged_without_it(real_rows: RealRows, validate: Validate) -> None:
    rows = [{key: row[key] for key in PRICE_BAR_SCHEMA.names} for row in real_rows("EURUSD")]
    sized = validate("EURUSD", [row | {"volume": Decimal(1)} for row in rows])
    table = pa.Table.from_pylist(rows, schema=PRICE_BAR_SCHEMA)
    now = rows[-1]["time"] + MINUTE
    report = validate("EURUSD", table, now)
    assert report.passed
    assert report.checks == sized.checks - 2
    rows[7] |= {"close": Decimal(-1)}
    refused = validate("EURUSD", pa.Table.from_pylist(rows, schema=PRICE_BAR_SCHEMA), now)
    assert only(refused, "positive").severity is Severity.CRITICAL


def test_crypto_bars_without_volume_are_refused(real_rows: RealRows, validate: Validate) -> None:
    rows = [{key: row[key] for key in PRICE_BAR_SCHEMA.names} for row in real_rows("BTCUSD")]
    report = validate("BTCUSD", pa.Table.from_pylist(rows, schema=PRICE_BAR_SCHEMA), rows[-1]["time"] + MINUTE)
    assert only(report, "columns").message == "missing columns volume"


def test_collapsed_volume_is_a_warning(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("BTCUSD")
    for row in rows[-12:]:
        row["volume"] = Decimal("0.001")
    report = validate("BTCUSD", rows)
    assert report.passed
    volume = only(report, "volume")
    assert volume.severity is Severity.WARNING
    assert "median volume fell to 0.001" in volume.message
    assert len(volume.examples) == 5


def test_a_feed_that_froze_and_woke_up_is_a_warning(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("BTCUSD")
    for row in rows[200:240]:
        row |= {name: rows[200][name] for name in ("open", "high", "low", "close")}
    report = validate("BTCUSD", rows)
    assert report.passed
    assert only(report, "flat-line").severity is Severity.WARNING


@pytest.mark.parametrize("symbol", ["BTCUSD", "EURUSD"])
def test_every_check_that_speaks_of_bars_shows_some(symbol: str, real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows(symbol)
    rows[5] |= {"close": rows[5]["high"] * 100}
    rows[9] |= {"open": Decimal(-1)}
    rows[200]["time"] = rows[199]["time"]
    rows[300]["time"] += timedelta(seconds=1)
    report = validate(symbol, rows)
    assert len(report.findings) >= 6
    for finding in report.findings:
        assert 1 <= len(finding.examples) <= 5
        assert all("2018-04-04T" in example for example in finding.examples)


def test_the_result_is_kept_as_plain_json_under_the_reports_id(real_rows: RealRows, validate: Validate) -> None:
    kept: dict[str, Any] = {}
    report = validate("BTCUSD", real_rows("BTCUSD"), keep=kept)
    assert list(kept) == [report.id]
    assert json.loads(json.dumps(kept[report.id])) == kept[report.id]
    assert len(kept[report.id]["results"]) == report.checks


def test_nothing_is_kept_when_nothing_could_be_checked(
    real_rows: RealRows, validate: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "load_suites", lambda: 1 / 0)
    kept: dict[str, Any] = {}
    assert not validate("BTCUSD", real_rows("BTCUSD"), keep=kept).passed
    assert kept == {}
