"""Recorded decisions from a file: what somebody or something said at each bar's close, replayed as it was said.

Columns `instrument`, `time` (the bar's close), `action`, `confidence`, and if there are any, `author`, `model` and `digest`. Parquet, JSONL
or CSV, by the file's name; whole columns at a time, so that millions of rows take seconds. What a gate held back says nothing of the
decider, and replay has its own gates: a row by anyone but `model` and `fallback` counts as not asked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe.errors import ConfigurationError, CorruptFileError
from ffe.market.models import parse_instrument
from ffe.replay.decision_columns import (
    DECISION_SCHEMA,
    NOT_ASKED,
    SAID,
    parsed,
    read_columns,
    worded,
    write_columns,
)
from ffe.replay.models import Bars, Ints, Signals

WHO = ("model", "digest")
UNNAMED = "the unnamed author of the recorded decisions"


def read_decisions(path: Path) -> dict[str, pa.Table]:
    """Decisions by instrument in `DECISION_SCHEMA`, in time order; `model` and `digest` are in the metadata of each table.

    `time` is epoch seconds, RFC 3339 text with an offset, or a timestamp. `action` BUY, SELL or HOLD. `confidence` whole, 0 to 100.

    Raises:
        ConfigurationError: no such file, or no format that is known.
        CorruptFileError: columns missing, or a row that is no decision; names it.
        UnknownNameError: an instrument that nobody knows.
    """
    table = read_columns(path)
    plain = parsed(path, table)
    names = table["instrument"].cast(pa.string()).combine_chunks().dictionary_encode()
    found: dict[str, pa.Table] = {}
    for code, name in enumerate(names.dictionary.to_pylist()):
        rows = np.flatnonzero(names.indices.to_numpy() == code)
        symbol = parse_instrument(name).symbol
        if symbol in found:
            raise CorruptFileError(f"{path}: {symbol} is written in two ways")
        found[symbol] = _of_one(path, symbol, plain.take(rows), _who(table, rows))
    return found


def to_signals(table: pa.Table, bars: Bars) -> Signals:
    """The decisions at the closes of `bars`; a bar without one was not asked.

    Raises:
        ConfigurationError: decisions within the period of the bars, and not one at the close of a bar: another timeframe.
    """
    times, closes = table["time"].to_numpy(), bars.closes_at
    rows = np.searchsorted(closes, times)
    inside = rows < len(bars)
    inside[inside] = closes[rows[inside]] == times[inside]
    within = (times >= closes[0]) & (times <= closes[-1]) if len(bars) else inside
    if within.any() and not inside.any():
        name = f"{bars.instrument.symbol} {bars.timeframe.value}"
        raise ConfigurationError(f"none of {int(within.sum())} decisions is at the close of a {name} bar")
    actions, confidence = np.zeros(len(bars), np.int8), np.zeros(len(bars), np.int64)
    authors = np.full(len(bars), NOT_ASKED, np.int8)
    at, kept = rows[inside], table.filter(pa.array(inside))
    actions[at], confidence[at], authors[at] = (kept[name].to_numpy() for name in ("action", "confidence", "author"))
    actions[authors != SAID] = 0
    return Signals(actions, confidence, authors)


def missed(table: pa.Table, bars: Bars) -> int:
    """How many of the decisions are at no bar's close."""
    return int((~np.isin(table["time"].to_numpy(), bars.closes_at)).sum())


def decided_by(table: pa.Table) -> tuple[str | None, str | None]:
    """Model and digest that the file names; None where it names none or several."""
    metadata: Mapping[bytes, bytes] = table.schema.metadata or {}
    model, digest = (metadata.get(name) for name in (b"model", b"digest"))
    return None if model is None else model.decode(), None if digest is None else digest.decode()


def spoken_by(tables: Mapping[str, pa.Table]) -> tuple[str, str | None]:
    """Model and digest of all tables, for `ffe.replay.cutoffs`; where they name none or several it is a model that nobody knows.

    Nobody can tell what an unnamed author had read when these decisions were made.
    """
    named = {decided_by(table) for table in tables.values()}
    model, digest = next(iter(named)) if len(named) == 1 else (None, None)
    return (UNNAMED, None) if model is None else (model, digest)


def write_decisions(
    path: Path, decisions: Sequence[tuple[Bars, Signals]], *, model: str | None = None, digest: str | None = None
) -> None:
    """What was said of every bar that was asked, as Parquet, JSONL or CSV by the name of the file; `read_decisions` gives it back.

    Raises:
        ConfigurationError: no format that is known.
    """
    written = pa.concat_tables([_rows(bars, signals, model, digest) for bars, signals in decisions])
    write_columns(path, written)


def _of_one(path: Path, symbol: str, rows: pa.Table, who: Mapping[str, str]) -> pa.Table:
    """In time order, one decision a moment."""
    ordered = rows.sort_by("time").combine_chunks()
    times = ordered["time"].to_numpy()
    twice = np.flatnonzero(times[1:] == times[:-1])
    if twice.size:
        raise CorruptFileError(f"{path}: {symbol} has two decisions at {int(times[twice[0]])} (epoch seconds)")
    return ordered.cast(DECISION_SCHEMA).replace_schema_metadata(dict(who))


def _who(table: pa.Table, rows: Ints) -> dict[str, str]:
    """Model and digest where all of these rows name the same one."""
    said = {name: pc.unique(table[name].take(rows)).to_pylist() for name in WHO if name in table.column_names}
    return {name: str(values[0]) for name, values in said.items() if len(values) == 1 and values[0] is not None}


def _rows(bars: Bars, signals: Signals, model: str | None, digest: str | None) -> pa.Table:
    authors = np.zeros(len(bars), np.int8) if signals.authors is None else signals.authors
    rows = np.flatnonzero(authors != NOT_ASKED)
    columns = {
        "instrument": pa.repeat(bars.instrument.symbol, rows.size),
        "time": pa.array(bars.closes_at[rows]),
        **worded(signals.actions[rows], authors[rows]),
        "confidence": pa.array(signals.confidence[rows]),
    }
    named = {"model": model, "digest": digest}
    columns |= {name: pa.repeat(said, rows.size) for name, said in named.items() if said is not None}
    return pa.table(columns)
