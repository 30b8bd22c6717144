"""The one ASGI application: the venues under their prefixes, the control interface beside them, an outage in front of each venue.

`middleware` is the seam for wire faults: it wraps everything, so it can delay, cut or replace any reply before or after its commit.
"""

from collections.abc import Sequence
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
from simulator.oanda import Oanda

MAINTENANCE = (
    "<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>"
)


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
    app: Starlette


def build_venues(
    book: Book, credentials: Credentials, account_id: str, portfolio: str, middleware: Sequence[Middleware] = ()
) -> Venues:
    """Every venue over one book."""
    oanda, coinbase = Oanda(book, account_id, credentials.oanda_token), Coinbase(book, portfolio)
    control = Control(book, oanda, coinbase, credentials.control_token)
    routes = [
        Mount("/oanda", routes=oanda.routes(), middleware=[_outage(book, "oanda")]),
        Mount("/coinbase", routes=coinbase.routes(), middleware=[_outage(book, "coinbase")]),
        Mount("/alphavantage", app=alphavantage_app(book.market, book.clock, credentials.alpha_vantage_key)),
        Mount("/_sim", routes=control.routes()),
    ]
    return Venues(oanda, coinbase, Starlette(routes=routes, middleware=list(middleware)))


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
