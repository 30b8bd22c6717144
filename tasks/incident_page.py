"""The page of an incident in the Prefect UI: Markdown from the record alone, each foreign text in a block of code that it can't leave."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ffe.ledger.models import Incident
from ffe.observe.masking import masked
from tasks.quality_text import cell

# Data of an artifact sits in Prefect's database.
MOST = 50_000
MOST_BLOCK = 6_000


def page(made: Incident, links: Mapping[str, str], noted: str) -> str:
    """What happened, where, how to do it again, then the evidence. `links` is where each of its names leads; `noted` where it is kept."""
    lines = [f"# {cell(made.type)} in {cell(made.name or '-')}", fenced(made.message), f"- {noted}"]
    if made.reproduce is not None:
        lines.append(f"- again: `{made.reproduce}`")
    if made.cycle_id is not None:
        lines.append(f"- cycle `{made.cycle_id}`: `ffe explain {made.cycle_id}` shows its chain")
    lines += [
        f"- {name}: `{said}`" for name, said in (("instrument", made.instrument), ("order", made.order_id)) if said
    ]
    if made.batch_id is not None:
        lines.append(f"- bars: batch `{made.batch_id}`")
    lines += [f"- [{name}]({url})" if "/" in url else f"- {name}: {url}" for name, url in links.items()]
    lines += _attempts(made.attempts[-1:])
    lines.append(f"\n## Traceback\n{fenced(made.traceback)}")
    if made.request is not None:
        lines.append(f"## Venue request\n{fenced(cut(made.request))}")
        lines.append(f"## Venue response\n{fenced(cut(str(made.response)))}")
    for title, document in (("Parameters", made.parameters), ("Orders and reservations in the ledger", made.holds)):
        if document:
            lines.append(f"## {title}\n{fenced(cut(json.dumps(document, default=str, indent=1)), 'json')}")
    return cut("\n".join(lines), MOST)


def cut(text: str, most: int = MOST_BLOCK) -> str:
    return masked(text, most=most)


def _attempts(attempts: Sequence[Any]) -> list[str]:
    """A table of the newest run's attempts where Prefect's history of them is known, else their number."""
    found = attempts[0] if attempts and isinstance(attempts[0], dict) else {}
    tries = found.get("tries") or []
    lines = [f"- attempts: {found.get('attempts', 1)}"]
    if tries:
        lines.append("\n| attempt | began | ended | after a delay of | ended as | said |")
        lines.append("| --- | --- | --- | --- | --- | --- |")
        lines += [_attempt(number, each) for number, each in enumerate(tries, 1)]
    return lines


def _attempt(number: int, tried: Mapping[str, Any]) -> str:
    delay = tried.get("delay_seconds")
    cells = [
        str(number),
        tried.get("began", "-"),
        tried.get("ended", "-"),
        "-" if delay is None else f"{delay:.1f} s",
        tried.get("state", "-"),
        cell(tried.get("message") or "-"),
    ]
    return f"| {' | '.join(cells)} |"


def fenced(text: str, language: str = "text") -> str:
    """A block of code that no backticks in `text` can close (CommonMark, section 4.5: a closing fence is as long as the opening one)."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
