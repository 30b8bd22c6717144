"""Is somebody trading there, and do others see the same price: volume, and the closes of other sources."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from expectations.breach import Breach, floats, opens_of, rows_breach
from ffe.clock import parse_time

# Coinbase and OANDA print no bar without a trade or a tick: none of the recorded trades has a volume of zero.
ZERO_VOLUME_SHARE = 0.10
DEAD_SHARE = 0.50
# The median of the newest 12 volumes is never under 11 % of that of 200 recorded bars.
COLLAPSE_BARS = 12
COLLAPSE_SHARE = 0.04
# Between sources of one market: spread, fees and a minute's delay explain far less.
DIVERGENCE = 0.02
# Closes come as float64, whose rounding moves a distance of 2 % by at most a few parts in 1e14: without slack, exactly 2 % may fail.
SLACK = 1e-12


def traded(frame: pd.DataFrame, share: float) -> Breach | None:
    """At most `share` of the bars without volume."""
    empty = floats(frame, "volume") == 0
    if not empty.any() or empty.mean() <= share:
        return None
    return rows_breach(frame, empty, f"{empty.mean():.1%} of the bars have no volume, limit {share:.0%}")


def active(frame: pd.DataFrame) -> Breach | None:
    """The median volume of the newest 12 bars is at least 4 % of the median of all."""
    volume = floats(frame, "volume")
    if volume.size <= COLLAPSE_BARS:
        return None
    newest, usual = (float(np.median(part)) for part in (volume[-COLLAPSE_BARS:], volume))
    if not newest < COLLAPSE_SHARE * usual:
        return None
    judged = np.arange(volume.size) >= volume.size - COLLAPSE_BARS
    message = f"median volume fell to {newest:.6g}, {newest / usual:.1%} of {usual:.6g}, limit {COLLAPSE_SHARE:.0%}"
    return rows_breach(frame, judged, message, newest=True)


def agreeing(frame: pd.DataFrame, references: Sequence[Mapping[str, str]], divergence: float) -> Breach | None:
    """Each other source's close of the newest bar that both have is at most `divergence` away.

    A reference is `{"source", "open", "close"}` as text; one whose bar is not in the frame says nothing.

    Raises:
        ValueError: a reference that is no price.
    """
    closes = dict(zip(opens_of(frame).tolist(), floats(frame, "close").tolist(), strict=True))
    newest: dict[str, tuple[float, Mapping[str, str]]] = {}
    for reference in sorted(references, key=lambda each: parse_time(each["open"])):
        ours = closes.get(parse_time(reference["open"]).replace(tzinfo=None))
        if ours is not None:
            newest[reference["source"]] = ours, reference
    apart = [(_apart(ours, reference), ours, reference) for ours, reference in newest.values()]
    far = [each for each in apart if not each[0] <= divergence * (1 + SLACK)]
    if not far:
        return None
    texts = tuple(
        f"time={said['open']} close={ours:.10g} {said['source']}={said['close']} apart={size:.2%}"
        for size, ours, said in far
    )
    return Breach(f"newest shared bar: {'; '.join(texts)}, limit {divergence:.0%}", len(far), texts)


def _apart(ours: float, reference: Mapping[str, str]) -> float:
    theirs = float(reference["close"])
    if not 0 < theirs < np.inf:
        raise ValueError(f"{reference['source']} says {reference['close']}, which is no price")
    return abs(ours - theirs) / min(ours, theirs) if ours > 0 else np.inf
