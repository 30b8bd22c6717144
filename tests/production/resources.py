"""What the long-lived processes of a plant hold, sampled from /proc, and whether it grows.

Runs come and go and are not judged one by one: what they leave behind shows in the scratch folder, in the database's sessions, in zombies
and in the size of the processes that stay. Memory is judged by the Theil-Sen slope (Theil 1950, Sen 1968: the median of the slopes of
all pairs), which a third of outliers does not move, over the samples after the warm-up. Counts are judged quiet against quiet: before
the first run by schedule and after the last one.
"""

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from plant import Plant

MIB = 1024.0 * 1024.0
HOUR = 3600.0
# The oldest process with this word among its arguments, of the part.
LONG_LIVED = {
    "prefect server": ("server", "tasks.local_api"),
    "simulator": ("simulator", "simulator"),
    "cpu ffe worker": ("worker-cpu", "ffe.cli.main"),
    "cpu prefect worker": ("worker-cpu", "--pool"),
    "cpu fork server": ("worker-cpu", "ffe.warm.server"),
    "gpu ffe worker": ("worker-gpu", "ffe.cli.main"),
    "gpu prefect worker": ("worker-gpu", "--pool"),
    "gpu fork server": ("worker-gpu", "ffe.warm.server"),
}


@dataclass(frozen=True)
class Held:
    """What one process holds: resident MiB, open descriptors, threads."""

    rss: float
    files: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """`at` in seconds since the first; `shared` are counts of the whole plant."""

    at: float
    held: Mapping[str, Held]
    shared: Mapping[str, int]


@dataclass
class Recorder:
    """Samples every `seconds` in a thread of its own, between `start` and `stop`; `lost` says which process went meanwhile."""

    plant: Plant
    seconds: float
    samples: list[Sample] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        parts = {part.name: part for part in self.plant.parts}
        self.processes = {role: parts[name].member(word) for role, (name, word) in LONG_LIVED.items()}
        self._began = time.monotonic()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def now(self) -> Sample:
        """One sample. Raises psutil.NoSuchProcess when a process that should have stayed is gone."""
        held = {role: _held(process) for role, process in self.processes.items()}
        return Sample(time.monotonic() - self._began, held, shared(self.plant))

    def quiet(self, before: Sample | None = None, seconds: float = 60) -> Sample:
        """Once nothing is held that was not held `before`; after `seconds` whatever is held then.

        A run has its end in Prefect a moment before its process and its sessions have theirs.
        """
        end = time.monotonic() + seconds
        while True:
            found = self.now()
            still = found.shared["ledger connections"] if before is None else max(grown(before, found).values())
            if still <= 0 or time.monotonic() > end:
                return found
            time.sleep(1)

    def _sample(self) -> None:
        while not self._ended.wait(self.seconds):
            self.lost = [role for role, process in self.processes.items() if not process.is_running()]
            if self.lost:
                return
            self.samples.append(self.now())


def shared(plant: Plant) -> dict[str, int]:
    """Sessions of the ledger's database, files in the scratch folder, zombies, processes."""
    families = [process for part in plant.parts for process in part.family()]
    return {
        "ledger connections": plant.database.connections(),
        "temporary files": files_in(plant.scratch),
        "zombies": sum(_is_zombie(process) for process in families),
        "processes": len(families),
    }


def files_in(folder: Path) -> int:
    """Of every kind, folders too."""
    return sum(1 for _ in folder.rglob("*"))


def slope(points: list[tuple[float, float]]) -> float:
    """Theil-Sen slope, per unit of x; 0 for fewer than two points."""
    pairs = itertools.combinations(points, 2)
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairs if later[0] > earlier[0]]
    return statistics.median(slopes) if slopes else 0.0


def rss_per_hour(samples: list[Sample], role: str) -> float:
    """MiB an hour over the second half of the samples: the first half is the warm-up."""
    later = samples[len(samples) // 2 :]
    return slope([(each.at / HOUR, each.held[role].rss) for each in later])


def grown(before: Sample, after: Sample) -> dict[str, int]:
    """How many more there are of each count, quiet against quiet."""
    measures: dict[str, Callable[[Held], int]] = {"files": lambda h: h.files, "threads": lambda h: h.threads}
    of_roles = {
        f"{role} {name}": read(after.held[role]) - read(before.held[role])
        for role in before.held
        for name, read in measures.items()
    }
    return of_roles | {name: after.shared[name] - before.shared[name] for name in before.shared}


def _held(process: psutil.Process) -> Held:
    with process.oneshot():
        return Held(process.memory_info().rss / MIB, process.num_fds(), process.num_threads())


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
