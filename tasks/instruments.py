"""Reading the venues' rules for what we trade, and the table of them that a person reads."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from ffe.cycle import instruments
from ffe.cycle.instruments import Synced
from ffe.market.models import Instrument
from ffe.money import plain
from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.incidents import task_failed

_NUMBERS = ("price_increment", "size_increment", "min_size", "min_notional", "taker_fee_rate", "margin_rate")


@task(
    name="sync-instrument",
    task_run_name="sync-instrument {instrument.symbol}",
    retries=0,
    cache_policy=NO_CACHE,
    on_failure=[task_failed],
)
@keeps_secrets
def sync_instrument(instrument: Instrument) -> Synced:
    """One instrument's rules into the ledger. The venue's client has tried again already where that may help."""
    runtime.tell(instrument.symbol, "reading the venue's rules")
    return instruments.sync_instrument(runtime.engine(), instrument)


@task(name="publish-instruments", cache_policy=NO_CACHE, on_failure=[task_failed])
@keeps_secrets
def publish_instruments(synced: Sequence[Synced]) -> None:
    """Table `instruments`: the rules, and what changed since they were last seen."""
    changed = [each.spec.instrument for each in synced if each.changes]
    description = f"changed: {', '.join(changed)}" if changed else "no rule has changed"
    create_table_artifact([_row(each) for each in synced], key="instruments", description=description)


def _row(synced: Synced) -> dict[str, Any]:
    spec = synced.spec
    numbers = {name: getattr(spec, name) for name in _NUMBERS}
    changes = [f"{name} {before} -> {now}" for name, (before, now) in synced.changes.items()]
    return {
        "instrument": spec.instrument,
        "venue": spec.venue,
        "trades": spec.tradeable,
        "status": spec.status,
        **{name: None if value is None else plain(value) for name, value in numbers.items()},
        "changed": "; ".join(changes) if synced.known else "first seen",
    }
