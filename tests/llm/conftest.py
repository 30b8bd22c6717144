"""A loopback server that answers as an Ollama server does, and one question to ask."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ffe.llm.models import Message
from ffe.settings import OllamaSettings

MODEL = OllamaSettings().model
FALLBACK = OllamaSettings().fallback_model
ANSWER = '{"action": "HOLD", "confidence": 60, "reasoning": "The trend is flat."}'


def chat_reply(text: str = ANSWER, reason: str = "stop") -> dict[str, Any]:
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
    }


def tag(name: str, digest: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "digest": digest,
        "size": 1,
        "modified_at": "2026-08-01T00:00:00Z",
        "details": {},
    }


@dataclass
class Reply:
    status: int = 200
    body: Any = None
    delay: float = 0.0
    hang_up: bool = False


@dataclass
class OllamaStub:
    """`chats` maps a model to its replies in turn; the last one repeats. `asked` keeps every chat body with its headers."""

    url: str = ""
    chats: dict[str, list[Reply]] = field(default_factory=dict)
    tags: Reply = field(default_factory=lambda: Reply(body={"models": [tag(MODEL, "a" * 64), tag(FALLBACK, "b" * 64)]}))
    version: Reply = field(default_factory=lambda: Reply(body={"version": "0.33.0"}))
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def reply_to(self, path: str, body: dict[str, Any]) -> Reply:
        if path == "/api/tags":
            return self.tags
        if path == "/api/version":
            return self.version
        self.asked.append(body)
        replies = self.chats.get(body["model"], [Reply(body=chat_reply())])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    reply = Reply
    chat = staticmethod(chat_reply)
    tag = staticmethod(tag)

    def models_asked(self) -> list[str]:
        return [body["model"] for body in self.asked]


def _handler(stub: OllamaStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self._answer(stub.reply_to(self.path, {}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            stub.headers.append({name.lower(): value for name, value in self.headers.items()})
            self._answer(stub.reply_to(self.path, body))

        def _answer(self, reply: Reply) -> None:
            until = time.monotonic() + reply.delay
            while time.monotonic() < until and not stub.over.wait(0.02):
                pass
            if reply.hang_up:
                self.close_connection = True
                return
            payload = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
            except OSError:
                self.close_connection = True

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
