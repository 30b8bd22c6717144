"""`python -m ffe.warm MODULE` is `python -m MODULE`, whether a fork server takes it or not: what a Prefect worker sees is the same."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ffe.warm import forks

Serve = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]
Gone = Callable[..., bool]


def facts_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The first line that the payload prints."""
    assert process.stdout is not None
    document: dict[str, Any] = json.loads(process.stdout.readline())
    return document


def server_pid(served: Any) -> int:
    pid: int = served.child.pid
    return pid


def test_a_run_is_a_fork_of_the_server_with_the_clients_environment_folder_and_arguments(
    serve: Serve, start: Start, work: Path
) -> None:
    served = serve(ONLY_THE_SERVERS="yes")
    client = start(served.environment | {"ONLY_THE_CLIENTS": "é\udcff"}, "facts", "two words", "")
    facts = facts_of(client)
    assert client.wait() == 0
    assert facts["warm"]
    assert facts["parent"] == server_pid(served)
    assert facts["session"] == facts["pid"]
    assert facts["folder"] == facts["first"] == str(work)
    assert facts["arguments"] == ["facts", "two words", ""]
    assert facts["name"] == "__main__"
    assert facts["environment"]["ONLY_THE_CLIENTS"] == "é\udcff"
    assert not {"ONLY_THE_SERVERS", "OPENBLAS_NUM_THREADS"} & set(facts["environment"])


@pytest.mark.parametrize("warm", [True, False])
def test_streams_and_exit_codes_are_the_runs(serve: Serve, start: Start, warm: bool) -> None:
    where = serve() if warm else dict(os.environ)
    assert start(where, "echo").communicate("in") == ("out:in\n", "err\n")
    assert start(where, "exit", "3").wait() == 3
    assert start(where, "exit", "0").wait() == 0
    said = start(where, "say")
    assert (said.communicate()[1], said.returncode) == ("a reason\n", 1)
    raised = start(where, "raise")
    out, err = raised.communicate()
    assert (out, raised.returncode) == ("", 1)
    assert err.endswith("KeyError: 'broken'\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT, signal.SIGUSR1])
def test_a_run_that_dies_of_a_signal_takes_its_client_with_it(serve: Serve, start: Start, number: int) -> None:
    client = start(serve(), "die", str(int(number)))
    assert client.wait() == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_a_signal_to_the_client_reaches_the_run_which_ends_as_it_likes(serve: Serve, start: Start, number: int) -> None:
    client = start(serve(), "sleep", str(int(number)))
    facts_of(client)
    client.send_signal(number)
    assert client.wait() == number


def test_a_signal_that_the_run_does_not_handle_ends_both(serve: Serve, start: Start, is_gone: Gone) -> None:
    served = serve()
    terminated = start(served, "sleep")
    pid = facts_of(terminated)["pid"]
    terminated.send_signal(signal.SIGTERM)
    assert terminated.wait() == -signal.SIGTERM
    assert is_gone(pid)
    interrupted = start(served, "sleep")
    child = facts_of(interrupted)["child"]
    interrupted.send_signal(signal.SIGINT)
    interrupted.wait()
    os.kill(child, signal.SIGKILL)
    assert interrupted.communicate()[1].endswith("KeyboardInterrupt\n")
    assert interrupted.returncode == -signal.SIGINT


def test_a_killed_client_takes_the_run_and_all_of_its_group_with_it(serve: Serve, start: Start, is_gone: Gone) -> None:
    served = serve()
    client = start(served, "sleep")
    facts = facts_of(client)
    client.kill()
    assert is_gone(facts["pid"], facts["child"])
    assert facts_of(start(served, "facts"))["warm"]


def test_a_killed_server_takes_its_runs_with_it_and_their_clients_fail(
    serve: Serve, start: Start, is_gone: Gone
) -> None:
    served = serve()
    client = start(served, "sleep")
    facts = facts_of(client)
    os.kill(server_pid(served), signal.SIGKILL)
    assert client.wait() == 1
    assert is_gone(facts["pid"], facts["child"])
    assert "the fork server has died" in client.communicate()[1]
    assert not facts_of(start(served, "facts"))["warm"]


def test_a_server_that_is_told_to_end_lets_its_runs_end_first(serve: Serve, start: Start) -> None:
    served = serve()
    client = start(served, "sleep", str(int(signal.SIGTERM)))
    facts_of(client)
    os.kill(server_pid(served), signal.SIGTERM)
    time.sleep(0.3)
    late = start(served, "facts")
    assert not facts_of(late)["warm"]
    assert "it is ending" in late.communicate()[1]
    client.send_signal(signal.SIGTERM)
    assert client.wait() == signal.SIGTERM
    assert served.child._process.wait(3) == 0
    assert not served.socket.exists()


def test_runs_that_do_not_end_are_killed_with_the_server(serve: Serve, start: Start, is_gone: Gone) -> None:
    served = serve()
    client = start(served, "sleep")
    facts = facts_of(client)
    served.child.close(grace=forks.GRACE + 5)
    assert client.wait() == -signal.SIGKILL
    assert is_gone(facts["pid"], facts["child"], server_pid(served))
    assert served.child.exit_code == 0


def test_without_a_server_or_with_a_dead_one_the_run_starts_cold(start: Start, short_folder: Path) -> None:
    nobody = start(dict(os.environ), "facts")
    assert not facts_of(nobody)["warm"]
    assert nobody.communicate()[1] == ""
    missing = start(dict(os.environ) | {"FORK_SERVER": str(short_folder / "none")}, "facts")
    facts = facts_of(missing)
    assert (facts["warm"], facts["pid"]) == (False, missing.pid)
    assert "cold start: fork server:" in missing.communicate()[1]


def test_another_python_or_its_variables_start_cold(serve: Serve, start: Start) -> None:
    client = start(serve().environment | {"PYTHONUTF8": "1"}, "facts")
    assert not facts_of(client)["warm"]
    assert "PYTHON variables" in client.communicate()[1]


def test_a_server_that_could_not_import_refuses_and_says_why(serve: Serve, start: Start) -> None:
    served = serve(modules=("no_such_module",))
    assert "no_such_module" in served.ready["refusal"]
    client = start(served, "facts")
    assert not facts_of(client)["warm"]
    assert "could not import" in client.communicate()[1]


def test_a_thread_in_the_server_makes_it_refuse_and_it_says_so_once(serve: Serve, start: Start, tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    path = {"PYTHONPATH": str(tmp_path)}
    served = serve(modules=("threaded",), **path)
    for _ in range(2):
        client = start(served.environment | path, "facts")
        assert not facts_of(client)["warm"]
        assert "2 threads" in client.communicate()[1]
    assert served.log.read_text().count("2 threads") == 1


def test_every_run_draws_its_own_random_numbers(serve: Serve, start: Start) -> None:
    served = serve()
    assert len({facts_of(start(served, "facts"))["random"] for _ in range(3)}) == 3


def test_a_module_that_the_server_has_imported_runs_as_main_without_a_warning(serve: Serve, start: Start) -> None:
    client = start(serve(), "--compact", module="json.tool")
    assert client.communicate('{"a": 1}') == ('{"a":1}\n', "")


def test_many_runs_at_a_time_do_not_mix(serve: Serve, start: Start) -> None:
    served = serve()
    clients = {number: start(served, "exit", str(number)) for number in range(12)}
    assert {number: client.wait() for number, client in clients.items()} == {number: number for number in range(12)}


def test_the_servers_memory_and_descriptors_stay_flat_over_many_runs(serve: Serve, work: Path) -> None:
    """Through the client's own functions, in one interpreter: 300 starts of one would take half a minute."""
    served = serve()
    server = psutil.Process(server_pid(served))
    code = (
        "import sys; from ffe.warm import client\n"
        "for _ in range(int(sys.argv[2])):\n    assert client.run(sys.argv[1], 'payload', ['exit', '0']) == 0\n"
    )
    seen = []
    for count in (50, 150, 150):
        subprocess.run(
            [sys.executable, "-c", code, str(served.socket), str(count)],
            env=os.environ | {"VIRTUAL_ENV": ""},
            cwd=work,
            check=True,
        )
        seen.append((server.memory_info().rss, server.num_fds()))
    assert seen[2][0] - seen[1][0] < 512 * 1024
    assert seen[2][1] <= seen[1][1]
