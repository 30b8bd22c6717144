"""sync-instruments: what each venue's rules are today. Ends Failed, and names the instruments, when some could not be read.

    for every instrument
        read the venue's rules                          smallest size, increments, fees, margin, does it trade
        record them where they changed
    publish them, and what changed

Run it in process with `python -m flows.sync_instruments`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from ffe.cycle.instruments import Synced
from ffe.market.models import parse_instrument
from ffe.observe.masked_errors import keeps_secrets
from flows.parameters import InstrumentName
from tasks import runtime
from tasks.incidents import INSTRUMENTS_FAILED, flow_cancelled, flow_failed
from tasks.instruments import publish_instruments
from tasks.instruments import sync_instrument as sync_one


@flow(name="sync-instruments", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
def sync_instruments(instruments: list[InstrumentName] | None = None) -> dict[str, Any] | State[Any]:
    """The rules of every instrument; one that could not be read is an incident and stops no other.

    Args:
        instruments: names such as BTCUSD or EUR_USD; the settings' own when left empty.
    """
    settings = runtime.engine().settings
    wanted = [parse_instrument(name) for name in instruments] if instruments else list(settings.instruments)
    results: list[Synced] = []
    failed: list[str] = []
    for instrument in wanted:
        state = sync_one(instrument, return_state=True)
        result = state.result(raise_on_failure=False)
        if isinstance(result, Synced):
            results.append(result)
        else:
            failed.append(instrument.symbol)
    publish_instruments(results)
    runtime.engine().record_usage()
    if failed:
        return Failed(name=INSTRUMENTS_FAILED, message=f"not read: {', '.join(failed)}; the incidents say why")
    return {each.spec.instrument: each.model_dump(mode="json") for each in results}


if __name__ == "__main__":
    sync_instruments()
