"""What is old and needed by nothing goes; what an order rests on never does."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import ACCOUNT, AT, BAR, batch, call, context, decision, difference, grade, intent, report, sizing
from copies import rows

from ffe.clock import FixedClock
from ffe.decision.models import Author
from ffe.decision.replay import replay_all
from ffe.decision.verdict import Verdict
from ffe.errors import DataError
from ffe.feedback.run import REACH
from ffe.ledger.ledger import Ledger
from ffe.ledger.models import ApiUsage
from ffe.ledger.retention import RetentionReport, sweep
from ffe.ledger.retention_calls import GRADED_WITHIN
from ffe.ledger.retention_sweep import BATCH
from ffe.market.models import Timeframe
from ffe.settings_operations import RetentionSettings

WALL = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAYS = RetentionSettings(bars_days=90, incidents_days=180, model_calls_days=365, checks_days=90)
YEARS_LATER = AT + timedelta(days=800)


class House:
    """A ledger and its data folder. `decide` is a whole decision; `keep` writes the file and the page of a batch."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger, self.folder = ledger, folder

    def keep(self, name: str, at: datetime = AT, *, judged: datetime | None = None, recorded: bool = True) -> str:
        content = name.encode()
        batch_id = hashlib.sha256(content).hexdigest()
        place = self.folder / "bars" / "batches" / batch_id[:2]
        place.mkdir(parents=True, exist_ok=True)
        for suffix in ("parquet", f"{'1' * 32}.html", f"{'1' * 32}.json"):
            (place / f"{batch_id}.{suffix}").write_bytes(content)
        if recorded:
            self.ledger.record_batch(batch(id=batch_id, fetched_at=at))
            self.ledger.record_quality(report(id=f"report {name}", batch_id=batch_id, checked_at=judged or at))
        return batch_id

    def files(self, batch_id: str) -> int:
        return len(list((self.folder / "bars" / "batches" / batch_id[:2]).glob(f"{batch_id}.*")))

    def decide(self, name: str, *, graded: bool = True, ordered: bool = False, **changes: Any) -> str:
        """Two calls, of which the decision quotes the second; bars of its own and of another timeframe."""
        cycle, hours = f"cycle {name}", self.keep(f"{name} 1h")
        calls = tuple(call(id=f"{name} {n}", content_sha256="1" * 64) for n in range(2))
        self.ledger.start_cycle(cycle, "sim", "5m", AT)
        self.ledger.record_verdict(cycle, context(), Verdict(calls=calls, answer=None, error="e"), AT)
        links = {"batch_id": self.keep(name), "quality_report_id": f"report {name}", "model_call_id": f"{name} 1"}
        made = decision(id=name, cycle_id=cycle, pulse_batches={"1h": hours}, **(links | changes))
        self.ledger.record_decision(made)
        if graded:
            self.ledger.record_grade(grade(decision_id=name))
        if ordered:
            self.ledger.record_sizing(name, sizing())
            self.ledger.plan(intent(decision_id=name), AT)
        return name

    def sweep(self, now: datetime = YEARS_LATER, settings: RetentionSettings = DAYS, **changes: Any) -> RetentionReport:
        given = {"wall": WALL, "horizon_bars": 12, "sleep": lambda seconds: None} | changes
        return sweep(self.ledger.database, self.folder, settings, now, **given)

    @property
    def everything(self) -> tuple[Any, list[Path]]:
        return rows(self.ledger.database), sorted(self.folder.rglob("*"))


@pytest.fixture
def house(ledger: Ledger, tmp_path: Path) -> House:
    return House(ledger, tmp_path / "data")


def removed(done: RetentionReport) -> dict[str, tuple[int, int]]:
    """By kind: how many went, and how many that are as old stayed."""
    return {each.kind: (each.removed, each.kept) for each in done.removals}


def test_what_an_order_rests_on_stays_whole_for_ever(house: House) -> None:
    house.decide("ordered", ordered=True)
    order = house.ledger.orders()[0]
    house.ledger.record_incident(type="X", message="m", traceback="t", at=AT, order_id=order.id)
    before = house.everything
    chain = house.ledger.explain("ordered")
    done = removed(house.sweep())
    assert house.everything == before
    assert (house.ledger.explain("ordered"), chain and chain["missing"]) == (chain, [])
    assert done["bar batches"] == (0, 2)
    assert done["bar files"] == (0, 2)
    assert done["questions to the model"] == (0, 1)
    assert done["incidents"] == (0, 1)


def test_a_decision_without_an_order_loses_files_and_texts_and_keeps_its_chain(house: House) -> None:
    house.decide("held-1")
    pulse = hashlib.sha256(b"held-1 1h").hexdigest()
    batch_id = str(house.ledger.decision("held-1").batch_id)
    done = removed(house.sweep())
    found = house.ledger.explain("held-1")
    assert found is not None
    assert found["missing"] == []
    assert found["batch"]["sha256"] == batch_id
    assert (found["model_call"]["raw_text"], found["model_call"]["prompt_sha256"]) == (None, "5" * 64)
    assert found["model_call"]["messages"] == [{"role": "system", "content": "removed by retention"}]
    assert (found["other_calls"], found["verdict"], found["grade"]["paid"]) == ([], None, True)
    assert (house.files(batch_id), house.files(pulse)) == (0, 0)
    # The other timeframe's row is named by nothing that a database would hold it for.
    assert done["bar batches"] == (1, 1)
    assert (done["bar files"], done["questions to the model"]) == ((6, 0), (1, 0))
    assert house.ledger.grades()[0].decision_id == "held-1"


def test_a_replay_counts_what_was_trimmed_as_older_and_misses_nothing(house: House) -> None:
    house.decide("held-1")
    house.decide("ruled", decided_by=Author.RISK_GATE, reason_code="rr")
    house.sweep()
    unmatched = house.ledger.without_verdict()
    assert (unmatched.left, unmatched.older) == ([], 2)
    found = replay_all(house.ledger.verdicts(), [], FixedClock(AT), unmatched=unmatched.left, older=unmatched.older)
    assert (found.replayed, found.older) == (0, 2)


def test_what_is_young_stays(house: House) -> None:
    house.decide("held-1")
    house.ledger.record_incident(type="X", message="m", traceback="t", at=AT)
    house.ledger.record_check("preflight", AT, passed=True, broken=0, document={})
    house.ledger.add_api_usage([ApiUsage(source="oanda", hour=BAR, calls=1, errors=0, seconds=0.1)])
    before = house.everything
    done = house.sweep(BAR + timedelta(days=90))
    assert house.everything == before
    assert {went for went, _ in removed(done).values()} == {0}
    assert done.transactions == 0


def test_nothing_is_looked_at_that_is_kept_for_ever(house: House) -> None:
    house.decide("held-1")
    house.ledger.record_incident(type="X", message="m", traceback="t", at=AT)
    before = house.everything
    forever = RetentionSettings(bars_days=None, incidents_days=None, model_calls_days=None, checks_days=None)
    done = house.sweep(settings=forever)
    assert house.everything == before
    assert [each.days for each in done.removals] == [None] * 6 + [1]
    assert done.transactions == 0


def test_a_dry_run_counts_the_same_and_touches_nothing(house: House) -> None:
    house.decide("held-1")
    house.decide("ordered", ordered=True)
    house.keep("loose")
    house.ledger.record_incident(type="X", message="m", traceback="t", at=AT)
    for hours in range(3):
        house.ledger.record_check("preflight", AT + timedelta(hours=hours), passed=True, broken=0, document={})
    house.ledger.add_api_usage([ApiUsage(source="oanda", hour=BAR, calls=1, errors=0, seconds=0.1)])
    (house.folder / ".a.tmp").touch()
    before = house.everything
    dry = house.sweep(dry_run=True, wall=WALL + timedelta(days=9999))
    assert house.everything == before
    assert (dry.dry_run, dry.transactions) == (True, 0)
    done = house.sweep(wall=WALL + timedelta(days=9999))
    assert removed(done) == removed(dry)
    assert [each.size for each in done.removals] == [each.size for each in dry.removals]


def test_a_second_run_finds_nothing_more(house: House) -> None:
    house.decide("held-1")
    house.decide("ordered", ordered=True)
    house.keep("loose")
    house.sweep()
    before = house.everything
    assert {went for went, _ in removed(house.sweep()).values()} == {0}
    assert house.everything == before


def test_bars_that_were_judged_again_lately_stay(house: House) -> None:
    again = house.keep("again", judged=YEARS_LATER - timedelta(days=1))
    loose = house.keep("loose")
    assert removed(house.sweep())["bar batches"] == (1, 1)
    assert (house.files(again), house.files(loose)) == (3, 0)


def test_a_batch_that_gets_a_name_in_the_last_moment_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    loose = house.keep("loose")
    from ffe.ledger import retention_bars

    look = retention_bars._delete_batches

    def late(*given: Any) -> list[str]:
        # As a decision would that commits between the look and the lock; here within the lock, which comes to the same.
        session = given[0]
        from ffe.ledger.tables import CycleRow, DecisionRow

        session.add(CycleRow(id="c" * 32, mode="sim", timeframe="5m", started_at=AT))
        session.flush()
        session.add(DecisionRow(**decision(batch_id=loose).model_dump()))
        session.flush()
        return look(*given)

    monkeypatch.setattr(retention_bars, "_delete_batches", late)
    assert removed(house.sweep())["bar batches"] == (0, 0)
    assert house.ledger.decision("d" * 32).batch_id == loose


def test_a_question_whose_decision_may_still_be_graded_waits(house: House) -> None:
    house.decide("waiting", graded=False)
    settings = DAYS.model_copy(update={"model_calls_days": 1})
    soon = BAR + REACH
    assert removed(house.sweep(soon, settings))["questions to the model"] == (0, 1)
    later = soon + timedelta(hours=3)
    assert removed(house.sweep(later, settings))["questions to the model"] == (1, 0)
    assert GRADED_WITHIN == REACH


def test_an_analysis_and_an_outage_wait_for_no_grade(house: House) -> None:
    ledger = house.ledger
    for name in ("analysis-1", "outage"):
        ledger.start_cycle(name, "sim", "5m", AT)
        ledger.record_verdict(name, context(), Verdict(calls=(), answer=None, error="away"), AT)
    ledger.record_decision(decision(id="looked", cycle_id="analysis-1"))
    ledger.record_decision(decision(id="none", cycle_id="outage", bar_close=None, decided_by=Author.DATA_GATE))
    settings = DAYS.model_copy(update={"model_calls_days": 1})
    assert removed(house.sweep(AT + timedelta(days=2), settings))["questions to the model"] == (2, 0)
    assert ledger.verdicts() == []


def test_calls_from_before_verdicts_were_recorded_lose_their_texts_too(house: House) -> None:
    ledger = house.ledger
    ledger.start_cycle("c" * 32, "sim", "5m", AT)
    ledger.record_model_calls("c" * 32, "EURUSD", BAR, [call()])
    ledger.record_decision(decision(model_call_id="m" * 32))
    assert removed(house.sweep())["questions to the model"] == (1, 0)
    (trimmed,) = ledger.model_calls("c" * 32, "EURUSD")
    assert (trimmed.raw_text, trimmed.model_dump()["answer_schema"], trimmed.prompt_version) == (None, {}, "v1")
    assert removed(house.sweep())["questions to the model"] == (0, 0)


def test_the_newest_check_of_each_kind_stays(house: House) -> None:
    for kind in ("preflight", "reality-check"):
        for hours in range(3):
            house.ledger.record_check(kind, AT + timedelta(hours=hours), passed=True, broken=0, document={"h": hours})
    house.ledger.add_api_usage(
        [ApiUsage(source="oanda", hour=BAR + timedelta(hours=h), calls=1, errors=0, seconds=0.1) for h in range(2)]
    )
    done = removed(house.sweep())
    assert (done["checks"], done["API usage"]) == ((4, 2), (2, 0))
    assert [check.document for check in house.ledger.checks("preflight", 5)] == [{"h": 2}]
    assert house.ledger.api_usage(BAR) == []


def test_incidents_that_still_come_stay(house: House) -> None:
    house.ledger.record_incident(type="Old", message="m", traceback="t", at=AT)
    house.ledger.record_incident(type="New", message="m", traceback="t", at=YEARS_LATER)
    house.ledger.record_incident(type="Lost order", message="m", traceback="t", at=AT, order_id="not on record")
    assert removed(house.sweep())["incidents"] == (2, 0)
    assert [each.type for each in house.ledger.incidents()] == ["New"]


def test_differences_and_the_switch_are_never_old(house: House) -> None:
    house.ledger.observe("oanda", ACCOUNT, [difference()], AT)
    before = house.everything
    house.sweep()
    assert house.everything == before


def test_many_rows_go_in_small_transactions_with_pauses(house: House) -> None:
    with house.ledger.database.write() as session:
        from ffe.ledger.order_tables import IncidentRow
        from ffe.ledger.tables import BarBatchRow, QualityReportRow

        for number in range(2 * BATCH + 1):
            times: dict[str, Any] = {"created_at": AT, "last_at": AT}
            texts = {"fingerprint": "f", "type": "X", "message": "m", "traceback": "t"}
            session.add(IncidentRow(id=f"{number}", attempts=[], **texts, **times))
            values = batch(id=f"{number:064x}").model_dump(exclude={"instrument"})
            session.add(BarBatchRow(**values, instrument="EURUSD"))
            session.flush()
            judged = report(id=f"{number}", batch_id=f"{number:064x}")
            session.add(QualityReportRow(**judged.model_dump(), passed=True))
    pauses: list[float] = []
    done = house.sweep(sleep=pauses.append)
    assert removed(done)["incidents"] == (2 * BATCH + 1, 0)
    assert removed(done)["bar batches"] == (2 * BATCH + 1, 0)
    assert len(pauses) == done.transactions >= 6
    assert 0 < done.longest_ms < 30_000
    found = rows(house.ledger.database)
    assert (found["incident"], found["bar_batch"], found["quality_report"]) == ([], [], [])


def test_many_questions_go_page_by_page(house: House) -> None:
    ledger = house.ledger
    for number in range(BATCH + 1):
        ledger.start_cycle(f"{number:03}", "sim", "5m", AT)
        ledger.record_verdict(f"{number:03}", context(), Verdict(calls=(), answer=None, error="away"), AT)
    assert removed(house.sweep())["questions to the model"] == (BATCH + 1, 0)


def aged(path: Path, days: float) -> None:
    at = (WALL - timedelta(days=days)).timestamp()
    os.utime(path, (at, at))


def test_files_without_a_row_go_when_they_are_old_themselves(house: House) -> None:
    """A crash between the file and its row, or between the row's end and the file's."""
    old, new = house.keep("old", recorded=False), house.keep("new", recorded=False)
    for path in (house.folder / "bars" / "batches").rglob("*.*"):
        aged(path, 91 if path.name.startswith(old) else 89)
    (house.folder / "bars" / "batches" / old[:2] / "notes.txt").touch()
    assert removed(house.sweep())["bar files"] == (3, 0)
    assert (house.files(old), house.files(new)) == (0, 3)
    assert (house.folder / "bars" / "batches" / old[:2] / "notes.txt").exists()


def test_what_a_killed_writer_left_goes_after_a_day(house: House) -> None:
    place = house.folder / "bars" / "batches" / "aa"
    place.mkdir(parents=True)
    left = [
        place / ".x.tmp",
        house.folder / ".ledger.zip.abc.tmp",
        house.folder / "backups" / ".ledger.zip.abc.tmp",
        house.folder / "backups" / "daily" / ".ledger.zip.abc.tmp",
    ]
    left[-1].parent.mkdir(parents=True)
    kept = house.folder / "backups" / "ledger.zip"
    kept.touch()
    aged(kept, 400)
    for path in left:
        path.write_bytes(b"123")
        aged(path, 1.1)
    (place / ".now.tmp").touch()
    aged(place / ".now.tmp", 0.9)
    (house.folder / ".folder.tmp").mkdir()
    done = house.sweep()
    assert (done.removals[-1].kind, done.removals[-1].removed, done.removals[-1].size) == ("unfinished files", 4, 12)
    assert not any(path.exists() for path in left)
    assert kept.exists()
    assert (place / ".now.tmp").exists()


def test_a_disk_that_refuses_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.keep("loose")

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(DataError, match=r"\.html can't be removed: Permission denied"):
        house.sweep()


WORKER = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from ffe.ledger.ledger import Ledger
from ffe.ledger.retention import sweep
from ffe.settings_operations import RetentionSettings
url, folder, at, place = sys.argv[1:]
left = int(place)
def pause(seconds):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
now = datetime.fromisoformat(at)
sweep(Ledger.open(url).database, Path(folder), RetentionSettings(), now, wall=now, horizon_bars=12, sleep=pause)
"""


def _killed(url: str, house: House, place: int) -> int:
    command: Sequence[str] = [sys.executable, "-c", WORKER, url, str(house.folder), YEARS_LATER.isoformat(), str(place)]
    return subprocess.run(command, check=False, timeout=60).returncode


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_run_killed_anywhere_leaves_whole_records_and_is_finished_by_the_next(house: House, tmp_path: Path) -> None:
    house.decide("held-1")
    house.decide("ordered", ordered=True)
    house.keep("loose")
    house.ledger.record_incident(type="X", message="m", traceback="t", at=AT)
    url = house.ledger.database.url.render_as_string(hide_password=False)
    deaths = 0
    for place in (1, 2, 3):
        deaths += _killed(url, house, place) == -signal.SIGKILL
        unmatched = house.ledger.without_verdict()
        assert unmatched.left == []
        for name in ("held-1", "ordered"):
            found = house.ledger.explain(name)
            assert found is not None
            assert found["missing"] == []
    assert deaths >= 2
    house.sweep()
    left = house.everything
    assert {went for went, _ in removed(house.sweep()).values()} == {0}
    assert house.everything == left
    assert house.files(str(house.ledger.decision("ordered").batch_id)) == 3
    shutil.rmtree(house.folder)


def test_horizons_of_long_bars_are_waited_for(house: House) -> None:
    house.decide("daily", graded=False, timeframe=Timeframe.D1)
    settings = DAYS.model_copy(update={"model_calls_days": 1})
    horizon = REACH + 2 * 12 * timedelta(days=1)
    assert removed(house.sweep(BAR + horizon, settings))["questions to the model"] == (0, 1)
    assert removed(house.sweep(BAR + horizon + timedelta(hours=1), settings))["questions to the model"] == (1, 0)
