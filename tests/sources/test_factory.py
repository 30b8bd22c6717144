"""The chain that a mode gets: real SDKs and the real Alpha Vantage client against the simulator, and what is left out."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from alpha_vantage_server import scripted_server, stall
from pydantic import SecretStr, ValidationError

from ffe.clock import Clock, FixedClock, OffsetClock, parse_time, rfc3339
from ffe.errors import MissingCredentialsError, NoSourceError, RefusedError
from ffe.ledger.ledger import Ledger
from ffe.market.models import AssetClass, Timeframe, parse_instrument
from ffe.settings import AlphaVantageSettings, Mode, Settings, SourcesSettings, load_settings
from ffe.sources.alphavantage import AlphaVantageSource
from ffe.sources.chain import SourceChain
from ffe.sources.crosscheck import references
from ffe.sources.factory import open_chain, open_source
from ffe.sources.health import Circuit
from ffe.sources.store import BarStore

NOW = parse_time("2024-03-20T14:30:20Z")
EURUSD, BTCUSD = parse_instrument("EURUSD"), parse_instrument("BTCUSD")


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a running simulator prints about itself. Its clock runs: Alpha Vantage counts requests by the second."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--seed", "7", "--exit-with-stdin"]
    folder = ["--data-dir", str(tmp_path_factory.mktemp("venue")), "--start", rfc3339(NOW)]
    process = subprocess.Popen([*command, *folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin:
        yield json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.fixture(scope="module")
def clock(venue: dict[str, Any]) -> Clock:
    return OffsetClock(NOW)


def control(about: dict[str, Any], name: str, body: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {about['control']['token']}"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        client.post(f"{about['control']['base_url']}/{name}", json=body).raise_for_status()


@pytest.fixture
def simulated(venue: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name, value in venue["env"].items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars")


@contextmanager
def outage(venue: dict[str, Any], name: str) -> Iterator[None]:
    control(venue, "outage", {"venue": name})
    try:
        yield
    finally:
        control(venue, "resume", {})


@pytest.fixture
def chain(simulated: Settings, clock: Clock, ledger: Ledger, store: BarStore) -> Iterator[Callable[..., SourceChain]]:
    """Opens a chain of one asset class, closed at the end."""
    made: list[SourceChain] = []

    def opened(kind: AssetClass = AssetClass.FOREX, settings: Settings | None = None) -> SourceChain:
        made.append(open_chain(kind, settings or simulated, clock, ledger, store))
        return made[-1]

    yield opened
    for each in made:
        each.close()


def changed(settings: Settings, section: str, **changes: Any) -> Settings:
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=changes)})


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "symbol"), [(AssetClass.CRYPTO, "BTCUSD"), (AssetClass.FOREX, "EURUSD")])
def test_when_the_venue_is_out_the_next_source_has_the_same_days(
    chain: Callable[..., SourceChain], venue: dict[str, Any], kind: AssetClass, symbol: str
) -> None:
    asked = chain(kind)
    instrument, start = parse_instrument(symbol), NOW - timedelta(days=20)
    direct = asked.fetch(instrument, Timeframe.D1, start, NOW)
    assert direct.source == instrument.venue
    with outage(venue, instrument.venue):
        fetched = asked.fetch(instrument, Timeframe.D1, start, NOW)
    assert fetched.source == "alpha-vantage"
    assert [(answer.source, answer.outcome.value) for answer in fetched.answers] == [
        (instrument.venue, "failed"),
        ("alpha-vantage", "answered"),
    ]
    assert "503" in str(fetched.answers[0].message)
    assert "VenueReadError" in str(fetched.answers[0].chain), "the whole chain of causes"
    ours = dict(zip(*(direct.table.column(name).to_pylist() for name in ("time", "close")), strict=True))
    theirs = dict(zip(*(fetched.table.column(name).to_pylist() for name in ("time", "close")), strict=True))
    assert len(theirs) >= 14
    assert all(abs(close / ours[moment] - 1) < Decimal("0.02") for moment, close in theirs.items() if moment in ours)


@pytest.mark.slow
def test_where_neither_has_bars_the_error_names_both_and_none_is_made_up(
    chain: Callable[..., SourceChain], venue: dict[str, Any]
) -> None:
    with outage(venue, "oanda"), pytest.raises(NoSourceError) as caught:
        chain().fetch(EURUSD, Timeframe.M5, NOW - timedelta(hours=5), NOW)
    assert "oanda failed" in str(caught.value)
    assert "alpha-vantage failed" in str(caught.value)
    assert "premium" in str(caught.value)


@pytest.mark.slow
def test_a_pair_that_the_venue_does_not_have_is_no_failure_of_its_health(
    chain: Callable[..., SourceChain], ledger: Ledger, clock: Clock
) -> None:
    for kind, symbol in ((AssetClass.CRYPTO, "DOGEUSD"), (AssetClass.FOREX, "AUDUSD")):
        for _ in range(2):
            with pytest.raises(NoSourceError, match=symbol):
                chain(kind).fetch(parse_instrument(symbol), Timeframe.M5, NOW - timedelta(hours=1), NOW)
    states = ledger.source_states("sim", clock.now())
    assert {state.source: (state.health.failures, state.circuit) for state in states} == dict.fromkeys(
        ("coinbase", "oanda", "alpha-vantage"), (0, Circuit.CLOSED)
    )


@pytest.mark.slow
def test_the_second_source_agrees_with_the_first(
    chain: Callable[..., SourceChain], store: BarStore, clock: Clock
) -> None:
    asked = chain(AssetClass.CRYPTO)
    table = asked.fetch(BTCUSD, Timeframe.D1, NOW - timedelta(days=20), NOW).table
    batch = store.write_batch(BTCUSD, Timeframe.D1, "coinbase", table, clock.now())
    found = references(asked, store, batch, clock.now())
    closes = dict(zip(table.column("time").to_pylist(), table.column("close").to_pylist(), strict=True))
    assert [each.open for each in found] == [batch.last_open - timedelta(days=back) for back in (2, 1, 0)]
    assert all(abs(each.close / closes[each.open] - 1) < Decimal("0.02") for each in found)


@pytest.mark.slow
def test_sources_come_in_the_order_of_the_settings(chain: Callable[..., SourceChain], simulated: Settings) -> None:
    turned = changed(simulated, "sources", crypto=("alpha-vantage", "coinbase"))
    assert [source.name for source in chain(AssetClass.CRYPTO, turned).sources] == ["alpha-vantage", "coinbase"]
    assert [source.name for source in chain(AssetClass.FOREX, turned).sources] == ["oanda", "alpha-vantage"]


@pytest.mark.slow
@pytest.mark.parametrize("key", [None, SecretStr("")])
def test_a_source_without_its_key_is_left_out_and_says_what_to_set(
    chain: Callable[..., SourceChain], simulated: Settings, key: SecretStr | None
) -> None:
    made = chain(AssetClass.CRYPTO, changed(simulated, "alpha_vantage", api_key=key))
    assert [source.name for source in made.sources] == ["coinbase"]
    (missing,) = made.missing
    assert (missing.source, missing.outcome, missing.error) == ("alpha-vantage", "skipped", "MissingCredentialsError")
    assert "FFE_ALPHA_VANTAGE__API_KEY" in str(missing.message)


@pytest.mark.slow
def test_sim_never_asks_the_real_service(chain: Callable[..., SourceChain], simulated: Settings) -> None:
    for url in (None, "https://www.alphavantage.co/query"):
        made = chain(AssetClass.CRYPTO, changed(simulated, "alpha_vantage", base_url=url))
        assert [source.name for source in made.sources] == ["coinbase"]
        assert "loopback only" in str(made.missing[0].message)


def test_without_any_source_the_first_ones_reason_is_raised(ledger: Ledger, store: BarStore) -> None:
    with pytest.raises(MissingCredentialsError, match="FFE_COINBASE__API_KEY"):
        open_chain(AssetClass.CRYPTO, Settings(mode=Mode.LIVE), FixedClock(NOW), ledger, store)


def test_outside_sim_the_service_itself_is_asked(ledger: Ledger) -> None:
    keyed = Settings(mode=Mode.PAPER, alpha_vantage=AlphaVantageSettings(api_key=SecretStr("CANARYKEY77XQ")))
    source = open_source("alpha-vantage", keyed, FixedClock(NOW), ledger)
    assert isinstance(source, AlphaVantageSource)
    assert source.url == "https://www.alphavantage.co/query"
    source.close()


@pytest.mark.parametrize("mode", [Mode.SIM, Mode.PAPER])
def test_a_moved_clock_never_reads_the_real_service(mode: Mode, ledger: Ledger) -> None:
    knobs = Settings(mode=mode, clock=NOW, alpha_vantage=AlphaVantageSettings(api_key=SecretStr("CANARYKEY77XQ")))
    with pytest.raises(RefusedError, match=r"www\.alphavantage\.co"):
        open_source("alpha-vantage", knobs, FixedClock(NOW), ledger)


@pytest.mark.slow
def test_a_venue_that_does_not_answer_leaves_half_of_the_deadline_to_the_next(
    chain: Callable[..., SourceChain], simulated: Settings
) -> None:
    with scripted_server() as silent:
        silent.script(stall)
        url = silent.url.removesuffix("/query")
        hurried = changed(changed(simulated, "oanda", base_url=url), "sources", deadline_seconds=2.0)
        started = time.monotonic()
        fetched = chain(AssetClass.FOREX, hurried).fetch(EURUSD, Timeframe.D1, NOW - timedelta(days=9), NOW)
        assert fetched.source == "alpha-vantage"
        assert 0.9 < time.monotonic() - started < 2.5


@pytest.mark.parametrize("kind", ["crypto", "forex"])
def test_a_source_that_cannot_serve_an_asset_class_is_refused_by_the_settings(kind: str) -> None:
    with pytest.raises(ValidationError, match=kind):
        SourcesSettings.model_validate({kind: "kraken"})
    with pytest.raises(ValidationError, match="at least 1 item"):
        SourcesSettings.model_validate({kind: " , "})
    assert getattr(SourcesSettings.model_validate({kind: "alpha-vantage, alpha-vantage"}), kind) == ("alpha-vantage",)
