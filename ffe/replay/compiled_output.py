"""What the compiled kernel wrote, as the records of replay."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ffe.decision.models import Author
from ffe.replay import kernel_records as records
from ffe.replay.models import TRADE_SCHEMA, Bars, ExitReason, Floats, Ints, Signals

# In the order of the BY_ numbers and of the reasons of an exit.
AUTHORS = (Author.MODEL, Author.FALLBACK, Author.MARKET_HOURS, Author.DATA_GATE, Author.RISK_GATE, Author.HALT)
REASONS = (ExitReason.SIGNAL, ExitReason.STOP, ExitReason.TARGET, ExitReason.OPEN)
SIDES = ("SELL", "BUY")


def counted(counts: Ints, names: Sequence[str]) -> tuple[Mapping[str, int], ...]:
    """One mapping for each row, without zeros."""
    return tuple({name: int(count) for name, count in zip(names, row, strict=True) if count} for row in counts)


def holds_of(book: records.Book) -> tuple[Mapping[str, int], ...]:
    return counted(book.holds, [author.value for author in AUTHORS])


def denials_of(book: records.Book) -> tuple[Mapping[str, int], ...]:
    return counted(book.denials, records.CODES)


def trades_of(book: records.Book, names: Sequence[str]) -> pa.Table:
    """Rows in the order of exit: by moment, then by feed, then by entry; what is still open last."""
    tape = book.tape[: book.written[0]]
    still = tape[:, records.T_REASON] == records.STILL_OPEN
    keys = (tape[:, records.T_ENTRY_TIME], tape[:, records.T_INSTRUMENT], tape[:, records.T_PLACE], still)
    return _table(tape[np.lexsort(keys)], names)


def _table(tape: Floats, names: Sequence[str]) -> pa.Table:
    """Columns of the tape stand in the schema's order."""
    words = {"instrument": names, "exit_reason": [reason.value for reason in REASONS]}
    columns = []
    for place, field in enumerate(TRADE_SCHEMA):
        values = tape[:, place]
        if field.name == "side":
            columns.append(_words((values > 0).astype(np.int64), SIDES))
        elif field.name in words:
            columns.append(_words(values.astype(np.int64), words[field.name]))
        else:
            columns.append(pa.array(values.astype(field.type.to_pandas_dtype()), from_pandas=True))
    return pa.table(columns, schema=TRADE_SCHEMA)


def _words(codes: Ints, words: Sequence[str]) -> pa.Array:
    return pa.array(list(words), pa.string()).take(pa.array(codes))


def all_in_trades(tape: Floats, bars: Bars, signals: Signals) -> pa.Table:
    """Round trips of `signals_only`, which knows neither stops nor targets."""
    closes = bars.closes_at
    entered, left = tape[:, records.T_ENTRY_BAR].astype(np.int64), tape[:, records.T_EXIT_BAR].astype(np.int64)
    tape[:, records.T_ENTRY_TIME], tape[:, records.T_EXIT_TIME] = closes[entered], closes[left]
    tape[:, records.T_CONFIDENCE] = signals.confidence[entered]
    tape[:, [records.T_STOP, records.T_TARGET, records.T_PLANNED]] = np.nan
    return _table(tape, [bars.instrument.symbol])
