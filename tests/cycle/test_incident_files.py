"""Incidents that no ledger would take wait in files: bounded, counted, taken in once."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ffe.cycle import incident_files, incidents
from ffe.errors import LedgerError
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import Incident
from ffe.settings import load_settings

AT = datetime(2018, 4, 4, 15, 30, tzinfo=UTC)


def made(number: int = 1, minutes: float = 0, **changes: Any) -> Incident:
    values: dict[str, Any] = {
        "id": f"{number:032x}",
        "type": "VenueReadError",
        "message": "no answer",
        "traceback": "Traceback",
        "cycle_id": None,
        "instrument": "BTCUSD",
        "order_id": None,
        "request": None,
        "response": None,
        "attempts": [{"run": f"run-{number}"}],
        "created_at": AT + timedelta(minutes=minutes),
        "last_at": AT + timedelta(minutes=minutes),
        "count": 1,
    }
    return Incident(**values | changes)


def names(data_dir: Path) -> list[str]:
    return sorted(path.name for path in (data_dir / incident_files.FOLDER).iterdir())


def test_an_incident_is_a_file_named_by_time_and_id(tmp_path: Path) -> None:
    kept = made()
    path = incident_files.save(tmp_path, kept)
    assert path is not None
    assert path.name == f"20180404T153000Z-{kept.id}.json"
    assert incident_files.files(tmp_path) == [kept]


def test_the_same_failure_within_an_hour_is_counted_on_its_file(tmp_path: Path) -> None:
    for each in (made(1), made(2, minutes=10), made(3, minutes=70), made(4, minutes=10, instrument="ETHUSD")):
        incident_files.save(tmp_path, each)
    counted = {each.id: each for each in incident_files.files(tmp_path)}
    assert [each.count for each in counted.values()] == [2, 1, 1]
    first = counted[made(1).id]
    assert [each["run"] for each in first.attempts] == ["run-1", "run-2"]
    assert first.last_at == AT + timedelta(minutes=10)


def test_there_are_never_more_files_than_the_bound_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident_files, "MOST_FILES", 3)
    for number in range(6):
        incident_files.save(tmp_path, made(number, minutes=number, type=f"Error{chr(65 + number)}"))
    assert [each.type for each in incident_files.files(tmp_path)] == ["ErrorD", "ErrorE", "ErrorF"]


def test_a_disk_that_refuses_is_logged_and_nothing_is_raised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / incident_files.FOLDER).write_text("in the way")
    assert incident_files.save(tmp_path, made()) is None
    assert "could not be kept in a file either" in caplog.text


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    incident_files.save(tmp_path, made())
    folder = tmp_path / incident_files.FOLDER
    for name, text in (("a.json", "{"), ("b.json", "{}"), ("c.txt", "x")):
        (folder / name).write_text(text)
    assert len(incident_files.files(tmp_path)) == 1
    assert incident_files.take_in(tmp_path, lambda _: None) == 1
    assert names(tmp_path) == ["a.json", "b.json", "c.txt"]


def test_without_a_folder_there_is_nothing_to_take_in(tmp_path: Path) -> None:
    assert incident_files.take_in(tmp_path, lambda _: None) == 0


def test_a_ledger_that_refuses_again_finds_the_file_as_it_was(tmp_path: Path) -> None:
    incident_files.save(tmp_path, made())
    before = names(tmp_path)

    def refuse(_: Incident) -> None:
        raise LedgerError("locked")

    with pytest.raises(LedgerError):
        incident_files.take_in(tmp_path, refuse)
    assert names(tmp_path) == before


def test_a_file_that_another_process_is_taking_is_left_to_it(tmp_path: Path) -> None:
    path = incident_files.save(tmp_path, made())
    assert path is not None
    taken: list[Incident] = []
    mine = path.with_suffix(incident_files.TAKING)
    os.rename(path, mine)
    assert incident_files.take_in(tmp_path, taken.append) == 0
    assert not incident_files._take(path, made(), taken.append)
    assert taken == []


def test_a_file_that_a_dead_process_was_taking_is_taken_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = incident_files.save(tmp_path, made())
    assert path is not None
    os.rename(path, path.with_suffix(incident_files.TAKING))
    monkeypatch.setattr(incident_files, "TAKING_SECONDS", -1.0)
    assert incident_files.take_in(tmp_path, lambda _: None) == 1
    assert names(tmp_path) == []


def test_a_file_that_vanishes_while_it_is_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / incident_files.FOLDER
    folder.mkdir()
    (folder / f"gone{incident_files.TAKING}").symlink_to(tmp_path / "nowhere")
    assert incident_files.take_in(tmp_path, lambda _: None) == 0


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    from ffe.clock import SystemClock

    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield SimpleNamespace(ledger=ledger, clock=SystemClock(), settings=load_settings(data_dir=tmp_path))
    ledger.close()


def test_a_command_leaves_a_file_too_and_the_ledger_gets_it_with_its_id_and_count(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = incidents.of_error(ValueError("broken"))

    def locked(**_: Any) -> Any:
        raise LedgerError("the ledger refused: database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(engine.ledger, "record_incident", locked)
        patch.setattr(engine.ledger, "touched", locked)
        first = incidents.write(engine, found, "ffe reconcile", run_id="r1")
        incidents.write(engine, found, "ffe reconcile", run_id="r2")
        assert incidents.take_in(engine) == 0
    (waiting,) = incident_files.files(tmp_path)
    assert (waiting.id, waiting.count, waiting.reproduce) == (first.id, 2, "ffe reconcile --mode sim")
    assert incidents.take_in(engine) == 1
    (row,) = engine.ledger.incidents()
    assert (row.id, row.count, row.type) == (first.id, 2, "ValueError")
    assert incidents.write(engine, found, "ffe reconcile", run_id="r3").count == 3


def test_parameters_that_have_no_names_are_kept_under_none() -> None:
    assert incidents.of_error(ValueError("x"), inputs=[1]).parameters == {"": [1]}
    assert incidents.of_error(ValueError("x")).parameters == {}


def _refuses(number: int, taken: list[str]) -> Any:
    def record(each: Incident) -> None:
        if each.id == made(number).id:
            raise LedgerError("refused")
        taken.append(each.id)

    return record


def test_a_file_that_the_ledger_refuses_does_not_stop_the_later_ones(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        incident_files.save(tmp_path, made(number, type=f"Error{chr(65 + number)}"))
    taken: list[str] = []
    with pytest.raises(LedgerError):
        incident_files.take_in(tmp_path, _refuses(1, taken))
    assert taken == [made(2).id, made(3).id]
    assert [each.id for each in incident_files.files(tmp_path)] == [made(1).id]


def test_a_number_with_more_digits_than_can_be_read_back_is_still_read(tmp_path: Path) -> None:
    incident_files.save(tmp_path, made(parameters={"wide": 10**5000}))
    assert len(incident_files.files(tmp_path)) == 1
    assert incident_files.take_in(tmp_path, lambda _: None) == 1


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), [float("nan"), "\ud800"], {"\ud800\0": float("inf")}, 10**5000],
    ids=["NaN", "infinite", "a surrogate", "a key", "5,001 digits"],
)
def test_whatever_a_parameter_is_the_ledger_and_a_file_take_the_incident(engine: Any, value: Any) -> None:
    found = incidents.of_error(ValueError("lone \ud800 and NUL \0"), inputs={"value": value})
    kept = incidents.write(engine, found, "ffe run", run_id="r1")
    assert incident_files.files(engine.settings.data_dir) == []
    (row,) = engine.ledger.incidents()
    assert row.id == kept.id
    path = incident_files.save(engine.settings.data_dir, incidents.without_engine(found, incidents.Run("r2", "x")))
    assert path is not None
    assert len(incident_files.files(engine.settings.data_dir)) == 1


@pytest.mark.parametrize("counted", [False, True], ids=["a row of its own", "counted on another row"])
def test_a_process_killed_between_the_ledger_and_its_file_counts_nothing_twice(
    counted: bool, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = made(1, count=3)
    path = incident_files.save(tmp_path, waiting)
    assert path is not None
    incidents.record(engine, made(9, minutes=-10) if counted else waiting)
    if counted:
        incidents.record(engine, waiting)
    os.rename(path, path.with_suffix(incident_files.TAKING))
    monkeypatch.setattr(incident_files, "TAKING_SECONDS", -1.0)
    assert incidents.take_in(engine) == 1
    (row,) = engine.ledger.incidents()
    assert row.count == (4 if counted else 3)


def test_a_ledger_that_takes_long_to_refuse_is_not_asked_for_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident_files, "PATIENCE", -1.0)
    for number in (1, 2):
        incident_files.save(tmp_path, made(number, type=f"Error{chr(65 + number)}"))
    taken: list[str] = []
    with pytest.raises(LedgerError):
        incident_files.take_in(tmp_path, _refuses(1, taken))
    assert taken == []
