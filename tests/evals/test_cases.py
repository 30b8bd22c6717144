"""The packaged cases: real, well formed, small, and never silently other ones."""

import hashlib
import json
from datetime import timedelta
from importlib.resources import files

import pytest

from ffe.decision.models import Action
from ffe.decision.prompt import EXAMPLES, case_text
from ffe.errors import ConfigurationError, DataError
from ffe.evals.cases import load_cases, read_cases
from ffe.evals.probes import STRANGERS

PACKAGED = files("ffe.evals") / "cases.json"


def test_sixty_cases_of_four_instruments_stand_in_a_small_file_named_by_its_sha256() -> None:
    found = load_cases()
    content = PACKAGED.read_bytes()

    assert len(found.cases) == len({case.id for case in found.cases}) == 60
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert len(content) < 120_000
    assert found.horizon_bars == 12
    symbols = [case.context.instrument.symbol for case in found.cases]
    assert {symbol: symbols.count(symbol) for symbol in set(symbols)} == dict.fromkeys(
        ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD"), 15
    )


def test_the_first_few_cases_are_a_fair_sample_and_the_sha256_stays_that_of_the_file() -> None:
    few = load_cases(8)

    assert len({case.context.instrument.symbol for case in few.cases}) == 4
    for first, second in zip(few.cases[:4], few.cases[4:], strict=True):
        assert second.context.bar_close - first.context.bar_close > timedelta(days=3)
    assert few.sha256 == load_cases().sha256


def test_every_case_reads_otherwise_and_carries_no_series_of_bars() -> None:
    cases = load_cases().cases

    assert len({case_text(case.context) for case in cases}) == 60
    for case in cases:
        assert not any(frame.closes for frame in case.context.pulse)
        assert len(case.context.recent_closes) == 8
        assert case.context.memory == ()
        assert "unknown" not in case_text(case.context)


def test_what_followed_is_net_of_costs_on_both_sides() -> None:
    for case in load_cases().cases:
        assert case.cost > 0
        assert case.long_return + case.short_return == pytest.approx(-2 * case.cost, abs=2e-7)
        assert case.net_return(Action.BUY) == case.long_return
        assert case.net_return(Action.SELL) == case.short_return
        assert case.net_return(Action.HOLD) == case.net_return(None) == 0


def test_every_recording_is_named_with_its_licence_and_no_machine_path() -> None:
    origin = load_cases().origin

    assert len(origin) == 7
    assert all(line.endswith(("Apache-2.0", "LGPL-3.0")) for line in origin)
    assert not any(" /" in line or ":/" in line for line in origin)


def test_more_cases_than_there_are_is_bad_usage() -> None:
    with pytest.raises(ConfigurationError, match="--cases 61 is more than the 60"):
        load_cases(61)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", json.dumps({"name": "x", "cases": 1}).encode()])
def test_a_file_that_is_no_case_set_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_cases(content)


def test_the_strangers_of_the_ticker_probe_are_known_to_neither_cases_nor_prompt() -> None:
    met = {case.context.instrument.symbol for case in load_cases().cases} | {text.split(":")[0] for text, _ in EXAMPLES}

    assert not met & {name for names in STRANGERS.values() for name in names}
