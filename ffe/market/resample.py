"""Bars of a longer timeframe from bars of a shorter one: UTC-aligned buckets, complete ones only.

What comes in is taken as it is: ascending `time` (the suite has checked that), periods without a bar allowed inside a bucket, as
venues print them. `resample_table` is exact and agrees with the venue's own bars to the last digit; `resample` is the same over the
float frame of the indicators. A bucket that the bars cut at either end is left out, because nobody knows its rest; with a calendar,
time in which the market is closed counts as known, so Friday's last 4h bucket is complete at the week's close.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ffe.market.calendar import Calendar
from ffe.market.models import Timeframe

Seconds = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

_AGGREGATES = {"open": "first", "high": "max", "low": "min", "volume": "sum"}


def resample_table(
    table: pa.Table, timeframe: Timeframe, target: Timeframe, calendar: Calendar | None = None
) -> pa.Table:
    """Buckets of `target` from a bar table of `timeframe`, of the same schema and exact.

    Prices keep first, highest, lowest and last; volume is summed; any other column (bid and ask closes) keeps its last value.
    Without `calendar` a bucket is complete when the bars reach from its start to its end.

    Raises:
        ValueError: `target` is not a whole multiple of `timeframe`.
    """
    if _same(timeframe, target) or table.num_rows == 0:
        return table
    opens = table.column("time").to_numpy().astype("datetime64[s]").astype(np.int64)
    rows, buckets = _complete(opens, timeframe, target, calendar)
    if rows.size == 0:
        return table.slice(0, 0)
    kept = table.take(pa.array(rows))
    starts = np.flatnonzero(np.diff(buckets, prepend=-1))
    groups = pa.array(np.repeat(np.arange(starts.size), np.diff(np.append(starts, rows.size))))
    columns = [
        pa.array(buckets[starts] * 1_000_000).cast(pa.timestamp("us", tz="UTC")).cast(field.type)
        if field.name == "time"
        else _exact(kept.column(field.name), groups, starts, _AGGREGATES.get(field.name, "last"))
        for field in table.schema
    ]
    return pa.table(columns, schema=table.schema)


def resample(
    frame: pd.DataFrame, timeframe: Timeframe, target: Timeframe, calendar: Calendar | None = None
) -> pd.DataFrame:
    """`resample_table` over a float64 frame (`ffe.sources.models.to_frame`).

    Raises:
        ValueError: `target` is not a whole multiple of `timeframe`.
    """
    if _same(timeframe, target) or frame.empty:
        return frame.copy()
    opens = frame["time"].to_numpy(dtype="datetime64[s]").astype(np.int64)
    rows, buckets = _complete(opens, timeframe, target, calendar)
    if rows.size == 0:
        return frame.iloc[:0].copy()
    kept = frame.iloc[rows]
    starts = np.flatnonzero(np.diff(buckets, prepend=-1))
    columns = {
        str(name): _float(kept[name].to_numpy(dtype=np.float64), starts, _AGGREGATES.get(str(name), "last"))
        for name in frame.columns
        if name != "time"
    }
    times = pd.Series(buckets[starts].astype("datetime64[s]")).dt.tz_localize("UTC").astype(frame["time"].dtype)
    return pd.DataFrame({"time": times, **columns})


def _same(timeframe: Timeframe, target: Timeframe) -> bool:
    if target.seconds % timeframe.seconds != 0:
        raise ValueError(f"{target.value} is not a multiple of {timeframe.value}")
    return target is timeframe


def _complete(
    opens: Seconds, timeframe: Timeframe, target: Timeframe, calendar: Calendar | None
) -> tuple[Rows, Seconds]:
    """The rows that belong to complete buckets, and the bucket of each of them."""
    step, buckets = timeframe.seconds, opens // target.seconds * target.seconds
    whole = np.ones(opens.size, dtype=np.bool_)
    if _open_bars(buckets[0], opens[0], timeframe, calendar):
        whole &= buckets > buckets[0]
    if _open_bars(opens[-1] + step, buckets[-1] + target.seconds, timeframe, calendar):
        whole &= buckets < buckets[-1]
    rows = np.flatnonzero(whole)
    return rows, buckets[rows]


def _open_bars(start: np.int64, end: np.int64, timeframe: Timeframe, calendar: Calendar | None) -> bool:
    """Whether a bar could open in [start, end). Optional time counts: a bar may still come there."""
    unseen = np.arange(start, end, timeframe.seconds, dtype=np.int64)
    if calendar is None or unseen.size == 0:
        return unseen.size > 0
    return bool(calendar.opened(timeframe, (unseen * 1_000_000).astype("datetime64[us]")).any())


def _exact(values: pa.ChunkedArray, groups: pa.Array, starts: Rows, how: str) -> Any:
    """One value a group, of the column's own type; `groups` numbers the rows, `starts` is the first row of each group."""
    if how == "first":
        return values.take(pa.array(starts))
    if how == "last":
        return values.take(pa.array(np.append(starts[1:], len(values)) - 1))
    grouped = pa.table({"group": groups, "value": values}).group_by("group", use_threads=False)
    return grouped.aggregate([("value", how)]).sort_by("group").column(f"value_{how}").cast(values.type)


def _float(values: np.ndarray, starts: Rows, how: str) -> np.ndarray:
    if how == "first":
        return np.asarray(values[starts])
    if how == "max":
        return np.asarray(np.maximum.reduceat(values, starts))
    if how == "min":
        return np.asarray(np.minimum.reduceat(values, starts))
    if how == "sum":
        return np.asarray(np.add.reduceat(values, starts))
    return np.asarray(values[np.append(starts[1:], values.size) - 1])
