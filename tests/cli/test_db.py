"""`ffe db`: upgrade, backup, restore, verify, status, as a person types them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from ffe.clock import SystemClock
from ffe.ledger.ledger import Ledger
from ffe.ledger.migrations import HEAD

Ffe = Callable[..., Any]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def held(data: Path) -> str:
    """URL of a ledger with one cycle in it."""
    url = f"sqlite:///{data / 'ledger.sqlite'}"
    ledger = Ledger.open(url)
    ledger.start_cycle("one", "sim", "5m", SystemClock().now())
    ledger.close()
    return url


def test_upgrade_makes_the_ledger_and_then_has_nothing_to_do(ffe: Ffe, data: Path) -> None:
    assert ffe("db", "upgrade", "--json").document == {"upgraded": True, "revision": HEAD}
    again = ffe("db", "upgrade")
    assert (again.code, again.out.startswith(f"the ledger is already at schema {HEAD}")) == (0, True)


def test_older_code_refuses_a_newer_ledger_in_one_sentence(ffe: Ffe, held: str) -> None:
    engine = create_engine(held)
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger_version SET version_num = '9999'"))
    engine.dispose()
    for command in (("db", "upgrade"), ("switch",)):
        said = ffe(*command)
        assert (said.code, said.out) == (2, "")
        assert "the ledger's schema is unknown to this version" in said.err
        assert "9999" in said.err
    assert ffe("db", "status", "--json").document["known"] is False


def test_a_backup_is_verified_and_restored_elsewhere(ffe: Ffe, held: str, tmp_path: Path) -> None:
    file = tmp_path / "copy.zip"
    taken = ffe("db", "backup", str(file), "--with-bars", "--json").document
    assert (taken["rows"]["cycle"], taken["revision"], taken["path"]) == (1, HEAD, str(file))
    assert ffe("db", "verify", str(file), "--json").document["rows"] == taken["rows"]
    refused = ffe("db", "backup", str(file))
    assert (refused.code, "--force replaces it" in refused.err) == (4, True)
    shown = ffe("db", "backup", str(file), "--force")
    assert shown.code == 0
    assert "taken at: " in shown.out
    assert "cycle" in shown.out


def test_restore_fills_an_empty_ledger_and_halts_it(
    ffe: Ffe, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "copy.zip"
    assert ffe("db", "backup", str(file)).code == 0
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "elsewhere"))
    restored = ffe("db", "restore", str(file))
    assert restored.code == 0
    assert "switch: restored from backup of " in restored.out
    assert ffe("switch", "--json").document["state"] == "halt"
    again = ffe("db", "restore", str(file))
    assert (again.code, "is not empty" in again.err) == (4, True)
    assert ffe("resume").code == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("no\n", 4), ("", 4)])
def test_replacing_a_ledger_asks_first(
    ffe: Ffe, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    file = tmp_path / "copy.zip"
    ffe("db", "backup", str(file))
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    said = ffe("db", "restore", str(file), "--force", "--json")
    assert said.code == code
    assert "replace everything in sqlite" in said.err
    assert ffe("switch", "--json").document["state"] == ("halt" if code == 0 else "normal")


def test_yes_asks_nothing(ffe: Ffe, held: str, tmp_path: Path) -> None:
    file = tmp_path / "copy.zip"
    ffe("db", "backup", str(file))
    said = ffe("db", "restore", str(file), "--force", "--yes", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.document["upgraded_to"] == HEAD


def test_status_tells_schema_rows_and_size(ffe: Ffe, held: str) -> None:
    found = ffe("db", "status", "--json").document
    assert (found["revision"], found["newest"], found["rows"]["cycle"]) == (HEAD, True, 1)
    assert found["size"] > 0
    assert "rows" in ffe("db", "status").out


def test_what_is_not_there_is_said(ffe: Ffe, data: Path, tmp_path: Path) -> None:
    for command in (("status",), ("backup", str(tmp_path / "x.zip"))):
        said = ffe("db", *command)
        assert (said.code, "there is no ledger at" in said.err) == (4, True)
    said = ffe("db", "restore", str(tmp_path / "absent.zip"))
    assert (said.code, "is no whole backup" in said.err) == (4, True)
    assert not (data / "ledger.sqlite").exists()
