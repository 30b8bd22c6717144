"""`ffe analyze` as it is read: the pulse inside 80 columns, rounded by kind, with what is missing below it; and all of it as JSON."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ffe.cli import analyze
from ffe.cli.pulse_table import BLOCKS, PLAIN, price_decimals, print_pulse, sparkline
from ffe.decision.models import FramePulse
from ffe.market.models import Timeframe
from ffe.market.pulse import PULSE_TIMEFRAMES

REASON = (
    "0 bars; the first reading needs 13; no bars of its own: coinbase: 503 Service Unavailable after 3 tries in 30.0 s"
)


def frame(timeframe: Timeframe, close: float = 6885.01, **values: Any) -> dict[str, Any]:
    """Readings as wide as they get at this price."""
    readings = {
        "trend": "unknown",
        "volatility": "unknown",
        "rsi": 100.0,
        "macd_histogram": -close / 50,
        "bollinger_position": -1.2345,
        "adx": 47.68858,
        "atr": close / 30,
        "stochastic": 98.7654,
        "change_percent": -12.3456,
        "closes": tuple(close + step for step in range(32)),
        "batch_id": "0c80e3f3" * 8,
        "source": "alpha-vantage",
    }
    made = FramePulse(timeframe=timeframe, bars=2000, close=close, **(readings | values))
    return made.model_dump(mode="json")


def nothing(timeframe: Timeframe) -> dict[str, Any]:
    made = FramePulse(timeframe=timeframe, bars=0, close=6885.01, trend="unknown", volatility="unknown", partial=REASON)
    return made.model_dump(mode="json")


def printed(frames: list[dict[str, Any]], width: int = 80) -> list[str]:
    """Lines in a terminal of `width` columns, as they stand there."""
    text = StringIO()
    print_pulse(Console(file=text, width=width, force_terminal=True, color_system=None), frames, "up 2 of 3 frames")
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("close", [97123.45, 6885.01, 107.234, 1.22951, 0.07123])
def test_the_widest_pulse_fits_the_terminal_and_nothing_is_cut(width: int, close: float) -> None:
    frames = [frame(timeframe, close) for timeframe in PULSE_TIMEFRAMES[:4]]
    frames += [nothing(timeframe) for timeframe in PULSE_TIMEFRAMES[4:]]
    lines = printed(frames, width)
    assert max(len(line) for line in lines) <= width
    assert "…" not in "".join(lines)
    for timeframe in PULSE_TIMEFRAMES:
        assert sum(line.split()[0] == timeframe.value for line in lines if line.strip()) == 2
    assert " ".join(" ".join(lines).split()).count(REASON) == 2


def test_every_reading_is_rounded_by_its_kind() -> None:
    row = next(line for line in printed([frame(Timeframe.M5, 6885.01)]) if line.startswith("5m"))
    expected = "5m 2000 unknown unknown 100.0 -137.70 -1.23 47.7 229.50 98.8 -12.35%"
    assert row.split() == expected.split()


@pytest.mark.parametrize(
    ("price", "decimals"), [(97123.45, 2), (6885.01, 2), (107.234, 3), (1.22951, 5), (0.07123, 7), (0.0, 2), (-1.0, 2)]
)
def test_a_price_is_told_to_six_digits_and_to_the_cent_at_least(price: float, decimals: int) -> None:
    assert price_decimals(price) == decimals


def test_a_reading_that_is_missing_is_a_dash_and_its_reason_stands_below() -> None:
    lines = printed([frame(Timeframe.M5), nothing(Timeframe.H1)])
    row = next(line for line in lines if line.startswith("1h"))
    assert row.split() == ["1h", "0", "unknown", "unknown", *["-"] * 7]
    below = lines[lines.index("incomplete:") + 1 :]
    assert below[0].startswith("1h  0 bars; the first reading needs 13; no bars of its own: coinbase:")
    assert below[1].startswith("    ")


def test_a_whole_pulse_has_no_word_about_what_is_missing() -> None:
    assert "incomplete:" not in printed([frame(Timeframe.M5)])
    assert printed([frame(Timeframe.M5)])[-1] == "consensus: up 2 of 3 frames"


def test_each_frames_last_closes_stand_beside_their_newest_and_their_origin() -> None:
    lines = printed([frame(Timeframe.M5), frame(Timeframe.H1, source="resampled from 5m", batch_id=None)])
    shapes = [line for line in lines if BLOCKS[0] in line]
    assert [len(set(line) & set(BLOCKS)) for line in shapes] == [8, 8]
    assert shapes[0].split()[2:] == ["6885.01", "alpha-vantage", "batch", "0c80e3f3"]
    assert shapes[1].split()[2:] == ["6885.01", "resampled", "from", "5m"]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([1.0], "▄"),
        ([2.0, 2.0, 2.0], "▄▄▄"),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], BLOCKS),
        ([10.0, 0.0, 5.1], "█▁▅"),
    ],
)
def test_a_sparkline_runs_from_the_lowest_to_the_highest_value(values: list[float], line: str) -> None:
    assert sparkline(values) == line


def test_a_terminal_without_unicode_gets_plain_characters() -> None:
    assert sparkline([float(step) for step in range(8)], "ascii") == PLAIN
    assert PLAIN.isascii()


@pytest.mark.parametrize(
    ("limit", "said"), [(900.0, "age 43 s of 900 s"), (None, "age 43 s, no time limit")], ids=["limit", "none"]
)
def test_a_timeframe_without_a_time_limit_says_so(
    limit: float | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "instrument": "BTCUSD",
        "timeframe": "1d",
        "bars": {"rows": 200, "source": "coinbase"},
        "age_seconds": 43.2,
        "limit_seconds": limit,
        "quality": {"passed": True, "critical": [], "warnings": ["gap: 3 bars"]},
        "pulse": [],
        "decision": {
            "action": "HOLD",
            "confidence": 60,
            "decided_by": "model",
            "reason_code": "model_answer",
            "reasoning": "flat",
        },
    }
    analyze._print(document, show_pulse=True)
    out = capsys.readouterr().out
    assert f"bars: 200 from coinbase, {said}\n" in out
    assert "None" not in out
    assert "  gap: 3 bars\n" in out


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.slow
def test_the_document_holds_every_frame_whole_and_what_the_model_read_of_them(
    ffe: Callable[..., Any], data_dir: Path
) -> None:
    document = ffe("analyze", "BTC-USD", "--json").document
    frames = [FramePulse.model_validate_json(json.dumps(each)) for each in document["pulse"]]
    assert [each.timeframe for each in frames] == list(PULSE_TIMEFRAMES)
    assert all(len(each.closes) == 32 and each.partial is None and each.batch_id is not None for each in frames)
    assert document["bars"]["sha256"] == frames[1].batch_id
    assert document["case"].startswith("BTCUSD: 5m RSI ")
    assert document["consensus"]
    assert document["answers"][0]["source"] == document["bars"]["source"]
    assert document["decision"]["decided_by"] == "model"


@pytest.mark.slow
def test_the_pulse_is_drawn_for_a_person_and_a_stale_feed_shows_none(ffe: Callable[..., Any], data_dir: Path) -> None:
    said = ffe("analyze", "BTCUSD", "--show-pulse", "--timeframe", "1h").out
    assert "the model reads: BTCUSD: 1h RSI " in said
    assert "consensus: " in said
    assert sum(line.startswith(("1m ", "5m ", "15m ", "1h ", "4h ", "1d ")) for line in said.splitlines()) >= 9
    stale = ffe("analyze", "BTCUSD", "--show-pulse", "--stale-minutes", "52").out
    assert "HOLD at 100 by data-gate (stale_bars)" in stale
    assert "consensus" not in stale


@pytest.mark.slow
def test_a_closed_market_is_no_pulse_and_no_question(
    ffe: Callable[..., Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch, recorded_bars: Path
) -> None:
    monkeypatch.setenv("FFE_CLOCK", "2018-04-07T12:00:20Z")
    said = ffe("analyze", "EURUSD", "--show-pulse", "--bars", str(recorded_bars)).out
    assert "HOLD at 100 by market-hours (market_closed)" in said
    assert "bars:" not in said
