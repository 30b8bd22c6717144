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


WEBHOOK = "https://hooks.slack.com/services/T00000000/B11111111/canarycanarycanary"


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1?key=canary123&x=1",
        "GET /v1?x=1&X-Amz-Signature=canary123#part",
        "https://canarytoken@host.example/path",
        "redis://:canarypass@127.0.0.1:6379/0",
        "https://user:canary:pass@host/",
        WEBHOOK,
        "https://discord.com/api/webhooks/12345/canarycanary",
        "https://api.telegram.org/bot123:canarycanary/send",
        "mailtos://me:canarypass@mail.example.com?to=you@example.com",
        "slack://canaryA/canaryB/canaryC",
        '{"api_secret": "canarysecret", "n": 1}',
        "{'Authorization': 'canarysecret'}",
        '{\\"token\\": \\"canarysecret\\"}',
        "X-Api-Key: canarysecret",
        "Authorization: Basic Y2FuYXJ5OmNhbmFyeQ==",
        "header=Bearer%20canary-token-9",
        "Authorization=canarysecret",
        "-----BEGIN%20EC%20PRIVATE%20KEY-----canary%0A-----END%20EC%20PRIVATE%20KEY-----",
        "-----BEGIN+PRIVATE+KEY-----canary-----END+PRIVATE+KEY-----",
        "cut: -----BEGIN EC PRIVATE KEY-----\nMHcCanaryCANARY",
        "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tCcanarycanary",
    ],
)
def test_a_secret_in_an_address_a_header_or_a_document_is_masked_by_its_pattern(text: str) -> None:
    shown = masked(text)
    assert "canary" not in shown.lower()
    assert "Y2FuYXJ5" not in shown


def test_a_token_of_oanda_is_known_by_its_shape() -> None:
    assert masked(f"refused {'ab' * 16}-{'0f' * 16}.") == "refused <masked>."


@pytest.mark.parametrize(
    "text",
    [
        "GET /v3/accounts?instruments=EUR_USD",
        "artifact key incident-0123456789abcdef",
        "see http://127.0.0.1:4200/runs/flow-run/1?tab=logs",
        "prompt_tokens=120 max_tokens 40",
        f"batch {'ab' * 32}",
        "mail me@example.com",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("name", "value", "leaks"),
    [
        ("PREFECT_API_AUTH_STRING", "admin:canary-pass", ("canary-pass", "YWRtaW46Y2FuYXJ5LXBhc3M")),
        ("FFE_LEDGER_URL", "postgresql://ffe:canary%2Fpass@db/ledger", ("canary/pass", "canary%2Fpass")),
        ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://p:canarypw@db/prefect", ("canarypw",)),
        ("FFE_NOTIFY__SLACK_WEBHOOK", WEBHOOK, ("canarycanarycanary", "T00000000")),
        ("FFE_METRICS__OTLP_HEADERS", "x-key=canaryvalue,auth=Bearer%20canary-two", ("canaryvalue", "canary-two")),
        ("FFE_ALPHA_VANTAGE__BASE_URL", "https://host/query?apikey=canarykey", ("canarykey",)),
        ("FFE_OANDA__TOKEN", "canary/token+1", ("canary%2Ftoken%2B1", "Y2FuYXJ5L3Rva2VuKzE")),
    ],
)
def test_the_parts_of_a_secret_are_masked_wherever_they_turn_up(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, leaks: tuple[str, ...]
) -> None:
    monkeypatch.setenv(name, value)
    for leak in leaks:
        assert masked(f"it said |{leak}| so") == "it said |<masked>| so"


def test_the_whole_pem_is_masked_as_base64_too() -> None:
    import base64

    remember(PEM)
    encoded = base64.b64encode(PEM.strip().encode()).decode()
    assert "CANARY" not in masked(f"k={encoded.replace('=', '')}").upper()
    assert encoded[10:40] not in masked(f"payload {encoded}")


def test_a_placeholder_password_and_a_database_file_stay_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_LEDGER_URL", "postgresql://prefect:prefect@db/ledger")
    masking.remember_url("sqlite:////data/canaries/ledger.sqlite")
    masking.remember_url("https://[broken")
    remember("https://[broken/secret-path")
    assert masked("prefect /data/canaries/ledger.sqlite") == "prefect /data/canaries/ledger.sqlite"
    assert masked("asked https://[broken/secret-path twice") == "asked <masked> twice"


def test_the_ledgers_password_of_a_file_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("FFE_LEDGER_URL=postgresql://ffe:c4n4ry-value@127.0.0.1/ledger\n")
    load_settings()
    assert masked("password c4n4ry-value") == "password <masked>"


def test_the_address_of_a_database_is_not_a_secret_but_its_password() -> None:
    remember("sqlite:///some/canary-folder/ledger.sqlite")
    assert masked("some/canary-folder") == "some/canary-folder"


def test_the_words_of_a_webhooks_path_stay_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_NOTIFY__SLACK_WEBHOOK", WEBHOOK)
    monkeypatch.setenv(
        "FFE_NOTIFY__WEBHOOK", "https://host.example/reconcile/production/trading-engine/k3yk3yk3y/AbCdEfGh"
    )
    said = "the services of production reconcile, says trading-engine"
    assert masked(said) == said
    assert masked("T00000000 canarycanarycanary k3yk3yk3y AbCdEfGh") == "<masked> <masked> <masked> <masked>"


@pytest.mark.parametrize("before", ["", "u", "us", "us:", "user:"])
@pytest.mark.parametrize("after", ["", "&", "&x=", "&x=1"])
def test_a_held_secret_is_masked_wherever_it_begins_in_what_base64_encodes(before: str, after: str) -> None:
    import base64

    secret = "c4n4ry>>value??tok"
    remember(secret)
    for write in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = write(f"{before}{secret}{after}".encode()).decode()
        shown = masked(f"body |{encoded}|")
        assert "<masked>" in shown
        assert len(shown.replace("<masked>", "")) < len("body ||") + len(before + after) * 4 / 3 + 6


def test_a_held_secret_is_masked_as_hexadecimal_and_in_other_letters() -> None:
    secret = "c4n4ry-Value"
    remember(secret)
    for written in (secret.encode().hex(), secret.encode().hex().upper(), secret.upper(), secret.lower()):
        assert masked(f"|{written}|") == "|<masked>|"


@pytest.mark.parametrize(
    "text",
    [
        "password = canarysecret",
        "api_key: canary123",
        "api_key: canarysecret, next: 1",
        "  secret: canary-secret",
        'token = "canarysecret"',
        "passphrase: 'canary secret'",
        "Authorization: Token canarysecret",
        "authorization: ApiKey canarysecret",
        "Authorization: canarysecret",
        r'{"password": "ab\"canary", "n": 1}',
        r'{"password": "abcd\\canary"}',
        '{"password": "it\'s canary"}',
        "Cookie: session=canary; other=canary2",
        "Set-Cookie: sid=canary; Path=/; HttpOnly",
    ],
)
def test_a_secret_that_is_written_as_a_setting_or_a_header_is_masked(text: str) -> None:
    shown = masked(text)
    assert "canary" not in shown
    assert "<masked>" in shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "token=ETH",
        "next_token=5",
        "token: BTC",
        "the basic requirements of a venue",
        "Basic requirements",
        "coinbase.api_key: Field required",
        "password: field required for practice",
        "api_key = None",
        "no password: nothing is asked",
        "max_tokens: 4096",
        '{"token": "ETH"}',
        "cookie: none",
        "tokens = 1200000",
    ],
)
def test_words_around_which_no_secret_stands_stay_readable(text: str) -> None:
    assert masked(text) == text
