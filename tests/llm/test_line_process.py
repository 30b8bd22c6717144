"""A child that answers, crashes, hangs or talks nonsense is told apart, and none is left behind."""

import gc
import sys
import threading
import time

import pytest

from ffe.llm.line_process import LineProcess, minimal_environment

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def child(script: str) -> LineProcess:
    return LineProcess((sys.executable, "-I", "-c", script), minimal_environment({}))


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def test_lines_go_out_and_come_back_in_order():
    process = child(ECHO)
    process.send({"n": 1, "text": "é\n"})
    process.send({"n": 2})

    assert process.receive(soon()) == {"n": 1, "text": "é\n"}
    assert process.receive(soon()) == {"n": 2}
    assert process.alive
    process.kill()
    assert not process.alive


def test_a_crash_carries_the_exit_status_and_the_end_of_stderr():
    process = child("import sys; sys.stderr.write('GGML_ASSERT failed'); sys.exit(3)")

    with pytest.raises(EOFError, match="exit status 3: GGML_ASSERT failed"):
        process.receive(soon())
    process.kill()


def test_a_silent_child_passes_the_deadline_and_still_runs():
    process = child("import time; time.sleep(60)")
    started = time.monotonic()

    with pytest.raises(TimeoutError):
        process.receive(time.monotonic() + 0.2)
    assert time.monotonic() - started < 2
    assert process.alive
    process.kill()


def test_sending_to_a_dead_child_is_an_end_of_file():
    process = child("import os; os.close(0)")
    with pytest.raises(EOFError):
        process.receive(soon())

    with pytest.raises(EOFError):
        process.send({"n": 1})
    process.kill()
    with pytest.raises(EOFError):
        process.send({"n": 2})


def test_a_line_that_is_no_object_is_refused():
    process = child("print('[1]', flush=True); import time; time.sleep(60)")

    with pytest.raises(EOFError, match="not an object"):
        process.receive(soon())
    process.kill()


def test_a_kill_from_another_thread_ends_the_wait():
    process = child("import time; time.sleep(60)")
    killer = threading.Timer(0.2, process.kill)
    killer.start()

    with pytest.raises(EOFError):
        process.receive(soon())
    killer.join()
    process.kill()
    with pytest.raises(EOFError):
        process.receive(soon())


def test_a_forgotten_child_ends_with_its_owner():
    process = child(ECHO)
    inner = process._process
    del process
    gc.collect()

    assert inner.returncode is not None


def test_the_environment_of_a_child_holds_no_credentials():
    source = {"PATH": "/bin", "FFE_OANDA__TOKEN": "secret", "OLLAMA_API_KEY": "secret", "CUDA_VISIBLE_DEVICES": "1"}

    assert minimal_environment({"EXTRA": "1"}, source) == {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", "EXTRA": "1"}
