"""Metrics as Prometheus sees them: scraped over HTTP from a real ledger, at the time of an injected clock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ffe.cli.metrics import market_clock
from ffe.cli.surroundings import Surroundings, announced
from ffe.clock import FixedClock
from ffe.errors import ConfigurationError, SourceSkippedError
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.market.quality import Finding, QualityReport, Severity
from ffe.observe.metrics import LedgerMetrics, MetricsServer
from ffe.settings import CalendarSettings, Settings
from ffe.sources.health import Breaker, Budget
from ffe.sources.models import BarBatch, Outcome

FRIDAY = datetime(2026, 7, 3, 20, 55, tzinfo=UTC)  # open of the week's last 5m bar
MINUTE = timedelta(minutes=1)
LABELS = ("instrument", "timeframe", "source", "outcome")
Samples = dict[tuple[str, ...], float]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(data_dir=tmp_path)


@contextmanager
def served(ledger: Ledger, clock: FixedClock, settings: Settings) -> Iterator[str]:
    """URL of a server on a free port."""
    with closing(MetricsServer(LedgerMetrics(ledger, clock, settings), 0)) as server:
        yield server.url


def scraped(url: str) -> Samples:
    """Value of each sample by its name and label values."""
    reply = httpx.get(url, trust_env=False, timeout=10).raise_for_status()
    samples = [sample for family in text_string_to_metric_families(reply.text) for sample in family.samples]
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for sample in samples
    }


def record(ledger: Ledger, symbol: str, timeframe: Timeframe, last_open: datetime, source: str = "oanda") -> str:
    """Id of a batch that was fetched when its newest bar closed."""
    name = f"{symbol} {timeframe.value} {last_open.isoformat()} {source}"
    ledger.record_batch(
        BarBatch(
            id=name,
            instrument=parse_instrument(symbol),
            timeframe=timeframe,
            source=source,
            path="bars/x.parquet",
            rows=200,
            first_open=last_open - 200 * timeframe.duration,
            last_open=last_open,
            fetched_at=last_open + timeframe.duration,
        )
    )
    return name


def report(batch_id: str, number: int, *findings: Finding) -> QualityReport:
    about = {"batch_id": batch_id, "suite": "intraday", "checks": 20, "duration_ms": 1.0, "checked_at": FRIDAY}
    return QualityReport.model_validate({"id": f"r{number}", "findings": findings, **about})


def test_the_age_of_the_bars_grows_while_nothing_runs(ledger: Ledger, settings: Settings) -> None:
    record(ledger, "BTCUSD", Timeframe.M5, FRIDAY, "coinbase")
    clock = FixedClock(FRIDAY + 8 * MINUTE)
    series = ("BTCUSD", "5m", "coinbase")
    with served(ledger, clock, settings) as url:
        young = scraped(url)
        clock.advance(timedelta(hours=2))
        old = scraped(url)
    assert young["data_staleness_seconds", *series] == 180
    assert young["data_staleness_limit_seconds", *series] == 900
    assert young["data_fresh", *series] == 1
    assert old["data_staleness_seconds", *series] == 180 + 7200
    assert old["data_fresh", *series] == 0


def test_a_weekend_does_not_age_forex_bars_and_ages_crypto_bars(ledger: Ledger, settings: Settings) -> None:
    record(ledger, "EURUSD", Timeframe.M5, FRIDAY)
    record(ledger, "BTCUSD", Timeframe.M5, FRIDAY, "coinbase")
    with served(ledger, FixedClock(FRIDAY + timedelta(days=1)), settings) as url:
        saturday = scraped(url)
    assert saturday["data_staleness_seconds", "EURUSD", "5m", "oanda"] == 0
    assert saturday["data_staleness_seconds", "BTCUSD", "5m", "coinbase"] == 86400 - 300
    assert saturday["market_open", "EURUSD"] == 0
    assert saturday["market_open", "BTCUSD"] == 1


def test_days_that_a_person_closed_do_not_age_bars_either(ledger: Ledger, settings: Settings) -> None:
    record(ledger, "EURUSD", Timeframe.H1, datetime(2026, 7, 7, 20, tzinfo=UTC))
    shut = settings.model_copy(update={"calendar": CalendarSettings(closed=(date(2026, 7, 8),))})
    wednesday = FixedClock(datetime(2026, 7, 8, 15, tzinfo=UTC))
    with served(ledger, wednesday, settings) as usual, served(ledger, wednesday, shut) as closed:
        assert scraped(usual)["data_staleness_seconds", "EURUSD", "1h", "oanda"] == 18 * 3600
        assert scraped(closed)["data_staleness_seconds", "EURUSD", "1h", "oanda"] == 0


def test_new_bars_and_a_new_source_show_at_the_next_scrape(ledger: Ledger, settings: Settings) -> None:
    record(ledger, "EURUSD", Timeframe.M5, FRIDAY - 5 * MINUTE)
    with served(ledger, FixedClock(FRIDAY + 6 * MINUTE), settings) as url:
        assert scraped(url)["data_staleness_seconds", "EURUSD", "5m", "oanda"] == 300
        record(ledger, "EURUSD", Timeframe.M5, FRIDAY, "alpha-vantage")
        ages = {labels: value for labels, value in scraped(url).items() if labels[0] == "data_staleness_seconds"}
    # Minutes 21:00 and later are closed market: only the bar's own age up to Friday's close counts.
    assert ages == {("data_staleness_seconds", "EURUSD", "5m", "alpha-vantage"): 0}


def test_a_daily_bar_has_an_age_and_no_limit(ledger: Ledger, settings: Settings) -> None:
    record(ledger, "BTCUSD", Timeframe.D1, datetime(2026, 7, 2, tzinfo=UTC), "coinbase")
    with served(ledger, FixedClock(FRIDAY), settings) as url:
        samples = scraped(url)
    assert samples["data_staleness_seconds", "BTCUSD", "1d", "coinbase"] == (20 * 60 + 55) * 60
    assert ("data_staleness_limit_seconds", "BTCUSD", "1d", "coinbase") not in samples


def test_quality_reports_of_the_last_day_are_counted_by_outcome(ledger: Ledger, settings: Settings) -> None:
    batch = record(ledger, "EURUSD", Timeframe.M5, FRIDAY)
    broken = Finding(check="gaps", severity=Severity.CRITICAL, message="9 bars missing, limit 0")
    for number, findings in enumerate([(), (), (broken,)]):
        ledger.record_quality(report(batch, number, *findings))
    clock = FixedClock(FRIDAY)
    with served(ledger, clock, settings) as url:
        samples = scraped(url)
        clock.advance(timedelta(hours=24, seconds=1))
        assert not [labels for labels in scraped(url) if labels[0] == "quality_reports_24h"]
    assert samples["quality_reports_24h", "EURUSD", "5m", "passed"] == 2
    assert samples["quality_reports_24h", "EURUSD", "5m", "failed"] == 1


def test_sources_are_counted_over_all_days_and_an_open_circuit_shows(ledger: Ledger, settings: Settings) -> None:
    breaker = Breaker(failures=1)
    for at, outcome in ((FRIDAY - timedelta(days=1), Outcome.ANSWERED), (FRIDAY, Outcome.FAILED)):
        ledger.settle_source(ledger.admit_source("sim", "oanda", at), at, breaker, outcome, error="HTTP 503")
    ledger.settle_source(ledger.admit_source("live", "oanda", FRIDAY), FRIDAY, breaker, Outcome.ANSWERED)
    ledger.spend_request("sim", "alpha-vantage", FRIDAY, Budget(per_day=25, per_second=1), latest=FRIDAY)
    with pytest.raises(SourceSkippedError):
        ledger.admit_source("sim", "oanda", FRIDAY + timedelta(seconds=1))
    with served(ledger, FixedClock(FRIDAY + timedelta(seconds=2)), settings) as url:
        samples = scraped(url)
    fetches = [samples["source_fetches_total", "oanda", outcome] for outcome in ("answered", "failed", "skipped")]
    assert fetches == [1, 1, 1]
    assert samples["source_circuit_closed", "oanda"] == 0
    assert samples["source_circuit_closed", "alpha-vantage"] == 1
    assert samples["source_requests_today", "alpha-vantage"] == 1


def test_an_empty_ledger_says_nothing_of_bars_and_sources(ledger: Ledger, settings: Settings) -> None:
    with served(ledger, FixedClock(FRIDAY), settings) as url:
        names = {labels[0] for labels in scraped(url)}
    assert not [
        name for name in names if name.startswith(("data_", "source_", "quality_", "market_", "cycle", "order"))
    ]
    assert "clock_timestamp_seconds" in names


def test_a_ledger_that_cannot_be_read_fails_the_scrape(
    ledger: Ledger, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(ledger, FixedClock(FRIDAY), settings) as url:
        with ledger.database.writing_connection() as connection:
            connection.exec_driver_sql("DROP TABLE quality_report")
        assert httpx.get(url, trust_env=False).status_code == 500
    assert "no such table: quality_report" in capfd.readouterr().err


def test_only_this_machine_is_served(ledger: Ledger, settings: Settings) -> None:
    with served(ledger, FixedClock(FRIDAY), settings) as url:
        assert url.startswith("http://127.0.0.1:")


def test_another_address_is_served_when_it_is_asked_for(ledger: Ledger, settings: Settings) -> None:
    with closing(MetricsServer(LedgerMetrics(ledger, FixedClock(FRIDAY), settings), 0, "::1")) as server:
        assert server.url.startswith("http://[::1]:")
        assert scraped(server.url)


def test_an_address_that_is_not_ours_is_a_usage_error_that_names_it(ledger: Ledger, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1 port 9464 can't be served: .*--host"):
        MetricsServer(LedgerMetrics(ledger, FixedClock(FRIDAY), settings), 9464, "192.0.2.1")


def test_a_taken_port_is_a_usage_error_that_names_it(ledger: Ledger, settings: Settings) -> None:
    with served(ledger, FixedClock(FRIDAY), settings) as url:
        port = httpx.URL(url).port
        assert port is not None
        with pytest.raises(ConfigurationError, match=f"port {port} .*--port") as caught:
            MetricsServer(LedgerMetrics(ledger, FixedClock(FRIDAY), settings), port)
    assert caught.value.exit_code == 2


def test_without_a_simulator_the_clock_goes_on_from_the_newest_fetch(ledger: Ledger, settings: Settings) -> None:
    before = market_clock(settings, ledger).now()
    record(ledger, "BTCUSD", Timeframe.M5, FRIDAY, "coinbase")
    after = market_clock(settings, ledger).now()
    assert after - (FRIDAY + 5 * MINUTE) < MINUTE
    assert before > after


def test_the_clock_of_the_settings_is_the_clock(ledger: Ledger, settings: Settings) -> None:
    set_clock = settings.model_copy(update={"clock": FRIDAY})
    assert market_clock(set_clock, ledger).now() - FRIDAY < MINUTE


def test_the_clock_of_a_running_simulator_is_the_clock(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator of an `ffe up` on the same data folder, found by the file that it announces itself with."""
    there = settings.model_copy(update={"clock": FRIDAY})
    with Surroundings(there) as around:
        around.start_simulator()
        around.await_simulator()
        addresses = around.simulator_environment
        for name in addresses:
            monkeypatch.delenv(name)
        with announced(settings.data_dir, {"simulator": addresses}):
            now = market_clock(settings, ledger).now()
    assert timedelta(0) <= now - FRIDAY < 10 * MINUTE


COMMAND = [sys.executable, "-m", "ffe.cli.main", "metrics", "serve", "--port"]


def test_the_command_serves_until_it_is_ended(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    record(ledger, "BTCUSD", Timeframe.M5, FRIDAY, "coinbase")
    environment = dict(os.environ) | {"FFE_DATA_DIR": str(tmp_path)}
    with subprocess.Popen([*COMMAND, "0"], env=environment, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            url = serving.stdout.readline().split(" ")[0]
            samples = scraped(url)
            taken = subprocess.run(
                [*COMMAND, str(httpx.URL(url).port)], env=environment, capture_output=True, text=True, check=False
            )
        finally:
            serving.terminate()
    assert 0 <= samples["data_staleness_seconds", "BTCUSD", "5m", "coinbase"] < 60
    assert (taken.returncode, taken.stdout) == (2, "")
    assert taken.stderr.strip() == (
        f"ffe: port {httpx.URL(url).port} can't be served: Address already in use; choose another with --port"
    )
    assert serving.returncode == 130
