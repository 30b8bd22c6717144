"""Where a printed number becomes a bar's number: what no price is ends there, and nothing ends the process."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ffe.errors import PermanentSourceError
from ffe.market.models import Timeframe
from ffe.sources.models import BAR_SCHEMA
from ffe.sources.rows import bar_table, complete, number

NOW = datetime(2024, 5, 15, 12, 0, 20, tzinfo=UTC)
M5 = Timeframe.M5


@pytest.mark.parametrize("text", ["1e-99999999", "0e-99999999", "1e99999999", "1e41", "NaN", "Infinity", "n/a", ""])
def test_what_is_no_price_is_refused_by_name(text: str) -> None:
    with pytest.raises(PermanentSourceError, match="'close'"):
        number({"close": text}, "close")


@pytest.mark.parametrize("text", ["0", "0.00000001", "43012.55", "1e-18", "1E+3", "-1.5"])
def test_what_a_venue_may_print_is_kept_to_the_digit(text: str) -> None:
    assert number({"close": text}, "close") == Decimal(text)


def test_a_number_with_more_places_than_the_column_is_refused_and_not_rounded() -> None:
    row = {"time": NOW, **dict.fromkeys(("open", "high", "low", "close", "volume"), Decimal("1e-19"))}
    with pytest.raises(PermanentSourceError, match="does not fit"):
        bar_table([row], BAR_SCHEMA)


def rows(*minutes: float) -> list[dict[str, datetime]]:
    return [{"time": NOW + timedelta(minutes=each)} for each in minutes]


def test_a_bar_that_was_still_running_when_the_source_was_asked_is_left_out() -> None:
    asked = NOW
    assert complete("x", rows(-10, -5, -4.9), M5, asked, NOW + timedelta(seconds=20)) == rows(-10, -5)


def test_a_bar_that_began_while_the_reply_was_under_way_is_no_bar_from_the_future() -> None:
    assert complete("x", rows(-10, 0.2), M5, NOW, NOW + timedelta(seconds=20)) == rows(-10)


def test_a_bar_that_nobody_can_have_seen_refuses_the_whole_reply() -> None:
    with pytest.raises(PermanentSourceError, match="opens at 2024-05-15T13:00:20Z, and it is 2024-05-15T12:00:20Z"):
        complete("x", rows(-10, -5, 60), M5, NOW, NOW)


def test_no_rows_are_no_fault() -> None:
    assert complete("x", [], M5, NOW, NOW) == []
