"""What the gate hands to the relay, and that it leaves everything else to the venues."""

from pathlib import Path
from typing import Any

import pytest

from simulator.faults_exchange import Answer, Wire


@pytest.fixture
def carried() -> list[tuple[Any, ...]]:
    return []


@pytest.fixture
def wired(make_lab: Any, tmp_path: Path, carried: list[tuple[Any, ...]]) -> Any:
    """A simulator in this process whose relay only takes notes."""
    laboratory = make_lab(tmp_path, carry=lambda *handed: carried.append(handed))
    yield laboratory
    laboratory.close()


def test_the_relay_gets_the_whole_reply_as_http(wired: Any, carried: list[tuple[Any, ...]]) -> None:
    right = wired.coinbase("GET", "time")
    wired.control("faults", faults=[{"kind": "drip", "bytes_per_second": 5, "route": "coinbase.time"}])
    assert wired.coinbase("GET", "time").content == b""
    (_, wire, head, body) = carried[0]
    assert wire == Wire("drip", {"bytes_per_second": 5.0})
    assert body == right.content
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert [f"content-length: {len(body)}"] == [line for line in lines if line.startswith("content-length")]
    assert f"x-ratelimit-limit: {right.headers['x-ratelimit-limit']}" in lines


def test_before_commit_the_relay_gets_no_reply_of_the_venue(wired: Any, carried: list[tuple[Any, ...]]) -> None:
    wired.control("faults", faults=[{"kind": "reset", "route": "oanda.orders.create"}])
    wired.order(100)
    assert [(wire.style, body) for _, wire, _, body in carried] == [("reset", b"")]
    assert wired.trades() == []


def test_a_fault_nearer_to_the_client_changes_what_a_wire_fault_carries(
    wired: Any, carried: list[tuple[Any, ...]]
) -> None:
    route = {"route": "coinbase.time"}
    wired.control("faults", faults=[{"kind": "extra_field"} | route, {"kind": "truncated"} | route])
    wired.coinbase("GET", "time")
    assert b'"newField":"new"' in carried[0][3]


def test_an_answer_names_its_headers_as_http_does() -> None:
    answer = Answer.of(429, "{}", "application/json", retry_after="3")
    assert answer.headers == (("content-type", "application/json"), ("retry-after", "3"))
    assert answer.complete_headers()[-1] == ("content-length", "2")
