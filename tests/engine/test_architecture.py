"""The floors of the house: imports run one way, and what belongs in one place stays there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Who may import whom among our own packages. ffe.cli is the composition root: it may use everything, nobody may use it.
ALLOWED = {
    "ffe": {"ffe"},
    "ffe.cli": {"ffe", "ffe.cli", "tasks", "flows", "expectations", "simulator"},
    "expectations": {"ffe", "expectations"},
    "tasks": {"ffe", "expectations", "tasks"},
    "flows": {"ffe", "tasks", "flows"},
    "simulator": {"ffe.money", "ffe.clock", "ffe.market", "ffe.errors", "simulator"},
}
OURS = ("ffe", "expectations", "tasks", "flows", "simulator", "deployments", "tests", "benchmarks")


def _files(package: str) -> list[Path]:
    found = sorted((ROOT / package.replace(".", "/")).rglob("*.py"))
    return [path for path in found if package != "ffe" or "cli" not in path.relative_to(ROOT).parts]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_one_way(package: str) -> None:
    files = _files(package)
    assert files
    for path in files:
        for name in _imports(path):
            if name.split(".")[0] in OURS:
                inside = any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED[package])
                to_cli = package != "ffe.cli" and (name == "ffe.cli" or name.startswith("ffe.cli."))
                assert inside, f"{path.relative_to(ROOT)} imports {name}"
                assert not to_cli, f"{path.relative_to(ROOT)} imports {name}"


def test_the_engine_knows_no_orchestrator() -> None:
    for path in _files("ffe"):
        assert not [name for name in _imports(path) if name.split(".")[0] == "prefect"], path


def test_only_the_clock_reads_the_wall_clock() -> None:
    clocks = {ROOT / "ffe/clock.py"}
    reading = {"datetime.now", "datetime.utcnow", "time.time", "date.today"}
    for package in ALLOWED:
        for path in set(_files(package)) - clocks:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    assert ast.unparse(node.func) not in reading, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_module_says_what_it_is_for() -> None:
    for package in ALLOWED:
        for path in _files(package):
            assert ast.get_docstring(ast.parse(path.read_text())), path
