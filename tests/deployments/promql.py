"""Which metrics an expression of Prometheus names, and the program that says whether it is one."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from deployments.tools.promtool import promtool

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_MATCHERS = re.compile(r"\{[^{}]*\}")
_RANGE = re.compile(r"\[[^\[\]]*\]")
_OFFSET = re.compile(r"\boffset\s+-?\w+")
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_CALL = re.compile(r"[a-zA-Z_]\w*\s*\(")
_NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*")
_WORDS = frozenset({"and", "or", "unless", "bool", "atan2", "Inf", "NaN"})


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics that a valid expression reads."""
    rest = expression
    for noise in (_STRING, _MATCHERS, _RANGE, _OFFSET, _LABELS, _CALL):
        rest = noise.sub(" ", rest)
    # Aggregations may have their labels behind: `sum by (x) (...)` is no call without them.
    return {name for name in _NAME.findall(rest) if name not in _WORDS | {"sum", "max", "min", "avg", "count"}}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`promtool` with these arguments; it is fetched where it is missing, and a test fails with the reason where it can't be."""
    return subprocess.run(
        [promtool(), *arguments], capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL
    )


def valid(expressions: Iterable[str], folder: Path) -> str:
    """What promtool says of a rule file with all of these; empty when each one is an expression of Prometheus."""
    import yaml

    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
    file = folder / "expressions.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}))
    checked = run("check", "rules", file)
    return "" if checked.returncode == 0 else checked.stdout + checked.stderr
