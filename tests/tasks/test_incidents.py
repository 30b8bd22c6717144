"""Incidents: whole, masked, and written even when half of what they are written to is away."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from ffe.cycle.incidents import NO_TRACEBACK
from ffe.errors import VenueReadError
from ffe.orders.findings import Trouble
from ffe.settings import load_settings
from tasks import incidents, runtime

CANARY = "c4n4ry-token-value"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Key and text of every artifact, in place of Prefect's API."""
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(
        incidents, "create_markdown_artifact", lambda text, *, key, description, _sync: made.append((key, text))
    )
    return made


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    from ffe.clock import SystemClock
    from ffe.ledger.ledger import Ledger

    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    opened = SimpleNamespace(ledger=ledger, clock=SystemClock(), settings=load_settings())
    runtime.use(opened)  # type: ignore[arg-type]
    yield opened
    runtime.use(None)
    ledger.close()


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


def test_an_incident_holds_the_chain_the_exchange_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, engine: Any, published: list[tuple[str, str]]
) -> None:
    monkeypatch.setenv("FFE_OANDA__TOKEN", CANARY)
    engine.ledger.start_cycle("cycle-1", "sim", "5m", engine.clock.now())
    key = incidents.record("run-1", "fetch-bars", _failure(), attempts=3, inputs={"token": CANARY}, cycle_id="cycle-1")
    ((made, text),) = published
    assert made == key == "incident-run-1"
    for part in ("TimeoutError", "VenueReadError", "direct cause", "GET /accounts", "503", "attempts: 3", "cycle-1"):
        assert part in text
    (row,) = engine.ledger.incidents(10)
    assert (row.type, row.cycle_id, row.count) == ("VenueReadError", "cycle-1", 1)
    assert "direct cause" in row.traceback
    assert CANARY not in text + str(row.model_dump())


def test_no_reply_of_a_venue_leaves_its_block_of_code(engine: Any, published: list[tuple[str, str]]) -> None:
    reply = "```\n````\n<img src=x onerror=alert(1)>"
    error = VenueReadError(f"bad reply {reply}", request=f"GET /?q={reply}", response=reply)
    incidents.record("run-1", "fetch-bars", error, inputs={"said": reply})
    blocks = [token.content for token in MarkdownIt().parse(published[0][1]) if token.type == "fence"]
    outside = [token.content for token in MarkdownIt().parse(published[0][1]) if token.type != "fence"]
    assert sum("onerror" in block for block in blocks) == 5
    assert not any("onerror" in text for text in outside)


def test_a_ledger_that_refuses_with_a_venues_words_shows_them_as_they_are(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str]]
) -> None:
    def away() -> Any:
        raise ConnectionError("locked\n# no [link](http://x) <b>")

    monkeypatch.setattr(runtime, "engine", away)
    incidents.record("run-1", "fetch-bars", _failure())
    (page,) = [text for _, text in published]
    assert "locked # no [link](http://x) &lt;b&gt;</li>" in MarkdownIt().render(page)


def test_the_same_failure_again_is_counted(engine: Any, published: list[tuple[str, str]]) -> None:
    for _ in range(3):
        incidents.record("run-1", "fetch-bars", _failure())
    (row,) = engine.ledger.incidents(10)
    assert row.count == 3
    assert len(published) == 3


def test_without_a_ledger_the_artifact_is_still_written_and_says_so(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str]]
) -> None:
    def away() -> Any:
        raise ConnectionError("the database is away")

    monkeypatch.setattr(runtime, "engine", away)
    incidents.record("run-1", "fetch-bars", _failure())
    assert "not in the ledger: ConnectionError: the database is away" in published[0][1]


def test_without_prefect_the_ledger_row_is_still_written_and_nothing_is_raised(
    monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError("the API is away")

    monkeypatch.setattr(incidents, "create_markdown_artifact", away)
    assert incidents.record("run-1", "fetch-bars", _failure()) == "incident-run-1"
    assert len(engine.ledger.incidents(10)) == 1


def test_a_hook_never_hides_the_failure_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> str:
        raise RuntimeError("the hook itself")

    monkeypatch.setattr(incidents, "record", broken)
    run = SimpleNamespace(id="1", task_inputs={}, run_count=1, flow_run_id=None)
    incidents.task_failed(SimpleNamespace(name="t"), run, SimpleNamespace(data=ValueError("x")))  # type: ignore[arg-type]


def test_a_cycle_that_failed_on_purpose_leaves_no_incident_of_its_own(engine: Any, published: list[Any]) -> None:
    state = SimpleNamespace(name=incidents.INSTRUMENTS_FAILED, data=None)
    incidents.flow_failed(SimpleNamespace(name="f"), SimpleNamespace(), state)  # type: ignore[arg-type]
    assert published == []
    assert engine.ledger.incidents(10) == []


def test_a_state_without_an_exception_is_reported_by_its_message(engine: Any, published: list[tuple[str, str]]) -> None:
    state = SimpleNamespace(name="Crashed", data=None, message="the process was killed", result=lambda **_: None)
    run = SimpleNamespace(id="7", parameters={}, run_count=1)
    incidents.flow_failed(SimpleNamespace(name="f"), run, state)  # type: ignore[arg-type]
    assert "the process was killed" in published[0][1]


def test_what_was_found_without_an_exception_shows_the_exchange_and_what_the_ledger_holds(
    engine: Any, published: list[tuple[str, str]]
) -> None:
    trouble = Trouble(
        type="Unprotected", message="no stop", instrument="BTCUSD", order_id=None, request="GET /x", response="200 []"
    )
    incidents.record_trouble("run-9", "reconcile-venue", trouble)
    ((key, text),) = published
    assert key == "incident-run-9"
    for part in ("Unprotected", "no stop", "GET /x", "200 []", NO_TRACEBACK):
        assert part in text
    (row,) = engine.ledger.incidents(10)
    assert (row.type, row.instrument) == ("Unprotected", "BTCUSD")
