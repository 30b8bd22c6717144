"""`decide` on the GPU pool through a real Prefect API and a real `ffe worker`: killed, absent, late, cancelled and crashed.

The model is an Ollama server that a test holds back or lets answer, so that a run can be caught in its middle.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import State, StateType
from prefect.deployments import arun_deployment

from deployments.bootstrap import QUEUES, bootstrap
from ffe.decision.models import Context, FramePulse
from ffe.market.models import Timeframe, parse_instrument
from ffe.settings import OllamaSettings
from flows.decide import decide

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BUY = json.dumps({"action": "BUY", "confidence": 85, "reasoning": "trend up"})
MODEL = OllamaSettings().model
# For the cycle's own stages and a busy machine, on top of its deadline.
DEADLINE, AROUND = 20.0, 60.0
# How long nothing may happen.
QUIET = 4.0
AT = datetime(2018, 4, 4, 12, tzinfo=UTC)


@dataclass
class Model:
    """An Ollama server. Chats wait until `free` is set, and are counted; the warm-up of a worker's start is neither."""

    url: str = ""
    chats: int = 0
    free: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path == "/api/tags":
            tag = {"name": MODEL, "model": MODEL, "digest": "a" * 64, "size": 1, "modified_at": "2026-08-01T00:00:00Z"}
            return {"models": [tag]}
        if path == "/api/version":
            return {"version": "0.33.0"}
        if path == "/api/ps":
            return {"models": []}
        if b"Count from" not in body:
            self.chats += 1
            self.free.wait(60)
        counts = {"prompt_eval_count": 9, "eval_count": 3, "eval_duration": 10**6, "prompt_eval_duration": 10**6}
        message = {"role": "assistant", "content": BUY}
        return counts | {
            "model": MODEL,
            "created_at": "2026-08-01T00:00:00Z",
            "message": message,
            "done": True,
            "done_reason": "stop",
            "total_duration": 10**6,
            "load_duration": 0,
        }


@pytest.fixture(scope="module")
def ollama() -> Iterator[Model]:
    model = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps(model.answer(self.path, asked)).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                return

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    model.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield model
    model.free.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def answering(ollama: Model) -> None:
    ollama.free.set()


class Worker:
    """`ffe worker gpu`, started when a test needs it, killed with all that belongs to it when a test wants none."""

    def __init__(self, folder: Path, ollama: Model) -> None:
        self.ledger_url = f"sqlite:///{folder / 'ledger.sqlite'}"
        self._log = (folder / "worker.log").open("a")
        self._process: subprocess.Popen[str] | None = None
        self._environment = dict(os.environ) | {
            "FFE_DATA_DIR": str(folder),
            "FFE_LEDGER_URL": self.ledger_url,
            "FFE_MODEL": "ollama",
            "FFE_OLLAMA__HOST": ollama.url,
            "FFE_OLLAMA__STREAM": "false",
            "FFE_CLOCK": "2018-04-04T12:00:00Z",
        }

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ffe.cli.main", "worker", "gpu", "--name", "tested", "--query-seconds", "0.25"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline() or "{}")
        assert ready == {"ready": True, "pool": "gpu", "worker": "tested", "start": "warm"}, self.said()

    def said(self) -> str:
        return Path(self._log.name).read_text()

    def kill(self) -> list[psutil.Process]:
        """SIGKILL for all of it at once, runs included, as when the machine goes."""
        if self._process is None or self._process.stdout is None:
            return []
        family = self.family()
        for process in family:
            process.kill()
        self._process.wait()
        self._process.stdout.close()
        psutil.wait_procs(family, timeout=20)
        self._process = None
        return family

    def stop(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process.stdout.close()
        self._log.close()

    def family(self) -> list[psutil.Process]:
        assert self._process is not None
        own = psutil.Process(self._process.pid)
        return [own, *own.children(recursive=True)]

    def client_and_run(self) -> tuple[psutil.Process, psutil.Process]:
        """Of the run that is under way: the worker's child, and the fork of the fork server."""
        family = [(process, process.cmdline()) for process in self.family()]
        (client,) = [process for process, line in family if "ffe.warm" in line]
        servers = [process for process, line in family if "ffe.warm.server" in line]
        (run,) = [process for process in servers if process.ppid() in {server.pid for server in servers}]
        return client, run


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, ollama: Model, prefect_api: str) -> Iterator[Worker]:
    assert prefect_api
    worker = Worker(tmp_path_factory.mktemp("gpu"), ollama)
    yield worker
    worker.stop()


async def deployed() -> None:
    """decide on pool gpu with the command of prefect.yaml."""
    await bootstrap()
    async with get_client() as client:
        await client.create_deployment(
            flow_id=await client.create_flow(decide),
            name="gpu",
            work_pool_name="gpu",
            work_queue_name="default",
            entrypoint="flows.decide.decide",
            job_variables={"command": "python -m ffe.warm prefect.engine"},
        )


async def submit(*contexts: Context, timeout: float) -> Any:
    valid_until = datetime.now(UTC) + timedelta(minutes=5)
    asked = [context.model_dump(mode="json") for context in contexts]
    return await arun_deployment(
        "decide/gpu",
        parameters={"cycle_id": "no-cycle", "contexts": asked, "valid_until": valid_until.isoformat()},
        timeout=timeout,
        poll_interval=0.2,
    )


async def submitted(ollama: Model) -> Any:
    """A decide run that has asked the model and waits for it."""
    before = ollama.chats
    ollama.free.clear()
    run = await submit(context_of("GBPUSD"), timeout=0)
    await until(lambda: ollama.chats > before)
    return run


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def ended(run_id: Any, seconds: float = 60) -> State[Any]:
    """The run's state once it is final."""
    end = time.monotonic() + seconds
    async with get_client() as client:
        while True:
            state = (await client.read_flow_run(run_id)).state
            assert state is not None
            if state.is_final():
                return state
            assert time.monotonic() < end, state
            await asyncio.sleep(0.1)


def context_of(symbol: str) -> Context:
    frame = FramePulse(timeframe=Timeframe.M5, bars=200, close=1.0, trend="up", volatility="low", rsi=61.0)
    return Context(
        instrument=parse_instrument(symbol),
        timeframe=Timeframe.M5,
        bar_close=AT,
        batch_id="b" * 64,
        quality_report_id="q",
        last_close=Decimal(1),
        atr=Decimal("0.1"),
        pulse=(frame,),
        consensus="up 1 of 1 frames",
        recent_closes=(Decimal(1),),
    )


def assert_fallback(ran: Any, symbol: str, engine: Any) -> None:
    """A HOLD that nobody decided, with its incident, and no word of a model in the ledger."""
    row = ran.row(symbol)
    assert (row["decision"]["action"], row["decision"]["decided_by"]) == ("HOLD", "fallback")
    assert row["order"] is None
    assert row["error"]["type"] == "ModelUnavailableError"
    assert row["error"]["incident"] is not None
    assert engine.ledger.model_calls(cycle_of(ran), symbol) == []


def cycle_of(ran: Any) -> str:
    return str(ran.state.state_details.flow_run_id)


async def run_of(ran: Any) -> Any:
    """The decide run that a cycle has submitted."""
    async with get_client() as client:
        parent = FlowRunFilterParentFlowRunId(any_=[ran.state.state_details.flow_run_id])
        (run,) = await client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent))
        return run


async def test_a_cycle_is_decided_by_a_warm_worker(worker: Worker, serve: Any, engine_on: Any, run_cycle: Any) -> None:
    engine = engine_on(serve(), decide="pool", decide_deadline_seconds=60.0, ledger_url=worker.ledger_url)
    await deployed()
    worker.start()
    ran = await run_cycle(engine, "BTCUSD")
    assert (ran.row("BTCUSD")["decision"]["action"], ran.row("BTCUSD")["decision"]["decided_by"]) == ("BUY", "model")
    assert "cold start" not in worker.said()


async def test_a_worker_that_is_killed_in_the_middle_leaves_a_hold_by_fallback_and_nothing_behind(
    worker: Worker, serve: Any, engine_on: Any, run_cycle: Any, ollama: Model
) -> None:
    engine = engine_on(serve(), decide="pool", decide_deadline_seconds=DEADLINE, ledger_url=worker.ledger_url)
    await deployed()
    worker.start()
    ollama.free.clear()
    before, began = ollama.chats, time.monotonic()
    cycle = asyncio.create_task(run_cycle(engine, "ETHUSD"))
    await until(lambda: ollama.chats > before)
    family = await asyncio.to_thread(worker.kill)
    ollama.free.set()
    ran = await cycle
    assert time.monotonic() - began < DEADLINE + AROUND
    assert_fallback(ran, "ETHUSD", engine)
    assert not [process for process in family if process.is_running()]
    asked = ollama.chats
    await asyncio.to_thread(worker.start)
    await asyncio.sleep(QUIET)
    assert ollama.chats == asked
    assert (await run_of(ran)).state.name in {"Cancelling", "Cancelled"}
    assert_fallback(ran, "ETHUSD", engine)


async def test_without_a_worker_the_cycle_ends_in_time_and_one_that_comes_late_executes_nothing(
    worker: Worker, serve: Any, engine_on: Any, run_cycle: Any, ollama: Model
) -> None:
    worker.kill()
    engine = engine_on(serve(), decide="pool", decide_deadline_seconds=3.0, ledger_url=worker.ledger_url)
    await deployed()
    asked, began = ollama.chats, time.monotonic()
    ran = await run_cycle(engine, "EURUSD", "GBPUSD")
    assert time.monotonic() - began < 3 + AROUND
    await asyncio.to_thread(worker.start)
    await asyncio.sleep(QUIET)
    assert ollama.chats == asked
    run = await run_of(ran)
    assert run.state.name == "Cancelled"
    assert run.run_count == 0
    for symbol in ("EURUSD", "GBPUSD"):
        assert_fallback(ran, symbol, engine)


async def test_a_cancelled_run_is_gone_and_cancelled(worker: Worker, ollama: Model) -> None:
    await deployed()
    await asyncio.to_thread(worker.start)
    run = await submitted(ollama)
    client, process = worker.client_and_run()
    async with get_client() as api:
        await api.set_flow_run_state(run.id, State(type=StateType.CANCELLING))
    assert (await ended(run.id)).name == "Cancelled"
    await until(lambda: not (client.is_running() or process.is_running()))


async def test_a_killed_client_takes_its_run_along_and_the_run_is_crashed(worker: Worker, ollama: Model) -> None:
    await deployed()
    await asyncio.to_thread(worker.start)
    run = await submitted(ollama)
    client, process = worker.client_and_run()
    client.kill()
    await until(lambda: not process.is_running())
    state = await ended(run.id)
    assert (state.name, "-9" in str(state.message)) == ("Crashed", True)


async def test_a_run_that_crashes_is_crashed_and_the_next_one_starts_warm(worker: Worker, ollama: Model) -> None:
    await deployed()
    await asyncio.to_thread(worker.start)
    run = await submitted(ollama)
    _, process = worker.client_and_run()
    process.send_signal(signal.SIGSEGV)
    state = await ended(run.id)
    assert (state.name, "-11" in str(state.message)) == ("Crashed", True)
    assert (await submit(timeout=60)).state.name == "Completed"
    assert "cold start" not in worker.said()


async def test_the_queue_runs_one_decision_at_a_time(prefect_api: str) -> None:
    assert prefect_api
    await bootstrap()
    async with get_client() as client:
        for name, limit in QUEUES["gpu"].items():
            queue = await client.read_work_queue_by_name(name, work_pool_name="gpu")
            assert queue.concurrency_limit == limit == 1
