"""The table that a preflight publishes."""

from datetime import UTC, datetime

from ffe.observe.preflight_models import Check, Preflight
from ffe.venues.probe import QUESTIONS, ProviderAnswers, yes
from tasks.preflight import rows


def test_every_answer_refusal_check_and_note_is_a_line() -> None:
    provider = ProviderAnswers(
        provider="coinbase", refusals=("it may withdraw",), **dict.fromkeys(QUESTIONS, yes("it was answered"))
    )
    found = Preflight(
        at=datetime(2024, 5, 15, tzinfo=UTC),
        mode="sim",
        outcome="refused",
        reason="it may withdraw",
        providers=(provider,),
        checks=(Check(name="disk", passed=False, detail="1 MB"), Check(name="ledger", passed=True, detail="written")),
        notes=("no model",),
        skew_seconds={},
        took_ms=1,
        network_ms=0,
    )
    lines = [(row["of"], row["question"], row["answer"]) for row in rows(found)]
    assert lines[:5] == [("coinbase", name.replace("_", " "), "yes") for name in QUESTIONS]
    assert lines[5:] == [
        ("coinbase", "refused", "no"),
        ("this machine", "disk", "no"),
        ("this machine", "ledger", "yes"),
        ("note", "", ""),
    ]
    assert found.broken == 2
