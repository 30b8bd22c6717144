"""Secrets are masked by value and by pattern, wherever they turn up."""

import json
from pathlib import Path

import pytest

from ffe.observe import masking
from ffe.observe.masking import LONGEST, masked, remember
from ffe.settings import load_settings

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIcanarycanary\nAAAAcanary2\n-----END EC PRIVATE KEY-----\n"

OTHER_PEM = "-----BEGIN EC PRIVATE KEY-----\nQQ\n-----END EC PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_remembered", set())


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer canary-token-123",
        "GET /query?function=X&apikey=canary123&symbol=Y",
        "postgresql://ffe:canarypass@127.0.0.1/ledger",
        "We have detected your API key as CANARY123 and our standard limit",
        f"the key is {PEM} and that is all",
        "jwt eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlY2FuYXJ5",
    ],
)
def test_a_secret_is_masked_by_its_pattern(text: str) -> None:
    shown = masked(text)
    assert "canary" not in shown.lower()
    assert "eyJzdWIi" not in shown


def test_a_secret_is_masked_by_its_value_and_a_pem_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OANDA__TOKEN", "c4n4ry-value")
    monkeypatch.setenv("FFE_COINBASE__API_SECRET", PEM.replace("\n", "\\n"))
    assert masked("token c4n4ry-value, line MHcCAQEEIcanarycanary") == "token <masked>, line <masked>"


def test_a_long_text_is_cut_in_the_middle_after_masking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_OANDA__TOKEN", "c4n4ry-value")
    shown = masked("a" * 500 + "c4n4ry-value" + "b" * 500, most=100)
    assert shown.startswith("a" * 50)
    assert shown.endswith("b" * 50)
    assert "c4n4ry" not in shown
    assert "characters cut" in shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env", "FFE_OANDA__TOKEN=c4n4ry-value\nFFE_COINBASE__API_SECRET={pem}\n"),
        ("ffe.toml", '[oanda]\ntoken = "c4n4ry-value"\n[coinbase]\napi_secret = "{pem}"\n'),
    ],
)
def test_secrets_of_a_file_are_masked_once_settings_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text.replace("{pem}", PEM.strip().replace("\n", "\\n")))
    load_settings()
    assert masked("token c4n4ry-value, line MHcCAQEEIcanarycanary") == "token <masked>, line <masked>"


def test_secrets_given_by_the_caller_are_masked_too() -> None:
    load_settings(alpha_vantage={"api_key": "c4n4ry-value"})
    assert masked("key c4n4ry-value") == "key <masked>"


def test_a_remembered_secret_is_masked_as_it_is_and_as_json_prints_it() -> None:
    secret = 'c4n4ry"quoted\\and\u00e9'
    remember(secret)
    assert masked(f"{secret} {json.dumps(secret)} {json.dumps(secret, ensure_ascii=False)}") == (
        '<masked> "<masked>" "<masked>"'
    )


@pytest.mark.parametrize("line_end", ["\n", "\\n", "\\\\n", "\r\n"])
def test_a_remembered_pem_is_masked_whatever_its_line_ends(line_end: str) -> None:
    remember(PEM)
    assert "canary" not in masked(PEM.splitlines()[1] + line_end + PEM.splitlines()[2])
    assert masked(PEM.strip().replace("\n", line_end)) in {"<masked>", "<private key>"}


def test_remembering_one_pem_does_not_open_another() -> None:
    remember(PEM)
    assert masked(OTHER_PEM) == "<private key>"


def test_what_is_too_short_to_be_a_secret_is_not_masked() -> None:
    remember("demo")
    assert masked("the demo key") == "the demo key"


def test_megabytes_of_text_are_cut_before_they_are_searched_and_no_secret_survives_at_the_cut() -> None:
    secret = "s3cr3t-" + "x" * 50
    remember(secret)
    for shift in range(0, 120, 7):
        text = "a" * (10_000 + LONGEST - shift) + secret + "-eyJ" * 500_000 + secret + "b" * (10_000 + LONGEST - shift)
        found = masked(text, most=20_000)
        assert len(found) < 20_200
        assert "s3cr3t" not in found
        assert "xxxxxx" not in found
