"""The replay flow: real bars through the engine, its progress shown and its answer published."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from benchmarks.generated_bars import generated
from ffe.clock import SystemClock
from ffe.cycle.engine import Engine
from ffe.ledger.ledger import Ledger
from ffe.market.models import Timeframe, parse_instrument
from ffe.replay.bar_parquet import write_parquet
from ffe.replay.document import documents
from ffe.replay.request import ReplayRun
from ffe.settings import load_settings
from ffe.sources.store import BarStore
from flows.replay import replay
from tasks import replay as tasks_of
from tasks import runtime
from tests.replay.report_runs import made_run

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(tmp_path: Path, prefect_api: str) -> Iterator[Engine]:
    assert prefect_api
    settings = load_settings(data_dir=tmp_path / "data", replay={"resamples": 100})
    ledger = Ledger.open(settings.resolved_ledger_url)
    opened = Engine(settings=settings, clock=SystemClock(), ledger=ledger, store=BarStore(tmp_path / "data" / "bars"))
    runtime.use(opened)
    yield opened
    runtime.use(None)
    opened.close()


async def newest(key: str) -> Any:
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return max(found, key=lambda each: str(each.created))


async def test_a_replay_publishes_its_answer_its_numbers_and_its_report(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "EUR-USD_1h_bidask_generated.parquet"
    write_parquet(generated(parse_instrument("EURUSD"), Timeframe.H1, 1000, 1), path)
    state: Any = replay(bars=[str(path)], params={"fast": 10, "slow": 30}, return_state=True)
    assert state.is_completed(), state.message
    (document,) = await state.aresult()
    assert (document["instrument"], document["strategy"], document["bars"]) == ("EURUSD", "sma-cross", 1000)
    page = str((await newest("replay-eurusd-1h")).data)
    assert document["data_sha256"] in page
    assert "data:image/png;base64," in page
    rows = json.loads((await newest("replay-baselines-eurusd-1h")).data)
    assert [row["strategy"] for row in rows] == ["sma-cross", *(each["strategy"] for each in document["baselines"])]
    assert (await newest("replay-progress")).data is not None
    (folder,) = (engine.settings.data_dir / "replays").iterdir()
    assert (folder / "report.html").is_file()
    assert str(folder / "report.html") in str((await newest("replay-report")).data)


def replayed(run: ReplayRun, folder: Path) -> tasks_of.Replayed:
    return tasks_of.Replayed(documents(run), folder)


def test_what_is_no_evidence_says_so_in_every_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, dict[str, Any]] = {}
    for kind in ("markdown", "table", "link"):
        monkeypatch.setattr(
            tasks_of,
            f"create_{kind}_artifact",
            lambda *given, kind=kind, **named: made.update({kind: {"given": given} | named}),
        )
    unsure = made_run(n=300, contaminated=(True,), watermark="CONTAMINATED: it may know.", costs=False)
    tasks_of.publish_replay.fn(replayed(unsure, tmp_path))
    for each in made.values():
        assert each["description"].endswith("CONTAMINATED: it may know. Costs are off.")
    page = made["markdown"]["given"][0]
    assert "> CONTAMINATED: it may know" in page
    assert "> Costs are off." in page
    own, *others = made["table"]["given"][0]
    assert own["warning"] == "CONTAMINATED: it may know. Costs are off."
    assert [each["warning"] for each in others] == ["Costs are off."] * len(others)
    tasks_of.publish_replay.fn(replayed(made_run(n=300), tmp_path))
    assert "warning" not in made["table"]["given"][0][0]
    assert made["table"]["description"] == "Beside baselines: sma-cross on BTCUSD 1h"


async def test_a_store_without_bars_fails_with_the_reason(engine: Engine) -> None:
    state: Any = replay(instruments=["EURUSD"], timeframe="1h", return_state=True)
    assert state.is_failed()
    assert "EURUSD" in str(state.message)
    (incident,) = engine.ledger.incidents()
    assert incident.type in ("ConfigurationError", "DataError")


async def test_progress_is_told_at_most_so_often(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prefect_api
    sent: list[float] = []
    monkeypatch.setattr(tasks_of, "create_progress_artifact", lambda *_, **__: "id")
    monkeypatch.setattr(tasks_of, "update_progress_artifact", lambda _, value, **__: sent.append(value))
    told = tasks_of.progress("some", "about")
    for done in range(10_001):
        told("asking", done, 10_000)
    assert len(sent) == tasks_of.STEPS + 1
    assert (sent[0], sent[-1]) == (0.0, 100.0)


@pytest.mark.parametrize(
    "wrong", [{"strategy": "/tmp/mine.py"}, {"model": "gpt"}, {"every": 0}, {"bars": ["/etc/passwd"]}]
)
def test_a_parameter_that_makes_no_sense_is_refused_before_anything_starts(wrong: dict[str, Any]) -> None:
    from prefect.exceptions import ParameterTypeError

    with pytest.raises(ParameterTypeError, match=next(iter(wrong))):
        replay.validate_parameters(wrong)


def test_the_run_forms_offer_our_strategies_and_describe_every_parameter() -> None:
    from flows.sweep import sweep

    for made in (replay, sweep):
        described = {name: about.get("description", "") for name, about in made.parameters.properties.items()}
        assert all(described.values())
    assert "llm" in replay.parameters.properties["strategy"]["enum"]
    assert "llm" not in sweep.parameters.properties["strategy"]["enum"]
