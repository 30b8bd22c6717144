"""Creates what `prefect deploy --all` needs first: `python -m deployments.bootstrap`. Idempotent.

`deploy` stops at the first deployment whose pool is missing, so the pools come before it. The gpu pool runs one decision at a
time: two models on one card are slower than one after the other.
"""

import asyncio

from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

# Name and how many runs at a time.
POOLS = {"cpu": 4, "gpu": 1}


async def bootstrap() -> None:
    """Work pools of type process, with their limits."""
    async with get_client() as client:
        for name, limit in POOLS.items():
            try:
                await client.read_work_pool(name)
            except ObjectNotFound:
                await client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            await client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=limit))


if __name__ == "__main__":
    asyncio.run(bootstrap())
