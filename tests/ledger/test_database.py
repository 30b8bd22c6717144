"""Opening, upgrading and sharing a ledger."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import downgrade
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from builders import AT, bare_decision, decision, planned
from sqlalchemy import inspect, text

from ffe.errors import ConfigurationError, LedgerError, RefusedError
from ffe.ledger import migrate
from ffe.ledger.cycles import finish_cycle
from ffe.ledger.database import Database, _use_wal, ledger_url
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import VERSION_TABLE, config, include_name, revision, upgrade
from ffe.ledger.migrations import HEAD
from ffe.ledger.schema import METADATA


def test_the_models_and_the_migrations_agree(ledger: Ledger) -> None:
    with ledger.database.engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "include_name": include_name}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_head_is_the_newest_revision(ledger: Ledger) -> None:
    with ledger.database.engine.connect() as connection:
        assert ScriptDirectory.from_config(config(connection)).get_heads() == [HEAD]
        assert revision(connection) == HEAD


def test_upgrading_twice_does_nothing_the_second_time(empty_url: str) -> None:
    assert upgrade(empty_url) is True
    assert upgrade(empty_url) is False


def test_an_up_to_date_ledger_opens_without_alembic_within_50_ms(empty_url: str) -> None:
    upgrade(empty_url)
    database = Database(empty_url)
    with database.engine.connect():
        pass
    began = time.perf_counter()
    Ledger.open(empty_url).close()
    took = time.perf_counter() - began
    database.close()
    script = (
        "import sys; from ffe.ledger.ledger import Ledger; Ledger.open(sys.argv[1]).close();"
        "print('alembic' in sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script, empty_url], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"
    assert took < 0.5, "ten times the goal, so that a busy machine does not fail it"


def test_what_another_process_upgraded_meanwhile_is_found_done(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([None, HEAD])
    monkeypatch.setattr(migrate, "revision", lambda _: next(seen))
    assert upgrade(empty_url) is False


def test_a_ledger_that_can_not_be_opened_is_refused_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database, and much longer than the header of one" * 20)
    with pytest.raises(RefusedError, match=r"can't be opened: file is not a database \(sqlite:///.*notes.txt\)"):
        Ledger.open(f"sqlite:///{tmp_path}/notes.txt")
    with pytest.raises(RefusedError) as caught:
        Ledger.open(f"postgresql://user:hunter2@/d?host={tmp_path}")
    assert "hunter2" not in str(caught.value)


def test_two_processes_may_upgrade_at_once(empty_url: str) -> None:
    script = "import sys; from ffe.ledger.migrate import upgrade; print(upgrade(sys.argv[1]))"
    command = [sys.executable, "-c", script, empty_url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in both]
    assert sorted(out.strip() for out, _ in answers) == ["False", "True"], answers


def test_a_downgrade_takes_everything_away(ledger: Ledger) -> None:
    with ledger.database.writing_connection() as connection:
        downgrade(config(connection), "base")
    with ledger.database.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) <= {VERSION_TABLE}


def test_a_schema_from_the_future_is_refused(ledger: Ledger) -> None:
    with ledger.database.writing_connection() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="9999"):
        upgrade(str(ledger.database.url.render_as_string(hide_password=False)))


def test_an_emptied_version_table_counts_as_no_schema(ledger: Ledger) -> None:
    with ledger.database.writing_connection() as connection:
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
        assert revision(connection) is None


def test_sqlite_runs_in_wal_with_foreign_keys_and_full_sync(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/deep/down/ledger.sqlite")
    with ledger.database.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    ledger.close()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 30000}


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "postgres://u@h/d", "postgresql+psycopg2://u@h/d"])
def test_every_spelling_of_postgresql_becomes_psycopg(url: str) -> None:
    assert ledger_url(url).drivername == "postgresql+psycopg"


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "sqlite:///:memory:", "no url", ""])
def test_a_url_that_could_not_hold_the_truth_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Ledger.open(url)


def test_a_password_never_shows_in_the_refusal() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ledger_url("mysql://user:hunter2@host/d")
    assert "hunter2" not in str(caught.value)


def test_a_reference_to_nothing_is_refused_and_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="ledger refused"):
        ledger.record_decision(decision())
    assert ledger.decisions() == []


def test_order_events_can_be_neither_changed_nor_deleted(ledger: Ledger) -> None:
    order = planned(ledger)
    for statement in ("UPDATE order_event SET reason = 'x'", "DELETE FROM order_event"):
        with pytest.raises(LedgerError, match="append-only"), ledger.database.writing_connection() as connection:
            connection.execute(text(statement))
    assert len(ledger.order_events(order.id)) == 1


def test_what_a_failed_block_wrote_is_gone(ledger: Ledger) -> None:
    bare_decision(ledger)

    def fail_after_writing() -> None:
        with ledger.database.write() as session:
            finish_cycle(session, "c" * 32, AT, {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_writing()
    assert ledger.cycles()[0].finished_at is None


def test_a_ledger_that_somebody_keeps_locked_is_waited_for_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffe.ledger.database.WAL_PAUSE", 0.01)
    file = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x)").close()
        other.execute("BEGIN EXCLUSIVE").close()
        monkeypatch.setattr("ffe.ledger.database.WAL_TRIES", 2)
        with closing(sqlite3.connect(file, timeout=0)) as mine, pytest.raises(sqlite3.OperationalError, match="locked"):
            _use_wal(mine)
        other.execute("COMMIT").close()
        with closing(sqlite3.connect(file, timeout=0)) as mine:
            _use_wal(mine)
            assert mine.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_new_ledger_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.sqlite"
    Ledger.open(f"sqlite:///{path}").close()
    assert [oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()] == ["0o600"]
    path.chmod(0o640)
    Ledger.open(f"sqlite:///{path}").close()
    assert oct(path.stat().st_mode & 0o777) == "0o640"
