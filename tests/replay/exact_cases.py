"""Small markets for the exact engine: bars written down by hand, rules of the real venues."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bars import make_bars, middle
from ffe.replay.exact import run
from ffe.replay.models import Feed, Gate, Plan, Result, Signals
from ffe.replay.specs import spec_for
from ffe.settings import RiskSettings, Settings

# A Wednesday, 00:00 UTC.
START = 1_522_800_000
HOUR = 3600
# Bars before the first one that a test writes: the ATR needs them. Each has a range of 0.1 % of its price.
QUIET = 30
SETTINGS = Settings()
Row = tuple[float, float, float, float]


def feed(
    symbol: str,
    rows: Sequence[Row],
    *,
    spread: float = 0.0002,
    start: int = START,
    gates: Mapping[int, Gate] | None = None,
    opens: Sequence[int] | None = None,
    **spec: object,
) -> Feed:
    """Hourly bars: `QUIET` flat ones at the first row's open, then `rows` of bid open, high, low, close; the ask is `spread` higher.

    `gates` by row of `rows`; `opens`: hours from the first row at which the rows open; `spec`: the venue's rules that differ.
    """
    instrument = parse_instrument(symbol)
    rules = spec_for(instrument, SETTINGS).model_copy(update=spec)
    places = -int(rules.price_increment.as_tuple().exponent)
    first = rows[0][0]
    wide = round(first * 0.0005, places)
    quiet = [(first, first + wide, first - wide, first)] * QUIET
    bid = np.round(np.array([*quiet, *rows], dtype=np.float64), places)
    ask = np.round(bid + spread, places)
    hours = (
        np.arange(QUIET + len(rows)) if opens is None else np.array([*range(QUIET), *(QUIET + each for each in opens)])
    )
    bars = make_bars(
        instrument,
        Timeframe.H1,
        (start + hours * HOUR).astype(np.int64),
        middle(bid, ask, places),
        bid,
        ask,
        places=places,
        quoted=True,
    )
    found = np.zeros(len(bars), dtype=np.int8)
    for row, gate in (gates or {}).items():
        found[QUIET + row] = gate
    return Feed(bars, rules, found)


def signals(
    made: Feed, actions: Mapping[int, int], confidence: int = 80, authors: Mapping[int, int] | None = None
) -> Signals:
    """`actions` and `authors` by row of the rows that the test wrote; HOLD by the model elsewhere."""
    size = len(made.bars)
    said, asked = np.zeros(size, dtype=np.int8), np.zeros(size, dtype=np.int8)
    for row, action in actions.items():
        said[QUIET + row] = action
    for row, author in (authors or {}).items():
        asked[QUIET + row] = author
    return Signals(said, np.full(size, confidence, dtype=np.int64), None if authors is None else asked)


def closes_at(row: int) -> int:
    """Epoch seconds at which a written row closes."""
    return START + (QUIET + row + 1) * HOUR


def plan(**changes: object) -> Plan:
    """Rules as shipped, but without pauses, slippage or anything else that a small market would meet by accident."""
    risk = {"cooldown_seconds": 0, "min_hold_seconds": 0, **changes.pop("risk", {})}
    return Plan(risk=RiskSettings(**risk), **{"slippage_bps": 0.0, **changes})


def flat(price: float, bars: int) -> list[Row]:
    return [(price, price, price, price)] * bars


def only_trade(result: Result) -> dict[str, Any]:
    rows = result.trades.to_pylist()
    assert len(rows) == 1, rows
    return rows[0]


def entered(
    symbol: str, action: int, *, spread: float = 0.0002, price: float = 1.2, **changes: object
) -> dict[str, Any]:
    """The trade of an entry at the first written bar, as long as nothing happens after it: its levels and its size."""
    made = feed(symbol, flat(price, 3), spread=spread)
    return only_trade(run([made], [signals(made, {0: action})], plan(**changes)))
