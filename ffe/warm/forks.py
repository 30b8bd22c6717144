"""The fork server's loop: one process for each request, watched until it ends. When a client's connection closes, its run is killed.

Signals are blocked over the fork, so that one which is forwarded at once meets the run's own handlers and not the server's.
"""

import contextlib
import errno
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

from ffe.warm import wire
from ffe.warm.client import FORWARDED
from ffe.warm.imported import STALE, Imported
from ffe.warm.job import Job, begin
from ffe.warm.peers import Peer
from ffe.warm.runs import Runs

# How long runs may go on once the server was told to end.
GRACE = 5.0
TICK = 1.0
# How long nobody is accepted once descriptors have run out: the listener stays readable, and the loop would spin.
REST = 1.0
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
BLOCKED = (*FORWARDED, signal.SIGCHLD)
ENDING = (signal.SIGTERM, signal.SIGINT)

Handler = Callable[[], Job | None]


class Forks:
    """`serve` returns twice over: at the server's end, and in the process of each run."""

    def __init__(self, listener: socket.socket, imported: Imported, *, lifeline: int | None = None) -> None:
        """`lifeline`: a descriptor whose end of file ends the server."""
        self._listener, self._imported, self._lifeline = listener, imported, lifeline
        self._uid = os.getuid()
        self._asking: set[Peer] = set()
        self._runs = Runs()
        self._until: float | None = None
        self._resting: float | None = None
        self._said: str | None = None
        self._woken, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self.is_stale = False

    def serve(self) -> Job | None:
        """None once told to end, or stale without a run. In a run's own process, signals still blocked: its job."""
        self._open()
        while self._goes_on():
            for key, _ in self._selector.select(TICK):
                handler: Handler = key.data
                todo = handler()
                if todo is not None:
                    return todo
            for peer in [peer for peer in self._asking if time.monotonic() > peer.deadline]:
                self._drop(peer)
            if self._resting is not None and time.monotonic() > self._resting:
                self._listen()
        self._runs.end()
        self._close()
        return None

    def end(self) -> None:
        """No new runs; those that are there get GRACE seconds."""
        if self._until is None:
            self._until = time.monotonic() + GRACE

    def _open(self) -> None:
        for end in (self._woken, self._waker, self._listener):
            end.settimeout(0)
        self._listen()
        self._selector.register(self._woken, selectors.EVENT_READ, self._wake)
        if self._lifeline is not None:
            # A lifeline that can't be polled (a file) never closes either.
            with contextlib.suppress(PermissionError):
                self._selector.register(self._lifeline, selectors.EVENT_READ, partial(self._pull, self._lifeline))
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in ENDING:
            signal.signal(number, lambda *_: self.end())

    def _listen(self) -> None:
        self._resting = None
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _rest(self) -> None:
        self._resting = time.monotonic() + REST
        self._selector.unregister(self._listener)

    def _goes_on(self) -> bool:
        """Whoever was told `ready` is served: its client would not start the run a second time."""
        busy = len(self._runs) > 0 or any(peer.request is not None for peer in self._asking)
        if self._until is not None:
            return busy and time.monotonic() < self._until
        return busy or not self.is_stale

    def _pull(self, lifeline: int) -> None:
        if not os.read(lifeline, 4096):
            self._selector.unregister(lifeline)
            self.end()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        for peer in self._runs.reap():
            self._drop(peer)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._rest()
            return
        if wire.peer_uid(connection) != self._uid:
            connection.close()
            return
        peer = Peer(connection)
        self._asking.add(peer)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._hear, peer))

    def _hear(self, peer: Peer) -> Job | None:
        asked = peer.request is not None
        try:
            data = peer.read()
        except (EOFError, ValueError, OSError):
            # Whoever speaks something else is treated as gone.
            if peer.pid is not None:
                self._runs.kill(peer.pid)
            self._drop(peer)
            return None
        if peer.pid is not None:
            self._runs.forward(peer.pid, data)
        elif asked and data.startswith(wire.START):
            return self._begin(peer, data[1:])
        elif peer.request is not None and not asked:
            self._answer(peer, peer.request)
        return None

    def _drop(self, peer: Peer) -> None:
        """Closes the connection; a run that is still there is waited for without it."""
        self._asking.discard(peer)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(peer.connection)
        peer.close()

    def _answer(self, peer: Peer, request: wire.Request) -> None:
        refusal = "it is ending" if self._until is not None else self._refusal(request)
        if refusal is None:
            peer.say("ready")
            return
        self._refuse(peer, refusal)

    def _refuse(self, peer: Peer, refusal: str) -> None:
        peer.say(f"no {refusal}")
        self._drop(peer)

    def _refusal(self, request: wire.Request) -> str | None:
        refusal = self._imported.refusal()
        self.is_stale = self.is_stale or refusal == STALE
        if refusal is None and request.interpreter != wire.interpreter(dict(os.environb)):
            refusal = "it runs another Python, or with other PYTHON variables"
        if refusal is not None and refusal != self._said:
            self._said = refusal
            print(f"fork server: refuses runs: {refusal}", file=sys.stderr, flush=True)
        return refusal

    def _begin(self, peer: Peer, signals: bytes) -> Job | None:
        """The kernel drops the descriptors for which this process has no room."""
        if len(peer.streams) == wire.DESCRIPTORS:
            return self._fork(peer, signals)
        self._refuse(peer, f"{len(peer.streams)} of {wire.DESCRIPTORS} standard streams arrived")
        return None

    def _fork(self, peer: Peer, signals: bytes) -> Job | None:
        sys.stdout.flush()
        sys.stderr.flush()
        server = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
            self._refuse(peer, f"it can't fork: {error}")
            return None
        if pid == 0:
            begin(server)
            return self._job(peer)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
        self._asking.discard(peer)
        self._runs.add(pid, peer)
        self._runs.forward(pid, signals)
        return None

    def _job(self, own: Peer) -> Job | None:
        """In the run's process: of all descriptors of the server only its own streams stay."""
        if own.request is None:
            return None
        job = Job(own.request, tuple(own.streams))
        own.streams = []
        self._close()
        return job

    def _close(self) -> None:
        """The selector is shared with the server across a fork: it is closed, never changed."""
        self._selector.close()
        self._runs.close()
        for peer in self._asking:
            peer.close()
        for end in (self._listener, self._woken, self._waker):
            end.close()
