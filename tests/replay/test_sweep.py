"""A whole sweep: what it computes, what it keeps, and that it is honest about what was chosen."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffe.errors import ConfigurationError, CorruptFileError, UnknownNameError
from ffe.replay import sweep as module
from ffe.replay.engines import EXACT, engine_run
from ffe.replay.models import Gate
from ffe.replay.specs import free_of_costs
from ffe.replay.strategies import find_strategy
from ffe.replay.sweep import RESULT, planned, sweep
from ffe.replay.sweep_cell import Cell, Shared, compute, file_sha256
from ffe.replay.sweep_feeds import OWN, digest, laid_out, load, own_folder
from ffe.replay.sweep_table import Swept, document, sentences, shown_rows, titled
from ffe.replay.sweep_windows import Span, Window, part, silenced, split
from ffe.replay.sweep_workers import attempted
from tests.replay.sweeping import feed, own_strategy, plan, request

EUR = feed()


def here(jobs: Sequence[Any], work: Any, shared: Any, workers: int) -> Iterator[tuple[int, Any, str | None]]:
    """As the workers do, in this process, which has the engine compiled already."""
    assert workers >= 1
    for index, job in enumerate(jobs):
        yield index, *attempted(work, shared, job)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "computed", here)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Swept, Path]:
    """By a worker."""
    folder = tmp_path_factory.mktemp("swept")
    return sweep([EUR], request(), folder), folder


def results(found: Swept) -> dict[str, Any]:
    """The document without what a run says of itself."""
    return {name: value for name, value in document(found).items() if name not in ("computed", "kept")}


def test_every_combination_is_measured_on_both_sides_and_ranked_by_the_first(swept: tuple[Swept, Path]) -> None:
    found, folder = swept
    assert (found.computed, found.kept, found.failed) == (4, 0, ())
    assert [line.inside_rank for line in found.lines] == [1, 2, 3, 4]
    inside = [line.record["inside"]["sharpe"] for line in found.lines if line.record is not None]
    assert inside == sorted(inside, reverse=True)
    assert sorted(line.outside_rank or 0 for line in found.lines) == [1, 2, 3, 4]
    (choice,) = found.choices
    assert choice.best == found.lines[0]
    assert choice.trials == 4
    assert 1 <= choice.independent <= 4
    assert choice.deflated is not None
    assert 0 <= choice.deflated <= 1
    assert [each.name for each in folder.iterdir() if each.is_dir()] == []


def test_a_second_run_computes_nothing_and_says_the_same(swept: tuple[Swept, Path]) -> None:
    found, folder = swept
    again = sweep([EUR], request(), folder)
    assert (again.computed, again.kept) == (0, 4)
    assert results(again) == results(found)
    assert json.loads((folder / RESULT).read_text()) == document(again)


@pytest.mark.usefixtures("in_this_process")
def test_more_values_cost_only_what_is_new_and_another_folder_gives_the_same(
    swept: tuple[Swept, Path], tmp_path: Path
) -> None:
    found, folder = swept
    space = {"fast": (5.0, 10.0), "slow": (20.0, 40.0, 60.0)}
    told: list[tuple[str, int, int]] = []
    more = sweep([EUR], request(space=space), folder, lambda *each: told.append(each))
    assert (more.computed, more.kept) == (2, 4)
    assert told == [("sma-cross", 5, 6), ("sma-cross", 6, 6)]
    fresh = sweep([EUR], request(), tmp_path)
    assert results(fresh) == results(found)


def test_other_bars_rules_or_windows_are_other_results(swept: tuple[Swept, Path], tmp_path: Path) -> None:
    _, folder = swept
    gates = EUR.gates.copy()
    gates[500] = Gate.CONTRACT
    others = [
        ([feed(seed=2)], request()),
        ([replace(EUR, gates=gates)], request()),
        ([replace(EUR, spec=EUR.spec.model_copy(update={"taker_fee_rate": EUR.spec.taker_fee_rate + 1}))], request()),
        ([EUR], request(plan=plan(slippage_bps=2.0))),
        ([EUR], request(oos=0.4)),
        ([EUR], request(strategy="momentum", space={})),
    ]
    for feeds, wanted in others:
        with planned(feeds, wanted, folder) as (found, _kept):
            assert len(found.missing) == len(found.cells)
    later = replace(EUR, spec=EUR.spec.model_copy(update={"fetched_at": EUR.spec.fetched_at.replace(year=2030)}))
    with planned([later], request(), folder) as (found, _kept):
        assert found.missing == ()


def test_a_changed_strategy_file_is_another_strategy(tmp_path: Path) -> None:
    path, keys = own_strategy(tmp_path), []
    for text in ("", "\n# other\n"):
        Path(path).write_text(Path(path).read_text() + text)
        with planned([EUR], request(strategy=path, space={"every": (10.0,)}), tmp_path / "out") as (found, _kept):
            keys.append(found.missing[0].key)
    assert keys[0] != keys[1]


def test_changed_code_is_another_result(swept: tuple[Swept, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = swept
    monkeypatch.setattr(module, "_code", lambda: "other")
    with planned([EUR], request(), folder) as (found, _kept):
        assert len(found.missing) == 4


def test_the_numbers_are_those_of_a_replay_of_the_window_alone(swept: tuple[Swept, Path]) -> None:
    found, _ = swept
    line = found.lines[0]
    assert line.record is not None
    (window,) = split([EUR], 0.3)
    for side, span in (("inside", window.inside), ("outside", window.outside)):
        cut = part(EUR, span, 200)
        params = {name: float(value) for name, value in line.combination.items()}
        signals = find_strategy("sma-cross", params).signals(cut.feed.bars)
        signals.actions[: cut.warm] = 0
        result = engine_run(EXACT, [cut.feed], [signals], plan())
        made = result.pnl[-1, 0] / plan().capital
        assert line.record[side]["return"] == pytest.approx(made, abs=1e-9)
        assert line.record[side]["trades"] == result.trades.num_rows > 5
        assert line.record[side]["fees"] == pytest.approx(float(np.sum(result.trades["fees"].to_numpy())))


def test_the_warm_up_is_seen_and_never_traded(tmp_path: Path) -> None:
    """A strategy that wants to trade all the time does so in the warm-up only when nobody silences it there."""
    path = own_strategy(tmp_path)
    (window,) = split([EUR], 0.3)
    cut = part(EUR, window.outside, 200)
    signals = find_strategy(path, {"every": 4.0}).signals(cut.feed.bars)
    loud = engine_run(EXACT, [cut.feed], [signals], plan()).trades["entry_time"].to_pylist()
    silent = engine_run(EXACT, [cut.feed], [silenced(signals, cut.warm)], plan()).trades["entry_time"].to_pylist()
    assert min(loud) < window.outside.start < min(silent)
    shared = Shared(laid_out([EUR], tmp_path / "feeds"), path, plan(), file_sha256(path))
    record = compute(shared, Cell("key", {"every": 4.0}, window))
    assert record["outside"]["trades"] == len(silent)


def test_holds_are_counted_in_the_window_alone(tmp_path: Path) -> None:
    (window,) = split([EUR], 0.3)
    shared = Shared(laid_out([EUR], tmp_path / "feeds"), "hold", plan())
    record = compute(shared, Cell("key", {}, window))
    assert record["outside"]["hold_share"] == {"model": 1.0}
    assert record["inside"]["hold_share"]["data-gate"] == pytest.approx(59 / len(part(EUR, window.inside, 0).feed.bars))
    assert record["inside"]["moments"] is None
    assert record["inside"]["sharpe"] is None


@pytest.mark.usefixtures("in_this_process")
def test_several_instruments_are_one_account_a_venue(tmp_path: Path) -> None:
    feeds = [EUR, feed("GBPUSD", seed=3), feed("BTCUSD", n=3300, seed=4)]
    space = {"fast": (5.0,), "slow": (20.0,), "risk.reward_risk": (1.5, 3.0)}
    found = sweep(feeds, request(space=space), tmp_path)
    assert found.failed == ()
    for line in found.lines:
        assert line.record is not None
        assert line.record["inside"]["trades"] > 0
    one, two = found.lines[0].record, found.lines[1].record
    assert one is not None
    assert two is not None
    assert one["inside"]["return"] != two["inside"]["return"]


@pytest.mark.usefixtures("in_this_process")
def test_windows_that_walk_have_a_choice_each_and_one_sentence_together(tmp_path: Path) -> None:
    found = sweep([EUR], request(train_days=40.0, test_days=20.0), tmp_path)
    assert len(found.choices) == len(found.lines) // 4 >= 3
    assert [line.window for line in found.lines] == sorted(line.window for line in found.lines)
    told = sentences(found)
    assert told[0].startswith(f"Choosing the best in sample in each of {len(found.choices)} windows made")
    assert len(told) == 1 + len(found.choices)


def test_a_worker_that_dies_fails_its_cell_and_a_later_run_tries_it_again(tmp_path: Path) -> None:
    path, space = own_strategy(tmp_path), {"every": (15.0, 20.0), "dies_at": (15.0,)}
    found = sweep([EUR], request(strategy=path, space=space), tmp_path / "out")
    (failed,) = found.failed
    assert (failed.combination["every"], failed.error) == (15.0, "the worker was ended by SIGKILL")
    assert found.lines[-1] == failed
    assert [line.inside_rank for line in found.lines] == [1, None]
    assert sentences(found)[-1] == "1 of 2 cells failed and are in no ranking."
    assert shown_rows(found)[-1]["failed"] == "the worker was ended by SIGKILL"
    assert document(found)["rows"][-1]["inside"] is None
    again = sweep([EUR], request(strategy=path, space=space), tmp_path / "out")
    assert (again.computed, again.kept, len(again.failed)) == (0, 1, 1)


@pytest.mark.usefixtures("in_this_process")
def test_combinations_that_are_none_are_said_and_no_trials(tmp_path: Path) -> None:
    found = sweep([EUR], request(space={"fast": (10.0, 50.0), "slow": (20.0,)}), tmp_path)
    assert (len(found.lines), len(found.refused), found.choices[0].trials) == (1, 1, 1)
    assert "0 < fast < slow" in " ".join(sentences(found))
    assert "Only one combination was tried" in sentences(found)[0]


@pytest.mark.parametrize(
    ("wanted", "error", "why"),
    [
        ({"strategy": "sma-cros"}, UnknownNameError, "sma-cross"),
        ({"strategy": "llm"}, UnknownNameError, "strategy"),
        ({"strategy": "buy-and-hold", "space": {}}, ConfigurationError, "nothing to sweep"),
        ({"space": {"fats": (1.0,)}}, UnknownNameError, "fast"),
        ({"space": {"fast": (50.0,), "slow": (20.0,)}}, ConfigurationError, "0 < fast < slow"),
        ({"rank": "luck"}, UnknownNameError, "nearest known"),
        ({"oos": 1.0}, ConfigurationError, "between 0 and 1"),
        ({"space": {"plan.slippage_bps": (1.0,)}, "costs": False}, ConfigurationError, "slippage_bps is a cost"),
        ({"train_days": 10.0}, ConfigurationError, "days out of sample"),
        ({"train_days": 10.0, "test_days": 0.0}, ConfigurationError, "above 0"),
        ({"train_days": 1000.0, "test_days": 10.0}, ConfigurationError, "do not hold a window"),
    ],
)
def test_what_can_not_be_swept_is_refused_before_anything_is_computed(
    tmp_path: Path, wanted: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        sweep([EUR], request(**wanted), tmp_path / "out")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").glob(f"{OWN}*")) == []


@pytest.mark.usefixtures("in_this_process")
def test_nothing_that_others_keep_in_the_folder_is_touched(tmp_path: Path) -> None:
    """Whatever it is called: `feeds` was a folder of ours once, and the last one has our prefix and no marker."""
    theirs = [tmp_path / name / "mine.csv" for name in ("feeds", "own", f"{OWN}mine")]
    for path in theirs:
        path.parent.mkdir()
        path.write_text("years of work")
    (tmp_path / f"{OWN}file").write_text("too")
    sweep([EUR], request(space={"fast": (5.0,), "slow": (20.0,)}), tmp_path)
    assert [path.read_text() for path in theirs] == ["years of work"] * 3
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        ["feeds", "own", f"{OWN}mine", f"{OWN}file", "cells.jsonl", RESULT]
    )


def test_what_a_killed_sweep_has_left_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / f"{OWN}killed"
    with own_folder(tmp_path) as laid:
        laid_out([EUR], laid)
        shutil.copytree(laid, left)
    (tmp_path / f"{OWN}link").symlink_to(left)
    assert not laid.exists()
    with own_folder(tmp_path) as laid:
        assert (left.exists(), laid.is_dir()) == (False, True)
    assert [each.name for each in tmp_path.iterdir()] == [f"{OWN}link"]


@pytest.mark.usefixtures("in_this_process")
def test_a_strategy_file_that_changes_meanwhile_fails_its_cells_and_keeps_none_of_them(tmp_path: Path) -> None:
    path, space, out = own_strategy(tmp_path), {"every": (10.0, 15.0, 20.0)}, tmp_path / "out"
    text = Path(path).read_text()

    # As long as before, within the same second: neither size nor time tells.
    def changed(*_: Any) -> None:
        Path(path).write_text(text.replace("1, -1", "-1, 1"))

    found = sweep([EUR], request(strategy=path, space=space), out, changed)
    assert (found.computed, len(found.failed)) == (1, 2)
    assert all("own.py has changed" in str(line.error) for line in found.failed)
    Path(path).write_text(text)
    again = sweep([EUR], request(strategy=path, space=space), out)
    assert (again.computed, again.kept, again.failed) == (2, 1, ())
    assert results(again) == results(sweep([EUR], request(strategy=path, space=space), tmp_path / "fresh"))


@pytest.mark.usefixtures("in_this_process")
def test_a_sweep_without_costs_says_so_first_and_everywhere(tmp_path: Path) -> None:
    space = {"fast": (5.0, 10.0), "slow": (20.0,)}
    on = sweep([EUR], request(space=space), tmp_path / "on")
    off = sweep([free_of_costs(EUR)], request(space=space, costs=False), tmp_path / "off")
    assert (document(on)["costs"], document(off)["costs"]) == (True, False)
    assert "Costs are off" not in " ".join(sentences(on))
    assert sentences(off)[0].startswith("Costs are off")
    assert json.loads((tmp_path / "off" / RESULT).read_text())["verdict"][0] == sentences(off)[0]
    assert (titled(on), titled(off)) == (
        "sma-cross, ranked by sharpe in sample",
        "sma-cross, ranked by sharpe in sample, COSTS OFF",
    )


def test_bars_that_changed_under_a_worker_are_noticed(tmp_path: Path) -> None:
    seen = replace(EUR, starts=np.maximum(np.arange(len(EUR.bars)) - 199, 0))
    (stored,) = laid_out([seen], tmp_path / "feeds")
    assert digest(load(stored)) == digest(seen)
    np.save(stored.folder / "gates.npy", np.zeros(len(EUR.bars), dtype=np.int8))
    with pytest.raises(CorruptFileError, match="not the ones that were stored"):
        load(stored)
    (stored.folder / "times.npy").unlink()
    with pytest.raises(CorruptFileError, match="can't be read"):
        load(stored)


def test_a_window_without_a_bar_fails_its_cell_with_the_reason(tmp_path: Path) -> None:
    shared = Shared(laid_out([EUR], tmp_path / "feeds"), "hold", plan())
    with pytest.raises(ConfigurationError, match="EURUSD has no bar"):
        compute(shared, Cell("key", {}, Window(0, Span(0, 10), Span(10, 20))))
