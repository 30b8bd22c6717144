"""Faults that change, replace or hold back a whole HTTP reply, and those that leave the reply to the relay.

`before` commit the venue never saw the request; `after` commit it did all that was asked and only the reply is wrong.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from simulator.alphavantage import BURST
from simulator.book import Book
from simulator.coinbase import Coinbase
from simulator.coinbase_auth import MISSING_SCOPES
from simulator.faults import Fault
from simulator.faults_exchange import Answer, Options, Proceed, Request, Wire

HTML = "text/html; charset=utf-8"
JSON = "application/json"
MAINTENANCE = (
    "<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>"
)
# OANDA's own body of a 429 is not documented; Coinbase's is. Alpha Vantage has no 429: it says 200 and writes a letter.
_RATE = {
    "oanda": {"errorMessage": "The rate of requests is too high."},
    "coinbase": {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]},
    "alpha_vantage": {"Information": BURST},
}
_FORBIDDEN = {
    "oanda": {"errorMessage": "The provided request was forbidden."},
    "coinbase": MISSING_SCOPES,
    "alpha_vantage": {"Error Message": "Forbidden"},
}
# Alpha Vantage numbers the titles of its meta data, differently for each function.
_ENUM_FIELD = {"oanda": "type", "coinbase": "status", "alpha_vantage": "Time Zone"}
_SERIES = "Time Series"


@dataclass(frozen=True)
class Ground:
    """What faults of the venue's own state may touch."""

    book: Book
    coinbase: Coinbase


Act = Callable[[Fault, Request, Ground, Proceed], Awaitable[Answer]]


def replacing(make: Callable[[Request, Options], Answer]) -> Act:
    """Another reply in place of the venue's; after commit the venue does its work first."""

    async def act(fault: Fault, request: Request, _ground: Ground, proceed: Proceed) -> Answer:
        if fault.after:
            await proceed(request)
        return make(request, fault.options)

    return act


def rewriting(change: Callable[[Any, Request, Options], Any]) -> Act:
    """The venue's reply with its JSON changed; errors and other bodies pass as they are."""

    async def act(fault: Fault, request: Request, _ground: Ground, proceed: Proceed) -> Answer:
        answer = await proceed(request)
        if answer.status >= 400 or dict(answer.headers).get("content-type") != JSON:
            return answer
        body = change(json.loads(answer.body), request, fault.options)
        return answer.with_body(json.dumps(body, separators=(",", ":")).encode())

    return act


async def delay(fault: Fault, request: Request, _ground: Ground, proceed: Proceed) -> Answer:
    """Before commit it also makes a late commit: a client that gave up meanwhile still gets its order."""
    if not fault.after:
        await asyncio.sleep(fault.options["seconds"])
    answer = await proceed(request)
    if fault.after:
        await asyncio.sleep(fault.options["seconds"])
    return answer


async def ok_for_created(_fault: Fault, request: Request, _ground: Ground, proceed: Proceed) -> Answer:
    answer = await proceed(request)
    return replace(answer, status=200) if answer.status == 201 else answer


async def on_the_wire(fault: Fault, request: Request, _ground: Ground, proceed: Proceed) -> Answer:
    """The reply, or before commit an empty one, marked for the relay."""
    answer = await proceed(request) if fault.after else Answer.of(200, "", JSON)
    return replace(answer, wire=Wire(fault.kind, fault.options))


def rate_limit(request: Request, options: Options) -> Answer:
    body = json.dumps(_RATE[request.venue], separators=(",", ":"))
    if request.venue == "alpha_vantage":
        return Answer.of(200, body, JSON)
    asked = options["retry_after"]
    return Answer.of(429, body, JSON, **({} if asked is None else {"retry_after": str(asked)}))


def server_error(request: Request, options: Options) -> Answer:
    status = options["status"]
    if options["body"] == "html":
        return Answer.of(status, f"<html><body><h1>{status}</h1></body></html>", HTML)
    name = "errorMessage" if request.venue == "oanda" else "message"
    return Answer.of(status, json.dumps({name: f"Simulated failure {status}"}, separators=(",", ":")), JSON)


def forbidden(request: Request, _options: Options) -> Answer:
    """The venue's own 403: the key is known, this is not allowed to it."""
    return Answer.of(403, json.dumps(_FORBIDDEN[request.venue], separators=(",", ":")), JSON)


def html(_request: Request, _options: Options) -> Answer:
    return Answer.of(200, "<html><body><p>Please sign in to the network.</p></body></html>", HTML)


def empty(_request: Request, options: Options) -> Answer:
    return Answer.of(options["status"], "", JSON)


def maintenance(_request: Request, _options: Options) -> Answer:
    return Answer.of(503, MAINTENANCE, HTML)


def extra_field(body: Any, request: Request, options: Options) -> Any:
    """The field in every object of the reply, except in Alpha Vantage's series: its names are times."""
    if isinstance(body, list):
        return [extra_field(part, request, options) for part in body]
    if not isinstance(body, dict):
        return body
    changed = {name: extra_field(part, request, options) for name, part in body.items()}
    for name, part in changed.items():
        if name.startswith(_SERIES):
            del part[options["name"]]
    return {**changed, options["name"]: options["value"]}


def unknown_enum(body: Any, request: Request, options: Options) -> Any:
    """A value that nobody has seen before, wherever the reply has text in that field."""
    name = options["field"] or _ENUM_FIELD.get(request.venue)
    if isinstance(body, list):
        return [unknown_enum(part, request, options) for part in body]
    if not isinstance(body, dict):
        return body
    return {
        key: options["value"]
        if name in {key, _untitled(key)} and isinstance(part, str)
        else unknown_enum(part, request, options)
        for key, part in body.items()
    }


def _untitled(key: str) -> str:
    """`6. Time Zone` without its number."""
    number, dot, title = key.partition(". ")
    return title if dot and number.isdigit() else key
