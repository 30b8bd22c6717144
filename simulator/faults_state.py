"""Faults of the venue's own state: keys, clock, halts, depth, prices, and orders that are refused after they were accepted.

They hold for the requests at which they fire and leave nothing behind, except what such a request did and a price jump: a market that has
moved stays where it is.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import jwt
from jwt.types import Options as Checks

from ffe.clock import parse_time
from ffe.money import ZERO
from simulator.book import Book, Conditions
from simulator.coinbase_views import iso
from simulator.faults import Fault
from simulator.faults_exchange import Answer, Options, Proceed, Request
from simulator.faults_replies import Act, Ground

_EXPIRY: Checks = {"verify_signature": False, "verify_exp": True, "verify_nbf": False}
_START: Checks = {"verify_signature": False, "verify_exp": False, "verify_nbf": True}
UNAUTHORIZED = Answer.of(401, "Unauthorized\n", "text/plain; charset=utf-8")


def under(conditions: Callable[[Request, Options], Conditions]) -> Act:
    """The request is handled under other conditions than the book's own."""

    async def act(fault: Fault, request: Request, ground: Ground, proceed: Proceed) -> Answer:
        with ground.book.under(conditions(request, fault.options)):
            return await proceed(request)

    return act


def halted(request: Request, options: Options) -> Conditions:
    """The instrument, or the whole venue of the request."""
    return Conditions(halted=(options["instrument"] or request.venue,))


def thin_book(_request: Request, options: Options) -> Conditions:
    return Conditions(depth={options["instrument"]: options["units"]})


def order_cancelled(_request: Request, options: Options) -> Conditions:
    """OANDA takes the order and cancels it in the same reply."""
    return Conditions(oanda_cancel_reason=options["reason"])


async def revoke_key(_fault: Fault, request: Request, _ground: Ground, proceed: Proceed) -> Answer:
    """The venue's own answer to a key that it does not know: the request arrives without one."""
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"authorization"]
    query = b"&".join(part for part in request.scope["query_string"].split(b"&") if not part.startswith(b"apikey="))
    return await proceed(replace(request, scope={**request.scope, "headers": headers, "query_string": query}))


async def clock_offset(fault: Fault, request: Request, ground: Ground, proceed: Proceed) -> Answer:
    """Coinbase's clock is `seconds` ahead (negative: behind): in GET /time, and in the lifetime check of each JWT."""
    offset = fault.options["seconds"]
    if request.route == "coinbase.time":
        answer = await proceed(request)
        return answer.with_body(_shifted(answer.body, timedelta(seconds=offset)))
    leeway = ground.book.switches.coinbase_jwt_leeway_seconds
    if request.venue == "coinbase" and not _in_time(request.header("authorization"), offset, leeway):
        return UNAUTHORIZED
    return await proceed(request)


def _in_time(authorization: str, offset: float, leeway: float) -> bool:
    """Judged as a server would whose clock is off. A token without a readable lifetime is left to the venue's own check.

    PyJWT reads the wall clock for itself: a server that is ahead finds a token expired as one with less leeway would.
    """
    token = authorization.partition(" ")[2]
    for checks, allowed in ((_EXPIRY, leeway - offset), (_START, leeway + offset)):
        try:
            jwt.decode(token, options=checks, leeway=allowed)
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
            return False
        except jwt.PyJWTError:
            return True
    return True


def _shifted(body: bytes, by: timedelta) -> bytes:
    moment = parse_time(json.loads(body)["iso"]) + by
    seconds = moment.timestamp()
    shifted = {"iso": iso(moment), "epochSeconds": str(int(seconds)), "epochMillis": str(int(seconds * 1000))}
    return json.dumps(shifted, separators=(",", ":")).encode()


async def price_jump(fault: Fault, request: Request, ground: Ground, proceed: Proceed) -> Answer:
    """The market moves right before or right after this request."""
    instrument, percent = fault.options["instrument"], fault.options["percent"]
    if not fault.after:
        _jump(ground.book, instrument, percent)
    answer = await proceed(request)
    if fault.after:
        _jump(ground.book, instrument, percent)
    return answer


def _jump(book: Book, instrument: str, percent: Decimal) -> None:
    with book.request():
        book.market.jump(instrument, book.clock.now(), 1 + percent / 100)


async def async_reject(fault: Fault, request: Request, ground: Ground, proceed: Proceed) -> Answer:
    """Coinbase accepts the order, and whoever reads it later finds it FAILED. One that was filled at once stays filled."""
    answer = await proceed(request)
    order_id = _accepted(answer)
    if order_id is not None:
        with ground.book.request():
            _fail(ground, order_id, fault.options["reason"])
    return answer


def _accepted(answer: Answer) -> str | None:
    try:
        body: Any = json.loads(answer.body)
    except ValueError:
        return None
    accepted = body.get("success_response") if isinstance(body, dict) else None
    return str(accepted["order_id"]) if accepted is not None else None


def _fail(ground: Ground, order_id: str, reason: str) -> None:
    order = ground.coinbase.orders.rows[order_id]
    if order.live:
        ground.coinbase.wallets.move(order.hold_currency, available=order.held, hold=-order.held)
        ground.coinbase.orders.update(order_id, status="FAILED", held=ZERO, reject_reason=reason)
