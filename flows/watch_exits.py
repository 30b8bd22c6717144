"""watch-exits: stops and targets that a venue can't hold, watched from here. Without any there is nothing to ask a venue.

Run it in process with `python -m flows.watch_exits`.
"""

from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.accounts import watch_exits as watch_venue
from tasks.events import tripped
from tasks.incidents import flow_cancelled, flow_failed


@flow(name="watch-exits", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
def watch_exits() -> list[dict[str, Any]]:
    """The closes that were sent, one row each."""
    cycle_id = str(flow_run.get_id())
    running = [watch_venue.submit(venue, cycle_id) for venue in runtime.engine().settings.venues]
    tripped(runtime.engine().ledger.switch())
    orders = [order.model_dump(mode="json") for each in running for order in each.result()]
    runtime.engine().record_usage()
    return orders


if __name__ == "__main__":
    watch_exits()
