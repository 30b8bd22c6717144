"""Files of decisions: the same in every format, matched to bars by their close, and refused by row where they are none."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.generated_bars import generated
from ffe.clock import rfc3339
from ffe.errors import ConfigurationError, CorruptFileError, UnknownNameError
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bars import no_bars
from ffe.replay.cutoffs import contaminated
from ffe.replay.decisions_file import (
    UNNAMED,
    decided_by,
    missed,
    read_decisions,
    spoken_by,
    to_signals,
    write_decisions,
)
from ffe.replay.models import Bars, Signals

BTC, EUR = parse_instrument("BTCUSD"), parse_instrument("EURUSD")
BARS = generated(BTC, Timeframe.M15, 300, 1)
FORMATS = ("decisions.parquet", "decisions.csv", "decisions.jsonl")
HEADER = "instrument,time,action,confidence"


def signals_for(bars: Bars, seed: int) -> Signals:
    """BUY, SELL, HOLD, fallbacks and bars that were not asked, all mixed."""
    random = np.random.default_rng(seed)
    authors = random.integers(0, 3, len(bars)).astype(np.int8)
    actions = np.where(authors == 0, random.integers(-1, 2, len(bars)), 0).astype(np.int8)
    return Signals(actions, np.where(authors == 2, 0, random.integers(0, 101, len(bars))), authors)


def same(first: Signals, second: Signals) -> bool:
    pairs = zip(
        (first.actions, first.confidence, first.authors),
        (second.actions, second.confidence, second.authors),
        strict=True,
    )
    return all(np.array_equal(one, other) for one, other in pairs if one is not None and other is not None)


def written(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "decisions.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def closes(row: int) -> str:
    return rfc3339(datetime.fromtimestamp(int(BARS.closes_at[row]), UTC))


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_again_in_every_format(tmp_path: Path, name: str) -> None:
    forex = generated(EUR, Timeframe.M15, 200, 2)
    said = [(BARS, signals_for(BARS, 1)), (forex, signals_for(forex, 2))]
    write_decisions(tmp_path / name, said, model='a "model"', digest="0" * 64)
    tables = read_decisions(tmp_path / name)
    assert list(tables) == ["BTCUSD", "EURUSD"]
    for bars, signals in said:
        table = tables[bars.instrument.symbol]
        assert same(to_signals(table, bars), signals)
        assert decided_by(table) == ('a "model"', "0" * 64)
        assert missed(table, bars) == 0


@given(
    arrays.arrays(np.int8, 300, elements=st.integers(-1, 1)), arrays.arrays(np.int64, 300, elements=st.integers(0, 100))
)
def test_any_actions_and_confidences_come_back(
    tmp_path_factory: pytest.TempPathFactory, actions: np.ndarray, confidence: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("decisions") / "said.parquet"
    write_decisions(path, [(BARS, Signals(actions, confidence))])
    table = read_decisions(path)["BTCUSD"]
    assert same(to_signals(table, BARS), Signals(actions, confidence, np.zeros(300, np.int8)))
    assert decided_by(table) == (None, None)


def test_a_bar_without_a_row_was_not_asked_and_a_row_by_a_gate_counts_as_none(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"BTCUSD,{closes(3)},BUY,80,model",
        f"BTCUSD,{closes(5)},SELL,70,",
        f"BTCUSD,{closes(7)},BUY,100,risk-gate",
        f"BTCUSD,{closes(9)},BUY,100,fallback",
        header=f"{HEADER},author",
    )
    signals = to_signals(read_decisions(path)["BTCUSD"], BARS)
    assert signals.authors is not None
    assert [signals.actions[row] for row in (3, 5, 7, 9)] == [1, -1, 0, 0]
    assert [signals.authors[row] for row in (3, 4, 5, 7, 9)] == [0, 2, 0, 2, 1]
    assert (signals.authors == 2).sum() == 297
    assert signals.confidence[3] == 80


@pytest.mark.parametrize("name", ["btcusd", "BTC-USD", "BTC/USD"])
def test_an_instrument_may_be_written_as_a_venue_writes_it(tmp_path: Path, name: str) -> None:
    assert list(read_decisions(written(tmp_path, f"{name},{closes(1)},BUY,80"))) == ["BTCUSD"]


def test_rows_may_stand_in_any_order_and_times_may_be_epoch_seconds(tmp_path: Path) -> None:
    rows = [f"BTCUSD,{BARS.closes_at[row]},{action},60" for row, action in ((9, "SELL"), (2, "BUY"), (4, "HOLD"))]
    table = read_decisions(written(tmp_path, *rows))["BTCUSD"]
    assert table["time"].to_pylist() == sorted(table["time"].to_pylist())
    assert np.flatnonzero(to_signals(table, BARS).actions).tolist() == [2, 9]


def test_times_with_any_offset_and_json_text_are_read(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    moment = datetime.fromtimestamp(int(BARS.closes_at[6]), timezone(timedelta(hours=-5))).isoformat()
    path.write_text(json.dumps({"instrument": "BTCUSD", "time": moment, "action": "BUY", "confidence": 50}) + "\n")
    assert to_signals(read_decisions(path)["BTCUSD"], BARS).actions[6] == 1


@pytest.mark.parametrize(("moment", "words"), [('"2018-04-04T10:00:00"', "time: "), ("1522836000.5", "time: ")])
def test_json_times_without_an_offset_or_with_a_part_of_a_second_are_refused(
    tmp_path: Path, moment: str, words: str
) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text(f'{{"instrument": "BTCUSD", "time": {moment}, "action": "BUY", "confidence": 50}}\n')
    with pytest.raises(CorruptFileError, match=words):
        read_decisions(path)


def test_timestamps_of_parquet_are_read(tmp_path: Path) -> None:
    moments = pa.array([int(BARS.closes_at[6]) * 1_000_000], pa.timestamp("us", tz="Europe/Berlin"))
    columns = {"instrument": ["BTCUSD"], "time": moments, "action": ["SELL"], "confidence": [50]}
    pq.write_table(pa.table(columns), tmp_path / "said.parquet")
    assert to_signals(read_decisions(tmp_path / "said.parquet")["BTCUSD"], BARS).actions[6] == -1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("BTCUSD,{close},KEEP,50", "row 2: action 'KEEP' is none of"),
        ("BTCUSD,{close},buy,50", "row 2: action 'buy'"),
        ("BTCUSD,{close},BUY,101", "row 2: confidence 101 is not 0 to 100"),
        ("BTCUSD,{close},BUY,-1", "row 2: confidence -1"),
        ("BTCUSD,{close},BUY,70.5", "confidence: .*truncated"),
        ("BTCUSD,{close},BUY,", "row 2: confidence None is missing"),
        ("BTCUSD,yesterday,BUY,50", "time: "),
        ("BTCUSD,2018-04-04T10:00:00.5Z,BUY,50", "time: "),
        ("BTCUSD,{other},BUY,50", "BTCUSD has two decisions at"),
        ("BTC-USD,{close},BUY,50", "written in two ways"),
    ],
)
def test_a_row_that_is_no_decision_is_refused_by_its_number(tmp_path: Path, row: str, words: str) -> None:
    path = written(tmp_path, f"BTCUSD,{closes(1)},BUY,50", row.format(close=closes(2), other=closes(1)))
    with pytest.raises(CorruptFileError, match=words):
        read_decisions(path)


def test_times_without_an_offset_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "BTCUSD,2018-04-04T10:00:00,BUY,50")
    with pytest.raises(CorruptFileError, match="no UTC offset"):
        read_decisions(path)


def test_an_unknown_author_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, f"BTCUSD,{closes(1)},BUY,50,nobody", header=f"{HEADER},author")
    with pytest.raises(CorruptFileError, match="author 'nobody' is none of model"):
        read_decisions(path)


def test_a_file_without_a_needed_column_of_no_known_format_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="no column confidence; it needs instrument"):
        read_decisions(written(tmp_path, "BTCUSD,1,BUY", header="instrument,time,action"))
    with pytest.raises(ConfigurationError, match=r"none of \.parquet, \.csv, \.jsonl"):
        read_decisions(tmp_path / "said.txt")
    with pytest.raises(ConfigurationError, match=r"none of \.parquet, \.csv, \.jsonl"):
        write_decisions(tmp_path / "said.txt", [(BARS, signals_for(BARS, 1))])
    with pytest.raises(ConfigurationError, match="no file of decisions"):
        read_decisions(tmp_path / "none.csv")
    with pytest.raises(UnknownNameError, match="nearest known"):
        read_decisions(written(tmp_path, f"BTCUSX,{closes(1)},BUY,50"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_refused_as_such(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\x01 nothing {\n1,2,3\n")
    with pytest.raises(CorruptFileError):
        read_decisions(tmp_path / name)


def test_decisions_of_another_timeframe_are_refused_and_those_of_another_period_are_none(tmp_path: Path) -> None:
    between = [int(each) + 60 for each in BARS.closes_at[:5]]
    table = read_decisions(written(tmp_path, *(f"BTCUSD,{each},BUY,50" for each in between)))["BTCUSD"]
    with pytest.raises(ConfigurationError, match="none of 5 decisions is at the close of a BTCUSD 15m bar"):
        to_signals(table, BARS)
    later = read_decisions(written(tmp_path, f"BTCUSD,{int(BARS.closes_at[-1]) + 900},BUY,50"))["BTCUSD"]
    signals = to_signals(later, BARS)
    assert not signals.actions.any()
    assert missed(later, BARS) == 1


def test_decisions_on_no_bars_are_none(tmp_path: Path) -> None:
    table = read_decisions(written(tmp_path, f"BTCUSD,{closes(1)},BUY,50"))["BTCUSD"]
    assert to_signals(table, no_bars(BTC, Timeframe.M15)).actions.size == 0


def test_a_model_is_named_only_where_all_rows_name_the_same(tmp_path: Path) -> None:
    header = f"{HEADER},model,digest"
    rows = (f"BTCUSD,{closes(1)},BUY,50,one,d1", f"BTCUSD,{closes(2)},BUY,50,two,d1")
    assert decided_by(read_decisions(written(tmp_path, *rows, header=header))["BTCUSD"]) == (None, "d1")
    assert decided_by(read_decisions(written(tmp_path, rows[0], header=header))["BTCUSD"]) == ("one", "d1")


def test_decisions_of_no_named_model_or_of_several_are_those_of_somebody_that_nobody_vouches_for(
    tmp_path: Path,
) -> None:
    forex = generated(EUR, Timeframe.M15, 50, 2)
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    write_decisions(one, [(BARS, signals_for(BARS, 1)), (forex, signals_for(forex, 1))], model="phi4:14b", digest="d")
    write_decisions(other, [(BARS, signals_for(BARS, 1))])
    named, unnamed = read_decisions(one), read_decisions(other)
    assert spoken_by(named) == ("phi4:14b", "d")
    for tables in (unnamed, {}, {"EURUSD": named["EURUSD"], "BTCUSD": unnamed["BTCUSD"]}):
        assert spoken_by(tables) == (UNNAMED, None)
    assert contaminated(BARS, *spoken_by(unnamed))


@pytest.mark.slow
def test_a_million_rows_of_each_of_four_instruments_take_seconds(tmp_path: Path) -> None:
    """Time is held loosely here, because the machine may be shared; it is there to notice a loop over rows."""
    names, n = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD"), 1_000_000
    codes = pa.array(np.repeat(np.arange(4, dtype=np.int32), n))
    moments = pa.array(np.tile(1_500_000_000 + 60 * np.arange(n), 4))
    columns = {
        "instrument": pa.DictionaryArray.from_arrays(codes, pa.array(names)).cast(pa.string()),
        "time": moments,
        "action": pa.array(["BUY", "HOLD", "SELL"]).take(pa.array(np.arange(4 * n) % 3)),
        "confidence": pa.array(np.full(4 * n, 75)),
    }
    pq.write_table(pa.table(columns), tmp_path / "said.parquet")
    started = time.perf_counter()
    tables = read_decisions(tmp_path / "said.parquet")
    assert time.perf_counter() - started < 20
    assert [table.num_rows for table in tables.values()] == [n] * 4
