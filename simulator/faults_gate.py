"""In front of every venue: lets the faults that are due happen to a request, and hands what must be broken on the wire to the relay.

Several faults of one request are nested in the order of the list: the first stands nearest to the client. The control interface is never hit.
"""

from collections.abc import Callable
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.faults import Fault, Faults
from simulator.faults_exchange import Answer, Proceed, Request, Wire, answer_of, read_body
from simulator.faults_kinds import KINDS
from simulator.faults_replies import JSON, Ground
from simulator.faults_routes import place, route_name

# By the inner port of the connection: how, head, body.
Carry = Callable[[int, Wire, bytes, bytes], None]


class FaultGate:
    """An ASGI middleware. `carry` takes a reply over the connection that it came on."""

    def __init__(self, app: ASGIApp, faults: Faults, ground: Ground, carry: Carry | None) -> None:
        self._app, self._faults, self._ground, self._carry = app, faults, ground, carry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = place(scope["path"]) if self._faults else None
        if found is None:
            await self._app(scope, receive, send)
            return
        request = Request(
            found[0],
            route_name(found[0], scope["method"], found[1]),
            scope["method"],
            found[1],
            scope,
            await read_body(receive),
        )
        answer = await self._answer(request)
        if answer.wire is not None and self._carry is not None:
            self._carry(scope["client"][1], answer.wire, answer.head(), answer.body)
            answer = Answer.of(200, "", JSON)
        await answer.send(send)

    async def _answer(self, request: Request) -> Answer:
        """What the venue replies with its due faults around it."""
        proceed: Proceed = partial(answer_of, self._app)
        for fault in reversed(self._faults.firing(request, self._ground.book.clock.now())):
            proceed = self._around(fault, proceed)
        return await proceed(request)

    def _around(self, fault: Fault, inner: Proceed) -> Proceed:
        async def proceed(request: Request) -> Answer:
            return await KINDS[fault.kind].act(fault, request, self._ground, inner)

        return proceed
