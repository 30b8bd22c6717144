"""Columns of a file of decisions: read and written as a whole, and turned from what people write into numbers."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet
from pyarrow import json as jsonl

from ffe.decision.models import Action, Author
from ffe.errors import ConfigurationError, CorruptFileError
from ffe.replay.models import Codes

# `time`: epoch seconds, the bar's close.
DECISION_SCHEMA = pa.schema(
    [("time", pa.int64()), ("action", pa.int8()), ("confidence", pa.int64()), ("author", pa.int8())]
)
# Codes of `Signals.authors`.
SAID, BY_FALLBACK, NOT_ASKED = 0, 1, 2
ACTIONS = {Action.HOLD.value: 0, Action.BUY.value: 1, Action.SELL.value: -1}
AUTHORS = {each.value: NOT_ASKED for each in Author} | {Author.MODEL.value: SAID, Author.FALLBACK.value: BY_FALLBACK}
NEEDED = ("instrument", "time", "action", "confidence")
SECONDS = pa.timestamp("s", tz="UTC")
# A digest of digits alone is still a digest, and an empty cell is no word.
WORDS = dict.fromkeys(("instrument", "action", "author", "model", "digest"), pa.string())


def _read_csv(path: Path) -> pa.Table:
    return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=WORDS, strings_can_be_null=True))


def _read_lines(path: Path) -> pa.Table:
    """Times as text where they are: read as times, an offset would be taken off and a missing one not be noticed."""
    as_text = jsonl.ParseOptions(explicit_schema=pa.schema([("time", pa.string())]))
    try:
        return jsonl.read_json(path, parse_options=as_text)
    except pa.ArrowInvalid:
        return jsonl.read_json(path)


READERS: Mapping[str, Callable[[Path], pa.Table]] = {
    ".parquet": parquet.read_table,
    ".csv": _read_csv,
    ".jsonl": _read_lines,
}


def read_columns(path: Path) -> pa.Table:
    """The table of a Parquet, JSONL or CSV file with at least the columns `NEEDED`, as they are written.

    Raises:
        ConfigurationError: no such file, or another format.
        CorruptFileError: not of its format, or a column is missing.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigurationError(_formats(path))
    if not path.is_file():
        raise ConfigurationError(f"no file of decisions at {path}")
    try:
        table = reader(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CorruptFileError(f"{path} can't be read: {error}") from error
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise CorruptFileError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(NEEDED)}")
    return table.combine_chunks()


def write_columns(path: Path, table: pa.Table) -> None:
    """Raises ConfigurationError for a format that is not known."""
    match path.suffix.lower():
        case ".parquet":
            parquet.write_table(table, path)
        case ".csv":
            csv.write_csv(table, path)
        case ".jsonl":
            _write_lines(table, path)
        case _:
            raise ConfigurationError(_formats(path))


def parsed(path: Path, table: pa.Table) -> pa.Table:
    """`DECISION_SCHEMA` of every row, in the order of the file.

    Raises:
        CorruptFileError: a row that is no decision; names it, counted from 1.
    """
    for name in NEEDED:
        _refuse(path, table, name, pc.is_null(table[name]), "is missing")
    confidence = _cast(path, table, "confidence", pa.int64())
    _refuse(path, table, "confidence", pc.or_(pc.less(confidence, 0), pc.greater(confidence, 100)), "is not 0 to 100")
    columns = {
        "time": _seconds(path, table),
        "action": _coded(path, table, "action", ACTIONS),
        "confidence": confidence,
        "author": _coded(path, table, "author", AUTHORS) if "author" in table.column_names else _all_said(table),
    }
    return pa.table(columns, schema=DECISION_SCHEMA)


def worded(actions: Codes, authors: Codes) -> dict[str, pa.Array]:
    """Columns `action` and `author` as they are written; no row of `NOT_ASKED`."""
    names = pa.array([Action.SELL.value, Action.HOLD.value, Action.BUY.value])
    who = pa.array([Author.MODEL.value, Author.FALLBACK.value])
    return {"action": names.take(pa.array(actions + 1)), "author": who.take(pa.array(authors))}


def _seconds(path: Path, table: pa.Table) -> pa.ChunkedArray:
    """Numbers are epoch seconds; text and timestamps need an offset, and have no part of a second."""
    column = table["time"]
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        raise CorruptFileError(f"{path}: time {column[0].as_py()} has no UTC offset")
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _cast(path, table, "time", pa.int64())
    return _cast(path, table, "time", SECONDS).cast(pa.int64())


def _cast(path: Path, table: pa.Table, name: str, wanted: pa.DataType) -> pa.ChunkedArray:
    try:
        return table[name].cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise CorruptFileError(f"{path}: {name}: {error}") from error


def _coded(path: Path, table: pa.Table, name: str, codes: Mapping[str, int]) -> pa.ChunkedArray:
    """Codes of the words in a column; where no author is written it was the model."""
    words = _cast(path, table, name, pa.string())
    said = pc.fill_null(words, Author.MODEL.value) if name == "author" else words
    places = pc.index_in(said, pa.array(list(codes)))
    _refuse(path, table, name, pc.is_null(places), f"is none of {', '.join(codes)}")
    return pa.chunked_array([pa.array(list(codes.values()), pa.int8())]).take(places)


def _all_said(table: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(SAID, pa.int8()), table.num_rows)


def _refuse(path: Path, table: pa.Table, name: str, wrong: pa.ChunkedArray, why: str) -> None:
    rows = np.flatnonzero(np.asarray(wrong))
    if rows.size:
        value = table[name][int(rows[0])].as_py()
        raise CorruptFileError(f"{path}, row {int(rows[0]) + 1}: {name} {value!r} {why}")


def _write_lines(table: pa.Table, path: Path) -> None:
    """One JSON object a row, all rows at once."""
    parts: list[pa.Array | str] = []
    for number, name in enumerate(table.column_names):
        parts.append(f'{"{" if number == 0 else ", "}"{name}": ')
        parts.append(_written(table[name].combine_chunks()))
    lines = pc.binary_join_element_wise(*parts, "}", "")
    with path.open("w", encoding="utf-8") as file:
        for chunk in range(0, len(lines), 100_000):
            file.writelines(f"{line}\n" for line in lines.slice(chunk, 100_000).to_pylist())


def _written(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    words = column.dictionary_encode()
    quoted = pa.array([json.dumps(each) for each in words.dictionary.to_pylist()], pa.string())
    return quoted.take(words.indices)


def _formats(path: Path) -> str:
    return f"{path.name} is none of {', '.join(READERS)}"
