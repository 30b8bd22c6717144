"""A loopback server that answers as an Ollama server does, whole or in a stream, and one question to ask."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ffe.decision.answer import answer_schema
from ffe.decision.models import Context, FramePulse
from ffe.llm.models import Completion, Message, Sampling
from ffe.llm.ollama import OllamaModel
from ffe.market.models import Timeframe, parse_instrument
from ffe.settings import OllamaSettings

MODEL, FALLBACK = OllamaSettings().chain
ANSWER = '{"action": "HOLD", "confidence": 60, "reasoning": "The trend is flat."}'


def chat_reply(
    text: str = ANSWER, reason: str = "stop", logprobs: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {
        "model": MODEL,
        "created_at": "2026-08-01T00:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": reason,
        "total_duration": 2_000_000_000,
        "load_duration": 500_000_000,
        "prompt_eval_count": 321,
        "prompt_eval_duration": 900_000_000,
        "eval_count": 33,
        "eval_duration": 600_000_000,
    } | ({} if logprobs is None else {"logprobs": logprobs})


def part(text: str, logprobs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """One line of a stream that goes on."""
    said = {
        "model": MODEL,
        "created_at": "2026-08-01T00:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": False,
    }
    return said if logprobs is None else said | {"logprobs": logprobs}


def token(text: str, logprob: float = -0.1, **others: float) -> dict[str, Any]:
    """A token as the server writes it: its bytes, and the likeliest of its place."""
    top = [(text, logprob), *others.items()]
    return _odds(text, logprob) | {"top_logprobs": [_odds(*each) for each in top]}


def _odds(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def tag(name: str, digest: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "digest": digest,
        "size": 1_000_000,
        "modified_at": "2026-08-01T00:00:00Z",
        "details": {},
    }


@dataclass
class Reply:
    """`lines` are sent instead of `body` where a stream was asked for. `pause` goes before every line, or every byte of a whole reply.

    `endless` is sent again and again instead of a body; `early` sends heads of 103 without an end before the head of the answer.
    """

    status: int = 200
    body: Any = None
    delay: float = 0.0
    hang_up: bool = False
    lines: list[Any] | None = None
    pause: float = 0.0
    cut_short: bool = False
    head: dict[str, str] = field(default_factory=dict)
    endless: bytes = b""
    early: bool = False

    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()

    def by(self, model: str) -> "Reply":
        """As the server says it, which repeats the name that it was asked for: in place of MODEL."""
        body, lines = (_named(each, model) for each in (self.body, self.lines))
        return replace(self, body=body, lines=lines)

    def pieces(self, streamed: bool) -> list[bytes]:
        """What is written in turn. A whole chat is split into a part a token, or into at most some forty."""
        lines = self.lines
        chat = isinstance(self.body, dict) and "message" in self.body
        if lines is None and streamed and self.status == 200 and chat:
            lines = _streamed(self.body)
        if lines is not None and streamed:
            return [(line if isinstance(line, str) else json.dumps(line)).encode() + b"\n" for line in lines]
        payload = self.payload()
        return [payload[i : i + 1] for i in range(len(payload))] if self.pause else [payload]


def _named(said: Any, model: str) -> Any:
    if isinstance(said, list):
        return [_named(each, model) for each in said]
    return said | {"model": model} if isinstance(said, dict) and said.get("model") == MODEL else said


def _streamed(whole: dict[str, Any]) -> list[dict[str, Any]]:
    text, tokens = whole["message"]["content"], whole.get("logprobs")
    if tokens is not None:
        parts = [part(each["token"], [each]) for each in tokens]
    else:
        size = max(7, len(text) // 40)
        parts = [part(text[i : i + size]) for i in range(0, len(text), size)]
    parts = [each | {"model": whole["model"]} for each in parts]
    last = {name: value for name, value in whole.items() if name != "logprobs"}
    return [*parts, last | {"message": {"role": "assistant", "content": ""}}]


@dataclass
class OllamaStub:
    """`chats` and `pulls` map a model to its replies in turn; the last one repeats. `asked` keeps every chat body with its headers."""

    url: str = ""
    chats: dict[str, list[Reply]] = field(default_factory=dict)
    pulls: dict[str, list[Reply]] = field(default_factory=dict)
    tags: Reply = field(default_factory=lambda: Reply(body={"models": [tag(MODEL, "a" * 64), tag(FALLBACK, "b" * 64)]}))
    version: Reply = field(default_factory=lambda: Reply(body={"version": "0.33.0"}))
    running: Reply = field(default_factory=lambda: Reply(body={"models": []}))
    asked: list[dict[str, Any]] = field(default_factory=list)
    pulled: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def reply_to(self, path: str, body: dict[str, Any]) -> Reply:
        simple = {"/api/tags": self.tags, "/api/version": self.version, "/api/ps": self.running}
        if path in simple:
            return simple[path]
        if path == "/api/pull":
            self.pulled.append(body)
            return self._next(self.pulls[body["model"]])
        self.asked.append(body)
        return self._next(self.chats.get(body["model"], [Reply(body=chat_reply())])).by(body["model"])

    @staticmethod
    def _next(replies: list[Reply]) -> Reply:
        return replies.pop(0) if len(replies) > 1 else replies[0]

    reply = Reply
    chat = staticmethod(chat_reply)
    part = staticmethod(part)
    token = staticmethod(token)
    tag = staticmethod(tag)

    def models_asked(self) -> list[str]:
        return [body["model"] for body in self.asked]


def _handler(stub: OllamaStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self._answer(stub.reply_to(self.path, {}), streamed=False)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            stub.headers.append({name.lower(): value for name, value in self.headers.items()})
            self._answer(stub.reply_to(self.path, body), streamed=body.get("stream", False))

        def _answer(self, reply: Reply, *, streamed: bool) -> None:
            self._wait(reply.delay)
            self.close_connection = True
            if reply.hang_up:
                return
            pieces = reply.pieces(streamed)
            try:
                while reply.early and not stub.over.is_set():
                    self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                    self._wait(0.02)
                self.send_response(reply.status)
                self.send_header("content-type", "application/json")
                for name, value in reply.head.items():
                    self.send_header(name, value)
                if not reply.endless and (not streamed or reply.cut_short):
                    self.send_header("content-length", str(sum(map(len, pieces)) + reply.cut_short))
                self.end_headers()
                while reply.endless and not stub.over.is_set():
                    self.wfile.write(reply.endless)
                for piece in pieces:
                    self._wait(reply.pause)
                    self.wfile.write(piece)
            except OSError:
                """The client has gone."""

        def _wait(self, seconds: float) -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until and not stub.over.wait(0.02):
                pass

    return Handler


@pytest.fixture
def stub() -> Iterator[OllamaStub]:
    state = OllamaStub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    state.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def question() -> tuple[Message, ...]:
    return (Message(role="system", content="You judge one market."), Message(role="user", content="Trend flat."))


@pytest.fixture(params=[True, False], ids=["streaming", "whole"])
def either_way(request: pytest.FixtureRequest, stub: OllamaStub) -> OllamaSettings:
    """Settings of the stub, once for answers in a stream and once for whole ones."""
    return OllamaSettings(host=stub.url, timeout_seconds=5.0, stream=request.param)


@pytest.fixture
def ask(question: tuple[Message, ...]) -> Callable[..., Completion]:
    """Asks the model of some settings; the pauses of its retries go into `pauses` instead of being slept."""

    def on(settings: OllamaSettings, pauses: list[float] | None = None) -> Completion:
        model = OllamaModel(settings, sleep=(list[float]() if pauses is None else pauses).append)
        return model.complete(question, answer_schema(), Sampling())

    return on


@pytest.fixture
def context() -> Context:
    """What the model is told about one bar."""
    close = datetime(2018, 4, 4, 12, tzinfo=UTC)
    frame = FramePulse(timeframe=Timeframe.M5, bars=60, close=6800.0, trend="up", volatility="low", rsi=60.0, atr=12.0)
    return Context(
        instrument=parse_instrument("BTCUSD"),
        timeframe=Timeframe.M5,
        bar_close=close,
        batch_id="b" * 64,
        quality_report_id="q1",
        last_close=Decimal(6800),
        atr=Decimal(12),
        pulse=(frame,),
        consensus="up",
        recent_closes=(Decimal(6800),),
    )
