"""Reading faults: every refusal names its entry and says what would have been right."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ffe.clock import parse_time
from ffe.errors import ConfigurationError
from simulator.faults_file import COMMON, WHERE, fault_plan, read_faults
from simulator.faults_kinds import KINDS, REQUIRED

SYMBOLS = ("BTCUSD", "EURUSD")
ROUTE = {"route": "oanda.orders.create"}
NEEDED = {
    "seconds": 2,
    "from": "2026-03-04T14:00:00Z",
    "until": "2026-03-04T15:00:00Z",
    "instrument": "EUR_USD",
    "units": "10",
    "reason": "MARKET_HALTED",
    "percent": "-5",
}


def entry(kind: str, **more: Any) -> dict[str, Any]:
    needed = {name: NEEDED[name] for name, option in KINDS[kind].options.items() if option.default is REQUIRED}
    return {"kind": kind, **ROUTE, **needed, **more}


def one(kind: str, **more: Any) -> Any:
    return fault_plan({"faults": [entry(kind, **more)]}, SYMBOLS).faults[0][0]


def refusal(*entries: Any, **more: Any) -> str:
    with pytest.raises(ValueError, match=r"faults|key|seed") as caught:
        fault_plan({"faults": list(entries), **more}, SYMBOLS)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_every_kind_stands_where_it_can_and_nowhere_else(kind: str, when: str) -> None:
    if when in KINDS[kind].when:
        assert one(kind, when=when).when == when
    else:
        assert "faults[0]: when: must be one of" in refusal(entry(kind, when=when))


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_the_kinds_own(kind: str) -> None:
    fault = one(kind)
    assert (fault.when, fault.count) == (KINDS[kind].when[0], KINDS[kind].count)
    assert (fault.probability, fault.skip, fault.ends) == (1.0, 0, KINDS[kind].ends)
    assert fault.options.keys() == KINDS[kind].options.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_needed_is_asked_for(kind: str) -> None:
    for name, option in KINDS[kind].options.items():
        if option.default is REQUIRED:
            rest = {key: value for key, value in entry(kind).items() if key != name}
            assert refusal(rest) == f"faults[0]: {name} is missing"


@pytest.mark.parametrize("kind", KINDS)
def test_a_misspelt_key_is_refused_with_the_nearest_known(kind: str) -> None:
    for name in (*COMMON, *KINDS[kind].options):
        assert refusal(entry(kind, **{f"{name}x": 1})) == (
            f"faults[0]: unknown key '{name}x'; the nearest known is '{name}'"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_must_say_where_unless_its_kind_knows(kind: str) -> None:
    nowhere = {name: value for name, value in entry(kind).items() if name not in WHERE}
    if KINDS[kind].route is None:
        assert "faults[0]: which requests?" in refusal(nowhere)
    else:
        assert fault_plan({"faults": [nowhere]}, SYMBOLS).faults[0][0].route == KINDS[kind].route


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("text", "must be an object, not 'text'"),
        ({"kind": "resett"}, "unknown kind 'resett'; the nearest known is 'reset'"),
        ({}, "unknown kind None"),
        (
            entry("reset", route="oanda.order.create"),
            "unknown route 'oanda.order.create'; the nearest known is 'oanda.",
        ),
        (entry("reset", venue="okanda"), "unknown venue 'okanda'; the nearest known is 'oanda'"),
        (entry("reset", method="get"), "method: must be one of GET, POST"),
        (entry("reset", path="v3"), "path: must begin with '/'"),
        (entry("reset", path=3), "path: must be text, not 3"),
        (entry("reset", count=0), "count: must be a whole number from 1"),
        (entry("reset", count=True), "count: must be a whole number"),
        (entry("reset", skip=-1), "skip: must be a whole number from 0"),
        (entry("reset", probability=1.5), "probability: must be a number from 0 to 1, not 1.5"),
        (entry("reset", probability=True), "probability: must be a number"),
        (entry("delay", seconds="1"), "seconds: must be a number from 0 to 3600, not '1'"),
        (entry("server_error", status=418), "status: must be one of 500, 502, 503, 504, not 418"),
        (entry("empty", status=True), "status: must be one of"),
        (entry("thin_book", units="-1"), "units: must be a decimal number as text"),
        (entry("thin_book", units=0.5), "units: must be a decimal number as text"),
        (entry("price_jump", percent="-100"), "percent: must be above -100"),
        (entry("price_jump", percent=1.5), "percent: must be a decimal number as text, not 1.5"),
        (entry("price_jump", instrument="EURUSX"), "unknown instrument 'EURUSX'; the nearest known is 'EURUSD'"),
        (entry("maintenance", until="soon"), "until: must be an RFC 3339 time, not 'soon'"),
        (entry("maintenance", until=NEEDED["from"]), "until must be later than from"),
        (entry("extra_field", name=""), "name: must be text"),
    ],
)
def test_a_wrong_entry_is_named_with_its_mistake(fault: Any, words: str) -> None:
    message = refusal(entry("html"), fault)
    assert message.startswith("faults[1]: ")
    assert words in message


@pytest.mark.parametrize("document", [[], {}, {"faults": {}}, "text", None])
def test_a_document_without_a_list_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match='an object with a list "faults"'):
        fault_plan(document, SYMBOLS)


def test_a_stray_key_of_the_document_is_refused() -> None:
    assert refusal(sead=3) == "unknown key 'sead'; the nearest known is 'seed'"
    assert refusal(seed="x").startswith("seed: must be a whole number")


def test_values_are_read_exactly() -> None:
    assert one("price_jump", percent="-2.50").options == {"instrument": "EURUSD", "percent": Decimal("-2.50")}
    assert one("thin_book", instrument="btc-usd", units=3).options == {"instrument": "BTCUSD", "units": "3"}
    assert one("rate_limit", retry_after=None).options == {"retry_after": None}
    assert one("unknown_enum", field=None).options["field"] is None
    assert one("maintenance").options["from"] == parse_time("2026-03-04T14:00:00Z")
    assert one("halt").options == {"instrument": None}


def test_a_file_gives_its_plan(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text(json.dumps({"seed": 9, "faults": [entry("reset", count=3)]}))
    plan = read_faults(path, SYMBOLS)
    assert (plan.seed, plan.faults[0][0].count, plan.faults[0][1]["kind"]) == (9, 3, "reset")


@pytest.mark.parametrize(
    ("text", "words"), [("{", "Expecting"), ('{"faults": [{"kind": "x"}]}', r"faults\[0\]: unknown kind 'x'")]
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"faults\.json: .*{words}"):
        read_faults(path, SYMBOLS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.json"):
        read_faults(tmp_path / "nowhere.json", SYMBOLS)
