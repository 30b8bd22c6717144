"""A worker in another folder sees the settings of the command that started it."""

from pathlib import Path

import pytest

from ffe.environment import environment_of
from ffe.settings import Settings, load_settings


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    (home / "ffe.toml").write_text(
        'mode = "practice"\ntimeframe = "1h"\ninstruments = ["EURUSD", "GBPUSD"]\n'
        'clock = "2026-11-19T14:30:20Z"\n[oanda]\nbase_url = "http://127.0.0.1:1"\n'
        '[risk]\nper_trade = "0.002"\n[embedded]\nmodel_path = "models/better.gguf"\n[live]\nallow_embedded_model = true\n'
    )
    (home / ".env").write_text("FFE_OANDA__TOKEN=secret\nFFE_OANDA__ACCOUNT_ID=101\n")
    return load_settings()


def test_settings_from_files_reach_a_process_in_another_folder(
    typed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "ffe.toml").write_text('timeframe = "4h"\nmodel = "ollama"\n')
    variables = environment_of(typed)
    here = tmp_path / "home"
    monkeypatch.chdir(elsewhere)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    read = load_settings()
    assert read.embedded.model_path == here / "models/better.gguf"
    assert read.data_dir == here / ".ffe"
    same = {"embedded", "data_dir"}
    assert read.model_dump(exclude=same) == typed.model_dump(exclude=same)
    assert read.oanda.token is not None
    assert read.oanda.token.get_secret_value() == "secret"
