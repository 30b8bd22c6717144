"""Bars against what other sources say of them: the flaws that one feed cannot show by itself."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from excerpts import KINDS, PRICES, Rows, as_table
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.activity import DIVERGENCE, agreeing
from expectations.validate import _judged_frame
from ffe.market.quality import QualityReport, Reference, Severity

Validate = Callable[..., QualityReport]
RealRows = Callable[[str], Rows]


def says(row: dict[str, Any], factor: str = "1", source: str = "alpha-vantage") -> Reference:
    return Reference(source=source, open=row["time"], close=row["close"] * Decimal(factor))


def checks(report: QualityReport) -> set[str]:
    return {finding.check for finding in report.critical}


@pytest.mark.parametrize(
    ("factor", "passes"), [("1", True), ("1.0199", True), ("0.981", True), ("1.0201", False), ("0.98", False)]
)
def test_closes_more_than_two_percent_apart_are_critical(
    factor: str, passes: bool, real_rows: RealRows, validate: Validate
) -> None:
    rows = real_rows("EURUSD")
    report = validate("EURUSD", rows, references=(says(rows[-1], factor),))
    assert report.passed is passes
    assert ("cross-check" in checks(report)) is not passes


@settings(max_examples=150, deadline=None)
@given(low=st.decimals("0.00000100", "90000", places=8))
def test_exactly_two_percent_passes_and_a_millionth_more_does_not(low: Decimal) -> None:
    assert apart(low, low * Decimal("1.02")) == apart(low * Decimal("1.02"), low) == 0
    assert apart(low, low * Decimal("1.020001")) == apart(low * Decimal("1.020001"), low) == 1


def apart(ours: Decimal, theirs: Decimal) -> int:
    """How many sources are too far away, of one."""
    row = KINDS["OANDA"].rows()[-1] | {"close": ours}
    said = [{"source": "x", "open": row["time"].isoformat(), "close": str(theirs)}]
    breach = agreeing(_judged_frame(as_table([row])), said, DIVERGENCE)
    return 0 if breach is None else breach.count


def test_the_finding_names_source_time_both_closes_and_the_distance(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("EURUSD")
    (finding,) = validate("EURUSD", rows, references=(says(rows[-1], "1.1"),)).critical
    close = rows[-1]["close"]
    assert finding.severity is Severity.CRITICAL
    assert finding.examples == (
        f"time=2018-04-04T15:39:00Z close={close.normalize()} alpha-vantage={close * Decimal('1.1')} apart=10.00%",
    )
    assert finding.message == f"newest shared bar: {finding.examples[0]}, limit 2%"


def test_only_the_newest_shared_bar_of_each_source_counts(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("EURUSD")
    old_quarrel = (says(rows[5], "1.5"), says(rows[-1]), says(rows[6], "0.5"))
    assert validate("EURUSD", rows, references=old_quarrel).passed
    two = (says(rows[-1]), says(rows[-2], "1.5", source="coinbase"))
    (finding,) = validate("EURUSD", rows, references=two).critical
    assert "coinbase=" in finding.message
    assert "alpha-vantage" not in finding.message


def test_without_a_reference_to_one_of_the_bars_there_is_no_such_check(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("EURUSD")
    alone = validate("EURUSD", rows)
    elsewhere = Reference(source="coinbase", open=rows[0]["time"] - timedelta(hours=1), close=Decimal(9))
    assert validate("EURUSD", rows, references=(elsewhere,)).checks == alone.checks
    assert validate("EURUSD", rows, references=(says(rows[3]),)).checks == alone.checks + 1


def test_a_second_opinion_that_is_no_price_could_not_be_checked(real_rows: RealRows, validate: Validate) -> None:
    rows = real_rows("EURUSD")
    (finding,) = validate("EURUSD", rows, references=(says(rows[-1], "0"),)).critical
    assert finding.message.startswith("could not check cross-check: alpha-vantage says 0")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda price: price * 100, id="the whole feed in cents"),
        pytest.param(lambda price: 1 / price, id="the pair upside down"),
        pytest.param(lambda price: price * Decimal("1.05"), id="the whole feed five percent high"),
        pytest.param(lambda price: price * 107, id="another currency"),
    ],
)
def test_what_a_feed_cannot_show_by_itself_another_source_does(
    wrong: Callable[[Decimal], Decimal], real_rows: RealRows, validate: Validate
) -> None:
    rows = real_rows("BTCUSD")
    spoilt = []
    for row in rows:
        prices = {name: round(wrong(row[name]), 12) for name in PRICES}
        spoilt.append(row | prices | {"high": max(prices.values()), "low": min(prices.values())})
    report = validate("BTCUSD", spoilt, references=(says(rows[-1]),))
    assert "cross-check" in checks(report)


def test_a_reference_to_a_bar_that_is_not_there_says_nothing() -> None:
    rows = KINDS["OANDA"].rows()
    said = [{"source": "x", "open": "2018-04-03T00:00:00Z", "close": "99"}]
    assert agreeing(_judged_frame(as_table(rows)), said, 0.02) is None


def test_a_close_of_zero_agrees_with_nobody() -> None:
    rows = KINDS["OANDA"].rows()
    frame = _judged_frame(as_table([*rows[:-1], rows[-1] | {"close": Decimal(0)}]))
    said = [{"source": "x", "open": rows[-1]["time"].isoformat(), "close": "1.2"}]
    breach = agreeing(frame, said, 0.02)
    assert breach is not None
    assert breach.count == 1
