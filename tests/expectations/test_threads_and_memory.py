"""Great Expectations under load: the same verdict from every thread, and memory that does not grow."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from excerpts import Rows

from benchmarks.quality import memory, verdicts
from ffe.market.quality import QualityReport

pytestmark = pytest.mark.slow
RealRows = Callable[[str], Rows]


def test_eight_threads_never_get_another_threads_verdict() -> None:
    checked, wrong = verdicts(threads=8, each=25)
    assert (checked, wrong) == (200, 0)


def test_threads_with_two_instruments_and_two_flaws_keep_their_own_findings(
    real_rows: RealRows, validate: Callable[..., QualityReport]
) -> None:
    crossed, negative = real_rows("EURUSD"), real_rows("BTCUSD")
    crossed[-1] |= {"bid_close": crossed[-1]["ask_close"] + Decimal("0.0001")}
    negative[7] |= {"close": Decimal(-1)}
    jobs = {"EURUSD": (crossed, {"uncrossed"}), "BTCUSD": (negative, {"positive", "ohlc-consistent", "bad-tick"})}

    def run(number: int) -> bool:
        symbol = ("EURUSD", "BTCUSD")[number % 2]
        rows, wanted = jobs[symbol]
        found = {finding.check for finding in validate(symbol, rows).critical}
        return found <= wanted and len(found) >= 1

    before = set(threading.enumerate())
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(48)))
    assert set(threading.enumerate()) <= before


def test_four_hundred_validations_leave_no_memory_behind() -> None:
    seen = dict(memory(marks=(150, 400)))
    assert seen[400] - seen[150] < 6.0
