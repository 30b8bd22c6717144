"""A redeploy or an upgrade: code that has changed on disk is never forked from, and the server takes it up by itself."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe.warm import changes
from ffe.warm.changes import fingerprint, folders_of
from ffe.warm.imported import STALE, preload

Serve = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "installed" / "watched_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("VERSION = 1\n")
    (folder / "inner" / "suite.json").write_text("{}")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


def first_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    document: dict[str, Any] = json.loads(process.stdout.readline())
    return document


def test_a_changed_new_or_removed_source_changes_the_fingerprint(package: Path) -> None:
    seen = [fingerprint(["watched_package"])]
    (package / "inner" / "suite.json").write_text('{"a": 1}')
    seen.append(fingerprint(["watched_package"]))
    (package / "new.py").touch()
    seen.append(fingerprint(["watched_package"]))
    (package / "__init__.py").unlink()
    seen.append(fingerprint(["watched_package"]))
    assert len(set(seen)) == 4


def test_bytecode_and_other_files_do_not(package: Path) -> None:
    before = fingerprint(["watched_package"])
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "left.py").touch()
    (package / "notes.md").touch()
    assert fingerprint(["watched_package"]) == before


def test_an_installed_distribution_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    monkeypatch.setattr(sys, "path", [str(library), str(tmp_path / "gone" / "site-packages")])
    before = fingerprint([])
    (library / "thing.py").touch()
    assert fingerprint([]) == before
    (library / "thing-2.0.dist-info").mkdir()
    assert fingerprint([]) != before


def test_a_package_that_is_not_there_or_is_one_file_has_no_folder() -> None:
    assert folders_of("no_such_package") == folders_of("this") == []


def test_a_file_that_goes_while_it_is_looked_at_is_left_out(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "dangling.py").symlink_to(package / "nowhere.py")
    assert not [path for path, _, _ in fingerprint(["watched_package"]) if path.endswith("dangling.py")]
    monkeypatch.setattr(changes, "SOURCES", ())
    assert not [path for path, _, _ in fingerprint(["watched_package"]) if "watched_package" in path]


def test_what_was_imported_is_stale_as_soon_as_it_differs(package: Path) -> None:
    imported = preload(["watched_package"], ["watched_package"])
    sys.modules.pop("watched_package")
    assert imported.refusal() != STALE
    (package / "__init__.py").write_text("VERSION = 22\n")
    assert imported.refusal() == STALE


def test_a_redeploy_is_picked_up_after_one_cold_start(serve: Serve, start: Start, package: Path, work: Path) -> None:
    (work / "telling.py").write_text(
        "import sys, json, watched_package as w\nprint(json.dumps([w.VERSION, 'json.tool' in sys.modules]))"
    )
    path = {"PYTHONPATH": str(package.parent)}
    served = serve("--watch", "watched_package", modules=("watched_package",), **path)
    where = served.environment | path
    pid = served.child.pid

    def told() -> Any:
        return json.loads(start(where, module="telling").communicate()[0])

    assert told() == [1, True]
    (package / "__init__.py").write_text("VERSION = 22\n")
    assert told() == [22, False]
    until = time.monotonic() + 20
    while told() != [22, True]:
        assert time.monotonic() < until
    assert served.child.pid == pid
    assert served.child.exit_code is None


def test_a_run_from_before_the_redeploy_goes_on_and_the_server_waits_for_it(
    serve: Serve, start: Start, package: Path
) -> None:
    path = {"PYTHONPATH": str(package.parent)}
    served = serve("--watch", "watched_package", **path)
    where = served.environment | path
    old = start(where, "sleep", str(int(signal.SIGTERM)))
    assert first_line(old)["warm"]
    (package / "__init__.py").write_text("this does not compile")
    cold = start(where, "facts")
    assert not first_line(cold)["warm"]
    assert "changed" in cold.communicate()[1]
    assert old.poll() is None
    assert served.socket.exists()
    old.send_signal(signal.SIGTERM)
    assert old.wait() == signal.SIGTERM
    until = time.monotonic() + 20
    while not first_line(start(where, "facts"))["warm"]:
        assert time.monotonic() < until
    assert os.path.exists(served.socket)
