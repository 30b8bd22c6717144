"""What the logs of a plant say that nobody expected: every line at WARNING and above, and every traceback, less the ones known.

An allowed line is one whose cause was looked at and is not ours to end; each has its reason here. The list is meant to stay short.
"""

import re
from dataclasses import dataclass

from plant import Plant

# A line that begins a complaint, in the formats of Prefect, uvicorn, ffe and of Python itself.
COMPLAINT = re.compile(r"\b(WARNING|ERROR|CRITICAL|Exception|Traceback|Error:|Fatal)\b|^ffe\S*:")


@dataclass(frozen=True)
class Allowed:
    pattern: str
    reason: str


ALLOWED: tuple[Allowed, ...] = (
    Allowed(
        r"Action failed: 'Failed to set state: Run is already in terminal state",
        "a run's last heartbeat came to the server after the run's end, so that its automation thinks it lost; Prefect leaves what has ended alone",
    ),
)


def unexpected(plant: Plant, allowed: tuple[Allowed, ...] = ALLOWED) -> list[str]:
    """`part: line` of every complaint that no pattern allows, and what flow and task runs have logged at ERROR."""
    lines = [f"{name}: {line}" for name, text in plant.logs().items() for line in text.splitlines()]
    complaints = [line for line in lines if COMPLAINT.search(line.partition(": ")[2])]
    complaints += [f"run {each['flow_run_id']}: {each['message'][:400]}" for each in plant.prefect.errors()]
    known = [re.compile(each.pattern) for each in allowed]
    return [line for line in complaints if not any(pattern.search(line) for pattern in known)]
