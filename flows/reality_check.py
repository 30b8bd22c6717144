"""reality-check: what has to be true at any time, looked at on schedule. Ends Failed, and names it, when an invariant is broken.

    look                ledger, venues and deployment, each invariant with its own questions; what can't be asked is broken
    remember            since when, and an incident for each that held until now
    publish             a table of all, a page with what breaks them and the trend

Run it in process with `python -m flows.reality_check`: then nothing is claimed about alarms and workers.
"""

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from ffe.observe.masked_errors import keeps_secrets
from ffe.observe.reality import report
from tasks import runtime
from tasks.incidents import INVARIANTS_BROKEN, flow_cancelled, flow_failed
from tasks.reality import check_reality, publish_reality


@flow(name="reality-check", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
async def reality_check() -> dict[str, Any] | State[Any]:
    """The document of the run, which the ledger keeps too; docs/operations.md says what each invariant means."""
    found = check_reality()
    publish_reality(found)
    runtime.engine().record_usage()
    if not found.holds:
        return Failed(name=INVARIANTS_BROKEN, message=report.sentence(found))
    return found.document()


if __name__ == "__main__":
    asyncio.run(reality_check())
