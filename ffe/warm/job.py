"""From a fork of the server to the run: streams, folder, environment and signals become those of the client, then the module runs."""

import ctypes
import importlib
import os
import random
import runpy
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOWrapper

from ffe.warm import wire

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    """A request, and its standard input, output and error as descriptors of this process."""

    request: wire.Request
    streams: tuple[int, ...]


def begin(server: int) -> None:
    """First thing in the child, signals still blocked: a session of its own, killed by the kernel when the process `server` ends."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(128 + signal.SIGKILL)


def run(job: Job, calls: Sequence[str]) -> None:
    """Returns when the module has ended. Its SystemExit or exception is for the interpreter, as with `python -m`.

    Args:
        job: what to run.
        calls: `module:function`, called without arguments once the environment is the run's.
    """
    take_streams(job.streams)
    take_surroundings(job.request)
    default_signals()
    reseed()
    for call in calls:
        module, _, function = call.partition(":")
        getattr(importlib.import_module(module), function)()
    # The server imported it on purpose.
    warnings.filterwarnings("ignore", message=r"'.*' found in sys\.modules", category=RuntimeWarning)
    runpy.run_module(job.request.module, run_name="__main__", alter_sys=True)


def take_streams(streams: Sequence[int]) -> None:
    """Onto 0, 1 and 2. The text objects stay the same: imported modules hold them."""
    for target, descriptor in enumerate(streams):
        os.dup2(descriptor, target)
        os.close(descriptor)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=os.isatty(1))


def take_surroundings(request: wire.Request) -> None:
    """Folder, environment, arguments, and the first place on the import path, which `python -m` gives to the folder."""
    os.chdir(request.folder)
    os.environb.clear()
    os.environb.update(request.environment)
    time.tzset()
    sys.argv = [request.module, *request.arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.fsdecode(request.folder)
    importlib.invalidate_caches()


def default_signals() -> None:
    """As Python sets them at its start, then unblocked: what was sent since the fork arrives now."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def reseed() -> None:
    """Python's own generator and NumPy's global one: every run would draw the same numbers otherwise."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
