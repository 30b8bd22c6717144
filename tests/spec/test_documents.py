"""The page on venues says what the brokers say of themselves, and lists the cases that they are held to."""

import ast
import re
from pathlib import Path
from typing import Any

from ffe.venues.models import Capabilities

PAGE = Path(__file__).parents[2] / "docs" / "venues.md"


def _cases() -> dict[str, str]:
    """Docstrings of the cases by number."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_tc_"):
                number = f"TC-{node.name.removeprefix('test_tc_')}"
                assert number not in found, number
                found[number] = str(ast.get_docstring(node))
    return found


def test_the_page_lists_every_case_with_its_own_words() -> None:
    listed = dict(re.findall(r"^\| (TC-[0-9]{3}) \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    assert listed == _cases()
    assert list(listed) == sorted(listed)
    assert len(listed) >= 30


def test_the_pages_matrix_is_what_the_broker_says_of_itself(place: Any, request: Any) -> None:
    name = request.node.callspec.params["place"]
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("|")]
    columns = next(line for line in lines if "paper-oanda" in line)
    rows = {
        line[0].strip("`"): line[1:] for line in lines if line[0] in {f"`{name}`" for name in Capabilities.model_fields}
    }
    said = {row: cells[columns.index(name)] for row, cells in rows.items()}
    words = {True: "yes", False: "no"}
    assert said == {row: words.get(value, value) for row, value in place.can.model_dump().items()}
