"""Finds `promtool`, which checks and tests Prometheus rules, or fetches it: `python -m deployments.tools.promtool` prints where it is.

It is looked for on PATH and beside this Python. On Debian and Ubuntu it is then unpacked from the distribution's package `prometheus`,
which the archive's own signatures vouch for, into the environment of this Python: no root, nothing installed, no service. Where
the machine has no package lists, lists of our own are fetched. On a Mac Homebrew installs it. Elsewhere the message says what to install.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

NAME, PACKAGE = "promtool", "prometheus"
TIMEOUT_SECONDS = 300
ADVICE = "install Prometheus 2.40 or newer so that promtool is on PATH (Debian: apt-get install prometheus; Mac: brew install prometheus)"


class PromtoolError(Exception):
    """It is not there and can't be fetched; the message says why and what to do."""


def main() -> int:
    """Prints the path; 1 with a message when there is none."""
    try:
        print(promtool())
    except PromtoolError as error:
        print(f"promtool: {error}", file=sys.stderr)
        return 1
    return 0


def promtool() -> Path:
    """The program, fetched where it is missing. Raises PromtoolError."""
    there = found()
    if there is not None:
        return there
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return _from_debian(_place())
    if shutil.which("brew"):
        _run(("brew", "install", PACKAGE), Path.cwd())
        there = found()
    if there is None:
        raise PromtoolError(f"not on this machine, and it has neither apt-get nor brew: {ADVICE}")
    return there


def found() -> Path | None:
    """The program as it is on PATH or beside this Python."""
    on_path = shutil.which(NAME)
    if on_path is not None:
        return Path(on_path)
    return _place() if _place().is_file() else None


def _place() -> Path:
    return Path(sys.prefix) / "bin" / NAME


def _from_debian(place: Path) -> Path:
    with tempfile.TemporaryDirectory(prefix="ffe-promtool-") as name:
        folder = Path(name)
        # apt's own user reads here, where there is one.
        folder.chmod(0o755)
        _download(folder)
        for package in folder.glob("*.deb"):
            _run(("dpkg-deb", "-x", str(package), str(folder / "root")), folder)
        unpacked = folder / "root" / "usr" / "bin" / NAME
        if not unpacked.is_file():
            raise PromtoolError(f"the package {PACKAGE} of this distribution has no {NAME}: {ADVICE}")
        # Two that fetch at once both put a whole file in place.
        half = place.with_suffix(f".{folder.name}")
        shutil.copy2(unpacked, half)
        half.replace(place)
    return place


def _download(folder: Path) -> None:
    """The package into `folder`; with package lists of our own where the machine's are missing or too old."""
    try:
        _run(("apt-get", "-qq", "download", PACKAGE), folder)
    except PromtoolError:
        own = ("-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache")
        _run(("apt-get", "-qq", *own, "update"), folder)
        _run(("apt-get", "-qq", *own, "download", PACKAGE), folder)


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise PromtoolError(f"{command[0]} was not done within {TIMEOUT_SECONDS} s: {ADVICE}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PromtoolError(f"{' '.join(command[:2])} failed: {said[-1] if said else done.returncode}: {ADVICE}")


if __name__ == "__main__":
    sys.exit(main())
