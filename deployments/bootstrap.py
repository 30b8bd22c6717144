"""Creates what `prefect deploy --all` needs first: `python -m deployments.bootstrap [--type process|docker|kubernetes]`. Idempotent.

`deploy` stops at the first deployment whose pool is missing, so the pools come before it. The gpu pool runs one decision at a
time: two models on one card are slower than one after the other. A pool for two cards gets a higher limit, and each card a queue and a
worker of its own; each queue still runs one.

The cpu pool has three queues of its own. `trading` (cycles, reconcile, watch-exits: four deployments that run one at a time each) is served
first, `operations` (backfills, grades, checks) may fill two of the seven slots at most, and `research` (replays and sweeps, which people
start and which may take hours) one: however many of those are due or how long they take, a slot is free for each of the four, and no
check waits for a sweep.
"""

import argparse
import asyncio

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

from deployments.pools import PoolType, job_template
from ffe.errors import ConfigurationError
from tasks.limits import VENUES, ensure_limits, limit_name

# Name and how many runs at a time.
POOLS = {"cpu": 7, "gpu": 1}
TRADING, OPERATIONS, RESEARCH = "trading", "operations", "research"
# Runs at a time of a pool's work queue, None: as many as the pool; the first is served first. Every pool has a queue `default`.
QUEUES: dict[str, dict[str, int | None]] = {
    "cpu": {TRADING: None, "default": None, OPERATIONS: 2, RESEARCH: 1},
    "gpu": {"default": 1},
}


async def bootstrap(pool_type: PoolType = PoolType.PROCESS) -> None:
    """Work pools with their templates, the limits of pools and queues, and the limit of each venue's account.

    Raises:
        ConfigurationError: a pool of that name is there and has another type, which the API can't change.
    """
    async with get_client() as client:
        for name, limit in POOLS.items():
            await _pool(client, name, pool_type, limit)
            for priority, (queue, runs) in enumerate(QUEUES[name].items(), start=1):
                await _queue(client, name, queue, runs, priority)
    await ensure_limits([limit_name(venue) for venue in VENUES])


async def _pool(client: PrefectClient, name: str, pool_type: PoolType, limit: int) -> None:
    template = job_template(pool_type, name)
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        pool = await client.create_work_pool(
            WorkPoolCreate(name=name, type=pool_type, base_job_template=template, concurrency_limit=limit)
        )
    if pool.type != pool_type:
        raise ConfigurationError(
            f"work pool {name} is of type {pool.type}, not {pool_type}; `prefect work-pool delete {name}` first, and deploy again after"
        )
    if (pool.base_job_template, pool.concurrency_limit) != (template, limit):
        await client.update_work_pool(name, WorkPoolUpdate(base_job_template=template, concurrency_limit=limit))


async def _queue(client: PrefectClient, pool: str, name: str, limit: int | None, priority: int) -> None:
    try:
        queue = await client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        queue = await client.create_work_queue(name, work_pool_name=pool, concurrency_limit=limit, priority=priority)
    if (queue.concurrency_limit, queue.priority) != (limit, priority):
        await client.update_work_queue(queue.id, concurrency_limit=limit, priority=priority)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m deployments.bootstrap")
    parser.add_argument("--type", type=PoolType, choices=list(PoolType), default=PoolType.PROCESS, dest="pool_type")
    asyncio.run(bootstrap(parser.parse_args(argv).pool_type))


if __name__ == "__main__":
    main()
