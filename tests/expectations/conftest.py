"""Great Expectations imported once, and the validation of bars that a test has spoilt."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from excerpts import KINDS, Excerpt, Rows, as_table, batch_of, closes_at

from expectations.validate import validate_bars, warm
from ffe.market.models import Timeframe
from ffe.market.quality import QualityReport

SYMBOLS = {
    "BTCUSD": KINDS["Coinbase trades"],
    "ETHUSD": Excerpt("ETHUSD", "ETH-USD_1m_trades_2018-04-04"),
    "EURUSD": KINDS["OANDA"],
    "GBPUSD": KINDS["FXCM"],
}


@pytest.fixture(scope="session", autouse=True)
def warmed() -> None:
    warm()


@pytest.fixture(scope="session")
def real_rows() -> Callable[[str], Rows]:
    """`real_rows("EURUSD")`: 400 recorded 1m bars, fresh dicts at every call."""
    return lambda symbol: SYMBOLS[symbol].rows()


@pytest.fixture(scope="session")
def validate() -> Callable[..., QualityReport]:
    """`validate(symbol, rows_or_table, now=close of the newest bar, timeframe=1m, **what validate_bars takes)`."""

    def run(
        symbol: str,
        bars: Rows | pa.Table,
        now: datetime | None = None,
        timeframe: Timeframe = Timeframe.M1,
        **more: Any,
    ) -> QualityReport:
        table = as_table(bars) if isinstance(bars, list) else bars
        moment = now if now is not None else closes_at(bars, timeframe)
        batch = batch_of(symbol, timeframe, moment - timedelta(days=1), moment - timeframe.duration, table.num_rows)
        return validate_bars(table, batch, moment, **more)

    return run
