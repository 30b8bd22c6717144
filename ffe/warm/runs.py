"""The processes that a fork server has started, each with the client that waits for it."""

import contextlib
import os
import signal

from ffe.warm.client import FORWARDED
from ffe.warm.peers import Peer


class Runs:
    """By process id. Signals go to a run only while it is unreaped, so that its id can't be another's."""

    def __init__(self) -> None:
        self._peers: dict[int, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, pid: int, peer: Peer) -> None:
        peer.pid = pid
        peer.close_streams()
        peer.say(f"pid {pid}")
        self._peers[pid] = peer

    def forward(self, pid: int, numbers: bytes) -> None:
        """Signals that the client was sent, to the run's own process as the client's sender would have."""
        for number in numbers:
            if number in FORWARDED and pid in self._peers:
                os.kill(pid, number)

    def kill(self, pid: int) -> None:
        """The run and everything in its group; its session may not be there yet."""
        if pid not in self._peers:
            return
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def reap(self, *, wait: bool = False) -> list[Peer]:
        """Tells the clients of those that have ended; with `wait`, of all. The clients' connections, for closing."""
        ended = []
        for pid, peer in list(self._peers.items()):
            done, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
            if done == 0:
                continue
            del self._peers[pid]
            peer.say(f"exit {status}")
            ended.append(peer)
        return ended

    def end(self) -> None:
        """Kills all that are left and tells their clients."""
        for pid in self._peers:
            self.kill(pid)
        for peer in self.reap(wait=True):
            peer.close()

    def close(self) -> None:
        """In a run's own process: the other runs' connections are not its business."""
        for peer in self._peers.values():
            peer.close()
