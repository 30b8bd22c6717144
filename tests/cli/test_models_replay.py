"""`ffe models replay`: says that the record holds, or where it does not, and ends with 3 then."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ffe.clock import FixedClock
from ffe.decision.ask import ask
from ffe.decision.models import Context, FramePulse
from ffe.ledger.ledger import Ledger
from ffe.llm.models import Completion, ModelIdentity
from ffe.market.models import Timeframe, parse_instrument

AT = datetime(2018, 4, 4, 12, 0, tzinfo=UTC)
SYMBOLS = ("BTCUSD", "ETHUSD", "EURUSD")
IDENTITY = ModelIdentity(adapter="embedded", model="m", digest="d" * 64, runtime="r 1")


class Optimist:
    """Buys, whatever it is asked."""

    def complete(self, *_):
        text = json.dumps({"reasoning": "Up it goes.", "action": "BUY", "confidence": 70})
        counts = {"prompt_tokens": 9, "completion_tokens": 3, "latency_ms": 1.0}
        return Completion(text=text, finish_reason="stop", identity=IDENTITY, **counts)


def context_of(symbol):
    frame = FramePulse(timeframe=Timeframe.M5, bars=200, close=1.0, trend="up", volatility="low", rsi=61.0)
    return Context(
        instrument=parse_instrument(symbol),
        timeframe=Timeframe.M5,
        bar_close=AT,
        batch_id="b" * 64,
        quality_report_id="q",
        last_close=Decimal(1),
        atr=Decimal("0.1"),
        pulse=(frame,),
        consensus="up 1 of 1 frames",
        recent_closes=(Decimal(1),),
    )


@pytest.fixture
def ledger_file(tmp_path, monkeypatch):
    """Ledger of a data folder with three verdicts."""
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(f"sqlite:///{path}")
    ledger.start_cycle("c1", "sim", "5m", AT)
    for symbol in SYMBOLS:
        verdict = ask(Optimist(), context_of(symbol), FixedClock(AT))
        ledger.record_verdict("c1", context_of(symbol), verdict, AT)
    ledger.close()
    return path


def change(path, statement):
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(statement).rowcount == 1


def test_a_record_that_holds_is_said_to_hold(ledger_file, ffe):
    said = ffe("models", "replay")

    assert (said.code, said.err) == (0, "")
    assert "replayed 3: 3 identical, 0 differing; 0 with their decision on record" in said.out
    digests = [line.split()[-1] for line in said.out.splitlines() if "sha256" in line]
    assert len(digests) == 2
    assert digests[0] == digests[1]


def test_json_has_both_digests_and_the_limit_takes_the_newest(ledger_file, ffe):
    document = ffe("models", "replay", "--limit", "2", "--json").document

    assert (document["replayed"], document["identical"], document["differing"]) == (2, 2, [])
    assert document["recorded_sha256"] == document["replayed_sha256"]


def test_a_tampered_answer_ends_with_3_and_names_cycle_instrument_and_place(ledger_file, ffe):
    change(
        ledger_file,
        "UPDATE model_call SET raw_text = replace(raw_text, 'BUY', 'SELL') WHERE instrument = 'ETHUSD'",
    )

    told, document = ffe("models", "replay"), ffe("models", "replay", "--json")

    assert told.code == document.code == 3
    assert "replayed 3: 2 identical, 1 differing" in told.out
    row = next(line for line in told.out.splitlines() if "ETHUSD" in line)
    assert "c1" in row
    assert "decision.action, decision.opinion, verdict.answer.action, calls.0.content_sha256" in row
    [differing] = document.document["differing"]
    assert (differing["cycle_id"], differing["instrument"]) == ("c1", "ETHUSD")
    assert "verdict.answer.action" in differing["where"]
    assert document.document["recorded_sha256"] != document.document["replayed_sha256"]


def test_many_places_are_counted_where_a_person_reads_and_all_named_in_json(ledger_file, ffe):
    change(ledger_file, "UPDATE verdict SET answer = NULL WHERE instrument = 'EURUSD'")

    told, document = ffe("models", "replay"), ffe("models", "replay", "--json").document

    places = document["differing"][0]["where"]
    assert len(places) > 4
    assert f"{', '.join(places[:4])} and {len(places) - 4} more" in told.out


def test_other_prompt_versions_are_counted_and_no_failure(ledger_file, ffe):
    change(ledger_file, "UPDATE model_call SET prompt_version = 'v0' WHERE instrument = 'BTCUSD'")

    said = ffe("models", "replay")

    assert said.code == 0
    assert "replayed 3: 3 identical" in said.out
    assert "question not made anew: 1" in said.out


def test_calls_whose_verdict_was_deleted_end_with_3_and_are_named(ledger_file, ffe):
    change(ledger_file, "DELETE FROM verdict WHERE instrument = 'BTCUSD'")

    told, document = ffe("models", "replay"), ffe("models", "replay", "--json")

    assert told.code == document.code == 3
    assert "without their verdict: 1 unmatched; 0 older" in told.out
    assert document.document["unmatched"] == [{"cycle_id": "c1", "instrument": "BTCUSD", "where": ["model_call"]}]


def test_a_ledger_with_nothing_but_what_is_too_old_is_not_vouched_for(ledger_file, ffe):
    for symbol in SYMBOLS:
        change(ledger_file, f"DELETE FROM verdict WHERE instrument = '{symbol}'")
        change(ledger_file, f"UPDATE model_call SET content_sha256 = '' WHERE instrument = '{symbol}'")

    said = ffe("models", "replay")

    assert said.code == 3
    assert "replayed 0: 0 identical" in said.out
    assert "0 unmatched; 3 older" in said.out


@pytest.mark.parametrize(
    "damage",
    ["answer = replace(answer, '70', '71')", "context = 'no JSON'", "answer = replace(answer, 'BUY', 'WAIT')"],
)
def test_a_record_that_is_no_verdict_any_more_ends_with_3_and_a_reason(ledger_file, ffe, damage):
    change(ledger_file, f"UPDATE verdict SET {damage} WHERE instrument = 'BTCUSD'")

    said = ffe("models", "replay", "--json")

    assert said.code == 3
    assert said.out == ""
    assert said.err.startswith("ffe: a recorded verdict can't be read: ")
    assert "Traceback" not in said.err


def test_an_empty_ledger_has_nothing_to_hold(ffe, tmp_path, monkeypatch):
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))

    said = ffe("models", "replay")

    assert said.code == 0
    assert "replayed 0: 0 identical" in said.out


def test_a_limit_below_one_is_bad_usage(ffe):
    assert ffe("models", "replay", "--limit", "0").code == 2
