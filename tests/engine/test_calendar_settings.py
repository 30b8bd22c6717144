"""Days that a person adds to the forex calendar: from the environment or ffe.toml, refused by name when they can't be meant."""

from datetime import date, datetime
from pathlib import Path

import pytest

from ffe.environment import environment_of
from ffe.errors import ConfigurationError
from ffe.market.holidays import closed, early_close
from ffe.settings import load_settings

DAYS = (closed(date(2026, 4, 3)), closed(date(2026, 12, 28)), early_close(datetime(2026, 11, 27, 13)))


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_a_word_nothing_is_added() -> None:
    assert load_settings().calendar.holidays == ()


def test_days_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_CALENDAR__CLOSED", "2026-04-03, 2026-12-28")
    monkeypatch.setenv("FFE_CALENDAR__EARLY_CLOSE", "2026-11-27T13:00")
    assert load_settings().calendar.holidays == DAYS


def test_days_come_from_the_file_as_dates_or_as_text(tmp_path: Path) -> None:
    (tmp_path / "ffe.toml").write_text(
        '[calendar]\nclosed = [2026-04-03, "2026-12-28"]\nearly_close = [2026-11-27T13:00:00]\n'
    )
    assert load_settings().calendar.holidays == DAYS


def test_a_worker_in_another_folder_sees_the_same_days(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ffe.toml").write_text("[calendar]\nclosed = [2026-04-03]\nearly_close = [2026-11-27T13:00:00]\n")
    typed = load_settings()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name, value in environment_of(typed).items():
        monkeypatch.setenv(name, value)
    assert load_settings().calendar == typed.calendar


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CLOSED", "2026-07-04", "2026-07-04 is a Saturday"),
        ("CLOSED", "Christmas", "valid date"),
        ("EARLY_CLOSE", "2026-11-27T13:00Z", "UTC offset"),
        ("EARLY_CLOSE", "2026-11-27T18:00", "2026-11-28 is a Saturday"),
        ("EARLY_CLOSE", "13:00", "valid datetime"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_variable_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"FFE_CALENDAR__{name}", value)
    with pytest.raises(ConfigurationError, match=rf"FFE_CALENDAR__{name}.*{said}"):
        load_settings()
