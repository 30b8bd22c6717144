"""Whether the code that a server has imported is still the code on disk: names, times and sizes, read in a few milliseconds.

Our packages are compared file by file. Of what is installed beside them only the lists are: an installer writes a new `.dist-info`
folder for each distribution that it changes.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence

SOURCES = (".py", ".json", ".yaml", ".yml", ".toml", ".txt")
INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".pth")
LIBRARIES = ("site-packages", "dist-packages")

Fingerprint = frozenset[tuple[str, int, int]]


def fingerprint(packages: Sequence[str]) -> Fingerprint:
    """Path, modification time in ns and size of every source of `packages` (import names) and of every installed distribution."""
    found: set[tuple[str, int, int]] = set()
    for package in packages:
        for folder in folders_of(package):
            found.update(_sources(folder))
    for folder in sys.path:
        if os.path.basename(folder) in LIBRARIES:
            found.update(_entries(folder, INSTALLED))
    return frozenset(found)


def folders_of(package: str) -> list[str]:
    """Where a package's sources lie; found without importing it. Empty when there is no such package."""
    spec = importlib.util.find_spec(package)
    return [] if spec is None else list(spec.submodule_search_locations or [])


def _sources(folder: str) -> Iterator[tuple[str, int, int]]:
    for path, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from _entries(path, SOURCES)


def _entries(folder: str, endings: tuple[str, ...]) -> Iterator[tuple[str, int, int]]:
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.endswith(endings)]
    except OSError:
        return
    for entry in entries:
        try:
            seen = entry.stat()
        except FileNotFoundError:
            continue
        yield entry.path, seen.st_mtime_ns, seen.st_size
