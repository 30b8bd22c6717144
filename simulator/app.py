"""The one ASGI application: the venues under their prefixes, the control interface beside them, faults and outages in front of each venue."""

from dataclasses import dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.alphavantage import alphavantage_app
from simulator.book import Book
from simulator.coinbase import Coinbase
from simulator.control import Control
from simulator.faults import Faults
from simulator.faults_gate import Carry, FaultGate
from simulator.faults_replies import MAINTENANCE, Ground
from simulator.oanda import Oanda


@dataclass(frozen=True)
class Credentials:
    """What this run's clients need. The Coinbase key pair is made by its keyring."""

    oanda_token: str
    alpha_vantage_key: str
    control_token: str


@dataclass(frozen=True)
class Venues:
    oanda: Oanda
    coinbase: Coinbase
    faults: Faults
    app: Starlette


def build_venues(
    book: Book,
    credentials: Credentials,
    account_id: str,
    portfolio: str,
    carry: Carry | None = None,
    *,
    alpha_vantage_plan: str = "free",
) -> Venues:
    """Every venue over one book. Without `carry`, a relay's, there are no wire faults."""
    oanda, coinbase, faults = Oanda(book, account_id, credentials.oanda_token), Coinbase(book, portfolio), Faults()
    control = Control(book, coinbase, faults, credentials.control_token, wire=carry is not None)
    gate = Middleware(partial(FaultGate, faults=faults, ground=Ground(book, coinbase), carry=carry))
    alpha_vantage = alphavantage_app(book.market, book.clock, credentials.alpha_vantage_key, plan=alpha_vantage_plan)
    routes = [
        Mount("/oanda", routes=oanda.routes(), middleware=[_outage(book, "oanda")]),
        Mount("/coinbase", routes=coinbase.routes(), middleware=[_outage(book, "coinbase")]),
        Mount("/alphavantage", app=alpha_vantage),
        Mount("/_sim", routes=control.routes()),
    ]
    return Venues(oanda, coinbase, faults, Starlette(routes=routes, middleware=[gate]))


def _outage(book: Book, venue: str) -> Middleware:
    return Middleware(partial(OutageGate, book=book, venue=venue))


class OutageGate:
    """Answers 503 with a page of HTML, as a load balancer does, while the venue is out."""

    def __init__(self, app: ASGIApp, book: Book, venue: str) -> None:
        self._app, self._book, self._venue = app, book, venue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        out = self._venue in self._book.situation.out
        app: ASGIApp = HTMLResponse(MAINTENANCE, 503) if out else self._app
        await app(scope, receive, send)
