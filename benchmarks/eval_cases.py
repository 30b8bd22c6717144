"""Makes the cases of `ffe models eval` from recorded 1m bars: `python -m benchmarks.eval_cases FOLDER [--out FILE]`.

A case is the context that a 5m cycle would have had at that moment, made by the same code and past the same suite, and what the two sides
earned over the next 12 bars: in at the next bar's open, out at the close of the twelfth, less two taker fees and one spread. Moments
are spread evenly over each recording; one whose bars don't pass, or whose next 12 bars are not all there, is left out. Any first few cases
of the file are of all instruments and far apart in time. Floats keep six significant digits, bars stay out but for the eight closes of a
context. The same bars give the same bytes.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import ffe.evals
from benchmarks.recorded import Recording, batch_of, recordings
from expectations.validate import validate_bars, warm
from ffe.decision.context import build_context
from ffe.decision.models import Context
from ffe.evals.cases import PACKAGED
from ffe.market.calendar import calendar_for
from ffe.market.models import AssetClass, Timeframe
from ffe.market.pulse import PULSE_TIMEFRAMES, consensus, pulse
from ffe.market.resample import resample_table
from ffe.money import from_float
from ffe.sources.models import to_frame

BASE = Timeframe.M5
BARS = 200
HORIZON = 12
DIGITS = 6
# Coinbase's first fee tier, as the simulator charges it; OANDA charges the spread alone.
TAKER = {AssetClass.CRYPTO: 0.006, AssetClass.FOREX: 0.0}
# Files of trades print no spread. Coinbase's quotes of the same days are mostly a cent apart.
CENT = 0.01
LEAN = "QuantConnect/Lean, Data/, commit 24863901deffa9ec7985e21ef8fbdb0258efb9e4, Apache-2.0"
NAUTILUS = (
    "nautechsystems/nautilus_trader, tests/test_data/fxcm/, commit a95c8042b00133829d252ae8cf68f78fc176a973, LGPL-3.0"
)
SOURCES = {"BTCUSD": LEAN, "ETHUSD": LEAN, "EURUSD": LEAN, "GBPUSD": NAUTILUS}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(ffe.evals.__file__).with_name(PACKAGED))
    parser.add_argument("--each", type=int, default=15, help="cases of an instrument")
    asked = parser.parse_args()
    warm()
    usable = defaultdict(list)
    for recording in recordings(asked.folder):
        if recording.timeframe is Timeframe.M1 and "quotes" not in recording.name:
            usable[recording.instrument.symbol].append(recording)
    columns, origin = [], []
    for symbol, found in sorted(usable.items()):
        columns.append(_scattered(list(chain.from_iterable(_spread(each, asked.each, found) for each in found))))
        origin += [f"{each.name}: {SOURCES[symbol]}" for each in found]
    turns = [case for turn in zip_longest(*columns) for case in turn if case is not None]
    asked.out.write_text(_document(turns, origin))
    print(f"{len(turns)} cases, {asked.out.stat().st_size} bytes")


def _document(cases: list[dict[str, Any]], origin: list[str]) -> str:
    """One case a line, so that a change can be read."""
    head = {"name": f"{BASE.value}-v1", "horizon_bars": HORIZON, "origin": origin}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    return json.dumps(head)[:-1] + f', "cases": [\n{lines}\n]}}\n'


def _spread(recording: Recording, each: int, found: list[Recording]) -> list[dict[str, Any]]:
    """This recording's share of the instrument's cases, at even distances among the moments that can be used."""
    shares = [len(part) for part in np.array_split(np.arange(each), len(found))]
    wanted = shares[found.index(recording)]
    cases = list(_cases(recording))
    places = np.linspace(0, len(cases) - 1, wanted).round().astype(int)
    print(f"{recording.name}: {wanted} of {len(cases)} moments", flush=True)
    return [cases[place] for place in places]


def _scattered(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In van der Corput's order, the bits of each place reversed: any first few of them lie far apart in time."""
    bits = (len(cases) - 1).bit_length()
    return [cases[place] for place in sorted(range(len(cases)), key=lambda place: int(f"{place:0{bits}b}"[::-1], 2))]


def _cases(recording: Recording) -> Iterator[dict[str, Any]]:
    calendar = calendar_for(recording.instrument)
    frames = {
        timeframe: resample_table(recording.table, Timeframe.M1, timeframe, calendar) for timeframe in PULSE_TIMEFRAMES
    }
    base = frames[BASE]
    for end in range(BARS, base.num_rows - HORIZON, HORIZON):
        ahead = base.slice(end, HORIZON)
        opens = ahead.column("time").to_pylist()
        if opens[-1] - base.column("time")[end - 1].as_py() != HORIZON * BASE.duration:
            continue
        context = _context(recording, frames, base.slice(end - BARS, BARS))
        if context is not None:
            yield _case(recording, context, ahead)


def _context(recording: Recording, frames: Mapping[Timeframe, pa.Table], window: pa.Table) -> Context | None:
    """None when the suite does not pass the window."""
    batch = batch_of(recording.instrument, BASE, window)
    report = validate_bars(window, batch, batch.bar_close)
    if not report.passed:
        return None
    seen = {timeframe: to_frame(_closed_by(table, timeframe, batch.bar_close)) for timeframe, table in frames.items()}
    readings = pulse(seen | {BASE: to_frame(window)}, BASE)
    return build_context(batch, window, report, readings, consensus(readings))


def _closed_by(table: pa.Table, timeframe: Timeframe, moment: Any) -> pa.Table:
    """The last 200 bars that are complete at `moment`."""
    closed = sum(time + timeframe.duration <= moment for time in table.column("time").to_pylist())
    return table.slice(max(0, closed - BARS), min(closed, BARS))


def _case(recording: Recording, context: Context, ahead: pa.Table) -> dict[str, Any]:
    entry, leave = float(ahead.column("open")[0].as_py()), float(ahead.column("close")[-1].as_py())
    spread = CENT / entry
    if "bid_close" in ahead.column_names:
        asks, bids = (ahead.column(name).cast(pa.float64()).to_numpy() for name in ("ask_close", "bid_close"))
        spread = max(0.0, float(np.median(asks - bids))) / entry
    cost = 2 * TAKER[recording.instrument.asset_class] + spread
    move = leave / entry - 1
    return {
        "id": f"{context.instrument.symbol}-{context.bar_close:%Y%m%dT%H%M}",
        "context": _slim(context),
        "long_return": _short(move - cost),
        "short_return": _short(-move - cost),
        "cost": _short(cost),
    }


def _slim(context: Context) -> dict[str, Any]:
    """Without closes of frames, ids of batches and frames that have no reading."""
    kept = tuple(
        frame.model_copy(update={"closes": (), "source": None}) for frame in context.pulse if frame.rsi is not None
    )
    slim = context.model_copy(
        update={
            "batch_id": "recorded",
            "quality_report_id": "recorded",
            "pulse": kept,
            "atr": from_float(_short(float(context.atr))),
        }
    )
    return _shortened(slim.model_dump(mode="json", exclude_defaults=True))


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    return _short(value) if isinstance(value, float) else value


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


if __name__ == "__main__":
    main()
