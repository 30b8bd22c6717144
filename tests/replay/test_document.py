"""The document of a replay: the keys that others rely on, and nothing that JSON does not know."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import barless_run, empty_run, made_run

from ffe.replay.document import document, documents, plain
from ffe.replay.guards import WarmUpReport
from ffe.replay.models import Gate, Interval
from ffe.replay.request import ReplayRun

KEYS = [
    "instrument",
    "timeframe",
    "strategy",
    "from",
    "to",
    "bars",
    "seconds",
    "contaminated",
    "data_sha256",
    "stats",
    "baselines",
    "report",
]
STATS = {
    "return", "cagr", "sharpe", "sortino", "max_drawdown", "exposure", "turnover", "trades", "win_rate", "profit_factor", "fees", "hold_share"
}  # fmt: skip


@pytest.fixture(scope="module")
def run() -> ReplayRun:
    return made_run(n=600)


def test_the_interface_s_keys_come_first_and_in_its_order(run: ReplayRun) -> None:
    made = documents(run, Path("folder"))[0]
    assert list(made)[: len(KEYS)] == KEYS
    assert made["instrument"] == "BTCUSD"
    assert made["timeframe"] == "1h"
    assert made["from"] == "2016-01-04T00:00:00Z"
    assert made["to"] == "2016-01-29T00:00:00Z"
    assert made["bars"] == 600
    assert made["report"] == "folder"
    assert made["data_sha256"] == run.feeds[0].bars.sha256


def test_statistics_have_the_interface_s_names_and_their_intervals(run: ReplayRun) -> None:
    stats = documents(run)[0]["stats"]
    assert set(stats) >= STATS
    assert "return_" not in stats
    assert stats["intervals_95"]["return"] == [
        run.stats[0].intervals["return_"].low,
        run.stats[0].intervals["return_"].high,
    ]


def test_a_baseline_has_its_difference_and_its_interval(run: ReplayRun) -> None:
    first = documents(run)[0]["baselines"][0]
    expected = run.baselines[0][0]
    assert list(first) == ["strategy", "stats", "difference", "interval_95"]
    assert first["strategy"] == "buy-and-hold"
    assert (first["difference"], first["interval_95"]) == (expected.difference, [expected.low, expected.high])


def test_one_instrument_is_a_document_and_several_are_a_list() -> None:
    assert isinstance(document(made_run(n=200)), dict)
    several = document(made_run(("BTCUSD", "EURUSD"), n=200))
    assert isinstance(several, list)
    assert [each["instrument"] for each in several] == ["BTCUSD", "EURUSD"]


def test_nothing_but_json_gets_into_the_document(run: ReplayRun) -> None:
    for made in (run, empty_run()):
        text = json.dumps(document(made), allow_nan=False)
        assert json.loads(text) == document(made)


def test_an_interval_that_nobody_knows_is_null(run: ReplayRun) -> None:
    unknown = replace(run.baselines[0][0], low=-math.inf, high=math.inf)
    made = documents(replace(run, baselines=((unknown,),)))[0]
    assert made["baselines"][0]["interval_95"] == [None, None]


def test_only_a_contaminated_instrument_carries_the_watermark() -> None:
    run = made_run(("BTCUSD", "EURUSD"), n=200, contaminated=(True, False), watermark="the model may know these days")
    assert [each["watermark"] for each in documents(run)] == ["the model may know these days", None]
    assert [each["contaminated"] for each in documents(run)] == [True, False]


def test_the_moment_of_a_halt_is_told(run: ReplayRun) -> None:
    halted = replace(run, result=replace(run.result, halted_at=1_451_900_000))
    assert documents(run)[0]["halted_at"] is None
    assert documents(halted)[0]["halted_at"] == "2016-01-04T09:33:20Z"


def test_what_was_not_asked_for_is_null() -> None:
    made = documents(empty_run())[0]
    assert (made["lookahead"], made["warm_up"], made["monte_carlo"], made["regimes"]) == (None, None, None, None)


def test_both_guards_stand_beside_each_other(run: ReplayRun) -> None:
    report = WarmUpReport("sma-cross", "BTCUSD", ok=True, lookback=51, checked=400, differing=0, first=())
    made = documents(replace(run, warm_up=(report,) * len(run.feeds)))[0]
    assert list(made).index("warm_up") == list(made).index("lookahead") + 1
    assert (made["warm_up"]["ok"], made["warm_up"]["checked"], made["lookahead"]["ok"]) == (True, 400, True)


def test_a_replay_without_bars_has_no_period() -> None:
    made = documents(barless_run())[0]
    assert (made["from"], made["to"], made["bars"]) == (None, None, 0)


class Pair(NamedTuple):
    left: int
    right: Decimal


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (np.float64("inf"), None),
        (Decimal("1.50"), 1.5),
        (Decimal("NaN"), None),
        (np.int64(3), 3),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.bool_(1), True),
        (Gate.STALE, 2),
        (Pair(1, Decimal(2)), {"left": 1, "right": 2.0}),
        (Interval(1.0, math.nan, 2.0), {"value": 1.0, "low": None, "high": 2.0}),
        (datetime(2018, 4, 4, tzinfo=UTC), "2018-04-04T00:00:00Z"),
        (timedelta(minutes=1), 60.0),
        (Path("a/b"), "a/b"),
        ({Gate.PASSED: (1, None)}, {"0": [1, None]}),
    ],
)
def test_every_kind_of_value_becomes_plain(value: Any, expected: Any) -> None:
    assert plain(value) == expected


def test_what_no_report_shows_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no place in a report"):
        plain(object())


SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.decimals() | st.text(max_size=5)


@given(st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=4))
def test_whatever_is_plain_is_json(value: Any) -> None:
    made = plain(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
