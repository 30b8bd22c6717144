"""Each way of spoiling real bars that we know of is caught as critical, and named; the same bars untouched pass."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from corruptions import ROWS, TABLES
from excerpts import CROSSED, FRANC, HOLE, KINDS, LOST_WEEK, WEEKEND, Excerpt, Rows, as_table, closes_at

from ffe.market.models import Timeframe
from ffe.market.quality import QualityReport, Severity

Validate = Callable[..., QualityReport]
DONE = [(kind, name) for kind in KINDS for name in ROWS if ROWS[name].to(KINDS[kind])]


def judged(validate: Validate, excerpt: Excerpt, rows: Rows, **more: object) -> QualityReport:
    """By the clock at which the untouched bars were complete."""
    now = closes_at(excerpt.rows(), excerpt.bars)
    return validate(excerpt.symbol, as_table(rows), now, excerpt.bars, **more)


def test_there_are_many_kinds_of_corruption() -> None:
    assert len(ROWS) >= 45
    assert len(ROWS) + len(TABLES) >= 65


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_real_bars_pass(kind: str, validate: Validate) -> None:
    excerpt = KINDS[kind]
    assert len(excerpt.rows()) >= 60
    assert judged(validate, excerpt, excerpt.rows()).critical == []


@pytest.mark.parametrize("excerpt", [WEEKEND, CROSSED, FRANC], ids=lambda excerpt: excerpt.file)
def test_what_markets_really_do_passes(excerpt: Excerpt, validate: Validate) -> None:
    assert judged(validate, excerpt, excerpt.rows()).critical == []


@pytest.mark.parametrize(("kind", "name"), DONE)
def test_spoilt_rows_are_critical_and_named(kind: str, name: str, validate: Validate) -> None:
    excerpt, corruption = KINDS[kind], ROWS[name]
    report = judged(validate, excerpt, corruption.spoil(excerpt)(excerpt.rows()))
    assert not report.passed
    assert corruption.check in {finding.check for finding in report.critical}


@pytest.mark.parametrize("kind", ["Coinbase trades", "OANDA"])
@pytest.mark.parametrize("name", TABLES)
def test_a_spoilt_table_is_critical_and_named(kind: str, name: str, validate: Validate) -> None:
    excerpt = KINDS[kind]
    spoil, check = TABLES[name]
    report = validate(excerpt.symbol, spoil(as_table(excerpt.rows())), closes_at(excerpt.rows(), excerpt.bars))
    assert not report.passed
    assert check in {finding.check for finding in report.critical}


def test_the_seven_hours_without_trades_are_reported_as_a_hole(validate: Validate) -> None:
    (finding,) = judged(validate, HOLE, HOLE.rows()).critical
    assert finding.check == "gaps"
    assert "a hole of 7.2 h of open market, limit 6.0 h" in finding.message
    assert finding.examples[0] == "2018-04-04T16:48:00Z x 432"


def test_the_lost_week_is_reported_as_a_hole_of_open_market(validate: Validate) -> None:
    (finding,) = judged(validate, LOST_WEEK, LOST_WEEK.rows()).critical
    assert finding.check == "gaps"
    assert "a hole of 103.0 h of open market, limit 6.0 h" in finding.message
    assert finding.examples[0] == "2016-12-11T22:00:00Z x 103"


def test_crossed_bars_are_reported_with_their_rows_and_stop_nothing(validate: Validate) -> None:
    findings = {finding.check: finding for finding in judged(validate, CROSSED, CROSSED.rows()).findings}
    crossed = findings["uncrossed"]
    assert (crossed.severity, crossed.unexpected) == (Severity.WARNING, 30)
    assert crossed.message == "30 of 200 bars: crossed bar, bid > ask"
    assert len(crossed.examples) == 5
    assert "bid_close=" in crossed.examples[0]


def test_the_franc_shock_is_in_the_bars_that_pass() -> None:
    rows = FRANC.rows()
    falls = {later["time"]: later["low"] / earlier["close"] - 1 for earlier, later in pairwise(rows)}
    shock = min(falls, key=lambda at: falls[at])
    assert f"{shock:%Y-%m-%d}" == "2015-01-15"
    assert falls[shock] < -0.01


@pytest.mark.parametrize("hours", [-3.0, -5.5])
def test_a_feed_with_shifted_times_has_bars_in_a_closed_market(hours: float, validate: Validate) -> None:
    early = [row | {"time": row["time"] + timedelta(hours=hours)} for row in WEEKEND.rows()]
    report = validate("EURUSD", early, timeframe=Timeframe.M1)
    assert "market-hours" in {finding.check for finding in report.critical}
