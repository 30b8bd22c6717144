"""Incidents: whole, masked, and written even when half of what they are written to is away."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from markdown_it import MarkdownIt
from prefect import task
from prefect.client.schemas.objects import FlowRun, State, StateType

from ffe.cycle import incident_files
from ffe.cycle.incidents import NO_TRACEBACK
from ffe.errors import LedgerError, ModelUnavailableError, VenueReadError
from ffe.ledger.incidents import artifact_key
from ffe.orders.findings import Trouble
from ffe.settings import IncidentSettings, load_settings
from ffe.sources.models import Outcome, SourceAnswer
from tasks import incidents, runtime, under_way

CANARY = "c4n4ry-token-value"
Published = list[tuple[str, str]]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
    """Key and text of every artifact, in place of Prefect's API."""
    made: Published = []
    monkeypatch.setattr(incidents, "_publish", lambda key, run, text, description: made.append((key, text)))
    return made


@pytest.fixture(autouse=True)
def _no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither attempts nor task runs are asked of an API that no test here has."""
    monkeypatch.setattr(incidents, "attempts_of", lambda run, state: [{"state": state.name}])
    monkeypatch.setattr(under_way, "_task_runs", lambda run_id: [])


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    from ffe.clock import SystemClock
    from ffe.ledger.ledger import Ledger

    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    opened = SimpleNamespace(ledger=ledger, clock=SystemClock(), settings=load_settings(data_dir=tmp_path))
    runtime.use(opened)  # type: ignore[arg-type]
    yield opened
    runtime.use(None)
    ledger.close()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine can be opened."""

    def refuse() -> Any:
        raise ConnectionError("the database is away")

    monkeypatch.setattr(runtime, "engine", refuse)
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))


def _failure() -> BaseException:
    try:
        try:
            raise TimeoutError(f"Bearer {CANARY} timed out")
        except TimeoutError as cause:
            raise VenueReadError(
                "coinbase get_accounts: no answer", request=f"GET /accounts?token={CANARY}", response=f"503 {CANARY}"
            ) from cause
    except VenueReadError as error:
        return error


def _run(**changes: Any) -> FlowRun:
    return FlowRun(**{"id": uuid4(), "flow_id": uuid4(), "parameters": {}, "run_count": 1} | changes)


def _flow(name: str = "trading-cycle") -> Any:
    return SimpleNamespace(name=name)


def test_an_incident_holds_the_chain_the_exchange_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, engine: Any, published: Published
) -> None:
    monkeypatch.setenv("FFE_OANDA__TOKEN", CANARY)
    engine.ledger.start_cycle("cycle-1", "sim", "5m", engine.clock.now())
    inputs = {"token": CANARY, "symbol": "BTCUSD"}
    key = incidents.record("run-1", "fetch-bars", _failure(), attempts=3, inputs=inputs, cycle_id="cycle-1")
    ((made, text),) = published
    assert made == key == incidents.incident_key("run-1")
    for part in ("TimeoutError", "VenueReadError", "direct cause", "GET /accounts", "503", "attempts: 3", "cycle-1"):
        assert part in text
    (row,) = engine.ledger.incidents(10)
    assert (row.type, row.cycle_id, row.count, row.name, row.run_id) == (
        "VenueReadError",
        "cycle-1",
        1,
        "fetch-bars",
        "run-1",
    )
    assert row.reproduce == "ffe run BTCUSD --timeframe 5m --mode sim --model embedded"
    assert row.parameters == {"token": "<masked>", "symbol": "BTCUSD"}
    assert key == artifact_key(row.type, row.instrument, row.message)
    assert engine.ledger.incident(key) == row
    assert "direct cause" in row.traceback
    assert CANARY not in text + str(row.model_dump())


def test_no_reply_of_a_venue_leaves_its_block_of_code(engine: Any, published: Published) -> None:
    reply = "```\n````\n<img src=x onerror=alert(1)>"
    error = VenueReadError(f"bad reply {reply}", request=f"GET /?q={reply}", response=reply)
    incidents.record("run-1", "fetch-bars", error, inputs={"said": reply})
    blocks = [token.content for token in MarkdownIt().parse(published[0][1]) if token.type == "fence"]
    outside = [token.content for token in MarkdownIt().parse(published[0][1]) if token.type != "fence"]
    assert sum("onerror" in block for block in blocks) == 5
    assert not any("onerror" in text for text in outside)


def test_a_ledger_that_refuses_with_a_venues_words_shows_them_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, published: Published
) -> None:
    def refuse() -> Any:
        raise ConnectionError("locked\n# no [link](http://x) <b>")

    monkeypatch.setattr(runtime, "engine", refuse)
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    incidents.record("run-1", "fetch-bars", _failure())
    (page,) = [text for _, text in published]
    assert "locked # no [link](http://x) &lt;b&gt;</li>" in MarkdownIt().render(page)


def test_the_same_failure_again_is_counted_and_is_one_artifact_with_a_history(
    engine: Any, published: Published
) -> None:
    keys = {incidents.record(f"run-{number}", "fetch-bars", _failure()) for number in range(3)}
    (row,) = engine.ledger.incidents(10)
    assert row.count == 3
    assert [each["run"] for each in row.attempts] == ["run-0", "run-1", "run-2"]
    assert [key for key, _ in published] == [*keys] * 3


def test_the_same_failure_of_another_instrument_is_another_artifact(engine: Any, published: Published) -> None:
    for symbol in ("BTCUSD", "ETHUSD"):
        incidents.record(f"run-{symbol}", "fetch-bars", _failure(), inputs={"symbol": symbol})
    assert len({key for key, _ in published}) == len(engine.ledger.incidents()) == 2


def test_without_a_ledger_the_artifact_says_so_and_a_file_keeps_it_until_there_is_one(
    away: None, tmp_path: Path, published: Published
) -> None:
    incidents.record("run-1", "fetch-bars", _failure())
    assert "not in the ledger: ConnectionError: the database is away" in published[0][1]
    (kept,) = incident_files.files(tmp_path)
    assert (kept.type, kept.run_id) == ("VenueReadError", "run-1")


def test_what_a_ledger_refused_it_gets_with_the_next_incident(
    monkeypatch: pytest.MonkeyPatch, engine: Any, tmp_path: Path, published: Published
) -> None:
    def locked(**_: Any) -> Any:
        raise LedgerError("the ledger refused: database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(engine.ledger, "record_incident", locked)
        incidents.record("run-1", "fetch-bars", _failure())
    assert "not in the ledger yet: LedgerError" in published[0][1]
    (kept,) = incident_files.files(tmp_path)
    incidents.record("run-2", "plan-order", ValueError("another"))
    assert incident_files.files(tmp_path) == []
    assert {row.id for row in engine.ledger.incidents()} >= {kept.id}
    assert len(engine.ledger.incidents()) == 2


def test_with_settings_that_can_not_be_read_the_artifact_is_still_written(
    monkeypatch: pytest.MonkeyPatch, away: None, published: Published
) -> None:
    monkeypatch.setenv("FFE_MODE", "nonsense")
    incidents.record("run-1", "fetch-bars", _failure())
    assert "the database is away" in published[0][1]


def test_without_prefect_the_ledger_row_is_still_written_and_nothing_is_raised(
    monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise ConnectionError("the API is away")

    monkeypatch.setattr(incidents, "get_client", gone)
    assert incidents.record("run-1", "fetch-bars", _failure()).startswith("incident-")
    assert len(engine.ledger.incidents(10)) == 1


def test_a_hook_never_hides_the_failure_it_reports(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> str:
        raise RuntimeError("the hook itself")

    monkeypatch.setattr(incidents, "_keep", broken)
    state: State[Any] = State(type=StateType.FAILED, data=ValueError("x"))
    run = SimpleNamespace(id="1", task_inputs={}, run_count=1, flow_run_id=None)
    incidents.task_failed(SimpleNamespace(name="t", fn=None), run, state)  # type: ignore[arg-type]
    incidents.flow_failed(_flow("f"), _run(), state)
    assert caplog.text.count("could not be written") == 2


def test_a_cycle_that_failed_on_purpose_leaves_no_incident_of_its_own(engine: Any, published: Published) -> None:
    state: State[Any] = State(type=StateType.FAILED, name=incidents.INSTRUMENTS_FAILED)
    incidents.flow_failed(_flow(), _run(), state)
    assert published == []
    assert engine.ledger.incidents(10) == []


def test_a_state_without_an_exception_is_reported_by_its_message(engine: Any, published: Published) -> None:
    state: State[Any] = State(type=StateType.FAILED, message="twelve chunks failed")
    incidents.flow_failed(_flow("backfill-bars"), _run(parameters={"days": 3}), state)
    assert "twelve chunks failed" in published[0][1]
    (row,) = engine.ledger.incidents()
    assert row.reproduce == "ffe backfill --days 3 --mode sim"


@pytest.mark.parametrize(
    ("type_", "name", "kind"),
    [
        (StateType.CRASHED, "Crashed", "CrashedRun"),
        (StateType.CANCELLING, "Cancelling", "CancelledRun"),
        (StateType.CANCELLED, "Cancelled", "CancelledRun"),
    ],
)
def test_a_run_that_was_stopped_from_outside_says_what_was_under_way(
    monkeypatch: pytest.MonkeyPatch, engine: Any, published: Published, type_: StateType, name: str, kind: str
) -> None:
    at = datetime(2018, 4, 4, tzinfo=UTC)
    runs = [
        SimpleNamespace(name="fetch-bars", state=State(type=StateType.COMPLETED), start_time=at),
        SimpleNamespace(name="submit-order BUY BTCUSD", state=State(type=StateType.RUNNING), start_time=at),
        SimpleNamespace(name="plan-order", state=None, start_time=None),
    ]
    monkeypatch.setattr(under_way, "_task_runs", lambda run_id: runs)
    state: State[Any] = State(type=type_, name=name, message="stopped by a person")
    run = _run()
    incidents.flow_cancelled(_flow(), run, state)
    (row,) = engine.ledger.incidents()
    assert (row.type, row.message, row.flow_run_id, row.cycle_id) == (
        kind,
        "stopped by a person",
        str(run.id),
        str(run.id),
    )
    assert "UNDER WAY  submit-order BUY BTCUSD: Running, since 2018-04-04T00:00:00Z" in row.traceback
    assert "UNDER WAY  plan-order: unknown, not begun" in row.traceback
    assert "finished   fetch-bars: Completed" in row.traceback


def test_without_task_runs_and_without_an_api_that_is_said_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert under_way.told(uuid4()) == "no task had started"

    def gone(_: object) -> Any:
        raise ConnectionError("the API is away")

    monkeypatch.setattr(under_way, "_task_runs", gone)
    assert under_way.told(uuid4()) == "its task runs could not be read"


def test_a_failed_task_is_told_by_what_it_was_called_with(engine: Any, published: Published) -> None:
    @task
    def look_up(symbol: str, *, days: int) -> None:
        raise ValueError(f"nothing of {symbol} in {days} days")

    with pytest.raises(ValueError, match="nothing of") as raised:
        look_up.fn("EURUSD", days=2)
    run = SimpleNamespace(id=uuid4(), task_inputs={}, run_count=1, flow_run_id=uuid4())
    state: State[Any] = State(type=StateType.FAILED, data=raised.value)
    incidents.task_failed(look_up, run, state)  # type: ignore[arg-type]
    (row,) = engine.ledger.incidents()
    assert row.parameters == {"symbol": "EURUSD", "days": 2}
    assert (row.instrument, row.flow_run_id) == ("EURUSD", str(run.flow_run_id))
    assert incidents.incident_key(run.id) == published[0][0]


def test_locals_are_shown_only_when_they_were_asked_for(engine: Any, published: Published) -> None:
    def divide(divisor: int) -> float:
        seen = "a-local-value"
        return len(seen) / divisor

    for asked in (False, True):
        engine.settings = engine.settings.model_copy(update={"incidents": IncidentSettings(locals=asked)})
        with pytest.raises(ZeroDivisionError) as raised:
            divide(0)
        incidents.record(f"run-{asked}", "plan-order", raised.value)
        assert ("seen = 'a-local-value'" in published[-1][1]) is asked


def test_what_was_found_without_an_exception_shows_the_exchange(engine: Any, published: Published) -> None:
    trouble = Trouble(
        type="Unprotected", message="no stop", instrument="BTCUSD", order_id=None, request="GET /x", response="200 []"
    )
    key = incidents.record_trouble("run-9", "reconcile-venue", trouble)
    ((made, text),) = published
    assert made == key
    for part in ("Unprotected", "no stop", "GET /x", "200 []", NO_TRACEBACK, "ffe reconcile"):
        assert part in text
    (row,) = engine.ledger.incidents()
    assert (row.type, row.instrument) == ("Unprotected", "BTCUSD")


def test_a_failover_that_can_not_be_written_does_not_stop_the_cycle(
    monkeypatch: pytest.MonkeyPatch, engine: Any, published: Published, caplog: pytest.LogCaptureFixture
) -> None:
    answer = SourceAnswer(
        source="coinbase",
        outcome=Outcome.FAILED,
        message="503",
        error="TransientSourceError",
        at=datetime(2018, 4, 4, tzinfo=UTC),
    )
    batch: Any = SimpleNamespace(
        id="b" * 64,
        source="alpha-vantage",
        timeframe=SimpleNamespace(value="5m"),
        instrument=SimpleNamespace(symbol="BTCUSD"),
        answers=(answer,),
    )
    incidents.record_failover(batch)
    assert "alpha-vantage answered" in published[0][1]

    def broken(*_: Any, **__: Any) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(incidents, "_keep", broken)
    incidents.record_failover(batch)
    assert "the incident of coinbase could not be written" in caplog.text


def test_an_outage_of_the_model_is_written_for_its_instrument(engine: Any, published: Published) -> None:
    context: Any = SimpleNamespace(instrument=SimpleNamespace(symbol="BTCUSD"), batch_id="b" * 64)
    incidents.record_outage(ModelUnavailableError("BTCUSD: away"), None, context, "cycle-7")
    (row,) = engine.ledger.incidents()
    assert (row.name, row.instrument, row.cycle_id, row.batch_id) == ("ask-model", "BTCUSD", "cycle-7", "b" * 64)


def test_a_process_remembers_only_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "MOST_RUNS", 2)
    known = incidents._Published()
    threads = [threading.Thread(target=known.add, args=(f"run-{n}", f"key-{n}")) for n in range(3)]
    for each in threads:
        each.start()
        each.join()
    assert [known.get(f"run-{n}") for n in range(3)] == [None, "key-1", "key-2"]
    assert incidents.incident_key("never-seen") == "incident-never-seen"


def test_a_state_whose_result_can_not_be_read_is_told_by_its_message() -> None:
    def unreadable(**_: Any) -> Any:
        raise OSError("no such file")

    state: Any = SimpleNamespace(name="Failed", data=None, message="gone", result=unreadable)
    assert str(incidents._error_of(state)) == "gone"
    state = SimpleNamespace(name="Failed", data=None, message=None, result=lambda **_: KeyError("k"))
    assert isinstance(incidents._error_of(state), KeyError)
