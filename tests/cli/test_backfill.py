"""`ffe backfill`: exit code, table, JSON and progress."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from ffe.cli import backfill as command
from ffe.cycle.backfill import Backfilled, Chunk, ChunkOutcome
from ffe.market.models import Instrument, Timeframe
from ffe.market.quality import Finding, Severity

START = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def typed(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command.backfill)
    before = dict(os.environ)
    said = CliRunner().invoke(app, list(arguments))
    # A process of its own would have taken the addresses of its simulator with it.
    os.environ.clear()
    os.environ.update(before)
    return said


def chunk(outcome: ChunkOutcome, **values: Any) -> Chunk:
    return Chunk(start=START, end=START + timedelta(days=1), outcome=outcome, **values)


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    """What the engine function gives for every instrument and timeframe, without a venue."""
    given: list[Chunk] = []

    @contextmanager
    def venues(settings: Any) -> Iterator[Any]:
        yield SimpleNamespace(settings=settings)

    def fill(engine: Any, instrument: Instrument, timeframe: Timeframe, days: int, validate: Any, *, told: Any) -> Any:
        del engine, validate
        for number, each in enumerate(given, start=1):
            told(each, number / len(given))
        return Backfilled(
            instrument=instrument.symbol,
            timeframe=timeframe,
            source="coinbase",
            start=START,
            end=START + timedelta(days=days),
            chunks=tuple(given),
        )

    monkeypatch.setattr(command, "venues", venues)
    monkeypatch.setattr(command.engine_backfill, "backfill", fill)
    return given


def test_every_instrument_and_timeframe_has_a_line(chunks: list[Chunk]) -> None:
    chunks += [chunk(ChunkOutcome.KEPT, bars=12), chunk(ChunkOutcome.COVERED), chunk(ChunkOutcome.EMPTY)]
    said = typed("BTC-USD", "eurusd", "--timeframe", "5m", "--timeframe", "1h", "--days", "3")
    assert said.exit_code == 0
    lines = [line for line in said.stdout.splitlines() if "coinbase" in line]
    assert [tuple(line.replace("│", " ").split()[:2]) for line in lines] == [
        ("BTCUSD", "5m"),
        ("BTCUSD", "1h"),
        ("EURUSD", "5m"),
        ("EURUSD", "1h"),
    ]
    assert "BTCUSD 5m: 100%" in said.stderr


def test_a_failed_chunk_is_named_with_its_rows_and_ends_with_3(chunks: list[Chunk]) -> None:
    finding = Finding(
        check="price-spikes", severity=Severity.CRITICAL, message="too far", examples=("2024-03-01T07:00 99",)
    )
    chunks += [
        chunk(ChunkOutcome.FAILED, findings=(finding,), bars=288),
        chunk(ChunkOutcome.FAILED, error="TransientSourceError: coinbase: 503"),
    ]
    said = typed("BTCUSD", "--timeframe", "5m")
    assert said.exit_code == 3
    assert "2024-03-01T00:00:00Z to 2024-03-02T00:00:00Z" in said.stdout
    assert "price-spikes: too far" in said.stdout
    assert "2024-03-01T07:00 99" in said.stdout
    assert "503" in said.stdout


def test_json_is_one_document_and_nothing_else(chunks: list[Chunk]) -> None:
    chunks += [chunk(ChunkOutcome.KEPT, bars=12), chunk(ChunkOutcome.FAILED, error="503")]
    said = typed("BTCUSD", "--json")
    (document,) = json.loads(said.stdout)
    assert (document["instrument"], document["timeframe"], document["bars"], document["failed"]) == (
        "BTCUSD",
        "5m",
        12,
        1,
    )
    assert [each["outcome"] for each in document["chunks"]] == ["kept", "failed"]
    assert said.exit_code == 3


def test_a_terminal_sees_a_bar(chunks: list[Chunk], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    chunks += [chunk(ChunkOutcome.KEPT, bars=12)]
    said = typed("BTCUSD", "--json")
    assert "━" in said.stderr
    assert json.loads(said.stdout)[0]["bars"] == 12


def test_an_unknown_timeframe_is_bad_usage() -> None:
    said = typed("BTCUSD", "--timeframe", "7m")
    assert said.exit_code == 1
    assert "unknown timeframe '7m'" in str(said.exception)


@pytest.mark.slow
def test_bars_of_a_simulated_venue_are_filled_in_and_found_by_the_next_run(data_dir: Path) -> None:
    said = typed("EURUSD", "--timeframe", "1h", "--days", "6", "--json")
    assert said.exit_code == 0, said.stdout + said.stderr
    (document,) = json.loads(said.stdout)
    assert document["source"] == "oanda"
    assert document["bars"] > 90
    assert list((data_dir / "bars").glob("feed=sim/source=oanda/instrument=EURUSD/timeframe=1h/month=*.parquet"))
    again = typed("EURUSD", "--timeframe", "1h", "--days", "6", "--json")
    assert {each["outcome"] for each in json.loads(again.stdout)[0]["chunks"]} == {"covered"}
