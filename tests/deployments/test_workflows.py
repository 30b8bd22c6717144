"""The GitHub workflows against their published schema, and what a release does in which order."""

import importlib.resources
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from processes import CHECKOUT, COMPOSE

FOLDER = CHECKOUT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    # YAML 1.1 reads the key `on` as true.
    document["on"] = document.pop(True)
    return document


RELEASE = _read(FOLDER / "release.yml")
DEPLOY = RELEASE["jobs"]["deploy"]["steps"]
# Step by step, what the machine is asked to do.
SCRIPTS = {step["name"]: step["run"] for step in DEPLOY if "run" in step}


def _steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in document["jobs"].values() for step in job.get("steps", ())]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_validates_against_the_published_schema(path: Path) -> None:
    folder = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "github-workflows.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(_read(path))] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_may_read_the_code_and_nothing_more(path: Path) -> None:
    document = _read(path)
    assert document["permissions"] == {"contents": "read"}
    for job in document["jobs"].values():
        assert "permissions" not in job
        assert "uses" in job or job["timeout-minutes"] <= 90
    for step in _steps(document):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_and_is_one_of_githubs_own(path: Path) -> None:
    for step in _steps(_read(path)):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step["uses"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_text_from_outside_and_no_secret_becomes_part_of_a_script(path: Path) -> None:
    for step in _steps(_read(path)):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_script_is_one_that_a_shell_can_read(path: Path) -> None:
    shell = shutil.which("bash") or "sh"
    for step in _steps(_read(path)):
        done = subprocess.run(
            [shell, "-n"], input=step.get("run", ""), text=True, capture_output=True, check=False, timeout=10
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_what_ci_runs_is_what_a_person_runs() -> None:
    document = _read(FOLDER / "ci.yml")
    assert {"push", "pull_request"} <= set(document["on"])
    assert [step["run"] for step in document["jobs"]["test"]["steps"] if "run" in step] == ["make test"]


def test_nothing_is_built_before_the_tests_nor_deployed_before_it_is_built() -> None:
    jobs = RELEASE["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert (jobs["build"]["needs"], jobs["deploy"]["needs"]) == ("test", "build")
    assert RELEASE["concurrency"]["cancel-in-progress"] is False
    # Only these see the secrets, after whoever the environment asks.
    assert jobs["build"]["environment"] == jobs["deploy"]["environment"] == "production"


def test_a_release_backs_up_and_upgrades_before_anything_new_trades() -> None:
    lines = "\n".join(SCRIPTS.values())
    order = [
        "stop worker-cpu worker-gpu",
        "prefect server database upgrade",
        "deployments.release deploy",
        "up --detach --remove-orphans",
        "ffe health --json",
        "deployments.release rollback",
    ]
    places = [lines.index(text) for text in order]
    assert places == sorted(places)


def test_a_release_that_is_not_well_goes_back_by_itself() -> None:
    back = next(step for step in DEPLOY if "deployments.release rollback" in step.get("run", ""))
    assert back["if"].startswith("failure()")
    assert "exit 1" in SCRIPTS["Is it well"]
    assert next(step for step in DEPLOY if step.get("if") == "always()")["run"].startswith("rm -f .env")


def test_the_workflows_speak_of_services_and_images_that_the_compose_file_has() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for script in SCRIPTS.values():
        for words in re.findall(
            r"docker compose(?: --profile \w+)? (?:stop|pull|up|run|exec)((?: --?[a-zA-Z-]+)*)((?: [a-z-]+)*)", script
        ):
            named = words[1].split()
            assert named == [] or named[0] in services, words
    assert set(RELEASE["jobs"]["deploy"]["env"]) <= set(re.findall(r"\$\{(\w+_IMAGE)", COMPOSE.read_text()))
