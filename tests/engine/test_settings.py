"""Settings: what is refused, and what the refusal says."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ffe.errors import ConfigurationError, MissingCredentialsError, UnknownNameError
from ffe.settings import Mode, load_settings, require


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FFE_MOD", "sim", "FFE_MODE"),
        ("FFE_RISK__MAX_POSITON", "1", "FFE_RISK__MAX_POSITION"),
        ("FFE_MODE", "simm", "sim"),
        ("FFE_TIMEFRAME", "7m", "5m"),
        ("FFE_INSTRUMENTS", "BTCUSD,EURUDS", "EURUSD"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UnknownNameError, match="unknown") as caught:
        load_settings()
    assert said in caught.value.nearest
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FFE_COINBASE__BASE_URL", "http://example.com"),
        ("FFE_OANDA__BASE_URL", "ftp://127.0.0.1"),
        ("FFE_RISK__PER_TRADE", "2"),
        ("FFE_LOOKBACK_BARS", "many"),
        ("FFE_CLOCK", "2018-04-04T15:30:00"),
        ("FFE_INSTRUMENTS", ""),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert name in str(caught.value) or isinstance(caught.value, UnknownNameError)
    assert caught.value.exit_code == 2


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ffe.toml").write_text('timeframe = "15m"\nlookback_bars = 100\n[risk]\nper_trade = "0.02"\n')
    monkeypatch.setenv("FFE_TIMEFRAME", "1h")
    loaded = load_settings()
    assert (loaded.timeframe.value, loaded.lookback_bars, str(loaded.risk.per_trade)) == ("1h", 100, "0.02")
    assert loaded.mode is Mode.SIM


def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ffe.toml").write_text("[risk]\nmax_positon = 1\n")
    with pytest.raises(ConfigurationError, match=r"FFE_RISK__MAX_POSITON.*FFE_RISK__MAX_POSITION"):
        load_settings()


def test_an_unknown_key_in_dotenv_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FFE_LIV__ARMED=true\n")
    with pytest.raises(UnknownNameError, match="FFE_LIVE__ARMED"):
        load_settings()


def test_secrets_are_stripped_and_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OANDA__TOKEN", "abc123\n")
    loaded = load_settings()
    assert loaded.oanda.token is not None
    assert loaded.oanda.token.get_secret_value() == "abc123"
    assert "abc123" not in repr(loaded)


def test_an_engine_clock_needs_every_venue_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_CLOCK", "2018-04-04T15:30:00Z")
    assert load_settings().clock == datetime(2018, 4, 4, 15, 30, tzinfo=UTC)
    monkeypatch.setenv("FFE_COINBASE__BASE_URL", "https://api.coinbase.com")
    with pytest.raises(ConfigurationError, match="loopback"):
        load_settings()


def test_an_engine_clock_is_refused_where_the_real_venues_would_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_CLOCK", "2018-04-04T15:30:00Z")
    with pytest.raises(ConfigurationError, match="loopback"):
        load_settings(mode="practice")


def test_missing_credentials_name_the_variables_to_set() -> None:
    with pytest.raises(MissingCredentialsError, match="FFE_OANDA__TOKEN, FFE_OANDA__ACCOUNT_ID") as caught:
        require(load_settings(mode="practice"), "oanda.token", "oanda.account_id")
    assert caught.value.exit_code == 4


def test_instruments_are_accepted_in_every_common_spelling_and_once_each() -> None:
    loaded = load_settings(instruments=("btc_usd", "BTC/USD", " eur-usd "))
    assert [instrument.symbol for instrument in loaded.instruments] == ["BTCUSD", "EURUSD"]


def test_every_setting_stands_in_its_page_once() -> None:
    from ffe.settings import Settings, _known_names

    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    named = re.findall(r"`(FFE_[A-Z0-9_]+)`", page)
    assert sorted(named) == sorted(_known_names(Settings))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("FFE_DECIDE_DEADLINE_SECONDS", "inf", "finite"),
        ("FFE_DECIDE_DEADLINE_SECONDS", "1e308", "86400"),
        ("FFE_OLLAMA__TIMEOUT_SECONDS", "inf", "finite"),
        ("FFE_EMBEDDED__TIMEOUT_SECONDS", "nan", "finite"),
        ("FFE_OLLAMA__KEEP_ALIVE", "nan", "pattern"),
        ("FFE_OLLAMA__MODEL", "", "pattern"),
        ("FFE_PLACEMENT__MIN_TOKENS_PER_SECOND", "1e308", "1000000"),
        ("FFE_ENSEMBLE__STRATEGY", "models", "two or more names in models, it has 0"),
    ],
)
def test_a_number_that_no_clock_can_add_and_an_ensemble_of_nobody_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name.replace("__STRATEGY", "")) as caught:
        load_settings()
    assert says in str(caught.value)


def test_an_ensemble_of_models_needs_a_server_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_ENSEMBLE__STRATEGY", "models")
    monkeypatch.setenv("FFE_ENSEMBLE__MODELS", "a,b")
    with pytest.raises(ConfigurationError, match="FFE_MODEL=ollama"):
        load_settings()
    assert load_settings(model="ollama").ensemble.models == ("a", "b")
