"""Changes to a case that must not change the answer: another date, another name, another price level.

A model that has met the bars before may know what came next; one that trades on a date, a famous name or round prices is answering another
question than the one put to it. Each probe changes everything in the context that goes with it, and nothing else: the indicators of
a market are the same at ten times its price.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from ffe.decision.models import Context, FramePulse
from ffe.evals.models import Question
from ffe.market.models import AssetClass, parse_instrument

# Whole weeks: the hour and the day of the week, which say something about a market, stay.
SHIFT = timedelta(weeks=130)
SCALE = 10
# Neither in the cases nor in the prompt's examples. The second stands in for the first itself.
STRANGERS = {AssetClass.CRYPTO: ("DOTUSD", "LINKUSD"), AssetClass.FOREX: ("NZDCAD", "CADCHF")}


class Probe(NamedTuple):
    question: Question
    change: Callable[[Context], Context]


def shifted(context: Context) -> Context:
    """The same case 130 weeks later."""
    memory = tuple(past.model_copy(update={"known_at": past.known_at + SHIFT}) for past in context.memory)
    return context.model_copy(update={"bar_close": context.bar_close + SHIFT, "memory": memory})


def renamed(context: Context) -> Context:
    """The same case under the name of another market of its asset class; what is remembered of its own market goes along."""
    own = context.instrument.symbol
    name = next(each for each in STRANGERS[context.instrument.asset_class] if each != own)
    memory = tuple(
        past.model_copy(update={"instrument": name}) if past.instrument == own else past for past in context.memory
    )
    warnings = tuple(warning.replace(own, name) for warning in context.warnings)
    return context.model_copy(update={"instrument": parse_instrument(name), "memory": memory, "warnings": warnings})


def rescaled(context: Context) -> Context:
    """The same case at ten times the price: every value in price units grows, every ratio stays."""
    return context.model_copy(
        update={
            "last_close": context.last_close * SCALE,
            "atr": context.atr * SCALE,
            "recent_closes": tuple(close * Decimal(SCALE) for close in context.recent_closes),
            "pulse": tuple(_scaled_frame(frame) for frame in context.pulse),
        }
    )


def _scaled_frame(frame: FramePulse) -> FramePulse:
    priced = {name: getattr(frame, name) for name in ("close", "atr", "macd_histogram")}
    scaled = {name: value * SCALE for name, value in priced.items() if value is not None}
    return frame.model_copy(update=scaled | {"closes": tuple(close * SCALE for close in frame.closes)})


PROBES = (Probe(Question.DATE, shifted), Probe(Question.TICKER, renamed), Probe(Question.PRICE, rescaled))
