"""On which terms a decision is graded: where stop and target would have been, and what the round trip would have cost.

The fee is the taker's of the venue's specification on record. No specification has a spread: it is that of the bars themselves where
the source prints bid and ask (OANDA), and `risk.max_spread`, the worst that an entry may have, where it does not (Coinbase). So
a grade is rather too strict than too kind.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from ffe.feedback.grading import Terms
from ffe.market.models import Instrument
from ffe.orders.models import Side
from ffe.risk.levels import levels
from ffe.risk.models import Denial
from ffe.settings import RiskSettings
from ffe.venues.models import InstrumentSpec, Quote


def terms_of(
    instrument: Instrument,
    entry: Decimal,
    atr: Decimal,
    spread: Decimal | None,
    *,
    spec: InstrumentSpec,
    settings: RiskSettings,
    at: datetime,
) -> Terms | None:
    """Distances as `ffe.risk.levels` sets them for an entry at `entry`, and two half spreads plus two fees.

    `spread` is a fraction of the price, None for the worst allowed. A trailing stop is graded as a fixed one at the same distance. None
    where no stop can be placed: such a decision could never have been a trade.
    """
    quote = Quote(instrument=instrument.symbol, bid=entry, ask=entry, time=at, tradeable=True, status="graded")
    fixed = settings.model_copy(update={"trailing_stop": False})
    placed = levels(Side.BUY, atr, instrument.asset_class, spec=spec, quote=quote, settings=fixed)
    if isinstance(placed, Denial):
        return None
    cost = (settings.max_spread if spread is None else spread) + 2 * spec.taker_fee_rate
    return Terms(placed.distance, abs(placed.target - placed.entry), float(cost))


def mean_spread(bids: Sequence[Decimal], asks: Sequence[Decimal]) -> Decimal | None:
    """Mean of (ask - bid) / mid, never below zero; None without a quote."""
    shares = [max(Decimal(0), 2 * (ask - bid) / (ask + bid)) for bid, ask in zip(bids, asks, strict=True)]
    return sum(shares, Decimal(0)) / len(shares) if shares else None
