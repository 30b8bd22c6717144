"""What every bar source can do."""

from datetime import datetime
from typing import Protocol

import pyarrow as pa

from ffe.market.models import Instrument, Timeframe


class BarSource(Protocol):
    name: str

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        """Complete bars whose open lies in [start, end), oldest first, as `BAR_SCHEMA` or `QUOTED_BAR_SCHEMA`.

        Raises:
            TransientSourceError: after the bounded retries of a read.
            PermanentSourceError: unknown product, refused credentials.
        """
        ...

    def close(self) -> None:
        """Closes the connections that are kept open."""
        ...
