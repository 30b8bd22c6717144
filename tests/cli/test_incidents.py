"""`ffe incidents`: the list, one of them whole, and those that only a file holds."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ffe.cycle import incident_files
from ffe.ledger.incidents import artifact_key
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Incident

AT = datetime(2018, 4, 4, 15, 30, tzinfo=UTC)
TRIES = [
    {"began": "2018-04-04T15:30:00Z", "ended": "2018-04-04T15:30:02Z", "state": "AwaitingRetry", "message": "503"},
    {"began": "2018-04-04T15:30:04Z", "ended": "2018-04-04T15:30:05Z", "state": "Failed", "delay_seconds": 2.0},
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("FFE_DATA_DIR", str(folder))
    return folder


def recorded(data: Path, **changes: Any) -> Incident:
    ledger = Ledger.open(f"sqlite:///{data / 'ledger.sqlite'}")
    values: dict[str, Any] = {
        "type": "VenueReadError",
        "message": "no answer " + "very " * 30 + "long",
        "traceback": "Traceback\n  File",
    }
    try:
        return ledger.record_incident(at=AT, **values | changes)
    finally:
        ledger.close()


def whole(data: Path) -> Incident:
    return recorded(
        data,
        instrument="BTCUSD",
        name="fetch-bars",
        run_id="task-run-1",
        flow_run_id="flow-run-1",
        request="GET /accounts",
        response="503 Service Unavailable",
        reproduce="ffe run BTCUSD --timeframe 5m --mode sim --model embedded",
        parameters={"symbol": "BTCUSD"},
        holds={"orders": [{"id": "o1"}]},
        attempts=[{"run": "task-run-1", "attempts": 2, "tries": TRIES}, {"run": "task-run-2"}],
    )


def test_without_an_id_the_newest_are_listed(ffe: Any, data: Path) -> None:
    assert ffe("incidents").out == "no incidents\n"
    made = whole(data)
    said = ffe("incidents")
    assert said.code == 0
    assert made.id in said.out
    (row,) = ffe("incidents", "--json").document
    assert (row["id"], row["kept_in"]) == (made.id, "ledger")
    recorded(data, type="Another")
    assert len(ffe("incidents", "--json", "--limit", "1").document) == 1


def test_one_is_shown_whole_within_eighty_columns(ffe: Any, data: Path) -> None:
    made = whole(data)
    said = ffe("incidents", made.id[:8])
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 80
    for part in (
        made.id,
        "VenueReadError in fetch-bars",
        "ffe run BTCUSD --timeframe 5m --mode sim --model embedded",
        "GET /accounts",
        "503 Service Unavailable",
        "2 in run task-run-1",
        "2.0 s after the one before",
        "AwaitingRetry: 503",
        "and the same in 1 other run(s), the newest task-run-2",
        '"symbol": "BTCUSD"',
        '"id": "o1"',
        "flow-run-1",
        "Traceback",
    ):
        assert part in said.out
    assert ffe("incidents", made.id, "--json").document["id"] == made.id


def test_its_run_and_its_artifact_lead_to_it_too(ffe: Any, data: Path) -> None:
    made = whole(data)
    for text in ("task-run-1", "flow-run-1", artifact_key(made.type, made.instrument, made.message)):
        assert ffe("incidents", text, "--json").document["id"] == made.id
    assert ffe("explain", made.id, "--json").document["kind"] == "incident"


def test_one_of_an_older_version_shows_what_it_has(ffe: Any, data: Path) -> None:
    made = recorded(data)
    said = ffe("incidents", made.id)
    assert "in an older version" in said.out
    assert "ATTEMPTS" not in said.out
    recorded(data)
    assert "seen 2 times" in ffe("incidents", made.id).out


def test_an_unknown_id_is_bad_usage_with_a_reason(ffe: Any, data: Path) -> None:
    for text, hint in (("ffffffff", "no incident has the id"), ("ab", "give 6 characters")):
        said = ffe("incidents", text)
        assert (said.code, said.out) == (2, "")
        assert hint in said.err
    for digit in "01":
        recorded(data, id="abcdef" + digit * 26, type=f"E{'AB'[int(digit)]}")
    said = ffe("incidents", "abcdef")
    assert said.code == 2
    assert "fits several incidents" in said.err


def test_what_waits_in_a_file_is_listed_and_shown(ffe: Any, data: Path) -> None:
    waiting = whole(data).model_copy(update={"id": "f" * 32, "run_id": "run-of-file"})
    incident_files.save(data, waiting)
    rows = ffe("incidents", "--json").document
    assert sorted(row["kept_in"] for row in rows) == ["file", "ledger"]
    assert "no ledger has taken it yet" in " ".join(ffe("incidents", "ffffff").out.split())
    assert ffe("incidents", "run-of-file", "--json").document["kept_in"] == "file"


def test_without_a_ledger_the_files_are_shown_and_that_is_said(ffe: Any, data: Path) -> None:
    incident_files.save(data, whole(data).model_copy(update={"id": "f" * 32}))
    for path in data.glob("ledger.sqlite*"):
        path.unlink()
    (data / "ledger.sqlite").write_text("this is no database" * 100)
    said = ffe("incidents", "--json")
    assert [row["id"] for row in said.document] == ["f" * 32]
    assert said.code == 4
    assert "what waits in files is shown" in said.err
