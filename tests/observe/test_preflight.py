"""Every answer of a preflight comes from a reply of the real simulator; each way to fail has its own answer."""

import sqlite3
import time
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ffe.cycle.engine import Engine
from ffe.errors import SourceSkippedError
from ffe.observe import preflight
from ffe.observe.preflight import account_mark, run_preflight
from ffe.observe.preflight_models import Check, Preflight, judge
from ffe.venues.clients import CoinbaseClient
from ffe.venues.probe import QUESTIONS, ProviderAnswers, no, not_needed, unknown, yes


def provider(found: Preflight, name: str) -> ProviderAnswers:
    return next(each for each in found.providers if each.provider == name)


def says(found: Preflight, name: str) -> dict[str, str]:
    return {question: answer.says for question, answer in provider(found, name).answers.items()}


def check(found: Preflight, name: str) -> Check:
    return next(each for each in found.checks if each.name == name)


ALL_YES = dict.fromkeys(QUESTIONS, "yes")


def test_where_everything_answers_it_is_ready_and_every_answer_is_a_reply(engine_on: Any) -> None:
    found = run_preflight(engine_on())
    assert (found.outcome, found.mode, found.broken) == ("ready", "sim", 0)
    assert says(found, "coinbase") == says(found, "oanda") == ALL_YES
    assert provider(found, "coinbase").balance_readable.detail.endswith("USD available")
    assert all(each.passed for each in found.checks), found.checks
    assert set(found.skew_seconds) == {"coinbase", "oanda"}
    assert all(abs(seconds or 99) < 5 for seconds in found.skew_seconds.values())
    assert 0 < found.network_ms < found.took_ms


# What is broken -> who, the answers that are not yes, the outcome.
BROKEN: dict[str, tuple[list[dict[str, Any]], str, dict[str, str], str]] = {
    "a wrong key at coinbase": (
        [{"kind": "revoke_key", "venue": "coinbase"}],
        "coinbase",
        {
            "authenticated": "no",
            "account_active": "unknown",
            "can_trade": "unknown",
            "balance_readable": "no",
            "market_data_readable": "no",
        },
        "refused",
    ),
    "a wrong token at oanda": (
        [{"kind": "revoke_key", "venue": "oanda"}],
        "oanda",
        {
            "authenticated": "no",
            "account_active": "unknown",
            "can_trade": "unknown",
            "balance_readable": "no",
            "market_data_readable": "no",
        },
        "refused",
    ),
    "permissions that may not be read": (
        [{"kind": "forbidden", "route": "coinbase.key_permissions"}],
        "coinbase",
        {"authenticated": "unknown", "can_trade": "no"},
        "refused",
    ),
    "instruments that may not be read": (
        [{"kind": "forbidden", "route": "oanda.accounts.instruments"}],
        "oanda",
        {"can_trade": "no"},
        "refused",
    ),
    "only the balance at coinbase": (
        [{"kind": "server_error", "route": "coinbase.accounts"}],
        "coinbase",
        {"balance_readable": "no"},
        "signal-only",
    ),
    "only the balance at oanda": (
        [{"kind": "forbidden", "route": "oanda.accounts.summary"}],
        "oanda",
        {"balance_readable": "no"},
        "signal-only",
    ),
    "only market data at coinbase": (
        [{"kind": "server_error", "status": 502, "body": "html", "route": "coinbase.best_bid_ask"}],
        "coinbase",
        {"market_data_readable": "no"},
        "refused",
    ),
    "only market data at oanda": (
        [{"kind": "server_error", "route": "oanda.pricing"}],
        "oanda",
        {"market_data_readable": "no"},
        "refused",
    ),
    "everything at oanda": (
        [{"kind": "maintenance", "venue": "oanda", "from": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}],
        "oanda",
        {
            "authenticated": "unknown",
            "account_active": "unknown",
            "can_trade": "unknown",
            "balance_readable": "no",
            "market_data_readable": "no",
        },
        "refused",
    ),
    "silence instead of a balance": (
        [{"kind": "lost_reply", "route": "coinbase.accounts", "seconds": 30}],
        "coinbase",
        {"balance_readable": "no"},
        "signal-only",
    ),
    "a page instead of prices": (
        [{"kind": "html", "route": "oanda.pricing"}],
        "oanda",
        {"market_data_readable": "no"},
        "refused",
    ),
}


@pytest.mark.parametrize("case", BROKEN, ids=[name.replace(" ", "-") for name in BROKEN])
def test_each_failure_has_its_own_five_answers(engine_on: Any, simulated: Any, case: str) -> None:
    faults, name, expected, outcome = BROKEN[case]
    engine = engine_on(PREFLIGHT__TIMEOUT_SECONDS="1.5")
    simulated.faults(*faults)
    found = run_preflight(engine)
    assert says(found, name) == ALL_YES | expected
    assert found.outcome == outcome
    assert name in found.reason
    assert found.broken >= 1
    other = "oanda" if name == "coinbase" else "coinbase"
    assert says(found, other) == ALL_YES


def test_a_key_without_trade_permission_may_look_and_not_trade(engine_on: Any, simulated: Any) -> None:
    key = simulated.control("coinbase/keys", can_trade=False)
    engine = engine_on(COINBASE__API_KEY=key["api_key"], COINBASE__API_SECRET=key["api_secret"])
    found = run_preflight(engine)
    assert says(found, "coinbase") == ALL_YES | {"can_trade": "no"}
    assert "can_trade is false" in provider(found, "coinbase").can_trade.detail
    assert found.outcome == "refused"


def test_a_key_that_may_withdraw_is_refused_with_what_to_do(engine_on: Any, simulated: Any) -> None:
    key = simulated.control("coinbase/keys", can_transfer=True)
    engine = engine_on(COINBASE__API_KEY=key["api_key"], COINBASE__API_SECRET=key["api_secret"])
    found = run_preflight(engine)
    assert says(found, "coinbase") == ALL_YES
    assert found.outcome == "refused"
    assert "delete this one at Coinbase" in found.reason
    assert key["api_key"] not in found.model_dump_json()


@pytest.mark.parametrize(
    ("venue", "switch", "answers"),
    [
        ("coinbase", "coinbase_account_active", {"account_active": "no"}),
        (
            "oanda",
            "oanda_account_listed",
            {"account_active": "no", "can_trade": "no", "balance_readable": "no", "market_data_readable": "no"},
        ),
    ],
)
def test_a_closed_account_is_not_active_and_its_key_is_still_good(
    engine_on: Any, simulated: Any, venue: str, switch: str, answers: dict[str, str]
) -> None:
    engine = engine_on()
    simulated.control("switches", **{switch: False})
    found = run_preflight(engine)
    assert says(found, venue) == ALL_YES | answers
    assert found.outcome == "refused"


def test_a_host_where_nobody_listens_is_no_answer(engine_on: Any) -> None:
    engine = engine_on("practice", OANDA__BASE_URL="http://localhost:9", PREFLIGHT__TIMEOUT_SECONDS="2")
    found = run_preflight(engine)
    assert says(found, "oanda") == {
        "authenticated": "unknown",
        "account_active": "unknown",
        "can_trade": "unknown",
        "balance_readable": "no",
        "market_data_readable": "no",
    }
    assert found.skew_seconds["oanda"] is None
    assert not check(found, "clock oanda").passed


def test_a_name_that_does_not_resolve_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, simulated: Any, tmp_path: Path
) -> None:
    from ffe.settings import load_settings

    for name, value in simulated.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FFE_OANDA__BASE_URL", "https://nowhere.invalid")
    monkeypatch.setenv("FFE_PREFLIGHT__TIMEOUT_SECONDS", "3")
    engine = Engine.open(load_settings(data_dir=tmp_path / "data", mode="practice", instruments=("EURUSD",)))
    try:
        found = run_preflight(engine)
    finally:
        engine.close()
    assert found.outcome == "refused"
    assert says(found, "oanda")["authenticated"] == "unknown"
    assert provider(found, "oanda").balance_readable.detail.startswith("oanda AccountSummary: ")


def test_an_unarmed_live_mode_and_the_embedded_model_in_it_are_refused_before_anything_is_asked(engine_on: Any) -> None:
    engine = engine_on("live")
    found = run_preflight(engine)
    assert "FFE_LIVE__ARMED=true" in found.reason
    assert says(found, "coinbase") == dict.fromkeys(QUESTIONS, "unknown") | {"authenticated": "no"}
    assert found.skew_seconds == {"coinbase": None, "oanda": None}
    assert says(found, "model embedded")["can_trade"] == "no"
    assert "live mode refuses the embedded model" in found.reason


def test_paper_needs_to_read_the_market_and_nothing_else(engine_on: Any, simulated: Any) -> None:
    key = simulated.control("coinbase/keys", can_trade=False)
    engine = engine_on("paper", COINBASE__API_KEY=key["api_key"], COINBASE__API_SECRET=key["api_secret"])
    found = run_preflight(engine)
    assert found.outcome == "ready", found.reason
    spared = dict.fromkeys(("can_trade", "balance_readable"), "not-needed")
    assert says(found, "coinbase") == ALL_YES | spared | {"account_active": "not-needed"}
    assert says(found, "oanda") == ALL_YES | spared


def test_clocks_that_differ_are_refused_with_both_times(engine_on: Any, simulated: Any) -> None:
    engine = engine_on()
    simulated.faults({"kind": "clock_offset", "route": "coinbase.time", "seconds": 60})
    found = run_preflight(engine)
    assert found.outcome == "refused"
    assert found.skew_seconds["coinbase"] == pytest.approx(60, abs=5)
    told = check(found, "clock coinbase")
    assert not told.passed
    assert "limit 5 s" in told.detail
    assert told.detail.count("Z") == 2
    assert check(found, "clock oanda").passed


def test_a_venue_that_is_behind_is_said_too_and_half_of_the_way_is_allowed_for(engine_on: Any, simulated: Any) -> None:
    engine = engine_on(PREFLIGHT__MAX_CLOCK_SKEW_SECONDS="0.2")
    simulated.faults({"kind": "delay", "route": "oanda.pricing", "seconds": 1, "when": "before"})
    found = run_preflight(engine)
    assert check(found, "clock oanda").passed, check(found, "clock oanda").detail
    simulated.faults({"kind": "clock_offset", "route": "coinbase.time", "seconds": -30})
    found = run_preflight(engine)
    assert "behind the engine" in check(found, "clock coinbase").detail
    assert not check(found, "clock coinbase").passed


@pytest.mark.parametrize(
    ("venue", "route"), [("coinbase", "coinbase.time"), ("oanda", "oanda.pricing")], ids=["coinbase", "oanda"]
)
@pytest.mark.parametrize("kind", ["server_error", "extra"])
def test_a_clock_that_can_not_be_read_is_a_failed_check(
    engine_on: Any, simulated: Any, monkeypatch: pytest.MonkeyPatch, venue: str, route: str, kind: str
) -> None:
    engine = engine_on()
    if kind == "server_error":
        simulated.faults({"kind": "server_error", "route": route})
    else:
        field = "epoch_millis" if venue == "coinbase" else "time"
        monkeypatch.setattr(f"ffe.venues.probe_{venue}.reply", _Without(field))
    found = run_preflight(engine)
    assert found.skew_seconds[venue] is None
    assert check(found, f"clock {venue}").detail == f"{venue} did not tell its time; limit 5 s"
    assert found.outcome == "refused"


class _Without:
    """`ffe.venues.reply` for which one field is never there."""

    def __init__(self, absent: str) -> None:
        self._absent = absent

    def __getattr__(self, name: str) -> Any:
        from ffe.venues import reply

        real = getattr(reply, name)
        if name not in ("integer", "moment"):
            return real
        return lambda document, key: real({} if key == self._absent else document, key)


def test_time_on_the_network_is_not_ours(engine_on: Any, simulated: Any) -> None:
    engine = engine_on()
    run_preflight(engine)
    usual = run_preflight(engine)
    simulated.faults({"kind": "delay", "route": "oanda.accounts.summary", "seconds": 3})
    slow = run_preflight(engine)
    assert slow.network_ms - usual.network_ms > 1000
    assert slow.took_ms - slow.network_ms < 2500


def test_silence_everywhere_ends_with_the_time_that_is_set(engine_on: Any, simulated: Any) -> None:
    engine = engine_on(PREFLIGHT__TIMEOUT_SECONDS="1")
    simulated.faults(
        *({"kind": "lost_reply", "venue": venue, "seconds": 60} for venue in ("oanda", "coinbase", "alpha_vantage"))
    )
    found = run_preflight(engine)
    assert found.outcome == "refused"
    assert found.took_ms < 20_000
    detail = provider(found, "coinbase").market_data_readable.detail
    assert "no answer within" in detail or "timed out" in detail, "whichever of two equal limits was first"


def test_a_venue_outside_the_settings_is_asked_too_when_it_is_named(engine_on: Any, simulated: Any) -> None:
    key = simulated.control("coinbase/keys", can_transfer=True)
    names = {"COINBASE__API_KEY": key["api_key"], "COINBASE__API_SECRET": key["api_secret"]}
    engine = engine_on(INSTRUMENTS="EURUSD", **names)
    alone = run_preflight(engine)
    assert (alone.outcome, set(alone.accounts)) == ("ready", {"oanda"})
    found = run_preflight(engine, ["coinbase", "oanda"])
    assert says(found, "coinbase") == says(found, "oanda") == ALL_YES
    assert "may move money out" in found.reason
    assert found.accounts == {"coinbase": account_mark(engine.settings, "coinbase")} | alone.accounts
    assert key["api_key"] not in str(found.accounts)


def test_pages_without_an_end_end_with_the_time_that_is_set(engine_on: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_on(PREFLIGHT__TIMEOUT_SECONDS="0.5")
    real, cursors = CoinbaseClient.read, count()

    def read(client: CoinbaseClient, method: str, **arguments: Any) -> Any:
        if method != "get_accounts":
            return real(client, method, **arguments)
        time.sleep(0.05)
        return {"accounts": [], "has_next": True, "cursor": str(next(cursors))}

    monkeypatch.setattr(CoinbaseClient, "read", read)
    found = run_preflight(engine)
    assert "its pages did not end within 0.5 s" in provider(found, "coinbase").balance_readable.detail
    assert next(cursors) < 30


# Alpha Vantage


SECOND = {"SOURCES__FOREX": "oanda,alpha-vantage"}


def requests_today(engine: Engine) -> int:
    states = engine.ledger.source_states("sim", engine.clock.now())
    return next((each.today.requests for each in states if each.source == "alpha-vantage"), 0)


def test_alpha_vantage_is_asked_once_and_then_believed_for_six_hours(
    engine_on: Any, simulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_on(**SECOND)
    first = run_preflight(engine)
    assert says(first, "alpha-vantage")["authenticated"] == "yes"
    assert requests_today(engine) == 1
    again = run_preflight(engine)
    assert "which is on record" in provider(again, "alpha-vantage").authenticated.detail
    assert requests_today(engine) == 1
    monkeypatch.setattr("ffe.observe.probe_sources.PROOF", timedelta(0))
    simulated.control("clock", advance_seconds=2)
    simulated.faults({"kind": "revoke_key", "venue": "alpha_vantage"})
    refused = run_preflight(engine)
    assert says(refused, "alpha-vantage")["authenticated"] == "no"
    assert "there is no second one" in refused.notes[0]
    assert check(refused, "clock oanda").name == "clock oanda"


def test_a_spent_budget_leaves_alpha_vantage_unknown_and_not_needed(engine_on: Any) -> None:
    engine = engine_on(SOURCES__ALPHA_VANTAGE_PER_DAY="1", **SECOND)
    found = run_preflight(engine)
    assert says(found, "alpha-vantage")["authenticated"] == "unknown"
    assert not provider(found, "alpha-vantage").needed
    assert found.outcome == "ready"
    assert requests_today(engine) == 0


def test_an_outage_of_alpha_vantage_shows_nothing_about_the_key(engine_on: Any, simulated: Any) -> None:
    engine = engine_on(**SECOND)
    simulated.faults({"kind": "server_error", "venue": "alpha_vantage"})
    found = run_preflight(engine)
    assert says(found, "alpha-vantage") == {
        "authenticated": "unknown",
        "account_active": "not-needed",
        "can_trade": "not-needed",
        "balance_readable": "not-needed",
        "market_data_readable": "no",
    }


def test_where_alpha_vantage_is_the_only_source_it_is_needed(
    engine_on: Any, simulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_on(SOURCES__FOREX="alpha-vantage")
    monkeypatch.setattr(
        type(engine.ledger), "admit_source", lambda *_: (_ for _ in ()).throw(SourceSkippedError("circuit open"))
    )
    found = run_preflight(engine)
    assert provider(found, "alpha-vantage").needed
    assert found.outcome == "refused"
    assert "alpha-vantage authenticated: unknown: circuit open" in found.reason
    assert found.notes == ()


@pytest.mark.parametrize("names", [{}, SECOND | {"ALPHA_VANTAGE__API_KEY": ""}], ids=["no-use", "no-key"])
def test_without_a_key_or_without_a_use_for_it_alpha_vantage_is_not_there(engine_on: Any, names: Any) -> None:
    engine = engine_on(**names)
    assert [each.provider for each in run_preflight(engine).providers] == ["coinbase", "oanda", "model embedded"]


# the machine


def test_a_ledger_that_can_not_be_written_refuses(engine_on: Any, tmp_path: Path) -> None:
    engine = engine_on()
    other = sqlite3.connect(tmp_path / "data" / "ledger.sqlite", isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON check_run BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.close()
    found = run_preflight(engine)
    assert not check(found, "ledger").passed
    assert "disk full" in found.reason


def test_a_schema_of_another_version_refuses(engine_on: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_on()
    monkeypatch.setattr(preflight, "HEAD", "9999")
    found = run_preflight(engine)
    assert "this version needs 9999" in check(found, "schema").detail
    assert found.outcome == "refused"


def test_a_schema_that_can_not_be_read_refuses(engine_on: Any, tmp_path: Path) -> None:
    engine = engine_on()
    other = sqlite3.connect(tmp_path / "data" / "ledger.sqlite", isolation_level=None)
    other.execute("ALTER TABLE ledger_version RENAME COLUMN version_num TO was")
    other.close()
    found = run_preflight(engine)
    assert not check(found, "schema").passed


def test_too_little_space_refuses_with_both_numbers(engine_on: Any) -> None:
    found = run_preflight(engine_on(HEALTH__MIN_FREE_MB="999999999"))
    assert not check(found, "disk").passed
    assert "999999999 MB needed" in found.reason


def test_a_data_folder_that_is_gone_refuses(engine_on: Any, tmp_path: Path) -> None:
    engine = engine_on()
    gone = engine.settings.model_copy(update={"data_dir": tmp_path / "gone"})
    engine.settings = gone
    found = run_preflight(engine)
    assert not check(found, "data folder").passed
    assert not check(found, "disk").passed


# the outcome


def answers(provider_name: str, *, needed: bool = True, **changes: Any) -> ProviderAnswers:
    said = dict.fromkeys(QUESTIONS, yes("it was")) | changes
    return ProviderAnswers(provider=provider_name, needed=needed, **said)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("word", [no, unknown])
def test_one_needed_answer_that_is_missing_decides(question: str, word: Any) -> None:
    outcome, reason = judge((answers("a"), answers("b", **{question: word("why")})), ())
    assert outcome == ("signal-only" if question == "balance_readable" else "refused")
    assert reason.startswith(f"b {question.replace('_', ' ')}: ")


def test_what_is_not_needed_never_decides_and_a_refusal_always_does() -> None:
    spare = answers("a", needed=False, authenticated=no("why"), can_trade=not_needed("so"))
    assert judge((spare,), ())[0] == "ready"
    assert judge((spare.model_copy(update={"refusals": ("it may withdraw",)}),), ())[0] == "refused"
    assert judge((spare,), (Check(name="disk", passed=False, detail="1 MB"),)) == ("refused", "disk: 1 MB")
