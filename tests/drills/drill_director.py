"""Decides, from one seed, in which order the processes of a schedule go on, what goes wrong, and which of them dies where.

A process is a forked one, which dies by SIGKILL, or a thread that plays one, which is cheaper and dies by an exception.

Serial (the rule): one process runs at a time, from one question to its next one, so a seed is the same story each time. Free: all of
them run at once, and only the deaths and the venue's moods come from the seed: this is for what happens inside the database.
"""

import mmap
import os
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing import Pipe
from multiprocessing.connection import wait
from queue import Empty, SimpleQueue
from random import Random
from threading import Thread
from typing import Any

from drill_actor import Actor, Setting, play, play_and_exit, read_time, said
from drill_venue import DrillVenue

from ffe.errors import OrderRejectedError, VenueError

Act = tuple[str, tuple[Any, ...]]
STUCK_SECONDS = 60.0
TICK = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Process:
    """What one process does, and before (`after` False) or after which of its questions it is killed; None: it lives."""

    name: str
    acts: tuple[Act, ...]
    dies_at: int | None = None
    after: bool = False


class _Queue:
    """One end of a pipe between two threads, with what is used of a Connection."""

    def __init__(self, mine: SimpleQueue[Any], theirs: SimpleQueue[Any]) -> None:
        self._mine, self._theirs = mine, theirs

    def send(self, value: Any) -> None:
        self._theirs.put(value)

    def recv(self, timeout: float | None = None) -> Any:
        return self._mine.get(timeout=timeout)


@dataclass
class _Running:
    """`life` is the process's id or the thread that plays it; None when it has ended."""

    process: Process
    life: int | Thread | None
    connection: Any
    asked: tuple[str, tuple[Any, ...]] | None = None
    count: int = 0


class DrillError(AssertionError):
    """What the order path did wrong, in one line."""


class _Own:
    """The line of an act that the director carries out itself, without asking anybody."""

    def __init__(self, director: "Director") -> None:
        self._director = director

    def ask(self, kind: str, *args: Any) -> Any:
        return said(self._director.carry_out(kind, args))


@dataclass
class Director:
    """Runs processes side by side. `meddle` is called after each answer: the market and other people act there."""

    setting: Setting
    venue: DrillVenue
    rng: Random
    meddle: Callable[[], None] = lambda: None
    free: bool = False
    threads: bool = False
    trace: list[str] = field(default_factory=list)
    watch: Callable[[str, tuple[Any, ...]], None] = lambda kind, args: None

    def now(self) -> datetime:
        return read_time(self.setting.time)

    def advance(self, step: timedelta) -> None:
        add_time(self.setting.time, step)

    def run(self, *processes: Process) -> None:
        """Until all have ended or died.

        Raises:
            DrillError: one of them ended with an error that is not the venue's, or does not go on.
        """
        running = [self._start(process) for process in processes]
        try:
            self._run(running)
        finally:
            for each in running:
                self._kill(each)

    def do(self, name: str, *acts: Act) -> None:
        """Acts in this very process: nobody else is there, and nobody dies."""
        actor = Actor(name, self.setting, _Own(self))
        try:
            for act, args in acts:
                self.trace.append(f"{self.now():%H:%M:%S.%f} {name} {act}")
                actor.carry_out(act, args)
        finally:
            self.setting.database.belongs_to(None)

    def _start(self, process: Process) -> _Running:
        if self.threads:
            to_us: SimpleQueue[Any] = SimpleQueue()
            to_them: SimpleQueue[Any] = SimpleQueue()
            place = (process.name, self.setting, _Queue(to_them, to_us), process.acts)
            thread = Thread(target=play, args=place, daemon=True)
            thread.start()
            return _Running(process, thread, _Queue(to_us, to_them))
        ours, theirs = Pipe()
        pid = os.fork()
        if pid == 0:
            ours.close()
            play_and_exit(process.name, self.setting, theirs, process.acts)
        theirs.close()
        return _Running(process, pid, ours)

    def _run(self, running: list[_Running]) -> None:
        current: _Running | None = None
        sticky = self.rng.choice((0.3, 0.7, 0.95))
        while running:
            if self.free:
                ready = wait(
                    [each.connection for each in running if each.asked is None],
                    0 if _asking(running) else STUCK_SECONDS,
                )
                self._hear([each for each in running if each.connection in ready])
                asking = [each for each in running if each.asked is not None]
                if not asking and not ready:
                    raise DrillError(f"no process goes on after {STUCK_SECONDS} s")
            else:
                self._hear([each for each in running if each.asked is None])
                asking = list(running)
            running[:] = [each for each in running if not self._ended(each)]
            asking = [each for each in asking if each in running and each.asked is not None]
            if not asking:
                continue
            if current not in asking or self.rng.random() > sticky:
                current = self.rng.choice(asking)
            self._answer(current, running)

    def _hear(self, silent: list[_Running]) -> None:
        for each in silent:
            try:
                each.asked = self._question(each)
            except (EOFError, Empty):
                raise DrillError(f"{each.process.name} ended without a word, or does not go on") from None

    def _question(self, each: _Running) -> Any:
        if isinstance(each.connection, _Queue):
            return each.connection.recv(STUCK_SECONDS)
        if not each.connection.poll(STUCK_SECONDS):
            raise Empty
        return each.connection.recv()

    def _ended(self, each: _Running) -> bool:
        if each.asked is None or each.asked[0] not in {"done", "bug"}:
            return False
        kind, args = each.asked
        self._note(each, kind)
        self._reap(each)
        if kind == "bug":
            raise DrillError(f"{each.process.name}: {args[0]}")
        return True

    def _answer(self, each: _Running, running: list[_Running]) -> None:
        if each.asked is None:
            return
        kind, args = each.asked
        each.asked, each.count = None, each.count + 1
        dies = each.count == each.process.dies_at
        self._note(each, f"{each.count} {kind} {_short(args)}{' KILLED' if dies else ''}")
        if not dies or each.process.after:
            answer = self.carry_out(kind, args)
            if not dies:
                self._note(each, f"  = {_short(answer)}")
                each.connection.send(answer)
        if dies:
            self._kill(each)
            running.remove(each)
        self.advance(TICK)
        self.meddle()

    def carry_out(self, kind: str, args: tuple[Any, ...]) -> tuple[tuple[str, str, str | None] | None, Any]:
        self.watch(kind, args)
        if kind == "sleep":
            self.advance(timedelta(seconds=args[0]))
        if kind != "venue":
            return None, None
        try:
            return None, self.venue.call(*args)
        except VenueError as error:
            reason = error.reason if isinstance(error, OrderRejectedError) else None
            return (type(error).__name__, str(error), reason), None

    def _kill(self, each: _Running) -> None:
        if isinstance(each.life, int):
            os.kill(each.life, signal.SIGKILL)
        elif each.life is not None:
            each.connection.send(None)
        self._reap(each)

    def _reap(self, each: _Running) -> None:
        if isinstance(each.life, int):
            each.connection.close()
            os.waitpid(each.life, 0)
        elif each.life is not None:
            each.life.join(STUCK_SECONDS)
        each.life = None

    def _note(self, each: _Running, text: str) -> None:
        self.trace.append(f"{self.now():%H:%M:%S.%f} {each.process.name:<4} {text}")


def _asking(running: list[_Running]) -> bool:
    return any(each.asked is not None for each in running)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 1200 else text[:1200] + "..."


def add_time(time: mmap.mmap, step: timedelta) -> None:
    (before,) = struct.unpack_from("q", time)
    struct.pack_into("q", time, 0, before + round(step.total_seconds() * 1_000_000))
