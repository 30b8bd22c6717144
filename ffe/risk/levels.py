"""Prices around an entry: where the stop and the target go, and the worst price worth accepting.

Stop = 2 x ATR(14), clamped to 1-5 % of the entry for crypto and 0.1-1.5 % for forex; target = reward/risk x the stop's
distance. All are quantised to the venue's price increment first and then checked, because the rounded ones are sent.

A trailing stop has the same distance, but never less than the venue takes, and starts behind the price at which the position could be
closed: what it can lose is the distance and the spread.
"""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from ffe.market.models import AssetClass
from ffe.money import ZERO, plain, round_down, round_nearest, round_up
from ffe.orders.models import Side
from ffe.risk.models import Clamp, Denial
from ffe.settings import RiskSettings
from ffe.venues.models import InstrumentSpec, Quote


class Levels(BaseModel):
    """Prices in quote currency. `distance` is |entry - stop| as sent; `bound` the worst acceptable fill price.

    `lost` is what one unit loses when the stop is hit. `trailing` is the distance of a trailing stop; then `stop` is where it begins
    at the latest and is not sent. None: the stop is fixed.
    """

    model_config = ConfigDict(frozen=True)

    entry: Decimal
    stop: Decimal
    target: Decimal
    bound: Decimal
    lost: Decimal
    trailing: Decimal | None = None
    clamps: tuple[Clamp, ...]

    @property
    def distance(self) -> Decimal:
        return abs(self.entry - self.stop)


def entry_price(side: Side, quote: Quote) -> Decimal:
    """A buyer pays the ask, a seller gets the bid."""
    return quote.ask if side is Side.BUY else quote.bid


def levels(
    side: Side, atr: Decimal, asset: AssetClass, *, spec: InstrumentSpec, quote: Quote, settings: RiskSettings
) -> Levels | Denial:
    """Levels of an entry; `atr` is in price units. Denied when the stop or target would be on the wrong side of the market."""
    if not atr.is_finite() or atr < 0:
        return Denial(code="no_atr", reason=f"ATR of {spec.instrument} is {atr}, not a distance")
    entry = entry_price(side, quote)
    distance, clamps = _stop_distance(atr, entry, asset, settings)
    trailing = _trailing(distance, spec, settings, clamps)
    if trailing is not None:
        distance = trailing
    stop = round_nearest(entry - side.sign * distance, spec.price_increment)
    target = round_nearest(entry + side.sign * abs(entry - stop) * settings.reward_risk, spec.price_increment)
    wrong = _wrong_side(side, stop, target, spec, quote)
    if wrong is not None:
        return wrong
    slippage = settings.max_slippage * entry
    half_stop = abs(entry - stop) / 2
    if half_stop < slippage:
        rule = "a fill half a stop away from the entry already risks half as much again"
        clamps.append(Clamp(name="price_bound", before=slippage, after=half_stop, rule=rule))
        slippage = half_stop
    bound = price_bound(side, entry, slippage, spec)
    lost = abs(entry - stop) + (ZERO if trailing is None else quote.spread)
    return Levels(
        entry=entry, stop=stop, target=target, bound=bound, lost=lost, trailing=trailing, clamps=tuple(clamps)
    )


def price_bound(side: Side, entry: Decimal, slippage: Decimal, spec: InstrumentSpec) -> Decimal:
    """Worst acceptable price, quantised towards the entry but never past it."""
    if side is Side.BUY:
        return max(round_down(entry + slippage, spec.price_increment), round_up(entry, spec.price_increment))
    return min(round_up(entry - slippage, spec.price_increment), round_down(entry, spec.price_increment))


def _stop_distance(
    atr: Decimal, entry: Decimal, asset: AssetClass, settings: RiskSettings
) -> tuple[Decimal, list[Clamp]]:
    crypto = asset is AssetClass.CRYPTO
    least = entry * (settings.crypto_stop_min if crypto else settings.forex_stop_min)
    most = entry * (settings.crypto_stop_max if crypto else settings.forex_stop_max)
    wanted = settings.stop_atr_multiple * atr
    kept = min(max(wanted, least), most)
    if kept == wanted:
        return kept, []
    name, share = ("stop_min", least) if kept > wanted else ("stop_max", most)
    rule = f"{asset.value} stop is {'at least' if name == 'stop_min' else 'at most'} {plain(share / entry * 100)} % of the entry"
    return kept, [Clamp(name=name, before=wanted, after=kept, rule=rule)]


def _trailing(distance: Decimal, spec: InstrumentSpec, settings: RiskSettings, clamps: list[Clamp]) -> Decimal | None:
    """Distance of the trailing stop at the venue's increment; None where none is wanted or the venue has none."""
    if not settings.trailing_stop or spec.min_trailing_distance is None:
        return None
    wanted = round_nearest(distance, spec.price_increment)
    least = round_up(spec.min_trailing_distance, spec.price_increment)
    if wanted >= least:
        return wanted
    rule = f"{spec.instrument} trailing stop is at least {plain(least)} away"
    clamps.append(Clamp(name="min_trailing_distance", before=wanted, after=least, rule=rule))
    return least


def _wrong_side(side: Side, stop: Decimal, target: Decimal, spec: InstrumentSpec, quote: Quote) -> Denial | None:
    """A long's stop triggers at the bid and its target must lie above the ask; a short's mirrored."""
    long = side is Side.BUY
    stop_ok = 0 < stop < quote.bid if long else stop > quote.ask
    target_ok = target > quote.ask if long else 0 < target < quote.bid
    if stop_ok and target_ok:
        return None
    return Denial(
        code="stop_not_placeable",
        reason=f"{spec.instrument} stop {plain(stop)} and target {plain(target)} for a {side.value} "
        f"do not lie around bid {plain(quote.bid)} and ask {plain(quote.ask)}",
    )
