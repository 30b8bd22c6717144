"""Files that are never half written: write beside, sync, rename; and an advisory lock on a folder.

A reader sees the old file or the new one. The lock ends with its holder, also when that is killed. A fault of the local disk is a
`DataError` to who reads or keeps bars: it says nothing of the venue whose bars they are.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ffe.errors import DataError

PART = ".tmp"


def replace(path: Path, content: bytes) -> None:
    """Write, sync and rename, so that a crash leaves the old file or the new one and never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=PART)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def holds(path: Path, content: bytes) -> bool:
    """Whether the file is there and has exactly these bytes. One that can't be read has not."""
    try:
        return path.read_bytes() == content
    except OSError:
        return False


@contextmanager
def disk_faults(place: Path, what: str) -> Iterator[None]:
    """OSError inside becomes DataError that says `what` could not be done with the file, or with `place` where no file is named."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename2 or error.filename or place} can't be {what}: {error.strerror or error}"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One writer and no `shared` reader at a time in `folder`, across threads and processes; makes the folder.

    What a killed writer left half written is cleared away: whoever holds the lock is the only one who writes here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in folder.glob(f".*{PART}"):
            left.unlink()
        yield


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """No writer while this is held. A folder that nobody has written yet needs no lock."""
    try:
        file = (folder / ".lock").open()
    except FileNotFoundError:
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def parquet_bytes(table: pa.Table, about: dict[str, str] | None = None) -> bytes:
    """Parquet bytes that depend on rows, columns and `about` alone, not on chunking or inherited metadata."""
    plain = table.combine_chunks().replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    pq.write_table(plain, sink, compression="zstd", store_schema=True, write_page_checksum=True)
    return bytes(sink.getvalue())


def read_parquet(content: bytes, name: str) -> pa.Table:
    """The table in `content`, without metadata.

    Raises:
        DataError: not a Parquet file, or a page that fails its checksum; the message begins with `name`.
    """
    try:
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} is no readable Parquet file: {error}") from error
    return table.replace_schema_metadata(None)
