"""A data folder without room for the runs of a worker, and nothing else on the machine without room.

Where the kernel lets a user make a mount namespace of its own, the worker gets a small file system at its data folder, which is filled from
outside: the real ENOSPC. Elsewhere (AppArmor on some distributions forbids it) its fork server may write no file any more (RLIMIT_FSIZE
0, EFBIG), and so may no run that it forks.
"""

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

from plant import Plant

BYTES = 8 * 2**20
BLOCK = b"0" * 2**16
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNTED = f'mount -t tmpfs -o size={BYTES} tmpfs "$0" && exec "$@"'


class FullDisk:
    """`free` ends the fault, once."""

    def __init__(self, plant: Plant, *, mounted: bool) -> None:
        self._filler: Path | None = None
        self._server = plant.cpu.member("ffe.warm.server")
        if mounted:
            seen = Path(f"/proc/{plant.cpu.member('ffe.cli.main').pid}/root{plant.data_dir}")
            self._filler = seen / "filler"
            _fill(self._filler)
        else:
            self._server.rlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free(self) -> None:
        if self._filler is None:
            self._server.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            self._filler.unlink()


@contextlib.contextmanager
def full_disk(plant: Plant, *, mounted: bool | None = None) -> Iterator[FullDisk]:
    """The CPU worker, started anew for it and after it, and no room in its data folder. `mounted` None: a file system where one may be made."""
    if mounted is None:
        mounted = may_mount(plant.folder)
    prefix = (*NAMESPACE, "sh", "-c", MOUNTED, str(plant.data_dir)) if mounted else ()
    plant.cpu.stop()
    plant.cpu.start(prefix=prefix)
    try:
        yield FullDisk(plant, mounted=mounted)
    finally:
        plant.cpu.restart()


def may_mount(folder: Path) -> bool:
    command = [*NAMESPACE, "sh", "-c", MOUNTED, str(folder), "true"]
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


def _fill(path: Path) -> None:
    """Until the disk says that it is full. Raises AssertionError when it is not the small one, before anything is written."""
    status = os.statvfs(path.parent)
    assert status.f_blocks * status.f_frsize == BYTES, f"{path.parent} is not the small disk"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for _ in range(2 * BYTES // len(BLOCK)):
            file.write(BLOCK)
    assert os.statvfs(path.parent).f_bavail == 0
