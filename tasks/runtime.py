"""The engine of this process, and who is told what it is doing.

A worker's process builds it from the environment and Secret blocks on first use; the `ffe` command hands over its own settings first.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ffe.cycle.engine import Engine
from tasks.secrets import load_flow_settings

Progress = Callable[[str, str], None]


@dataclass
class _Process:
    engine: Engine | None = None
    progress: Progress | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_process = _Process()


def use(engine: Engine | None, progress: Progress | None = None) -> None:
    """Sets the engine of this process, or forgets it; `progress` is called with (instrument, stage)."""
    with _process.lock:
        _process.engine, _process.progress = engine, progress


def engine() -> Engine:
    """The process's engine, opened from the environment when there is none yet."""
    with _process.lock:
        if _process.engine is None:
            _process.engine = Engine.open(load_flow_settings())
        return _process.engine


def tell(instrument: str, stage: str) -> None:
    if _process.progress is not None:
        _process.progress(instrument, stage)
