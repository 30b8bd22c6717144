"""`python -m simulator`: one market, one state folder, one port on loopback; one JSON line on stdout when it is ready to answer.

That port is the relay's; the server listens behind it on another one that nobody needs to know.
Tokens and keys are made afresh at every start and live only in that line; account ids are kept with the state.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import uvicorn
from starlette.applications import Starlette

from ffe.clock import parse_time, rfc3339
from ffe.errors import ConfigurationError, CorruptFileError
from simulator.alphavantage import PLANS
from simulator.app import Credentials, Venues, build_venues
from simulator.book import Book, Situation
from simulator.clock import SimClock
from simulator.faults_file import FaultPlan, read_faults
from simulator.generated import DEMO_START, GeneratedMarket
from simulator.market import Market
from simulator.relay import Relay
from simulator.state import LOCK_WAIT_SECONDS, FolderBusyError, State

BUSY, BAD_INPUT = 4, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM, SIGINT or, if asked, the end of stdin. Exit codes: 0 ended, 2 bad input, 4 the state folder is taken."""
    options = _options(argv)
    try:
        market = _market(options)
        plan = FaultPlan(()) if options.faults is None else read_faults(options.faults, tuple(market.symbols()))
        state = State(options.data_dir / "simulator" / market.key, LOCK_WAIT_SECONDS)
    except (ConfigurationError, CorruptFileError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    except FolderBusyError as error:
        sys.stderr.write(f"{error}\n")
        return BUSY
    try:
        asyncio.run(_serve(options, market, state, plan))
    finally:
        state.close()
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator", description="Simulated venues on loopback for the real SDKs.")
    parser.add_argument("--port", type=_port, default=0, help="0 takes a free one")
    parser.add_argument("--bars", type=Path, help="replay the CSV files of this folder instead of generating a market")
    parser.add_argument("--seed", type=int, default=7, help="of the generated market")
    parser.add_argument(
        "--stale-minutes", type=_minutes, default=0, help="age of the newest complete 5m bar at the start"
    )
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the venue's state is kept")
    parser.add_argument("--start", type=_moment, help="RFC 3339: set the clock here at every start")
    parser.add_argument("--faults", type=Path, help="a JSON file of faults to begin with")
    parser.add_argument(
        "--alpha-vantage-plan", choices=PLANS, default=PLANS[0], help="what the Alpha Vantage key has paid for"
    )
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when stdin ends, as when the parent died")
    return parser.parse_args(argv)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port")
    return port


def _minutes(text: str) -> int:
    minutes = int(text)
    if minutes < 0:
        raise argparse.ArgumentTypeError("minutes must not be negative")
    return minutes


def _moment(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _market(options: argparse.Namespace) -> Market:
    if options.bars is not None:
        # Imported here because reading CSV files needs more than a generated market does.
        from simulator.recorded import RecordedMarket

        return RecordedMarket(options.bars, options.start, options.stale_minutes)
    return GeneratedMarket(options.seed, options.start or DEMO_START, options.stale_minutes)


@dataclass(frozen=True)
class Identity:
    """Ids of this market's accounts: derived from its name once, then kept."""

    account_id: str
    portfolio: str


def _identity(state: State, key: str) -> Identity:
    table = state.table("identity", Identity)
    known = table.get("ids")
    if known is not None:
        return known
    number = int(sha256(key.encode()).hexdigest(), 16) % 10**7
    with state.atomic():
        return table.put("ids", Identity(f"101-001-{number:07d}-001", str(uuid5(NAMESPACE_URL, f"simulator:{key}"))))


def _clock(options: argparse.Namespace, market: Market, state: State) -> SimClock:
    """At `--start` if given, else where it stopped, else where the market starts."""
    last = state.table("situation", Situation).get("now")
    if options.start is not None or last is None:
        return SimClock(options.start or market.start())
    clock = SimClock(last.now)
    clock.rate = last.rate
    return clock


async def _serve(options: argparse.Namespace, market: Market, state: State, plan: FaultPlan) -> None:
    clock = _clock(options, market, state)
    if options.bars is None:
        # A stale feed is stale as of the moment at which this run begins, also when its clock resumed.
        market = GeneratedMarket(options.seed, clock.now(), options.stale_minutes)
    book, identity, relay = Book(market, clock, state), _identity(state, market.key), Relay()
    credentials = Credentials(secrets.token_hex(32), secrets.token_hex(8).upper(), secrets.token_hex(32))
    plan_of_key = options.alpha_vantage_plan
    venues = build_venues(
        book, credentials, identity.account_id, identity.portfolio, relay.carry, alpha_vantage_plan=plan_of_key
    )
    venues.faults.set(plan.faults, plan.seed)
    with _bound(options.port) as listener, _bound(0) as inner:
        document = announcement(listener.getsockname()[1], venues, credentials, book)
        server = Server(venues.app, relay, listener, json.dumps(document))
        if options.exit_with_stdin:
            threading.Thread(target=_wait_for_end, args=(server, asyncio.get_running_loop()), daemon=True).start()
        await server.serve([inner])
    with state.atomic():
        book.save_clock()


def _bound(port: int) -> socket.socket:
    # asyncio turns off Nagle's algorithm only where the protocol is named; with it each reply waits 40 ms for an ACK.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


class Server(uvicorn.Server):
    """Serves behind a relay. Says `line` on stdout once both listen, and takes SIGINT and SIGTERM as an ordinary end (uvicorn would raise
    them again).
    """

    def __init__(self, app: Starlette, relay: Relay, listener: socket.socket, line: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=2,
            )
        )
        self._relay, self._listener, self._line = relay, listener, line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        await self._relay.start(self._listener, sockets[0].getsockname()[1] if sockets else 0)
        sys.stdout.write(self._line + "\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets=sockets)
        self._relay.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.leave)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def leave(self) -> None:
        self.should_exit = True


def _wait_for_end(server: Server, loop: asyncio.AbstractEventLoop) -> None:
    # Straight from the descriptor: a thread inside sys.stdin's own lock would abort the interpreter when it ends first.
    descriptor = sys.stdin.fileno()
    while os.read(descriptor, 4096):
        continue
    loop.call_soon_threadsafe(server.leave)


def announcement(port: int, venues: Venues, credentials: Credentials, book: Book) -> dict[str, Any]:
    """What clients need to know; `env` is the same as settings of the engine. `base_url`s as its interface page defines them."""
    root, key = f"http://127.0.0.1:{port}", venues.coinbase.keys.issue()
    oanda = {"base_url": f"{root}/oanda", "token": credentials.oanda_token, "account_id": venues.oanda.account_id}
    coinbase = {"base_url": f"{root}/coinbase", "api_key": key.name, "api_secret": key.secret}
    alpha = {"base_url": f"{root}/alphavantage/query", "api_key": credentials.alpha_vantage_key}
    parts = {"oanda": oanda, "coinbase": coinbase, "alpha_vantage": alpha}
    env = {f"FFE_{name}__{field}".upper(): text for name, part in parts.items() for field, text in part.items()}
    return {
        **parts,
        "control": {"base_url": f"{root}/_sim", "token": credentials.control_token},
        "clock": rfc3339(book.clock.now()),
        "market": book.market.key,
        "faults": venues.faults.report(),
        "pid": os.getpid(),
        "env": env,
    }
