"""Incidents that no ledger would take (locked, full, gone): one JSON file each under `incidents/` of the data folder, until one takes them.

Bounded: the same failure within an hour is counted on its file, and past MOST_FILES the oldest goes.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ffe.clock import SystemClock
from ffe.cycle.keepable import keepable
from ffe.ledger.incidents import MOST_RUNS, WINDOW, fingerprint
from ffe.ledger.models import Incident
from ffe.sources.files import replace

FOLDER = "incidents"
MOST_FILES = 200
# A process that died while it took a file in leaves it under this ending; after that many seconds another one takes it.
TAKING, TAKING_SECONDS = ".taking", 60.0
# What the ledger refuses for its contents it refuses at once; one that is locked is not waited for again and again.
PATIENCE = 10.0

log = logging.getLogger(__name__)


def save(data_dir: Path, made: Incident) -> Path | None:
    """The file that keeps it; None where the disk refuses too. Never raises."""
    try:
        return _save(data_dir / FOLDER, Incident.model_validate(keepable(made.model_dump())))
    except Exception:
        log.exception("incident %s could not be kept in a file either", made.id)
        return None


def _save(folder: Path, made: Incident) -> Path:
    kept = _kept(folder)
    for path, earlier in kept:
        if _mark(earlier) == _mark(made) and made.created_at - earlier.created_at < WINDOW:
            counted = earlier.model_copy(
                update={
                    "count": earlier.count + made.count,
                    "last_at": made.last_at,
                    "attempts": [*earlier.attempts, *made.attempts][:MOST_RUNS],
                }
            )
            replace(path, counted.model_dump_json().encode())
            return path
    for path, _ in kept[: max(0, len(kept) - MOST_FILES + 1)]:
        path.unlink(missing_ok=True)
    path = folder / f"{made.created_at:%Y%m%dT%H%M%SZ}-{made.id}.json"
    replace(path, made.model_dump_json().encode())
    return path


def _mark(made: Incident) -> str:
    return fingerprint(made.type, made.instrument, made.message)


def files(data_dir: Path) -> list[Incident]:
    """Those that wait, oldest first. Never raises."""
    return [made for _, made in _kept(data_dir / FOLDER)]


def _kept(folder: Path) -> list[tuple[Path, Incident]]:
    found = []
    for path in sorted(folder.glob("*.json")):
        made = _read(path)
        if made is not None:
            found.append((path, made))
    return found


def _read(path: Path) -> Incident | None:
    """None for what is not one of ours, or has just been taken in."""
    try:
        document: Any = json.loads(path.read_bytes())
        return Incident.model_validate(document)
    except (OSError, ValueError, ValidationError):
        return None


def take_in(data_dir: Path, record: Callable[[Incident], object]) -> int:
    """Hands each file to `record` and removes it; how many. One process at a time has a file: a rename decides which.

    A file that is refused stays as it was, and the next one has its turn for the first PATIENCE seconds.

    Raises:
        What `record` raised first, after that.
    """
    folder = data_dir / FOLDER
    if not folder.is_dir():
        return 0
    _put_back_abandoned(folder)
    taken, refused, since = 0, None, time.monotonic()
    for path, made in _kept(folder):
        try:
            taken += _take(path, made, record)
        except Exception as error:  # noqa: BLE001 - whatever one file's trouble is, it is not the others'
            refused = refused or error
            if time.monotonic() - since > PATIENCE:
                break
    if refused is not None:
        raise refused
    return taken


def _take(path: Path, made: Incident, record: Callable[[Incident], object]) -> bool:
    mine = path.with_suffix(TAKING)
    try:
        os.rename(path, mine)
    except OSError:
        return False
    try:
        record(made)
    except BaseException:
        os.rename(mine, path)
        raise
    mine.unlink(missing_ok=True)
    return True


def _put_back_abandoned(folder: Path) -> None:
    for path in folder.glob(f"*{TAKING}"):
        try:
            if SystemClock().now().timestamp() - path.stat().st_ctime > TAKING_SECONDS:
                os.rename(path, path.with_suffix(".json"))
        except OSError:
            continue
