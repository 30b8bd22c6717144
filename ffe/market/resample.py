"""Bars of a longer timeframe from bars of a shorter one: UTC-aligned buckets, complete ones only.

The frame is taken as it is: ascending `time` (the suite has checked that), periods without a bar allowed inside a bucket, as
venues print them.
"""

import numpy as np
import pandas as pd

from ffe.market.models import Timeframe

_AGGREGATES = {"open": "first", "high": "max", "low": "min", "volume": "sum"}


def resample(frame: pd.DataFrame, timeframe: Timeframe, target: Timeframe) -> pd.DataFrame:
    """Buckets of `target` from a frame of `timeframe` bars (`ffe.sources.models.to_frame`).

    A bucket is complete when the frame reaches from its start to its end; the cut buckets at both ends are dropped. Prices keep
    first, highest, lowest and last; volume is summed; any other column (bid and ask closes) keeps its last value.

    Raises:
        ValueError: `target` is not a whole multiple of `timeframe`.
    """
    if target.seconds % timeframe.seconds != 0:
        raise ValueError(f"{target.value} is not a multiple of {timeframe.value}")
    if target is timeframe or frame.empty:
        return frame.copy()
    opens = frame["time"].to_numpy(dtype="datetime64[s]").astype(np.int64)
    buckets = opens // target.seconds * target.seconds
    whole = (buckets >= opens[0]) & (buckets + target.seconds <= opens[-1] + timeframe.seconds)
    if not whole.any():
        return frame.iloc[:0].copy()
    kept, buckets = frame[whole], buckets[whole]
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
    columns = {
        str(name): _aggregate(kept[name].to_numpy(dtype=np.float64), starts, _AGGREGATES.get(str(name), "last"))
        for name in frame.columns
        if name != "time"
    }
    times = pd.Series(buckets[starts].astype("datetime64[s]")).dt.tz_localize("UTC").astype(frame["time"].dtype)
    return pd.DataFrame({"time": times, **columns})


def _aggregate(values: np.ndarray, starts: np.ndarray, how: str) -> np.ndarray:
    if how == "first":
        return np.asarray(values[starts])
    if how == "max":
        return np.asarray(np.maximum.reduceat(values, starts))
    if how == "min":
        return np.asarray(np.minimum.reduceat(values, starts))
    if how == "sum":
        return np.asarray(np.add.reduceat(values, starts))
    return np.asarray(values[np.append(starts[1:], values.size) - 1])
