"""The page that a worker of the pool `gpu` leaves at its start: which card, which driver, and whether the model is really on it.

Written with the API's client and not with `create_markdown_artifact`: a worker that starts is in no run, and Prefect warns that the
latter will stop working there. The key is constant for each worker, so its history shows when the placement changed.
"""

import re

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from ffe.clock import rfc3339
from ffe.llm.devices import Device
from ffe.llm.placement import Placement
from ffe.llm.signs import gigabytes
from tasks.quality_text import cell


def artifact_key(worker: str) -> str:
    """`gpu-worker-` and the worker's name in lower case letters, digits and dashes, which is all that Prefect allows."""
    name = re.sub(r"[^a-z0-9]+", "-", worker.lower()).strip("-")
    return f"gpu-worker-{name or 'unnamed'}"


def publish_placement(placement: Placement, worker: str) -> None:
    """Writes the page; raises what the Prefect API raises (`httpx.HTTPError` when it is away, its exceptions when it refuses)."""
    request = ArtifactCreate(
        key=artifact_key(worker),
        type="markdown",
        description=f"{placement.model}: {placement.verdict}",
        data=page(placement, worker),
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(request)


def page(placement: Placement, worker: str) -> str:
    """Markdown: verdict and reason, the card, the three signs, and the floors that are not met."""
    lines = [f"# {cell(worker)}: {placement.verdict}", "", f"{cell(placement.reason)}.", ""]
    lines += _table(("", ""), _facts(placement))
    lines += _table(("sign", "says", "why"), _signs(placement))
    lines += _table(
        ("card", "capability", "driver", "memory used", "memory"), [_card(each) for each in placement.devices]
    )
    lines += [f"- {cell(problem)}" for problem in placement.problems]
    return "\n".join(lines).rstrip() + "\n"


def _facts(placement: Placement) -> list[tuple[str, ...]]:
    device = placement.device
    speed = placement.tokens_per_second
    return [
        ("model", placement.model),
        ("digest", placement.digest or "-"),
        ("runtime", placement.runtime or "-"),
        ("device", "none" if device is None else f"{device.index}: {device.name}"),
        ("tokens/s", "-" if speed is None else f"{speed:.1f}"),
        ("checked at", rfc3339(placement.checked_at)),
    ]


def _signs(placement: Placement) -> list[tuple[str, ...]]:
    return [(name, reading.sign.value, reading.detail) for name, reading in placement.signs.items()]


def _card(device: Device) -> tuple[str, ...]:
    used, total = ("-" if size is None else gigabytes(size) for size in (device.memory_used, device.memory_total))
    return (f"{device.index}: {device.name}", f"{device.capability}", device.driver, used, total)


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of a Markdown table with an empty line after it; none without rows."""
    if not rows:
        return []
    body = [[cell(each) for each in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *body)] + [""]
