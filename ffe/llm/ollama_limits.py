"""How much an Ollama server may say: a reply is counted as it comes, and refused beyond a bound before it fills the memory.

Compressed replies are neither asked for nor taken, Ollama sends none: a few hundred bytes of one can be gigabytes.
"""

from collections.abc import Callable, Iterator

import httpx

from ffe.llm.ollama_errors import OverlongError

# An answer of 160 tokens, streamed with five alternatives each, has some 120 KB; a list of a thousand models 400 KB.
REPLY_BYTES = 4 * 2**20
PLAIN = {"accept-encoding": "identity"}


def limited(by_line: bool = False) -> Callable[[httpx.Response], None]:
    """A response hook that bounds the body; `by_line` bounds each line of it instead, where the whole may take hours.

    The hook raises ValueError for a compressed body. Reading on beyond the bound raises OverlongError.
    """

    def limit(response: httpx.Response) -> None:
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise ValueError("a compressed reply, which was not asked for")
        response.stream = _Counted(response.stream, by_line)

    return limit


class _Counted(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, by_line: bool) -> None:
        if not isinstance(stream, httpx.SyncByteStream):
            raise TypeError("the reply of a blocking client is no blocking stream")
        self._stream, self._by_line = stream, by_line

    def __iter__(self) -> Iterator[bytes]:
        counted = 0
        for piece in self._stream:
            ended = self._by_line and b"\n" in piece
            counted = len(piece) - piece.rindex(b"\n") - 1 if ended else counted + len(piece)
            if counted > REPLY_BYTES:
                raise OverlongError(f"answered more than {REPLY_BYTES} bytes")
            yield piece

    def close(self) -> None:
        self._stream.close()
