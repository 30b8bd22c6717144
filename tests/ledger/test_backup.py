"""A backup is one moment of the ledger, and comes back row for row, in the other database too."""

import json
import threading
import zipfile
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from builders import AT, bare_decision, batch, intent, new_database
from copies import AWKWARD, rows, seeded, spelled, traded, without_halt
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import ARRAY, Integer, Text, text

from ffe.clock import FixedClock
from ffe.errors import ConfigurationError, DataError, LedgerError, RefusedError
from ffe.ledger import backup_restore
from ffe.ledger.backup import backup, restore, verify
from ffe.ledger.backup_format import TableDigest, decoded, encoded, kind_of
from ffe.ledger.database import Database
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrate import config, upgrade
from ffe.ledger.migrations import HEAD
from ffe.ledger.schema import METADATA
from ffe.ledger.status import status
from ffe.orders.models import Leg, Side
from ffe.orders.switch import SwitchState

LATER = FixedClock(AT + timedelta(hours=3))
Edit = Callable[[dict[str, bytes]], None]


@pytest.fixture
def url(ledger: Ledger) -> str:
    """URL of the ledger under test."""
    return ledger.database.url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, of either kind whatever the ledger is in."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/elsewhere/ledger.sqlite"
    return new_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def archive(ledger: Ledger, url: str, tmp_path: Path) -> Path:
    seeded(ledger)
    backup(url, tmp_path / "ledger.zip", clock=LATER)
    return tmp_path / "ledger.zip"


def edited(path: Path, edit: Edit) -> Path:
    """A copy of the archive with its members changed."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    edit(members)
    other = path.with_name("edited.zip")
    with zipfile.ZipFile(other, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return other


def in_manifest(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    def edit(members: dict[str, bytes]) -> None:
        document = json.loads(members["manifest.json"])
        change(document)
        members["manifest.json"] = json.dumps(document).encode()

    return edited(path, edit)


def test_every_table_comes_back_row_for_row_in_either_database(ledger: Ledger, archive: Path, elsewhere: str) -> None:
    before = rows(ledger.database)
    assert all(before.values())
    report = restore(archive, elsewhere, clock=LATER)
    restored = Ledger.open(elsewhere)
    after = rows(restored.database)
    assert without_halt(after) == spelled(before)
    assert list(after["check_run"][0]["document"]) == list(AWKWARD)
    assert (report.taken_at, report.revision, report.upgraded_to) == (LATER.now(), HEAD, HEAD)
    assert report.rows == {name: len(found) for name, found in before.items()}
    restored.close()


def test_a_restored_ledger_trades_only_after_a_person_resumed(archive: Path, elsewhere: str) -> None:
    restore(archive, elsewhere, clock=LATER)
    restored = Ledger.open(elsewhere)
    standing = restored.switch()
    assert (standing.state, standing.by, standing.at) == (SwitchState.HALT, "restore", LATER.now())
    assert standing.reason == (
        "restored from backup of 2018-04-04T18:30:20Z: reconcile, then resume; it stood at reduce-only: looking"
    )
    assert restored.set_switch(SwitchState.NORMAL, "reconciled", "person", LATER.now()).state is SwitchState.NORMAL
    restored.close()


def test_a_restored_ledger_goes_on_with_new_rows(archive: Path, elsewhere: str) -> None:
    restore(archive, elsewhere, clock=LATER)
    restored = Ledger.open(elsewhere)
    restored.set_switch(SwitchState.NORMAL, "reconciled", "person", LATER.now())
    before = rows(restored.database)["order_event"]
    order, _ = restored.plan(intent(leg=Leg.EXIT, side=Side.SELL), LATER.now())
    events = restored.order_events(order.id)
    assert [event.to_state for event in events] == [order.state]
    assert len(rows(restored.database)["order_event"]) == len(before) + 1
    restored.close()


def test_history_stays_append_only_after_a_restore(archive: Path, elsewhere: str) -> None:
    restore(archive, elsewhere)
    restore(archive, elsewhere, force=True)
    database = Database(elsewhere)
    for table in ("order_event", "kill_switch"):
        with pytest.raises(LedgerError, match="append-only"), database.writing_connection() as connection:
            connection.execute(text(f"DELETE FROM {table}"))
    database.close()


def test_an_empty_ledger_has_a_backup_too(ledger: Ledger, url: str, elsewhere: str, tmp_path: Path) -> None:
    report = backup(url, tmp_path / "deep" / "empty.zip")
    assert (sum(report.rows.values()), report.revision, report.bars) == (0, HEAD, 0)
    assert restore(Path(report.path), elsewhere).switch.endswith("reconcile, then resume")
    restored = Ledger.open(elsewhere)
    # The first id of a sequence that nothing has used yet.
    assert rows(restored.database)["kill_switch"][0]["id"] == 1
    bare_decision(restored)
    order, _ = restored.plan(intent(), AT)
    assert rows(restored.database)["order_event"][0]["id"] == 1
    assert restored.order(order.id) == order
    restored.close()


def test_a_backup_is_its_owners_and_is_not_replaced_by_accident(
    ledger: Ledger, url: str, archive: Path, tmp_path: Path
) -> None:
    assert archive.stat().st_mode & 0o777 == 0o600
    with pytest.raises(RefusedError, match=r"ledger.zip is there already; --force replaces it"):
        backup(url, archive)
    before = archive.read_bytes()
    ledger.start_cycle("new", "sim", "5m", AT)
    assert backup(url, archive, force=True).rows["cycle"] == 2
    assert archive.read_bytes() != before
    assert [path.name for path in tmp_path.glob(".*tmp")] == []


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("force", [False, True])
def test_a_backup_is_never_written_over_its_own_ledger(
    ledger: Ledger, url: str, tmp_path: Path, suffix: str, force: bool
) -> None:
    live = Path(f"{ledger.database.url.database}{suffix}")
    (tmp_path / "link").symlink_to(live.parent, target_is_directory=True)
    before = live.read_bytes() if live.exists() else None
    for target in (live, tmp_path / "link" / live.name):
        with pytest.raises(RefusedError, match="is part of the ledger itself"):
            backup(url, target, force=force)
    assert (live.read_bytes() if live.exists() else None) == before
    assert status(url).revision == HEAD


@pytest.mark.parametrize("kind", ["sqlite"])
def test_force_replaces_nothing_but_a_backup(ledger: Ledger, url: str, tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("notes.txt", "mine")
    notes, folder = tmp_path / "notes.txt", tmp_path / "folder"
    notes.write_text("mine")
    folder.mkdir()
    for target in (other, notes, folder):
        with pytest.raises(RefusedError, match="is no backup; --force replaces nothing else"):
            backup(url, target, force=True)
    assert notes.read_text() == "mine"


def test_a_backup_that_fails_leaves_the_old_one(
    ledger: Ledger, url: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = archive.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", str(archive))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(DataError, match="No space left on device"):
        backup(url, archive, force=True)
    assert archive.read_bytes() == before
    assert [path.name for path in tmp_path.glob(".*tmp")] == []


def test_there_is_no_backup_of_nothing(empty_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RefusedError, match="there is no ledger at"):
            backup(empty_url, tmp_path / "none.zip")
        with pytest.raises(RefusedError, match="there is no ledger at"):
            status(empty_url)
        # The second time there is a database, without a ledger in it.
        database = Database(empty_url)
        database.engine.connect().close()
        database.close()
    assert not (tmp_path / "none.zip").exists()


def test_a_database_that_refuses_is_named(ledger: Ledger, url: str, tmp_path: Path) -> None:
    with ledger.database.writing_connection() as connection:
        connection.execute(text("ALTER TABLE cycle RENAME TO elsewhere"))
        connection.execute(text("CREATE VIEW cycle AS SELECT 1 AS id"))
        connection.execute(text("CREATE TABLE sound (id INTEGER)"))
        connection.execute(text("DROP TABLE order_event"))
        connection.execute(text("ALTER TABLE sound RENAME TO order_event"))
        connection.execute(text("INSERT INTO order_event VALUES (1)"))
    assert backup(url, tmp_path / "some.zip").rows["order_event"] == 1
    with pytest.raises(RefusedError, match="table cycle is missing from the backup"):
        verify(tmp_path / "some.zip")


def test_a_lost_database_is_a_ledger_error(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    def lost(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    monkeypatch.setattr("ffe.ledger.backup.columns_of", lost)
    with pytest.raises(LedgerError, match="could not be backed up: server closed the connection"):
        backup(url, tmp_path / "none.zip")


def test_only_an_empty_ledger_is_filled(ledger: Ledger, url: str, archive: Path) -> None:
    before = rows(ledger.database)
    with pytest.raises(RefusedError, match=r"the ledger is not empty: account has \d rows; --force replaces all of it"):
        restore(archive, url)
    assert rows(ledger.database) == before


def test_force_replaces_all_of_it_and_leaves_the_neighbours(ledger: Ledger, url: str, archive: Path) -> None:
    before = rows(ledger.database)
    with ledger.database.writing_connection() as connection:
        connection.execute(text("CREATE TABLE neighbour (id INTEGER)"))
        connection.execute(text("INSERT INTO neighbour VALUES (5)"))
    ledger.start_cycle("after the backup", "sim", "5m", AT)
    ledger.set_switch(SwitchState.FLATTEN, "after it too", "person", AT)
    restore(archive, url, force=True)
    assert without_halt(rows(ledger.database)) == spelled(before)
    with ledger.database.engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM neighbour")).scalars().all() == [5]


def test_a_restore_that_comes_out_otherwise_is_none(
    ledger: Ledger, url: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(ledger.database)
    filled = backup_restore._fill

    def careless(connection: Any, opened: Any) -> None:
        filled(connection, opened)
        connection.execute(text("UPDATE fill SET units = '4001'"))

    monkeypatch.setattr(backup_restore, "_fill", careless)
    with pytest.raises(LedgerError, match="table fill came out otherwise: 1 rows"):
        restore(archive, url, force=True)
    assert rows(ledger.database) == before


def test_verify_restores_and_compares_without_touching_anything(archive: Path, ledger: Ledger) -> None:
    before = rows(ledger.database)
    assert verify(archive).rows["orders"] == 1
    assert rows(ledger.database) == before


def change_a_row(members: dict[str, bytes]) -> None:
    members["tables/fill.jsonl"] = members["tables/fill.jsonl"].replace(b'"4000"', b'"4001"')


def lose_a_row(members: dict[str, bytes]) -> None:
    members["tables/fill.jsonl"] = b""


def double_a_row(members: dict[str, bytes]) -> None:
    members["tables/fill.jsonl"] *= 2


def cut_a_row(members: dict[str, bytes]) -> None:
    members["tables/fill.jsonl"] = members["tables/fill.jsonl"][:40]


def no_row(members: dict[str, bytes]) -> None:
    members["tables/fill.jsonl"] = b'"4000"\n'


def lose_the_table(members: dict[str, bytes]) -> None:
    del members["tables/fill.jsonl"]


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("edit", [change_a_row, lose_a_row, double_a_row, cut_a_row, no_row, lose_the_table])
def test_an_altered_table_is_refused_by_name(archive: Path, tmp_path: Path, edit: Edit) -> None:
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.sqlite"
    with pytest.raises(RefusedError, match=r"edited\.zip: table fill is not what was backed up"):
        restore(edited(archive, edit), elsewhere)
    with pytest.raises(RefusedError, match="there is no ledger at"):
        status(elsewhere)


def middle_of_a_table(archive: Path) -> int:
    """Where a byte of the largest table's own data lies in the file, behind its local header of 30 bytes and its name."""
    with zipfile.ZipFile(archive) as file:
        tables = [each for each in file.infolist() if "decision" in each.filename]
    found = max(tables, key=lambda each: each.compress_size)
    return found.header_offset + 30 + len(found.filename) + found.compress_size // 2


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_backup_that_is_cut_off_or_none_at_all_is_refused(archive: Path, tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.sqlite"
    whole = archive.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.zip").write_bytes(whole[:size])
        with pytest.raises(RefusedError, match=r"cut\.zip is no whole backup"):
            restore(tmp_path / "cut.zip", elsewhere)
    with pytest.raises(RefusedError, match="is no whole backup"):
        restore(tmp_path / "absent.zip", elsewhere)
    flipped = bytearray(whole)
    flipped[middle_of_a_table(archive)] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(flipped)
    with pytest.raises(RefusedError, match=r"flipped\.zip: table \w+ is not what was backed up"):
        verify(tmp_path / "flipped.zip")


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_manifest_that_this_version_can_not_read_is_refused(archive: Path) -> None:
    def unknown_column(document: dict[str, Any]) -> None:
        document["tables"]["fill"]["columns"]["units"] = "vector"

    changes: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
        "format": (lambda d: d.update(format=2), "has format 2, this version reads 1"),
        "extra": (lambda d: d.update(signed=True), "is no backup: its manifest"),
        "table": (lambda d: d["tables"].update(passwords=d["tables"]["fill"]), "table passwords is not one"),
        "column": (unknown_column, "table fill is not one that this version knows"),
        "lost": (lambda d: d["tables"].pop("fill"), "table fill is missing from the backup"),
    }
    for change, message in changes.values():
        with pytest.raises(RefusedError, match=message):
            verify(in_manifest(archive, change))
    for content in (b"[]", b"no json", b"\xff"):
        with pytest.raises(RefusedError, match="is no backup: its manifest"):
            verify(edited(archive, lambda members, content=content: members.update({"manifest.json": content})))  # type: ignore[misc]
    with pytest.raises(RefusedError, match="is no backup: its manifest"):
        verify(edited(archive, lambda members: members.pop("manifest.json") and None))


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(("depth", "why"), [(100_000, "table check_run is not what"), (600, "nested too deeply")])
def test_documents_without_a_bottom_are_refused(archive: Path, tmp_path: Path, depth: int, why: str) -> None:
    """At 600 the JSON can be read, and only what sorts its keys runs out of stack."""
    row = f"[{'[' * depth}{']' * depth}]\n".encode()

    def nest(members: dict[str, bytes]) -> None:
        document = json.loads(members["manifest.json"])
        document["tables"]["check_run"]["columns"] = {"document": "json"}
        members["manifest.json"] = json.dumps(document).encode()
        members["tables/check_run.jsonl"] = row

    elsewhere = f"sqlite:///{tmp_path}/elsewhere.sqlite"
    with pytest.raises(RefusedError, match=rf"edited\.zip.*{why}"):
        restore(edited(archive, nest), elsewhere)
    with pytest.raises(RefusedError, match="is no backup: its manifest"):
        verify(edited(archive, lambda members: members.update({"manifest.json": row * 200})))
    with pytest.raises(RefusedError, match="there is no ledger at"):
        status(elsewhere)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_rows_that_break_a_foreign_key_are_refused_by_name(archive: Path, elsewhere: str) -> None:
    def orphan(members: dict[str, bytes]) -> None:
        members["tables/orders.jsonl"] = b""
        document = json.loads(members["manifest.json"])
        columns = document["tables"]["orders"]["columns"]
        document["tables"]["orders"] = TableDigest(columns).summary().model_dump()
        members["manifest.json"] = json.dumps(document).encode()

    with pytest.raises(LedgerError, match=r"table \w+ of the backup does not fit its schema"):
        restore(edited(archive, orphan), elsewhere)


def test_a_newer_schema_is_neither_backed_up_nor_restored_nor_opened(
    ledger: Ledger, url: str, archive: Path, elsewhere: str, tmp_path: Path
) -> None:
    newer = in_manifest(archive, lambda document: document.update(revision="9999"))
    with pytest.raises(ConfigurationError, match="the backup's schema 9999 is of a newer version than this one"):
        restore(newer, elsewhere)
    with ledger.database.writing_connection() as connection:
        connection.execute(text("UPDATE ledger_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="nothing is restored into it"):
        restore(archive, url, force=True)
    with pytest.raises(ConfigurationError, match="back it up with the one that made it"):
        backup(url, tmp_path / "newer.zip")
    with pytest.raises(ConfigurationError, match=r"the ledger's schema is unknown to this version: .*9999"):
        upgrade(url)
    assert (status(url).known, status(url).newest) == (False, False)


@pytest.mark.parametrize("revision", ["0001"])
def test_an_older_ledger_is_backed_up_as_it_is_and_upgraded_by_its_restore(
    empty_url: str, elsewhere: str, tmp_path: Path, revision: str
) -> None:
    database = Database(empty_url)
    with database.writing_connection() as connection:
        command.upgrade(config(connection), revision)
        connection.execute(
            text(
                "INSERT INTO cycle (id, mode, timeframe, started_at) VALUES ('old', 'sim', '5m', '2018-04-04 15:30:20')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO incident (id, fingerprint, type, message, traceback, attempts, created_at, last_at, count) "
                "VALUES ('i', 'f', 'X', 'm', 't', '[]', '2018-04-04 15:30:20', '2018-04-04 15:30:20', 1)"
            )
        )
    database.close()
    assert (status(empty_url).revision, status(empty_url).newest, status(empty_url).known) == (revision, False, True)
    taken = backup(empty_url, tmp_path / "old.zip")
    assert (taken.revision, taken.rows["cycle"]) == (revision, 1)
    assert restore(tmp_path / "old.zip", elsewhere).upgraded_to == HEAD
    restored = Ledger.open(elsewhere)
    assert restored.cycle("old").started_at == AT
    assert restored.incidents()[0].name is None
    restored.close()


def test_the_bars_behind_decisions_travel_when_asked(ledger: Ledger, url: str, elsewhere: str, tmp_path: Path) -> None:
    import hashlib

    ids = []
    for number in range(3):
        content = f"bars {number}".encode()
        ids.append(hashlib.sha256(content).hexdigest())
        ledger.record_batch(batch(id=ids[-1]))
        path = tmp_path / "data" / "bars" / "batches" / ids[-1][:2] / f"{ids[-1]}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path.write_bytes(b"damaged")
    ledger.record_batch(batch(id="e" * 64))
    report = backup(url, tmp_path / "bars.zip", bars_from=tmp_path / "data")
    assert (report.bars, report.bars_missing) == (2, 2)
    assert verify(tmp_path / "bars.zip").bars == 2
    assert restore(tmp_path / "bars.zip", elsewhere).bars == 0
    for _ in range(2):
        assert restore(tmp_path / "bars.zip", elsewhere, force=True, bars_to=tmp_path / "there").bars == 2
    found = {path.stem: path.read_bytes() for path in (tmp_path / "there").rglob("*.parquet")}
    assert found == {ids[0]: b"bars 0", ids[1]: b"bars 1"}
    member = f"bars/batches/{ids[0][:2]}/{ids[0]}.parquet"
    for change in (lambda members: members.update({member: b"other"}), lambda members: members.pop(member)):
        with pytest.raises(RefusedError, match=f"bar batch {ids[0]} is not what was backed up"):
            verify(edited(tmp_path / "bars.zip", change))


def test_a_backup_is_one_moment_while_others_write(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """Every cycle that a writer commits has its decision and its plan in the same transaction or in later ones: never fewer cycles."""
    stop = threading.Event()

    def write() -> None:
        own, number = Ledger.open(url), 0
        while not stop.is_set():
            with own.database.writing_connection() as connection:
                for name in ("cycle", "incident"):
                    values = {c.name: f"{number}" for c in METADATA.tables[name].columns if kind_of(c.type) == "text"}
                    moments = {c.name: AT for c in METADATA.tables[name].columns if kind_of(c.type) == "moment"}
                    extra = {"attempts": [], "count": 1} if name == "incident" else {}
                    connection.execute(METADATA.tables[name].insert().values(values | moments | extra))
            number += 1
        own.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = []
        for number in range(6):
            report = backup(url, tmp_path / f"{number}.zip")
            assert report.rows["cycle"] == report.rows["incident"]
            counts.append(report.rows["cycle"])
    finally:
        stop.set()
        writer.join()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_status_says_what_the_ledger_is(ledger: Ledger, url: str) -> None:
    traded(ledger)
    found = status(url)
    assert (found.revision, found.newest, found.known) == (HEAD, True, True)
    assert found.rows["fill"] == 1
    assert found.size > 8192
    assert "***" in found.url or "sqlite" in found.url


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
COLUMNS = {
    "a": "amount",
    "m": "moment",
    "j": "json",
    "o": "ordered",
    "t": "text",
    "i": "int",
    "b": "bool",
    "f": "float",
}


@given(
    amount=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
    moment=st.none() | st.datetimes(timezones=st.just(AT.tzinfo)),  # type: ignore[arg-type]
    document=JSON,
    ordered=st.dictionaries(st.text(), JSON),
    name=st.none() | st.text(),
)
@settings(max_examples=50)
def test_a_line_is_its_row_to_the_digit(
    amount: Decimal | None, moment: Any, document: Any, ordered: dict[str, Any], name: str | None
) -> None:
    row = (amount, moment, document, ordered, name, 3, True, 0.1)
    again = decoded(COLUMNS, encoded(COLUMNS, row))
    assert again == row
    if amount is not None:
        assert f"{again[0]:f}" == f"{amount:f}"
    assert list(again[3]) == list(ordered)
    assert TableDigest(COLUMNS).add_all([again]).summary() == TableDigest(COLUMNS).add_all([row]).summary()


def test_a_digest_knows_neither_the_order_of_rows_nor_what_a_database_does_to_a_document() -> None:
    columns = {"j": "json", "a": "amount"}
    one = ({"b": 1.0, "a": [1e16, {"y": 1, "x": 2}]}, Decimal("-0.00"))
    same = ({"a": [10**16, {"x": 2, "y": 1}], "b": 1}, Decimal("0.00"))
    other = ({"a": 1}, Decimal("1.0"))
    digest = TableDigest(columns).add_all([one, other]).summary()
    assert digest == TableDigest(columns).add_all([other, same]).summary()
    assert digest != TableDigest(columns).add_all([other, other]).summary()
    assert digest != TableDigest(columns).add_all([one, ({"a": 1}, Decimal("1.00"))]).summary()


def test_key_order_counts_where_it_is_part_of_what_was_asked() -> None:
    columns = {"o": "ordered"}
    assert (
        TableDigest(columns).add_all([({"a": 1, "b": 2},)]).summary()
        != TableDigest(columns).add_all([({"b": 2, "a": 1},)]).summary()
    )


def test_a_column_of_an_unknown_type_is_no_silent_gap() -> None:
    assert kind_of(Text()) == "text"
    with pytest.raises(LookupError, match="no backup writes down"):
        kind_of(ARRAY(Integer))


def test_a_line_that_is_no_array_is_no_row() -> None:
    with pytest.raises(ValueError, match="a row is a JSON array"):
        decoded({"t": "text"}, '"x"')
