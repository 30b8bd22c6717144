"""Credentials from Prefect's Secret blocks: only where nothing else gives them, and never silently missed."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client

from ffe.errors import ConfigurationError
from ffe.observe.masking import masked
from tasks import runtime, secrets
from tasks.secrets import block_name, load_flow_settings, secret_paths

TOKEN = "block-token-value"


@pytest.fixture
def hold(prefect_api: str) -> Iterator[Any]:
    """Saves Secret blocks, and deletes them with the test."""
    assert prefect_api
    saved: list[Any] = []

    def save(name: str, value: Any) -> None:
        saved.append(Secret(value=value).save(name, overwrite=True, _sync=True))  # type: ignore[call-arg]

    yield save
    with get_client(sync_client=True) as client:
        for each in saved:
            client.delete_block_document(each)


def test_every_credential_has_a_block_of_its_name() -> None:
    names = {block_name(path) for path in secret_paths()}
    assert names >= {
        "ffe-ledger-url",
        "ffe-oanda-token",
        "ffe-coinbase-api-key",
        "ffe-coinbase-api-secret",
        "ffe-alpha-vantage-api-key",
        "ffe-metrics-otlp-headers",
    }
    assert not any("notify" in name for name in names)


def test_a_credential_that_nothing_else_gives_comes_from_its_block_and_is_masked(hold: Any) -> None:
    hold("ffe-oanda-token", f" {TOKEN}\n")
    hold("ffe-ledger-url", "sqlite:////nowhere/ledger.sqlite")
    settings = load_flow_settings()
    assert settings.oanda.token is not None
    assert settings.oanda.token.get_secret_value() == TOKEN
    assert settings.ledger_url == "sqlite:////nowhere/ledger.sqlite"
    assert masked(f"asked with {TOKEN}") == "asked with <masked>"
    assert settings.coinbase.api_key is None


def test_a_variable_wins_over_the_block(hold: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hold("ffe-oanda-token", TOKEN)
    monkeypatch.setenv("FFE_OANDA__TOKEN", "variable-token")
    monkeypatch.setenv("FFE_OANDA__ACCOUNT_ID", "101-001-1-001")
    token = load_flow_settings().oanda.token
    assert token is not None
    assert token.get_secret_value() == "variable-token"


def test_the_rest_of_a_section_stays_what_the_environment_says(hold: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hold("ffe-oanda-token", TOKEN)
    monkeypatch.setenv("FFE_OANDA__ACCOUNT_ID", "101-001-1-001")
    assert load_flow_settings().oanda.account_id == "101-001-1-001"


def test_a_block_that_holds_no_text_is_refused_by_its_name(hold: Any) -> None:
    hold("ffe-oanda-token", {"user": "me"})
    with pytest.raises(ConfigurationError, match="ffe-oanda-token must hold a text"):
        load_flow_settings()


def test_a_block_of_no_setting_is_said(hold: Any, caplog: pytest.LogCaptureFixture) -> None:
    hold("ffe-oanda-tokn", TOKEN)
    load_flow_settings()
    assert "ffe-oanda-tokn is of no setting" in caplog.text


def test_without_blocks_or_without_an_api_settings_are_what_they_were(
    prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prefect_api
    assert load_flow_settings().oanda.token is None
    monkeypatch.setattr(secrets.PREFECT_API_URL, "value", lambda: None)
    assert load_flow_settings().oanda.token is None


def test_an_api_that_does_not_answer_is_an_error_and_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    class Away:
        def __enter__(self) -> Any:
            raise httpx.ConnectError("connection refused")

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(secrets, "get_client", lambda **_: Away())
    with pytest.raises(ConfigurationError, match=r"Secret blocks.*could not be read: connection refused"):
        load_flow_settings()


def test_a_server_without_the_type_of_block_holds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.exceptions import ObjectNotFound

    class Empty:
        def __enter__(self) -> Any:
            raise ObjectNotFound(http_exc=ValueError("404"))

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(secrets, "get_client", lambda **_: Empty())
    assert load_flow_settings().oanda.token is None


def test_a_flows_process_opens_its_engine_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(runtime, "load_flow_settings", lambda: "settings")
    monkeypatch.setattr(runtime.Engine, "open", lambda settings: asked.append(settings) or "engine")
    try:
        assert runtime.engine() == "engine"  # type: ignore[comparison-overlap]
    finally:
        runtime.use(None)
    assert asked == ["settings"]
