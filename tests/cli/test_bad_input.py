"""Bad input: the offending name, what would be right, the promised exit code, and no traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD_ROW = "2018-04-04T00:00:00Z,1,1,1,1,1\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "BTCUDS"], "BTCUSD"),
        (["run", "BTC-PERP"], "unknown instrument"),
        (["run", "--timeframe", "7m"], "5m"),
        (["run", "--mode", "simm"], "sim"),
        (["run", "--model", "olama"], "ollama"),
        (["run", "--bars", "no-such-folder"], "no-such-folder"),
        (["run", "--stale-minutes", "-1"], "stale"),
        (["analyze", "NOPE"], "unknown instrument"),
        (["analyze"], "instrument"),
        (["explain", "nonsense"], "nonsense"),
        (["simulator", "serve", "--bars", "missing"], "missing"),
        (["simulator", "serve", "--faults", "missing.json"], "missing.json"),
        (["nonsense"], "nonsense"),
    ],
)
def test_what_nobody_knows_is_exit_2_with_its_name(ffe: Callable[..., Any], arguments: list[str], said: str) -> None:
    result = ffe(*arguments)
    assert result.code == 2
    assert said in result.err
    assert "Traceback" not in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FFE_RISK__MAX_POSITON", "1", "FFE_RISK__MAX_POSITION"),
        ("FFE_INSTRUMENTS", "BTCUSD,EURUDS", "EURUSD"),
        ("FFE_COINBASE__BASE_URL", "http://example.com", "loopback"),
        ("FFE_EMBEDDED__MODEL_PATH", "no-such.gguf", "no-such.gguf"),
    ],
)
def test_a_bad_setting_is_exit_2_with_its_name(
    ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    result = ffe("run")
    assert result.code == 2
    assert said in result.err
    assert "Traceback" not in result.err


def test_an_altered_model_names_its_path_and_both_hashes(
    ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    altered = tmp_path / "altered.gguf"
    altered.write_bytes(b"GGUF but not the one")
    monkeypatch.setenv("FFE_EMBEDDED__MODEL_PATH", str(altered))
    monkeypatch.setenv("FFE_EMBEDDED__MODEL_SHA256", "ab" * 32)
    result = ffe("run")
    assert result.code == 2
    for part in (str(altered), "ab" * 32, "sha256"):
        assert part in result.err


@pytest.mark.parametrize("mode", ["paper", "practice", "live"])
def test_missing_credentials_are_exit_4_with_the_variable_to_set(
    ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("FFE_LIVE__ARMED", "true")
    monkeypatch.setenv("FFE_INSTRUMENTS", "EURUSD")
    result = ffe("run", "--mode", mode)
    assert result.code == 4
    assert "FFE_OANDA__TOKEN" in result.err
    assert "Traceback" not in result.err


def test_live_without_arming_is_exit_4(ffe: Callable[..., Any]) -> None:
    result = ffe("run", "--mode", "live")
    assert result.code == 4
    assert "FFE_LIVE__ARMED" in result.err


def test_a_clock_with_a_real_venue_is_refused(ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_CLOCK", "2018-04-04T15:30:00Z")
    result = ffe("run", "--mode", "practice")
    assert result.code == 2
    assert "FFE_CLOCK" in result.err


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2018-04-04T00:01:00Z,1,x,1,1,1", ":3"),
        ("2018-04-04T00:00:00Z,1,1,1,1,1", ":3"),
        ("2018-04-04T00:01:00Z,1,1,1,1", ":3"),
        ("2018-04-04T00:01:00Z,1,nan,1,1,1", ":3"),
        ("2018-04-04T00:01:00Z,-1,1,1,1,1", ":3"),
    ],
)
def test_a_corrupt_row_is_named_by_file_and_line(ffe: Callable[..., Any], tmp_path: Path, row: str, said: str) -> None:
    folder = tmp_path / "bars"
    folder.mkdir()
    name = "BTC-USD_1m_trades_2018-04-04.csv"
    (folder / name).write_text(f"time,open,high,low,close,volume\n{GOOD_ROW}{row}\n")
    result = ffe("run", "--bars", str(folder))
    assert result.code == 2
    assert name + said in result.err.replace(", line ", ":").replace(" line ", ":")
    assert "Traceback" not in result.err
    assert result.out == ""


def test_controls_need_a_running_system(ffe: Callable[..., Any]) -> None:
    for command in (["outage", "--venue", "oanda"], ["halt", "--instrument", "BTCUSD"], ["resume"]):
        result = ffe("simulator", *command)
        assert result.code == 4
        assert "ffe up" in result.err


def test_help_lists_every_command(ffe: Callable[..., Any]) -> None:
    result = ffe("--help")
    for command in ("run", "analyze", "up", "balance", "positions", "orders", "decisions", "incidents", "explain"):
        assert command in result.out
    assert result.code == 0


def test_a_data_folder_that_is_a_file_is_exit_2(
    ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "file"))
    for command in ("orders", "run"):
        result = ffe(command, "--json")
        assert result.code == 2
        assert "FFE_DATA_DIR" in result.err
        assert "Traceback" not in result.err


def test_a_ledger_that_is_no_database_is_refused_and_left_alone(
    ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(b"garbage" * 1000)
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    result = ffe("orders", "--json")
    assert result.code == 4
    assert str(file) in result.err
    assert "Traceback" not in result.err
    assert file.read_bytes() == b"garbage" * 1000


def test_no_instruments_at_all_is_exit_2(ffe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_INSTRUMENTS", " ")
    result = ffe("run")
    assert result.code == 2
    assert "FFE_INSTRUMENTS" in result.err
