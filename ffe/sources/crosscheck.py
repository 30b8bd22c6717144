"""A second opinion on a batch: closes of the same bars from the other sources, for the suite to compare.

What the store has of them costs nothing. Where the newest bar is not among it, one caller an hour and instrument asks, and with a daily
request budget only out of its first half: the other half is kept for the day when the first source is down.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa

from ffe.errors import DataError, NoSourceError
from ffe.market.quality import Reference
from ffe.sources.chain import SourceChain
from ffe.sources.models import BarBatch
from ffe.sources.store import BarStore

_LOG = logging.getLogger(__name__)
SHARE = 0.5
# Newest bars that are asked for: enough to compare, and never more than one page.
BARS = 3


def references(
    chain: SourceChain, store: BarStore, batch: BarBatch, now: datetime, *, again: bool = False
) -> tuple[Reference, ...]:
    """Closes by sources other than the batch's, with opens in [first_open, bar_close), oldest first for each source.

    `again`: after a disagreement another source is asked before its hour is over. Empty where nobody knows. A source that fails gives no reference; it never raises here.
    """
    if not chain.settings.cross_check:
        return ()
    others = [source.name for source in chain.sources if source.name != batch.source]
    return tuple(found for name in others for found in _of_source(chain, store, batch, name, now, again=again))


def timely(found: Sequence[Reference], batch: BarBatch) -> bool:
    """Whether one of them is about the newest bars of `batch`, so that it may end a disagreement."""
    oldest = batch.last_open - (BARS - 1) * batch.timeframe.duration
    return any(reference.open >= oldest for reference in found)


def _of_source(
    chain: SourceChain, store: BarStore, batch: BarBatch, name: str, now: datetime, *, again: bool
) -> list[Reference]:
    closes = _stored(store, batch, name)
    if batch.last_open not in closes and (again or _due(chain, batch, name, now)):
        closes |= _fresh(chain, batch, name)
    inside = sorted(moment for moment in closes if batch.first_open <= moment < batch.bar_close)
    return [Reference(source=name, open=moment, close=closes[moment]) for moment in inside]


def _stored(store: BarStore, batch: BarBatch, name: str) -> dict[datetime, Decimal]:
    """Closes of bars that passed their own suite. A store that can't be read knows nothing."""
    try:
        table, _ = store.known(batch.instrument, batch.timeframe, name, batch.first_open, batch.bar_close)
    except DataError as error:
        _LOG.warning("no stored second opinion on %s: %s", batch.instrument.symbol, error)
        return {}
    return _closes(table)


def _due(chain: SourceChain, batch: BarBatch, name: str, now: datetime) -> bool:
    every = timedelta(seconds=chain.settings.cross_check_seconds)
    return chain.log.claim_cross_check(chain.feed, name, batch.instrument.symbol, now, every)


def _fresh(chain: SourceChain, batch: BarBatch, name: str) -> dict[datetime, Decimal]:
    start = batch.last_open - (BARS - 1) * batch.timeframe.duration
    try:
        fetched = chain.fetch(batch.instrument, batch.timeframe, start, batch.bar_close, only=name, share=SHARE)
    except NoSourceError as error:
        _LOG.info("no second opinion on %s %s: %s", batch.instrument.symbol, batch.timeframe.value, error)
        return {}
    return _closes(fetched.table)


def _closes(table: pa.Table) -> dict[datetime, Decimal]:
    opens = (moment.astimezone(UTC) for moment in table.column("time").to_pylist())
    return dict(zip(opens, table.column("close").to_pylist(), strict=True))
