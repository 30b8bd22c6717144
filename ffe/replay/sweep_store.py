"""What a sweep has computed, a line of JSON each in one file that is only ever added to. A killed sweep goes on from it.

A line is named by a hash of everything that its numbers come from, so that one file serves every sweep of a folder: changed bars, plan or
code make other names, and what still holds is never computed again. A last line that a kill cut off is dropped; a file that is none of ours stays as
it is.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ffe.errors import ConfigurationError, CorruptFileError

NAME = "cells.jsonl"
# Of every line, which a kill may cut off anywhere.
START = b'{"key": '
Record = Mapping[str, Any]


class CellStore:
    """Open through `opened`. `found`: the newest record of each key."""

    def __init__(self, file: IO[bytes], found: dict[str, Record]) -> None:
        self._file, self.found = file, found

    def add(self, record: Record) -> None:
        """On disk when this returns."""
        self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.found[str(record["key"])] = record


@contextmanager
def opened(folder: Path) -> Iterator[CellStore]:
    """The folder's store, held by this process alone.

    Raises:
        ConfigurationError: another sweep works in this folder, or it can't be written.
        CorruptFileError: a line other than a cut off last one is no record.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(f"another sweep works in {folder}; name another folder, or wait") from error
        yield CellStore(file, _read(file, path))


def _read(file: IO[bytes], path: Path) -> dict[str, Record]:
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    found: dict[str, Record] = {}
    for number, line in enumerate(content[:whole].splitlines(), start=1):
        try:
            record = json.loads(line)
            found[str(record["key"])] = record
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFileError(f"{path}, line {number}: no result of a sweep: {error}") from error
    # A power cut leaves zeros.
    if not START.startswith(content[whole:].strip(b"\0")[: len(START)]):
        raise CorruptFileError(f"{path}, its last line: no result of a sweep")
    # What a kill has cut off; the next line would be glued to it.
    file.truncate(whole)
    return found
