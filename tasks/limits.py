"""One cycle an account at a time, across deployments and machines: a global concurrency limit of the Prefect API for each venue's account.

The limit is a courtesy between cycles, the ledger is the guard: two cycles that did overlap would still send one order a bar and spend
each balance once (docs/architecture.md, "The order path"). So a limit that is lost while a cycle runs, because the server restarted,
does not end the cycle in the middle of its orders (`raise_on_lease_renewal_failure=False`); but none begins without one.

A slot is held by a lease of `LEASE_SECONDS`, renewed at three quarters of it. The slot of a holder that was killed is free at once for
a run with the same data folder (`tasks.holders`); for others when the lease is over and the server has looked, every 15 s.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from ffe.errors import AccountBusyError, LimitUnavailableError
from tasks import holders, runtime

# The API accepts no shorter lease.
LEASE_SECONDS = 60.0
ANSWER_SECONDS = 30.0
VENUES = ("coinbase", "oanda")
# Name of the state of a cycle that found an account taken and did nothing.
ACCOUNT_BUSY = "AccountBusy"


def limit_name(venue: str) -> str:
    return f"cycle-{venue}"


@asynccontextmanager
async def account_limits(venues: Iterable[str], folder: Path | None = None) -> AsyncIterator[None]:
    """Holds the accounts of `venues`, all or none, until the block ends; `folder` is the data folder, None: the engine's.

    Raises:
        AccountBusyError: another run holds one of them; it is not waited for, a cycle that starts late trades old bars.
        LimitUnavailableError: the API did not answer, or refused for another reason; or the data folder can't be written.
    """
    names = tuple(sorted({limit_name(venue) for venue in venues}))
    where = runtime.engine().settings.data_dir if folder is None else folder
    async with AsyncExitStack() as held:
        try:
            held.enter_context(holders.locked(names, where))
            if names:
                await _hold(held, names, where)
        except ConcurrencySlotAcquisitionError as error:
            if _is_taken(error):
                raise AccountBusyError(f"another cycle holds one of {', '.join(names)}", limits=names) from error
            raise LimitUnavailableError(f"could not take {', '.join(names)}: {error}") from error
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise LimitUnavailableError(f"could not take {', '.join(names)}: {error!r}") from error
        yield


async def _hold(held: AsyncExitStack, names: tuple[str, ...], folder: Path) -> None:
    async with get_client() as client:
        # Looked at first: Prefect logs a refused request as an error, with its traceback. The request decides.
        for limit in await ensure_limits(names):
            if limit.active_slots >= limit.limit and not (
                limit.limit > 0 and await holders.free_if_gone(client, limit.name, folder)
            ):
                raise AccountBusyError(f"another cycle holds {limit.name}", limits=names)
        # Zero retries and not a timeout of zero, which would end the request before it is sent.
        await held.enter_async_context(
            concurrency(
                list(names),
                strict=True,
                max_retries=0,
                timeout_seconds=ANSWER_SECONDS,
                lease_duration=LEASE_SECONDS,
                raise_on_lease_renewal_failure=False,
            )
        )
        for name in names:
            await holders.say(client, name, folder)


def _is_taken(error: ConcurrencySlotAcquisitionError) -> bool:
    cause = error.__cause__
    return isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == httpx.codes.LOCKED


async def ensure_limits(names: Iterable[str]) -> list[GlobalConcurrencyLimitResponse]:
    """The limits, made where the API lacks one, and made one slot wide where one is wider or switched off: both would let cycles overlap.

    A limit of zero is left: a person keeps every cycle of that account away by it.
    """
    async with get_client() as client:
        return [await _ensure_limit(client, name) for name in names]


async def _ensure_limit(client: PrefectClient, name: str) -> GlobalConcurrencyLimitResponse:
    try:
        limit = await client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        # Another cycle may be faster.
        with suppress(ObjectAlreadyExists):
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
        return await client.read_global_concurrency_limit_by_name(name)
    if limit.limit > 1 or not limit.active:
        await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active=True, limit=1))
        return await client.read_global_concurrency_limit_by_name(name)
    return limit
