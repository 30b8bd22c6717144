"""The page of a GPU worker, as a real Prefect API takes and keeps it."""

import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.llm.devices import Device
from ffe.llm.placement import Placement, Sign, SignReading
from tasks.gpu_probe import artifact_key, page, publish_placement

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CARD = Device(
    index=0,
    name="NVIDIA L4",
    capability=8.9,
    driver="580.65.06",
    memory_total=24_000_000_000,
    memory_used=3_000_000_000,
)
PLACED = Placement(
    verdict=Sign.GPU,
    signs={
        "reported": SignReading(sign=Sign.GPU, detail="the server reports all of it"),
        "memory": SignReading(sign=Sign.GPU, detail="device memory rose"),
        "speed": SignReading(sign=Sign.UNKNOWN, detail="no floor is set"),
    },
    model="llama3.2:3b-instruct-q4_0",
    digest="a" * 64,
    runtime="ollama 0.33.0",
    device=CARD,
    devices=(CARD,),
    problems=(),
    reason="no known sign disagrees",
    tokens_per_second=80.04,
    checked_at=NOW,
)


def latest(url: str, key: str) -> Any:
    reply = httpx.get(f"{url}/artifacts/{key}/latest", timeout=10)
    reply.raise_for_status()
    return reply.json()


def test_a_worker_that_is_in_no_run_leaves_its_page_with_card_signs_and_verdict(prefect_api: str) -> None:
    publish_placement(PLACED, "GPU Worker_1 (rack 4)")

    kept = latest(prefect_api, "gpu-worker-gpu-worker-1-rack-4")
    assert (kept["type"], kept["description"]) == ("markdown", "llama3.2:3b-instruct-q4_0: gpu")
    assert kept["data"] == page(PLACED, "GPU Worker_1 (rack 4)")
    assert "| 0: NVIDIA L4 | 8.9 | 580.65.06 | 3.00 GB | 24.00 GB |" in kept["data"]
    assert "| reported | gpu | the server reports all of it |" in kept["data"]
    assert "| tokens/s | 80.0 |" in kept["data"]
    assert "| checked at | 2026-11-21T00:00:00Z |" in kept["data"]


def test_the_next_start_replaces_the_page_and_keeps_its_history(prefect_api: str) -> None:
    publish_placement(PLACED, "again")
    publish_placement(PLACED.model_copy(update={"verdict": Sign.CPU}), "again")
    assert latest(prefect_api, "gpu-worker-again")["description"].endswith(": cpu")
    wanted = {"artifacts": {"key": {"any_": ["gpu-worker-again"]}}}
    kept = httpx.post(f"{prefect_api}/artifacts/filter", json=wanted, timeout=10).json()
    assert len(kept) == 2


def test_a_page_without_card_speed_or_digest_has_dashes_and_no_empty_table() -> None:
    bare = {"digest": None, "runtime": None, "device": None, "devices": (), "tokens_per_second": None}
    text = page(PLACED.model_copy(update=bare), "w")
    assert "| device | none |" in text
    assert "| digest | - |" in text
    assert "| tokens/s | - |" in text
    assert "capability" not in text


def test_floors_that_are_not_met_and_unknown_memory_are_on_the_page() -> None:
    shared = CARD.model_copy(update={"memory_total": None, "memory_used": None})
    text = page(PLACED.model_copy(update={"devices": (shared,), "problems": ("driver 470 is below 570",)}), "w")
    assert "| 0: NVIDIA L4 | 8.9 | 580.65.06 | - | - |" in text
    assert text.endswith("- driver 470 is below 570\n")


def test_what_a_server_says_makes_no_markup_of_its_own() -> None:
    text = page(PLACED.model_copy(update={"reason": "<img src=x> | [a](b)\n# heading"}), "<b>w</b>")
    assert "<" not in text
    assert "\n# heading" not in text
    assert "[a]" not in text


@pytest.mark.parametrize(
    ("worker", "key"), [("W1", "gpu-worker-w1"), ("--a__b--", "gpu-worker-a-b"), ("", "gpu-worker-unnamed")]
)
def test_a_worker_name_becomes_a_key(worker: str, key: str) -> None:
    assert artifact_key(worker) == key


@given(st.text())
def test_every_worker_name_becomes_a_key_that_prefect_takes(worker: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", artifact_key(worker))
