"""preflight: every venue and provider asked the five questions, on schedule. Ends Failed, and says why, when trading is refused.

Run it in process with `python -m flows.preflight`.
"""

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.incidents import flow_cancelled, flow_failed
from tasks.preflight import PREFLIGHT_FAILED, ask_everybody, publish_preflight


@flow(name="preflight", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
async def preflight() -> dict[str, Any] | State[Any]:
    """Asks, records, publishes. Cycles in practice and live trade on what it found for an hour."""
    found = ask_everybody()
    publish_preflight(found)
    runtime.engine().record_usage()
    if found.outcome == "refused":
        return Failed(name=PREFLIGHT_FAILED, message=f"trading is refused: {found.reason}")
    return found.model_dump(mode="json")


if __name__ == "__main__":
    asyncio.run(preflight())
