"""Calls are counted where they are made, and reach the ledger without ever getting in the way."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from ffe.clock import FixedClock
from ffe.cycle.engine import Engine
from ffe.errors import LedgerError, ModelUnavailableError, SourceError, VenueError
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import ApiUsage
from ffe.llm.embedded import EmbeddedModel
from ffe.llm.models import Message, Sampling
from ffe.llm.ollama import OllamaModel
from ffe.observe import usage
from ffe.observe.usage import ApiMeter
from ffe.settings import EmbeddedSettings, OllamaSettings, Settings
from ffe.sources.alphavantage_http import Query
from ffe.sources.store import BarStore
from ffe.venues.calls import Caller
from ffe.venues.wire import Attempt, Limits, Lines, Outcome

AT = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
HOUR = AT.replace(minute=0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> ApiMeter:
    """The process's meter for this test, wherever calls are counted."""
    fresh = ApiMeter()
    for module in ("ffe.venues.calls", "ffe.sources.alphavantage_http", "ffe.llm.embedded", "ffe.llm.ollama"):
        monkeypatch.setattr(f"{module}.METER", fresh)
    return fresh


class Kept:
    """A ledger that only takes counts, and refuses as often as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals, self.usage = refusals, list[ApiUsage]()

    def add_api_usage(self, usage: Sequence[ApiUsage]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise LedgerError("the ledger refused: database is locked")
        self.usage += usage


def counts(meter: ApiMeter) -> dict[str, tuple[int, int]]:
    kept = Kept()
    meter.flush(kept, AT)
    return {each.source: (each.calls, each.errors) for each in kept.usage}


def test_counts_of_threads_and_processes_add_up_in_their_hour(ledger: Ledger) -> None:
    meter = ApiMeter()

    def work() -> None:
        for number in range(100):
            meter.add("oanda", 0.5, error=number % 10 == 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter.flush(ledger, AT)
    meter.add("oanda", 1.0, error=False)
    meter.flush(ledger, AT + timedelta(minutes=29))
    meter.add("oanda", 1.0, error=False)
    meter.flush(ledger, AT + timedelta(minutes=31))
    first, second = ledger.api_usage(AT)
    assert (first.hour, first.calls, first.errors, first.seconds) == (HOUR, 401, 40, 201.0)
    assert (second.hour, second.calls) == (HOUR + timedelta(hours=1), 1)


def test_nothing_counted_writes_nothing_and_without_a_time_it_is_now() -> None:
    meter, kept = ApiMeter(), Kept()
    meter.flush(kept)
    assert kept.usage == []
    meter.add("oanda", 0.1, error=False)
    meter.flush(kept)
    assert kept.usage[0].hour.tzinfo is not None
    assert kept.usage[0].hour.minute == 0


def test_a_ledger_that_refuses_loses_no_count_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    meter, kept = ApiMeter(), Kept(refusals=1)
    meter.add("oanda", 0.25, error=True)
    with caplog.at_level(logging.WARNING):
        meter.flush(kept, AT)
    assert "kept for later: the ledger refused: database is locked" in caplog.text
    meter.add("oanda", 0.25, error=False)
    meter.flush(kept, AT)
    assert kept.usage == [ApiUsage(source="oanda", hour=HOUR, calls=2, errors=1, seconds=0.5)]


def test_a_block_that_raises_is_an_error() -> None:
    meter = ApiMeter()
    with meter.timed("ollama"):
        pass
    with pytest.raises(ValueError, match="no"), meter.timed("ollama"):
        raise ValueError("no")
    assert counts(meter) == {"ollama": (2, 1)}


class Scripted(Lines[None]):
    """Outcomes one after the other, without a wire."""

    def __init__(self, *outcomes: Outcome[Any]) -> None:
        super().__init__(lambda _: None)
        self.outcomes = list(outcomes)

    def call(self, action: Any, seconds: float) -> Outcome[Any]:
        return self.outcomes.pop(0)


def outcome(status: int | None, value: Any = None) -> Outcome[Any]:
    attempt = Attempt(started=True)
    if status is not None:
        attempt.response = requests.Response()
        attempt.response.status_code = status
        attempt.response._content = b"{}"
    error = None if value is not None else requests.ConnectionError("gone")
    return Outcome(attempt, value=value, error=error)


def caller(*outcomes: Outcome[Any]) -> Caller[None]:
    limits = Limits(backoff=0.001, backoff_cap=0.001)
    return Caller("oanda", Scripted(*outcomes), limits, hidden=(), reject_reason=lambda _: None)


def test_every_attempt_of_a_read_is_a_call_and_a_refused_one_an_error(meter: ApiMeter) -> None:
    caller(outcome(503), outcome(None), outcome(200, {})).read("Candles", lambda _: None)
    assert counts(meter) == {"oanda": (3, 2)}


@pytest.mark.parametrize(("status", "errors"), [(404, 0), (400, 1), (401, 1)])
def test_not_found_is_an_answer_to_a_read_and_every_other_refusal_an_error(
    meter: ApiMeter, status: int, errors: int
) -> None:
    with pytest.raises(VenueError):
        caller(outcome(status)).read("OrderDetails", lambda _: None)
    assert counts(meter) == {"oanda": (1, errors)}


@pytest.mark.parametrize(("sent", "errors"), [(outcome(201, {}), 0), (outcome(404), 1), (outcome(None), 1)])
def test_a_send_is_one_call(meter: ApiMeter, sent: Outcome[Any], errors: int) -> None:
    try:
        caller(sent).send("OrderCreate", lambda _: None)
    except VenueError:
        assert errors
    assert counts(meter) == {"oanda": (1, errors)}


def test_a_request_to_the_bar_service_is_a_call_and_one_that_was_not_made_is_none(meter: ApiMeter) -> None:
    query = Query("http://127.0.0.1:9/query", Settings(alpha_vantage={"api_key": "k"}).alpha_vantage.api_key)
    for seconds in (0, 2):
        with pytest.raises(SourceError):
            query.get({}, seconds)
    assert counts(meter) == {"alpha-vantage": (1, 1)}


def test_a_question_to_a_model_is_a_call(meter: ApiMeter, tmp_path: Path) -> None:
    question = [Message(role="user", content="EURUSD?")]
    away = OllamaModel(OllamaSettings(host="http://127.0.0.1:9", timeout_seconds=0.5, fallback_model=()))
    missing = EmbeddedModel(EmbeddedSettings(model_path=tmp_path / "none.gguf"))
    for model in (away, missing):
        with pytest.raises(ModelUnavailableError):
            model.complete(question, {}, Sampling())
        model.close()
    assert counts(meter) == {"ollama": (1, 1), "embedded": (1, 1)}


def test_an_engine_hands_over_what_was_counted_when_it_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    monkeypatch.chdir(tmp_path)
    meter, clock = ApiMeter(), FixedClock(AT)
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    engine = Engine(Settings(data_dir=tmp_path), clock, opened, BarStore(tmp_path / "bars"), meter=meter)
    meter.add("coinbase", 0.25, error=False)
    engine.record_usage()
    meter.add("coinbase", 0.25, error=True)
    engine.close()
    assert ledger.api_usage(AT) == [ApiUsage(source="coinbase", hour=HOUR, calls=2, errors=1, seconds=0.5)]


def test_a_process_has_one_meter() -> None:
    assert Engine.__dataclass_fields__["meter"].default is usage.METER
