"""`ffe explain ID`: one id to the whole chain."""

import json
from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from ffe.cli.options import JsonOption, settings_from
from ffe.cli.tables import console
from ffe.errors import ConfigurationError
from ffe.ledger.ledger import Ledger

LONG = 600


def explain(
    id: Annotated[str, typer.Argument(help="Of a cycle, decision, order, client order or incident; or its start.")],  # noqa: A002
    as_json: JsonOption = False,
) -> None:
    """From bar file hash to fills: what was known, who decided, how it was sized, what the venue did."""
    settings = settings_from()
    ledger = Ledger.open(settings.resolved_ledger_url)
    try:
        chain = ledger.explain(id)
    finally:
        ledger.close()
    if chain is None:
        raise ConfigurationError(f"no cycle, decision, order or incident in the ledger has the id {id!r}")
    if as_json:
        print(json.dumps(chain, default=str))
    else:
        if chain["kind"] != "cycle" and chain.get("cycle"):
            # The report of the whole cycle would bury the one chain that was asked for.
            chain["cycle"] = {name: value for name, value in chain["cycle"].items() if name != "summary"}
        console().print(_tree(id, chain))


def _tree(label: str, value: Any) -> Tree:
    tree = Tree(Text(label, style="bold"))
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if _nested(item):
            tree.add(_tree(str(key), item))
        else:
            text = ", ".join(map(str, item)) if isinstance(item, list) else str(item)
            tree.add(Text(f"{key}: {text[:LONG]}"))
    return tree


def _nested(item: Any) -> bool:
    """A dict, or a list that holds some: worth a branch. A list of plain values fits on its line."""
    if isinstance(item, dict):
        return bool(item)
    return isinstance(item, list) and any(isinstance(part, dict | list) for part in item)
