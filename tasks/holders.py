"""Who holds a limit, so that the slot of a process that is gone can be taken back at once, and not never.

A Prefect server keeps leases in its memory by default, and the count of taken slots in its database: after a restart nothing ever gives
such a slot back (measured on 3.8.8), and the private API of `ffe run` has no service that looks for expired leases at all. So whoever
takes a slot locks a file of the data folder as well, which the kernel unlocks when the process is gone, and leaves the file's name
and contents in a Prefect variable. Another run on that machine that could lock the same file knows that the holder is gone. The contents
are random: containers may share a hostname and a path, each with a volume of its own.

Holders on other machines are left to their leases: servers for several machines keep these on disk or in Redis.
"""

import asyncio
import fcntl
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists

from ffe.errors import AccountBusyError

# Between taking a slot and saying so lies one request.
SAYING_SO = 1.0
FOLDER = "locks"


@contextmanager
def locked(limits: Iterable[str], folder: Path) -> Iterator[None]:
    """Holds the lock file of each limit under `folder`; another process or thread has one: AccountBusyError."""
    names = tuple(limits)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    opened = []
    try:
        for name in names:
            opened.append(_lock_file(name, folder).open("a"))
            try:
                fcntl.flock(opened[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AccountBusyError(f"another cycle on this machine holds {name}", limits=names) from None
            _identity(_lock_file(name, folder))
        yield
    finally:
        for each in opened:
            each.close()


async def say(client: PrefectClient, limit: str, folder: Path) -> None:
    """Leaves this machine and lock file as the holder of `limit`; called with the slot and the lock held."""
    name, value = _variable(limit), _holder(limit, folder)
    if await client.read_variable_by_name(name) is None:
        with suppress(ObjectAlreadyExists):
            await client.create_variable(VariableCreate(name=name, value=value))
            return
    await client.update_variable(VariableUpdate(name=name, value=value))


async def free_if_gone(client: PrefectClient, limit: str, folder: Path) -> bool:
    """Called with the lock held and the slot taken: whether the last holder had the same lock, so is gone. The slot is free then.

    The limit is made anew rather than counted down: an old lease that the server finds expired later counts down the old one.
    """
    ours = _holder(limit, folder)
    for wait in (SAYING_SO, 0.0):
        said = await client.read_variable_by_name(_variable(limit))
        if said is None or said.value != ours:
            return False
        await asyncio.sleep(wait)
    await client.delete_global_concurrency_limit_by_name(limit)
    await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=limit, limit=1))
    return True


def _variable(limit: str) -> str:
    return f"{limit.replace('-', '_')}_holder"


def _lock_file(limit: str, folder: Path) -> Path:
    return (folder / FOLDER / f"{limit}.lock").resolve()


def _holder(limit: str, folder: Path) -> dict[str, str]:
    path = _lock_file(limit, folder)
    return {"host": socket.gethostname(), "lock": str(path), "id": _identity(path)}


def _identity(path: Path) -> str:
    """What tells this lock file from one of the same name on another volume; kept in it for good. Called with the lock held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        file.seek(0)
        found = file.read()
        if not found:
            found = uuid4().hex
            file.write(found)
            file.flush()
            # A file that a power cut empties would be another one afterwards.
            os.fsync(file.fileno())
    return found
