"""What a fork server has imported, and whether a run may be forked from it."""

import importlib
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ffe.warm.changes import Fingerprint, fingerprint

THREADS = Path("/proc/self/task")
STALE = "the code on disk has changed"


@dataclass(frozen=True)
class Imported:
    """`seen` is the code on disk from before the imports; `error` what they raised."""

    packages: Sequence[str]
    seen: Fingerprint
    error: str | None = None

    def refusal(self) -> str | None:
        """Why no run may be forked now, or None."""
        if fingerprint(self.packages) != self.seen:
            return STALE
        if self.error is not None:
            return f"it could not import what it should: {self.error}"
        count = threads()
        return None if count == 1 else f"it has {count} threads, and a fork would copy only one"


def preload(modules: Sequence[str], packages: Sequence[str]) -> Imported:
    """Imports `modules`, of which `packages` are watched for changes. Never raises: a cold start shows the error where it belongs."""
    seen = fingerprint(packages)
    try:
        for name in modules:
            importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - an import can raise anything
        traceback.print_exc()
        return Imported(packages, seen, repr(error))
    return Imported(packages, seen)


def threads() -> int:
    """Threads of this process, those of C libraries included where the system tells."""
    return len(list(THREADS.iterdir())) if THREADS.is_dir() else threading.active_count()
