"""Secrets are masked by value and by pattern, wherever they turn up."""

import pytest

from ffe.observe.masking import masked

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIcanarycanary\nAAAAcanary2\n-----END EC PRIVATE KEY-----\n"


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
