"""What the simulator's relay costs a request: the same server asked through it and directly, in turns: `python -m benchmarks.relay`.

The relay is always there, so that faults of the wire can be set at any time; this says whether that is cheap enough. Prints medians and
p99 in milliseconds; asserts nothing.
"""

import argparse
import asyncio
import http.client
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import uuid4

from simulator.app import Credentials, build_venues
from simulator.book import Book
from simulator.clock import SimClock
from simulator.generated import DEMO_START, GeneratedMarket
from simulator.relay import Relay
from simulator.serve import Server
from simulator.state import State

PATH = "/coinbase/api/v3/brokerage/time"
WARM_UP = 200


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=4000)
    requests = parser.parse_args().requests
    here, there = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        child = multiprocessing.get_context("spawn").Process(target=_serve, args=(Path(folder), there), daemon=True)
        child.start()
        there.close()
        outer, inner = here.recv()
        _await(outer)
        print(f"GET {PATH}; {os.cpu_count()} cores, Python {sys.version.split()[0]}; ms")
        _report("kept connection", _kept((outer, inner), requests))
        _report("new connection", _new((outer, inner), requests // 10))
        child.terminate()
        child.join(10)


def _serve(folder: Path, pipe: Connection) -> None:
    market = GeneratedMarket(7, DEMO_START, 0)
    relay = Relay()
    venues = build_venues(
        Book(market, SimClock(DEMO_START), State(folder)), Credentials("", "", ""), "account", str(uuid4()), relay.carry
    )
    with socket.socket(proto=socket.IPPROTO_TCP) as outer, socket.socket(proto=socket.IPPROTO_TCP) as inner:
        for listener in (outer, inner):
            listener.bind(("127.0.0.1", 0))
        pipe.send((outer.getsockname()[1], inner.getsockname()[1]))
        asyncio.run(Server(venues.app, relay, outer, "").serve([inner]))


def _await(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _kept(ports: tuple[int, int], requests: int) -> list[list[float]]:
    clients = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
    seen: list[list[float]] = [[], []]
    for turn in range(requests + WARM_UP):
        for client, times in zip(clients, seen, strict=True):
            took = _ask(client)
            if turn >= WARM_UP:
                times.append(took)
    for client in clients:
        client.close()
    return seen


def _new(ports: tuple[int, int], requests: int) -> list[list[float]]:
    seen: list[list[float]] = [[], []]
    for _ in range(requests):
        for port, times in zip(ports, seen, strict=True):
            client = http.client.HTTPConnection("127.0.0.1", port)
            times.append(_ask(client))
            client.close()
    return seen


def _ask(client: http.client.HTTPConnection) -> float:
    started = time.perf_counter()
    client.request("GET", PATH)
    client.getresponse().read()
    return (time.perf_counter() - started) * 1000


def _report(what: str, seen: list[list[float]]) -> None:
    for name, times in zip(("relay", "direct"), seen, strict=True):
        p99 = statistics.quantiles(times, n=100, method="inclusive")[98]
        print(f"{what:<16}{name:<8}median {statistics.median(times):.3f}  p99 {p99:.3f}")


if __name__ == "__main__":
    main()
