"""Creates what `prefect deploy --all` needs first: `python -m deployments.bootstrap`. Idempotent.

`deploy` stops at the first deployment whose pool is missing, so the pools come before it. The gpu pool runs one decision at a
time: two models on one card are slower than one after the other. A pool for two cards gets a higher limit, and each card a queue and a
worker of its own; each queue still runs one.
"""

import asyncio

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

# Name and how many runs at a time.
POOLS = {"cpu": 4, "gpu": 1}
# Runs at a time of a pool's work queue; every pool has a queue `default`.
QUEUES = {"gpu": {"default": 1}}


async def bootstrap() -> None:
    """Work pools of type process, and the limits of pools and queues."""
    async with get_client() as client:
        for name, limit in POOLS.items():
            try:
                await client.read_work_pool(name)
            except ObjectNotFound:
                await client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            await client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=limit))
            for queue, runs in QUEUES.get(name, {}).items():
                await _limit_queue(client, name, queue, runs)


async def _limit_queue(client: PrefectClient, pool: str, name: str, limit: int) -> None:
    queue = await client.read_work_queue_by_name(name, work_pool_name=pool)
    await client.update_work_queue(queue.id, concurrency_limit=limit)


if __name__ == "__main__":
    asyncio.run(bootstrap())
