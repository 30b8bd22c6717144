"""The typed door to numba: nopython, no fast-math, so that a float comes out the same compiled or interpreted.

Only entry points are cached on disk; what they call is compiled into them. numba watches the file of a cached function alone, so the
name of an entry point carries a digest of all kernel files: a change in any of them is a new name, never stale machine code.
"""

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_numba = import_module("numba")
_SOURCES = [Path(__file__), *sorted(Path(__file__).parent.glob("kernel*.py"))]
DIGEST = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()[:12]
# Wrappers for callers in C, and for Python where it never calls, would make two thirds of the time that a kernel takes to compile.
_FLAGS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """A part of a kernel, compiled into what calls it: handing all arrays on at every call would cost as much as the work itself."""
    made: Callable[P, R] = _numba.njit(**_FLAGS, no_cpython_wrapper=True, forceinline=True)(function)
    return made


def entry_point(function: Callable[P, R]) -> Callable[P, R]:
    """A function that Python calls: compiled at its first call on this machine, loaded from disk ever after."""
    function.__qualname__ = f"{function.__qualname__}_{DIGEST}"
    made: Callable[P, R] = _numba.njit(**_FLAGS, cache=True)(function)
    return made
