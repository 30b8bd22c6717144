"""`ffe metrics`: listed, printed once, served where it is told to, pushed where it is asked to."""

import json
import os
import stat
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from ffe.cli.main import app
from ffe.errors import ConfigurationError
from ffe.observe.metrics import METRICS, MetricsServer
from ffe.observe.metrics.otlp import OtlpPush


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FFE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.sqlite")
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["metrics", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_has_name_labels_kind_and_help_of_each() -> None:
    text = said("list")
    assert "orders{venue, state}  gauge\n    Orders of all time by the state that they are in.\n" in text
    assert "drawdown_limit_ratio  gauge\n" in text
    assert [each["name"] for each in json.loads(said("list", "--json"))] == list(METRICS)


def test_one_exposition_is_printed_and_nothing_else() -> None:
    families = {family.name for family in text_string_to_metric_families(said("print"))}
    assert "clock_timestamp_seconds" in families
    assert "kill_switch" in families


@pytest.fixture
def scraped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each server that is started gives while it is up; waiting for it ends at once."""
    seen: list[str] = []

    def once(server: MetricsServer) -> None:
        seen.append(httpx.get(server.url, trust_env=False, timeout=20).raise_for_status().text)

    monkeypatch.setattr(MetricsServer, "wait", once)
    return seen


def test_the_address_is_that_of_the_settings_unless_it_is_said(
    scraped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_METRICS__HOST", "::1")
    monkeypatch.setenv("FFE_METRICS__PORT", "0")
    assert said("serve").startswith("http://[::1]:")
    assert said("serve", "--host", "127.0.0.1", "--port", "0").startswith("http://127.0.0.1:")
    assert all("clock_timestamp_seconds" in text for text in scraped)


def test_with_an_endpoint_it_is_pushed_too(scraped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[OtlpPush] = []

    def push(self: OtlpPush) -> None:
        pushed.append(self)

    monkeypatch.setattr(OtlpPush, "push", push)
    monkeypatch.setenv("FFE_METRICS__OTLP_ENDPOINT", "http://127.0.0.1:9")
    text = said("serve", "--port", "0")
    assert "pushed to http://127.0.0.1:9/v1/metrics every 30 s" in text
    assert pushed
    assert scraped


def test_an_endpoint_that_is_none_is_refused(scraped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_METRICS__OTLP_ENDPOINT", "nowhere")
    with pytest.raises(ConfigurationError, match="FFE_METRICS__OTLP_ENDPOINT"):
        said("serve", "--port", "0")
    assert scraped == []


def test_a_data_folder_that_may_only_be_read_is_enough(tmp_path: Path, scraped: list[str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    said("serve", "--port", "0")
    assert "disk_free_bytes" in scraped[0]
    assert os.listdir(folder) == []
