"""The venue's rules that a replay trades under: the account's own where the ledger has them, else the published ones.

Published rules are those of today. Past tick sizes, minimums and fees are not recorded anywhere here.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from ffe.market.models import AssetClass, Instrument
from ffe.money import ZERO
from ffe.replay.bars import middle, signed
from ffe.replay.models import ASK, BID, Feed
from ffe.settings import Settings
from ffe.venues.models import InstrumentSpec

HOME = "USD"
# OANDA's published margin rates of a small account: pairs with the dollar, and all others.
MAJOR_MARGIN, CROSS_MARGIN = Decimal("0.0333"), Decimal("0.05")
_FOREX_MAX = Decimal(100_000_000)
# Coinbase's BTC-USD and ETH-USD; most coins share all but the price increment.
_CENT, _SATOSHI = Decimal("0.01"), Decimal("0.00000001")
_QUOTE_MIN, _QUOTE_MAX = Decimal(1), Decimal(150_000_000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PUBLISHED = "published"


def spec_for(
    instrument: Instrument,
    settings: Settings,
    ledger_spec: InstrumentSpec | None = None,
    *,
    places: int | None = None,
) -> InstrumentSpec:
    """The newest spec that the ledger recorded for the instrument, whose fees are the account's own; else the published rules.

    The fee of crypto is then `settings.replay.crypto_fee_rate`. `places`: decimals of the recorded prices; a coin that was dealt in
    less than cents is traded on that grid.
    """
    if ledger_spec is not None:
        return ledger_spec.model_copy(update={"tradeable": True})
    if instrument.asset_class is AssetClass.CRYPTO:
        step = _CENT if places is None else min(_CENT, Decimal(1).scaleb(-places))
        return _product(instrument, settings.replay.crypto_fee_rate, step)
    return _pair(instrument)


def free_of_costs(feed: Feed) -> Feed:
    """The same feed traded at the middle without a fee: what a strategy is worth before costs."""
    bars, finest = feed.bars, Decimal(1).scaleb(-feed.bars.places - 1)
    half = middle(bars.after[:, BID], bars.after[:, ASK], bars.places)
    return replace(
        feed,
        bars=signed(
            replace(bars, bid=bars.mid, ask=bars.mid, after=np.column_stack((half, half)), places=bars.places + 1)
        ),
        spec=feed.spec.model_copy(
            update={"taker_fee_rate": ZERO, "price_increment": min(feed.spec.price_increment, finest)}
        ),
    )


def _pair(instrument: Instrument) -> InstrumentSpec:
    pip = Decimal("0.01") if instrument.quote == "JPY" else Decimal("0.0001")
    major = HOME in (instrument.base, instrument.quote)
    return InstrumentSpec(
        instrument=instrument.symbol,
        venue=instrument.venue,
        price_increment=pip / 10,
        size_increment=Decimal(1),
        min_size=Decimal(1),
        max_size=_FOREX_MAX,
        min_notional=None,
        max_notional=None,
        margin_rate=MAJOR_MARGIN if major else CROSS_MARGIN,
        taker_fee_rate=ZERO,
        pip=pip,
        tradeable=True,
        status=PUBLISHED,
        fetched_at=EPOCH,
        min_trailing_distance=5 * pip,
    )


def _product(instrument: Instrument, fee: Decimal, step: Decimal) -> InstrumentSpec:
    return InstrumentSpec(
        instrument=instrument.symbol,
        venue=instrument.venue,
        price_increment=step,
        size_increment=_SATOSHI,
        min_size=_SATOSHI,
        max_size=None,
        min_notional=_QUOTE_MIN,
        max_notional=_QUOTE_MAX,
        margin_rate=None,
        taker_fee_rate=fee,
        pip=step,
        tradeable=True,
        status=PUBLISHED,
        fetched_at=EPOCH,
    )
