"""Every alert fires and clears, and nothing that a rule names is missing from what the engine really exposes."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql import metrics_in, run

sys.path.insert(0, str(Path(__file__).parents[1] / "observe"))

from filled_ledger import NOW, fill_ledger
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from deployments.tools import promtool
from deployments.tools.promtool import PromtoolError
from ffe.clock import FixedClock
from ffe.ledger.ledger import Ledger
from ffe.observe.metrics import METRICS, LedgerMetrics
from ffe.observe.metrics.server import registry_of
from ffe.settings import Settings

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deployments" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.test.yml"))
# What Prometheus makes itself.
OWN = {"up", "ALERTS"}


def rules() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules()}


@pytest.fixture(scope="module")
def exposition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What Prometheus would scrape from a ledger in which everything has happened."""
    folder = tmp_path_factory.mktemp("exposition")
    with closing(Ledger.open(f"sqlite:///{folder}/ledger.sqlite")) as ledger:
        fill_ledger(ledger)
        metrics = LedgerMetrics(ledger, FixedClock(NOW), Settings(data_dir=folder))
        yield generate_latest(registry_of(metrics)).decode()


def emitted(exposition: str) -> set[str]:
    return {sample.name for family in text_string_to_metric_families(exposition) for sample in family.samples}


def test_the_rules_and_the_configuration_are_valid() -> None:
    for what in (("check", "rules", *RULES), ("check", "config", PROMETHEUS / "prometheus.yml")):
        checked = run(*what)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_every_alert_fires_and_clears_as_its_rule_test_says(file: Path) -> None:
    tested = run("test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_no_alert_is_without_a_rule_test_in_which_it_is_quiet_then_fires_then_clears() -> None:
    cases: dict[str, list[list[bool]]] = {}
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            fires = [bool(each.get("exp_alerts")) for each in test["alert_rule_test"]]
            assert {each["alertname"] for each in test["alert_rule_test"]} == {test["name"]}
            cases.setdefault(test["name"], []).append(fires)
    assert set(cases) == set(ALERTS)
    for name, several in cases.items():
        for fires in several:
            assert fires[0] is False, f"{name} is never seen quiet before"
            assert True in fires, f"{name} is never seen firing"
            assert fires[-1] is False, f"{name} is never seen clearing"


def test_a_rule_test_that_expects_something_else_fails(tmp_path: Path) -> None:
    """Otherwise a green test would prove nothing."""
    text = (PROMETHEUS / "tests" / "trading.test.yml").read_text().replace("../rules", str(PROMETHEUS / "rules"))
    (tmp_path / "wrong.yml").write_text(text.replace("The kill switch is halt", "Something else"))
    assert run("test", "rules", tmp_path / "wrong.yml").returncode != 0


def test_every_metric_that_a_rule_names_is_exposed(exposition: str) -> None:
    named = {name for rule in rules() for name in metrics_in(rule["expr"])}
    assert named - OWN - emitted(exposition) == set()
    assert len(named) > 20


def test_every_label_that_a_rule_asks_for_is_one_of_the_metric() -> None:
    for rule in rules():
        for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", rule["expr"]):
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matchers)))
            assert name in OWN or asked <= set(METRICS[name].labels), rule["alert"]


def test_the_exposition_passes_the_lint_of_prometheus(exposition: str) -> None:
    linted = subprocess.run(
        [promtool.promtool(), "check", "metrics"], input=exposition, capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_every_alert_says_how_bad_it_is_what_it_saw_and_where_its_runbook_is() -> None:
    for name, rule in ALERTS.items():
        notes = rule["annotations"]
        assert rule["labels"]["severity"] in {"critical", "warning"}, name
        assert set(notes) == {"summary", "description", "runbook"}, name
        assert notes["runbook"] == f"docs/operations.md#{name.lower()}", name


def test_every_runbook_that_an_alert_points_to_is_there() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    wanted = {rule["annotations"]["runbook"].partition("#")[2] for rule in ALERTS.values()}
    assert wanted - anchors == set()


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (a, b) (rate(x_total{a="sum(y)"}[5m])) / on (a) group_left (b) z > 0.5', {"x_total", "z"}),
        ("(d - (d offset 1h or d * 0)) and on (i) e unless f == +Inf", {"d", "e", "f"}),
        ("histogram_quantile(0.95, sum by (le) (rate(h_bucket[1h])))", {"h_bucket"}),
        ("absent(up{job='x'}) or sum(g) by (a)", {"up", "g"}),
    ],
)
def test_the_names_are_those_of_metrics_alone(expression: str, names: set[str]) -> None:
    assert metrics_in(expression) == names


def test_without_promtool_and_without_a_way_to_get_it_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert promtool.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "neither apt-get nor brew" in said.err
    assert "install Prometheus" in said.err


def program(folder: Path, name: str, body: str) -> None:
    file = folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment of its own, with `bin` beside its Python and no promtool anywhere."""
    (tmp_path / "environment" / "bin").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_on_debian_it_is_unpacked_beside_python_and_found_again(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its package lists are missing: the first download fails, the one after an update of our own lists does not."""
    program(
        machine, "apt-get", '[ "$2" = download ] && { echo "E: Unable to locate package" >&2; exit 100; }\n: > x.deb'
    )
    unpack = '/bin/mkdir -p "$3/usr/bin"; printf "#!/bin/sh\\necho 2.42" > "$3/usr/bin/promtool"; /bin/chmod 755 "$3/usr/bin/promtool"'
    program(machine, "dpkg-deb", unpack)
    assert promtool.main() == 0
    place = machine / "environment" / "bin" / "promtool"
    assert capsys.readouterr().out.strip() == str(place)
    assert subprocess.run([place], capture_output=True, text=True, check=True).stdout == "2.42\n"
    (machine / "bin" / "apt-get").unlink()
    assert promtool.promtool() == place
    program(machine, "promtool", "")
    assert promtool.promtool() == machine / "bin" / "promtool"


def test_a_package_without_it_and_an_archive_that_refuses_are_named(machine: Path) -> None:
    program(machine, "apt-get", ": > x.deb")
    program(machine, "dpkg-deb", '/bin/mkdir -p "$3"')
    with pytest.raises(PromtoolError, match="has no promtool"):
        promtool.promtool()
    program(machine, "apt-get", "exit 7")
    with pytest.raises(PromtoolError, match="apt-get -qq failed: 7"):
        promtool.promtool()


def test_a_download_without_an_end_is_given_up(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promtool, "TIMEOUT_SECONDS", 0.2)
    program(machine, "brew", "exec /bin/sleep 5")
    with pytest.raises(PromtoolError, match="was not done within"):
        promtool.promtool()


def test_on_a_mac_it_is_homebrews(machine: Path) -> None:
    there = machine / "bin" / "promtool"
    program(machine, "brew", f'printf "#!/bin/sh" > {there}; /bin/chmod 755 {there}')
    assert promtool.promtool() == there
