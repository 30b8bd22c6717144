"""The feeds of a sweep as files of plain arrays, which every worker maps into its memory: one copy for all of them, read once.

Workers read what the sweep's keys were made of, and not the source files again, which may have changed meanwhile. On several machines
the folder has to be one that all of them see. It is a new one of our own inside the sweep's, whose other contents belong to somebody else.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ffe.errors import CorruptFileError
from ffe.market.models import Instrument, Timeframe
from ffe.replay.models import Bars, Feed
from ffe.venues.models import InstrumentSpec

ARRAYS = ("times", "mid", "bid", "ask", "volume", "after")
GATES, STARTS = "gates", "starts"
# How the folder of a running sweep is called, and the file in it without which none is ever deleted.
OWN, MARKER = ".feeds-", "ffe-sweep-feeds"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where one feed lies, and what of it is no array. `starts`: whether it has those. `digest`: over all of it."""

    folder: Path
    instrument: Instrument
    timeframe: Timeframe
    spec: InstrumentSpec
    places: int
    quoted: bool
    sha256: str
    starts: bool
    digest: str


def digest(feed: Feed) -> str:
    """What a result depends on of a feed: bars, gates and the venue's rules, less when those were fetched."""
    rules = feed.spec.model_dump(mode="json", exclude={"fetched_at"})
    told = [feed.bars.instrument.symbol, feed.bars.timeframe.value, feed.bars.sha256, feed.bars.places, rules]
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for known in (feed.gates, feed.starts):
        found.update(b"" if known is None else np.ascontiguousarray(known).tobytes())
    return found.hexdigest()


@contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """A new folder inside `folder`, gone afterwards. Those that killed sweeps have left go first: the caller holds the store, so none runs."""
    for left in folder.glob(f"{OWN}*"):
        if not left.is_symlink() and (left / MARKER).is_file():
            shutil.rmtree(left, ignore_errors=True)
    own = Path(tempfile.mkdtemp(prefix=OWN, dir=folder))
    try:
        (own / MARKER).touch()
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def laid_out(feeds: Sequence[Feed], folder: Path) -> tuple[Stored, ...]:
    """Writes the arrays below `folder`, a folder each. Raises FileExistsError where there are some already."""
    return tuple(_store(feed, folder / f"{number}-{feed.bars.instrument.symbol}") for number, feed in enumerate(feeds))


def _store(feed: Feed, folder: Path) -> Stored:
    folder.mkdir(parents=True)
    bars = feed.bars
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(bars, name), allow_pickle=False)
    np.save(folder / f"{GATES}.npy", feed.gates, allow_pickle=False)
    if feed.starts is not None:
        np.save(folder / f"{STARTS}.npy", feed.starts, allow_pickle=False)
    return Stored(
        folder=folder,
        instrument=bars.instrument,
        timeframe=bars.timeframe,
        spec=feed.spec,
        places=bars.places,
        quoted=bars.quoted,
        sha256=bars.sha256,
        starts=feed.starts is not None,
        digest=digest(feed),
    )


def load(stored: Stored) -> Feed:
    """The feed, its arrays mapped read-only.

    Raises:
        CorruptFileError: the files are gone, or are no longer what was stored.
    """
    try:
        arrays: dict[str, Any] = {name: _mapped(stored.folder / f"{name}.npy") for name in (*ARRAYS, GATES)}
        starts = _mapped(stored.folder / f"{STARTS}.npy") if stored.starts else None
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"the bars of this sweep in {stored.folder} can't be read: {error}") from error
    gates = arrays.pop(GATES)
    bars = Bars(
        instrument=stored.instrument,
        timeframe=stored.timeframe,
        places=stored.places,
        quoted=stored.quoted,
        sha256=stored.sha256,
        **arrays,
    )
    feed = Feed(bars, stored.spec, gates, starts)
    if digest(feed) != stored.digest:
        raise CorruptFileError(f"the bars of this sweep in {stored.folder} are not the ones that were stored")
    return feed


def _mapped(path: Path) -> Any:
    # Not as a memmap: numba knows plain arrays.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def in_memory(feed: Feed) -> Feed:
    """A copy whose arrays are this process's own and may be written: compiled code is made once for those."""
    own: dict[str, Any] = {name: np.array(getattr(feed.bars, name)) for name in ARRAYS}
    bars = replace(feed.bars, **own)
    return replace(
        feed, bars=bars, gates=np.array(feed.gates), starts=None if feed.starts is None else np.array(feed.starts)
    )
