"""A broken rule: what is wrong, how many bars, and up to five of them in words a person can read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ffe.market.calendar import Opens

EXAMPLES = 5

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Breach:
    """`count` is the number of offending bars, or of missing ones; `examples` are up to five rows or times as text."""

    message: str
    count: int
    examples: tuple[str, ...] = ()


def rows_breach(frame: pd.DataFrame, bad: Mask, message: str, *, newest: bool = False) -> Breach | None:
    """Breach over the rows in `bad`, with five of them printed, the oldest or the `newest`; None when there are none."""
    count = int(bad.sum())
    if count == 0:
        return None
    judged = frame[bad]
    shown = judged.tail(EXAMPLES) if newest else judged.head(EXAMPLES)
    return Breach(f"{count} of {len(frame)} bars: {message}", count, row_texts(shown))


def row_texts(rows: pd.DataFrame) -> tuple[str, ...]:
    """One line a row: `time=2018-04-04T09:00:00Z open=1.2272 ...`."""
    return tuple(" ".join(f"{name}={_shown(row[name])}" for name in row) for row in rows.to_dict("records"))


def time_text(moment: np.datetime64) -> str:
    return f"{np.datetime_as_string(moment, unit='s')}Z"


def opens_of(frame: pd.DataFrame) -> Opens:
    return frame["time"].to_numpy(dtype="datetime64[us]")


def floats(frame: pd.DataFrame, column: str) -> Values:
    return frame[column].to_numpy(dtype=np.float64)


def _shown(value: Any) -> str:
    if isinstance(value, pd.Timestamp) and not pd.isna(value):
        # Fractions of a second only where there are any: they are what an unaligned time is about.
        return value.isoformat().replace("+00:00", "Z")
    return f"{value:.10g}" if isinstance(value, float) else str(value)
