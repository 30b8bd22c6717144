"""Programs as Debian packs them, unpacked into a folder of this session: no root, no service, nothing installed.

What the machine has installed already is used where it lies. The rest comes from the machine's own package archive, with the libraries
that it lacks; the folder goes when the session ends.
"""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

TIMEOUT = 240


@functools.cache
def unpacked(*packages: str) -> Path:
    """Root folder with the files of `packages` and of every library of theirs that is not installed here.

    Raises:
        subprocess.CalledProcessError: the archive does not have them, or can't be reached.
    """
    folder = Path(tempfile.mkdtemp(prefix="ffe-debian-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # The user that the database runs as has to read it.
    folder.chmod(0o755)
    try:
        _download(packages, folder, ())
    except subprocess.CalledProcessError:
        own = ("-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache")
        _run(folder, "apt-get", *own, "update")
        _download(packages, folder, own)
    root = folder / "root"
    for package in sorted(folder.glob("*.deb")):
        _run(folder, "dpkg-deb", "-x", str(package), str(root))
    root.chmod(0o755)
    return root


def _download(packages: tuple[str, ...], folder: Path, options: tuple[str, ...]) -> None:
    planned = _run(folder, "apt-get", *options, "install", "--simulate", "--no-install-recommends", *packages)
    # `Inst NAME [installed] (new ...)`: what is installed in whatever version is good enough, unless it was asked for.
    lines = [line.split() for line in planned.splitlines() if line.startswith("Inst ")]
    needed = {line[1] for line in lines if not line[2].startswith("[")} | set(packages)
    _run(folder, "apt-get", *options, "download", *sorted(needed))


def _run(folder: Path, *command: str) -> str:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=TIMEOUT
    )
    return done.stdout


def libraries(root: Path) -> Mapping[str, str]:
    """The environment with which a program under `root` finds its libraries there."""
    folders = sorted({str(path.parent) for path in (root / "usr" / "lib").glob("*/lib*.so*")})
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {}


def program(name: str, package: str) -> tuple[Path, Mapping[str, str]]:
    """The program `name` from the search path, else from the Debian package; and the environment that it needs."""
    installed = shutil.which(name)
    if installed is not None:
        return Path(installed), {}
    root = unpacked(package)
    return next(path for path in sorted(root.glob(f"usr/*bin/{name}"))), libraries(root)
