"""In sample and out of sample: what belongs where, and that nothing is traded or seen where it must not be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ffe.errors import ConfigurationError
from ffe.market.models import Timeframe
from ffe.replay.models import CLOSE, Gate, Signals
from ffe.replay.sweep_windows import NOT_ASKED, Span, check, part, price_return, silenced, split, walk
from tests.replay.sweeping import feed

EUR, BTC = feed(n=800), feed("BTCUSD", n=1150, seed=2)


@given(st.floats(0.1, 0.9))
@hypothesis_settings(max_examples=30)
def test_no_bar_is_in_sample_and_out_of_sample(share: float) -> None:
    (window,) = split([EUR, BTC], share)
    assert window.inside.end == window.outside.start
    for each in (EUR, BTC):
        inside, outside = (part(each, span, 100).traded.times for span in (window.inside, window.outside))
        assert not set(inside.tolist()) & set(outside.tolist())
        assert inside[-1] + 3600 <= window.inside.end <= outside[0]
        assert inside.size + outside.size == len(each.bars)


def test_windows_that_walk_judge_every_bar_once_and_after_it_was_chosen_by() -> None:
    windows = walk([BTC], 10, 5)
    assert [each.number for each in windows] == list(range(len(windows)))
    assert len(windows) == 7
    judged: list[int] = []
    for window in windows:
        inside, outside = (part(BTC, span, 0).traded for span in (window.inside, window.outside))
        assert (len(inside), len(outside)) == (240, 120)
        assert inside.closes_at[-1] == outside.times[0]
        judged += outside.times.tolist()
    assert judged == sorted(set(judged))


def test_a_bar_that_lies_across_the_split_belongs_to_neither() -> None:
    middle = int(EUR.bars.times[400]) + 1800
    before = part(EUR, Span(0, middle), 0).traded.times
    after = part(EUR, Span(middle, int(EUR.bars.closes_at[-1])), 0).traded.times
    assert int(EUR.bars.times[400]) not in {*before.tolist(), *after.tolist()}
    assert before.size + after.size == len(EUR.bars) - 1


def test_the_last_bar_in_sample_does_not_see_the_first_price_out_of_sample() -> None:
    (window,) = split([EUR], 0.5)
    cut = part(EUR, window.inside, 0).feed.bars
    row = len(cut) - 1
    assert cut.after[row].tolist() == [cut.bid[row, CLOSE], cut.ask[row, CLOSE]]
    assert EUR.bars.after[row].tolist() != cut.after[row].tolist()


def test_warm_up_bars_are_those_before_the_window_and_nobody_is_asked_there() -> None:
    (window,) = split([EUR], 0.5)
    warmed = part(EUR, window.outside, 30)
    assert warmed.warm == 30
    assert warmed.feed.bars.closes_at[warmed.warm - 1] <= window.inside.end
    assert (warmed.feed.gates == Gate.PASSED).all()
    every = np.ones(len(warmed.feed.bars), dtype=np.int8)
    said = silenced(Signals(every, every.astype(np.int64)), warmed.warm)
    assert said.authors is not None
    assert (said.actions[:30] == 0).all()
    assert (said.authors[:30] == NOT_ASKED).all()
    assert (said.actions[30:] == 1).all()
    assert (said.authors[30:] == 0).all()
    assert every.all()


def test_a_fallback_stays_one_after_the_warm_up() -> None:
    ones = np.ones(4, dtype=np.int8)
    said = silenced(Signals(ones * 0, ones.astype(np.int64), ones), 2)
    assert said.authors is not None
    assert said.authors.tolist() == [NOT_ASKED, NOT_ASKED, 1, 1]


def test_what_a_live_cycle_saw_is_told_by_the_rows_that_are_left() -> None:
    seen = replace(EUR, starts=np.maximum(np.arange(len(EUR.bars)) - 99, 0))
    (window,) = split([seen], 0.5)
    cut = part(seen, window.outside, 200)
    assert cut.feed.starts is not None
    assert cut.feed.starts[200] == 101
    assert cut.feed.starts[0] == 0


def test_before_the_first_bar_there_is_no_warm_up_and_the_gates_stay() -> None:
    (window,) = split([EUR], 0.5)
    first = part(EUR, window.inside, 200)
    assert first.warm == 0
    assert (first.feed.gates[:59] == Gate.WARM_UP).all()


def test_the_price_is_measured_without_the_warm_up() -> None:
    (window,) = split([EUR], 0.5)
    alone, warmed = part(EUR, window.outside, 0), part(EUR, window.outside, 50)
    assert price_return(alone) == price_return(warmed)


def test_too_few_bars_on_either_side_are_refused() -> None:
    few = feed(n=70)
    with pytest.raises(ConfigurationError, match="63 in sample and 7 out of sample"):
        split([few], 0.1)
    with pytest.raises(ConfigurationError, match="do not hold a window"):
        walk([few], 30, 30)


def test_an_instrument_without_a_bar_in_the_window_is_named() -> None:
    with pytest.raises(ConfigurationError, match="EURUSD has no bar from 1970-01-01T00:00:00Z"):
        part(EUR, Span(0, 3600), 10)
    early = feed("BTCUSD", n=200)
    with pytest.raises(ConfigurationError, match="BTCUSD has no bar"):
        check([EUR, early], split([EUR, early], 0.3))


def test_instruments_of_two_timeframes_share_their_windows() -> None:
    quarter = feed("GBPUSD", n=2000, timeframe=Timeframe.M15)
    (window,) = split([EUR, quarter], 0.5)
    for each in (EUR, quarter):
        inside, outside = (part(each, span, 0).traded for span in (window.inside, window.outside))
        assert inside.closes_at[-1] <= outside.times[0]
