"""The reviewed JSON of every suite says what the code says."""

import json
from pathlib import Path

import pytest

from expectations import snapshots
from expectations.families import FAMILIES, LIMITS, family_of, suite_name
from ffe.market.models import AssetClass, Timeframe

ALL = [suite_name(family.timeframes[0], asset_class) for family in FAMILIES for asset_class in AssetClass]


def test_there_is_one_file_for_each_suite_and_no_other() -> None:
    assert sorted(path.stem for path in snapshots.FOLDER.glob("*")) == sorted(ALL)
    assert sorted(snapshots.snapshots()) == sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_the_reviewed_file_is_what_the_code_makes(name: str) -> None:
    assert (snapshots.FOLDER / f"{name}.json").read_text() == snapshots.snapshots()[name], (
        "the suite has changed: review it, then run python -m expectations.snapshots"
    )


@pytest.mark.parametrize("name", ALL)
def test_no_moment_and_no_second_opinion_is_frozen_into_a_file(name: str) -> None:
    kept = json.loads((snapshots.FOLDER / f"{name}.json").read_text())
    by_check = {each["check"]: each["kwargs"] for each in kept["expectations"]}
    assert by_check["not-from-the-future"] == {"now": "<now>", "timeframe": "<timeframe>"}
    assert by_check["cross-check"] == {"divergence": 0.02, "references": "<closes of other sources>"}


def test_every_timeframe_has_one_family_and_limits_for_both_markets() -> None:
    for timeframe in Timeframe:
        assert sum(timeframe in family.timeframes for family in FAMILIES) == 1
        for asset_class in AssetClass:
            limits = LIMITS[family_of(timeframe).name, asset_class]
            assert 0 < limits.excursion < limits.jump


def test_the_command_writes_the_files_and_removes_what_no_suite_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(snapshots, "FOLDER", tmp_path / "made")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "bars-weekly-crypto-v1.json").write_text("{}")
    snapshots.main()
    assert sorted(path.stem for path in (tmp_path / "made").glob("*")) == sorted(ALL)
    assert len(capsys.readouterr().out.splitlines()) == len(ALL)
