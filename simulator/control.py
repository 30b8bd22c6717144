"""The simulator's own interface for tests and demonstrations, under /_sim and its own token: clock, halts, outages, switches, faults, state."""

import json
import math
import re
import secrets
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from starlette.routing import BaseRoute, Route

from ffe.clock import parse_time, rfc3339
from simulator.book import Book, Switches
from simulator.codec import encode
from simulator.coinbase import Coinbase
from simulator.faults import Faults
from simulator.faults_file import fault_plan
from simulator.web import Call, Handler, RefusalError, Reply, endpoint

_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
VENUES = ("oanda", "coinbase")


class Control:
    """`wire`: whether a relay is there to carry out faults of the wire."""

    def __init__(self, book: Book, coinbase: Coinbase, faults: Faults, token: str, *, wire: bool) -> None:
        self._book, self._coinbase, self._faults, self._token, self._wire = book, coinbase, faults, token, wire

    def routes(self) -> list[BaseRoute]:
        posts: dict[str, Handler] = {
            "/clock": self._clock,
            "/halt": self._halt,
            "/resume": self._resume,
            "/outage": self._outage,
            "/switches": self._switch,
            "/coinbase/keys": self._key,
            "/faults": self._set_faults,
        }
        routes: list[BaseRoute] = [self._route(path, "POST", handler) for path, handler in posts.items()]
        return [*routes, self._route("/state", "GET", self._state), self._route("/faults", "GET", self._show_faults)]

    def _route(self, path: str, method: str, handler: Handler) -> BaseRoute:
        def answer(call: Call) -> Reply:
            sent = call.headers.get("authorization", "").removeprefix("Bearer ")
            if not secrets.compare_digest(sent.encode(), self._token.encode()):
                return Reply({"error": "control token missing or wrong"}, 401)
            try:
                with self._book.request():
                    return handler(call)
            except RefusalError as refusal:
                return refusal.reply

        return Route(path, endpoint(answer, lambda: Reply({"error": "malformed JSON"}, 400)), methods=[method])

    def _clock(self, call: Call) -> Reply:
        """One of `set` (RFC 3339), `advance_seconds`, `rate`. Working orders are settled up to the new moment at once."""
        body, clock = call.body, self._book.clock
        try:
            if "rate" in body:
                clock.rate = _number(body["rate"], "rate")
            if "set" in body:
                self._book.move_clock(parse_time(str(body["set"])))
            if "advance_seconds" in body:
                clock.advance(timedelta(seconds=_number(body["advance_seconds"], "advance_seconds")))
        except ValueError as error:
            raise RefusalError(400, {"error": str(error)}) from error
        self._book.settle()
        self._book.save_clock()
        return Reply({"clock": rfc3339(clock.now()), "rate": clock.rate})

    def _subject(self, call: Call) -> str:
        """The venue or symbol named in the body."""
        symbols = tuple(self._book.market.symbols())
        venue, instrument = call.body.get("venue"), call.body.get("instrument")
        name = (
            str(venue)
            if venue is not None
            else str(instrument).upper().replace("-", "").replace("_", "").replace("/", "")
        )
        if name not in (VENUES if venue is not None else symbols):
            raise RefusalError(400, {"error": f"unknown {name!r}; known: {', '.join((*VENUES, *symbols))}"})
        return name

    def _halt(self, call: Call) -> Reply:
        return self._change(halted=(*self._book.situation.halted, self._subject(call)))

    def _outage(self, call: Call) -> Reply:
        return self._change(out=(*self._book.situation.out, self._subject(call)))

    def _resume(self, call: Call) -> Reply:
        """Ends halts and outages: of what the body names, or all of them."""
        situation = self._book.situation
        if not call.body:
            return self._change(halted=(), out=())
        gone = self._subject(call)
        return self._change(
            halted=tuple(name for name in situation.halted if name != gone),
            out=tuple(name for name in situation.out if name != gone),
        )

    def _change(self, **changes: tuple[str, ...]) -> Reply:
        unique: dict[str, Any] = {name: tuple(dict.fromkeys(values)) for name, values in changes.items()}
        self._book.situation = replace(self._book.situation, **unique)
        situation = self._book.situation
        return Reply({"halted": list(situation.halted), "out": list(situation.out)})

    def _switch(self, call: Call) -> Reply:
        """Sets the named switches; the reply shows all of them."""
        known = {field.name for field in fields(Switches)}
        unknown = set(call.body) - known
        if unknown:
            raise RefusalError(400, {"error": f"unknown switch {sorted(unknown)}; known: {sorted(known)}"})
        wrong = [name for name, value in call.body.items() if not _fits(name, value)]
        if wrong:
            raise RefusalError(400, {"error": f"value of the wrong kind for {sorted(wrong)}"})
        self._book.switches = replace(self._book.switches, **call.body)
        return Reply(json.loads(encode(self._book.switches)))

    def _key(self, call: Call) -> Reply:
        """A further Coinbase key: `{"kind": "ec"|"ed25519", "can_trade": bool, "can_transfer": bool}`."""
        key = self._coinbase.keys.issue(
            call.body.get("kind", "ec"),
            can_trade=call.body.get("can_trade", True) is True,
            can_transfer=call.body.get("can_transfer", False) is True,
        )
        return Reply({"api_key": key.name, "api_secret": key.secret})

    def _set_faults(self, call: Call) -> Reply:
        """Replaces all faults; nothing changes when one entry is refused."""
        try:
            plan = fault_plan(call.body, tuple(self._book.market.symbols()), wire=self._wire)
        except ValueError as error:
            raise RefusalError(400, {"error": str(error)}) from error
        self._faults.set(plan.faults, plan.seed)
        return Reply(self._faults.report())

    def _show_faults(self, _call: Call) -> Reply:
        return Reply(self._faults.report())

    def _state(self, _call: Call) -> Reply:
        """Every table of the book, and the clock."""
        return Reply({"clock": rfc3339(self._book.clock.now()), "market": self._book.market.key, **self._book.dump()})


def _fits(name: str, value: Any) -> bool:
    """Whether a switch may have this value: a depth is base units as text by symbol."""
    if name == "depth":
        return isinstance(value, dict) and all(_DECIMAL.fullmatch(str(units)) for units in value.values())
    if name == "oanda_cancel_reason":
        return value is None or isinstance(value, str)
    return type(value) is type(getattr(Switches(), name))


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    return float(value)
