"""An Ollama server on loopback whose answers are immediate, and which a drill can hold back to catch a cycle in its middle.

The packaged model can't be asked 20 times as often as normal on two shared cores, and what a soak looks for is not in the model.
"""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ffe.settings import OllamaSettings

MODEL = OllamaSettings().model
# What a worker asks at its start, to see where the model runs.
WARM_UP = b"Count from"
# The longest that a held answer waits, so that a drill that failed holds nothing for good.
HELD_SECONDS = 150.0
COUNTS = {"prompt_eval_count": 9, "eval_count": 3, "eval_duration": 10**6, "prompt_eval_duration": 10**6}
TIMES = {"created_at": "2026-08-01T00:00:00Z", "total_duration": 10**6, "load_duration": 0}


class ModelServer:
    """`asked` counts questions for a decision. `always` None: the answer follows from the question, so that all actions come up."""

    def __init__(self) -> None:
        self.asked = 0
        self.always: str | None = None
        self._free = threading.Event()
        self._free.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def hold(self) -> None:
        """From now on no question is answered."""
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def reply(self, path: str, body: bytes) -> dict[str, Any]:
        if path == "/api/tags":
            return {
                "models": [
                    {
                        "name": MODEL,
                        "model": MODEL,
                        "digest": "a" * 64,
                        "size": 1,
                        "modified_at": "2026-08-01T00:00:00Z",
                    }
                ]
            }
        if path == "/api/version":
            return {"version": "0.33.0"}
        if path == "/api/ps":
            return {"models": []}
        if WARM_UP not in body:
            self.asked += 1
            self._free.wait(HELD_SECONDS)
        content = json.dumps({"action": self._action(body), "confidence": 85, "reasoning": "as the bars say"})
        message = {"role": "assistant", "content": content}
        return COUNTS | TIMES | {"model": MODEL, "message": message, "done": True, "done_reason": "stop"}

    def _action(self, body: bytes) -> str:
        if self.always is not None:
            return self.always
        return ("BUY", "SELL", "HOLD")[hashlib.sha256(body).digest()[0] % 3]


def _handler(model: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps(model.reply(self.path, asked)).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                # Whoever asked was killed while it waited.
                return

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    return Handler
