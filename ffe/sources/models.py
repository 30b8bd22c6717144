"""The typed table of bars and the batch record that names it.

Prices and volume are decimal128 in Arrow and Parquet, exactly as the venue printed them; `to_frame` is the door to
float64 for indicators and checks. `time` is the bar's open, UTC. Only complete bars are ever in a table.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ffe.market.models import Instrument, Timeframe

PRICE = pa.decimal128(38, 18)
BAR_SCHEMA = pa.schema(
    [
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("open", PRICE, nullable=False),
        pa.field("high", PRICE, nullable=False),
        pa.field("low", PRICE, nullable=False),
        pa.field("close", PRICE, nullable=False),
        pa.field("volume", PRICE, nullable=False),
    ]
)
# OANDA prints both sides; their closes travel along so that a crossed market can be seen.
QUOTED_BAR_SCHEMA = pa.schema(
    [*BAR_SCHEMA, pa.field("bid_close", PRICE, nullable=False), pa.field("ask_close", PRICE, nullable=False)]
)
# Alpha Vantage prints no volume for forex. None is made up: the column is not there.
PRICE_BAR_SCHEMA = pa.schema([BAR_SCHEMA.field(name) for name in BAR_SCHEMA.names if name != "volume"])


class Outcome(StrEnum):
    """skipped: not asked, because it is not set up, its circuit is open or its budget is spent."""

    ANSWERED = "answered"
    FAILED = "failed"
    SKIPPED = "skipped"


class SourceAnswer(BaseModel):
    """What one source said when bars were wanted. `error` is the exception's type, `chain` its traceback with all causes; both masked."""

    model_config = ConfigDict(frozen=True)

    source: str
    outcome: Outcome
    at: datetime
    rows: int = 0
    latency_ms: float = 0.0
    error: str | None = None
    message: str | None = None
    chain: str | None = None


class BarBatch(BaseModel):
    """The exact bars one decision saw. `id` is the sha256 of the Parquet file at `path` (relative to the data folder)."""

    model_config = ConfigDict(frozen=True)

    id: str
    instrument: Instrument
    timeframe: Timeframe
    source: str
    path: str
    rows: int
    first_open: datetime
    last_open: datetime
    fetched_at: datetime
    answers: tuple[SourceAnswer, ...] = ()

    @property
    def bar_close(self) -> datetime:
        """Close of the newest complete bar: freshness and the decision key count from here."""
        return self.last_open + self.timeframe.duration


def to_frame(table: Any) -> pd.DataFrame:
    """float64 frame of a bar table: column `time` (datetime64, UTC) and one float64 column per price and volume."""
    frame = pd.DataFrame({"time": table.column("time").to_pandas()})
    for name in table.column_names:
        if name != "time":
            frame[name] = table.column(name).cast(pa.float64()).to_numpy()
    return frame
