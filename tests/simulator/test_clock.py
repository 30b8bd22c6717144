"""The venue's clock: it runs from a moment, never backwards, and obeys `set`, `advance` and `rate`."""

from datetime import UTC, datetime, timedelta, timezone
from threading import Thread

import pytest

from simulator.clock import SimClock

START = datetime(2018, 4, 4, 14, 30, 20, tzinfo=UTC)


class Ticker:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def ticker() -> Ticker:
    return Ticker()


def test_it_starts_at_the_given_moment_and_runs_at_normal_speed(ticker):
    clock = SimClock(START, ticker)
    assert clock.now() == START
    ticker.seconds += 2.5
    assert clock.now() == START + timedelta(seconds=2.5)


def test_a_start_in_another_zone_is_the_same_moment_in_utc(ticker):
    clock = SimClock(START.astimezone(timezone(timedelta(hours=2))), ticker)
    assert clock.now() == START
    assert clock.now().tzinfo is UTC


def test_set_jumps_both_ways_and_runs_on(ticker):
    clock = SimClock(START, ticker)
    ticker.seconds += 60
    clock.set(START - timedelta(days=1))
    assert clock.now() == START - timedelta(days=1)
    ticker.seconds += 1
    assert clock.now() == START - timedelta(days=1) + timedelta(seconds=1)


def test_advance_adds_to_the_time_that_already_passed(ticker):
    clock = SimClock(START, ticker)
    ticker.seconds += 5
    clock.advance(timedelta(hours=1))
    assert clock.now() == START + timedelta(hours=1, seconds=5)


def test_a_changed_rate_counts_only_from_the_change(ticker):
    clock = SimClock(START, ticker)
    ticker.seconds += 10
    clock.rate = 60
    ticker.seconds += 2
    assert clock.now() == START + timedelta(seconds=130)
    assert clock.rate == 60


def test_a_frozen_clock_stands_still_and_goes_on_without_a_jump(ticker):
    clock = SimClock(START, ticker)
    clock.rate = 0
    ticker.seconds += 500
    assert clock.now() == START
    clock.rate = 1
    ticker.seconds += 1
    assert clock.now() == START + timedelta(seconds=1)


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused_and_changes_nothing(rate, ticker):
    clock = SimClock(START, ticker)
    with pytest.raises(ValueError, match="rate"):
        clock.rate = rate
    assert clock.rate == 1


def test_a_negative_step_is_refused(ticker):
    with pytest.raises(ValueError, match="positive step"):
        SimClock(START, ticker).advance(timedelta(seconds=-1))


def test_a_moment_without_an_offset_is_refused(ticker):
    with pytest.raises(ValueError, match="no UTC offset"):
        SimClock(START.replace(tzinfo=None), ticker)


def test_it_never_goes_backwards_on_the_real_monotonic_clock():
    clock = SimClock(START)
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)


def test_steps_from_several_threads_are_all_counted(ticker):
    clock = SimClock(START, ticker)

    def step() -> None:
        for _ in range(200):
            clock.advance(timedelta(seconds=1))

    threads = [Thread(target=step) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now() == START + timedelta(seconds=800)
