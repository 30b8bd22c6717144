"""The embedded adapter: the real quantized model in its real child process, and stand-in children that crash, hang and lie."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import ffe
from ffe.decision.answer import answer_schema, parse_answer
from ffe.errors import ModelUnavailableError
from ffe.llm import embedded
from ffe.llm.embedded import EmbeddedModel
from ffe.llm.gguf import PACKAGED_SHA256
from ffe.llm.line_process import LineProcess
from ffe.llm.models import Message, Sampling
from ffe.settings import EmbeddedSettings

SHORT = Sampling(max_tokens=60)
READY = 'print(json.dumps({"ready": {"sha256": "s" * 64, "runtime": "stand-in 1", "load_ms": 5.0}}), flush=True)'
RESULT = {
    "choices": [{"finish_reason": "stop", "message": {"content": "text"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


def standing_in(script: str, timeout: float = 10.0, **settings) -> EmbeddedModel:
    """An adapter whose child runs `script`, one statement a line, with json, os, sys and time at hand."""
    command = (sys.executable, "-I", "-c", f"import json, os, sys, time\n{script}")
    return EmbeddedModel(EmbeddedSettings(timeout_seconds=timeout, **settings), command)


def obedient(each: str = "") -> str:
    answered = f"print({json.dumps(json.dumps({'result': RESULT}))}, flush=True)"
    return f"sys.stdin.readline()\n{READY}\nfor line in sys.stdin:\n    {each or 'pass'}\n    {answered}"


@pytest.fixture(scope="module")
def model():
    adapter = EmbeddedModel(EmbeddedSettings())
    adapter.start()
    yield adapter
    adapter.close()


def gone(pid: int, within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_the_real_model_answers_within_the_schema_and_says_who_it_is(model, question):
    completion = model.complete(question, answer_schema(), Sampling())

    assert completion.finish_reason == "stop"
    assert parse_answer(completion).confidence % 5 == 0
    assert completion.identity.digest == PACKAGED_SHA256
    assert completion.identity.adapter == "embedded"
    assert completion.identity.threads == 1
    assert completion.prompt_tokens > 10
    assert completion.completion_tokens > 5
    assert model.health().ok


def test_the_real_model_gives_log_probabilities_and_the_runtimes_own_timings(model, question):
    completion = model.complete(question, answer_schema(), SHORT)

    assert "".join(token.text for token in completion.tokens) == completion.text
    assert {len(token.top) for token in completion.tokens} == {5}
    assert all(token.logprob <= 0 for token in completion.tokens)
    assert 0 < completion.prompt_ms + completion.generation_ms <= completion.latency_ms
    assert completion.identity.device == "cpu"


def test_layers_for_a_gpu_that_the_packaged_runtime_does_not_have_run_on_the_cpu_and_that_is_said(caplog, question):
    model = EmbeddedModel(EmbeddedSettings(gpu_layers=999))
    try:
        given = model.complete(question, answer_schema(), Sampling(max_tokens=4))
        model.identity()
    finally:
        model.close()

    assert given.identity.device == "cpu"
    assert given.text
    (said,) = [record.getMessage() for record in caplog.records if record.name == "ffe.llm.embedded"]
    assert said.startswith("999 layers of SmolLM2-135M-Instruct.Q4_1.gguf were meant for a GPU, but xllamacpp ")
    assert said.endswith("the model runs on the CPU")


@pytest.mark.parametrize(
    ("devices", "gpu_layers", "device"),
    [
        (["CUDA0", "CUDA1"], 999, "cuda"),
        (["CUDA0"], 1, "cuda"),
        (["CUDA0"], 0, "cpu"),
        (["Vulkan0"], 999, "vulkan"),
        ([], 999, "cpu"),
    ],
)
def test_the_device_is_a_gpu_only_when_the_runtime_has_one_and_got_layers(devices, gpu_layers, device):
    told = {"sha256": "s" * 64, "runtime": "stand-in 1", "load_ms": 5.0, "devices": devices}
    model = standing_in(
        f"order = json.loads(sys.stdin.readline())\nassert order['gpu_layers'] == {gpu_layers}\n"
        f"print({json.dumps(json.dumps({'ready': told}))}, flush=True)\nsys.stdin.readline()",
        gpu_layers=gpu_layers,
    )

    assert model.identity().device == device
    model.close()


def test_a_runtime_without_timings_and_log_probabilities_gives_none(question):
    model = standing_in(obedient())
    given = model.complete(question, {}, SHORT)
    model.close()

    assert (given.text, given.tokens, given.prompt_ms, given.generation_ms) == ("text", (), None, None)


def test_the_process_id_is_that_of_the_child_and_none_before_there_is_one(question):
    model = standing_in(obedient())
    assert model.pid is None

    model.start()
    os.kill(model.pid, 0)
    model.close()
    assert gone(model.pid)


def test_a_cut_off_answer_says_length(model, question):
    completion = model.complete(question, answer_schema(), Sampling(max_tokens=4))

    assert completion.finish_reason == "length"
    assert completion.completion_tokens <= 4


def test_a_prompt_beyond_the_context_is_unavailable_with_both_numbers_and_the_model_lives_on(model, question):
    with pytest.raises(ModelUnavailableError, match=r"does not fit .*\(\d+ tokens\).*2048"):
        model.complete([Message(role="user", content="price " * 3000)], answer_schema(), SHORT)

    assert model.complete(question, answer_schema(), Sampling(max_tokens=4)).text


def test_a_schema_that_the_runtime_refuses_is_unavailable(model, question):
    with pytest.raises(ModelUnavailableError, match="refuses the answer schema"):
        model.complete(question, {"type": "nonsense"}, SHORT)


def test_the_same_prompt_gives_the_same_text_in_another_process(model, question):
    other = EmbeddedModel(EmbeddedSettings())
    try:
        first = model.complete(question, answer_schema(), SHORT)
        again = model.complete(question, answer_schema(), SHORT)
        elsewhere = other.complete(question, answer_schema(), SHORT)
    finally:
        other.close()

    assert first.text == again.text == elsewhere.text
    assert first.tokens == again.tokens == elsewhere.tokens
    assert elsewhere.load_ms > 0
    assert again.load_ms == 0


def test_a_context_of_another_size_is_refused(model, question):
    with pytest.raises(ModelUnavailableError, match="4096"):
        model.complete(question, answer_schema(), Sampling(num_ctx=4096))


def test_a_missing_file_is_unavailable_with_its_path(tmp_path, question):
    model = EmbeddedModel(EmbeddedSettings(model_path=tmp_path / "missing.gguf"))

    with pytest.raises(ModelUnavailableError, match=r"missing.gguf"):
        model.identity()
    assert not model.health().ok
    assert "missing.gguf" in model.health().detail
    model.close()


def test_an_altered_file_is_unavailable_with_both_hashes(tmp_path):
    (tmp_path / "altered.gguf").write_bytes(b"GGUF")
    model = EmbeddedModel(EmbeddedSettings(model_path=tmp_path / "altered.gguf", model_sha256=PACKAGED_SHA256))

    with pytest.raises(ModelUnavailableError, match=f"expected sha256 {PACKAGED_SHA256}, found sha256"):
        model.identity()
    model.close()


def test_a_crash_before_the_answer_is_unavailable_and_the_next_call_starts_a_new_child(tmp_path, question):
    marker = tmp_path / "crashed"
    crash_once = f"open({str(marker)!r}, 'x').close() or os.kill(os.getpid(), 9) if not os.path.exists({str(marker)!r}) else None"
    model = standing_in(obedient(crash_once))

    with pytest.raises(ModelUnavailableError, match="crashed: exit status -9"):
        model.complete(question, {}, SHORT)
    assert model.complete(question, {}, SHORT).text == "text"
    model.close()


def test_a_child_that_no_longer_listens_is_unavailable(question):
    model = standing_in(f"sys.stdin.readline()\nos.close(0)\n{READY}\ntime.sleep(0.3)")
    model.identity()

    with pytest.raises(ModelUnavailableError, match="crashed"):
        model.complete(question, {}, SHORT)
    model.close()


def test_a_child_that_was_started_while_the_model_was_being_closed_does_not_outlive_it(monkeypatch, question):
    model = standing_in(obedient())
    started = []

    def start(*asked):
        started.append(LineProcess(*asked))
        model.close()
        return started[0]

    monkeypatch.setattr(embedded, "LineProcess", start)
    with pytest.raises(ModelUnavailableError, match="was closed"):
        model.complete(question, {}, SHORT)
    assert gone(started[0].pid)


def test_a_child_killed_between_calls_is_replaced_unnoticed(question):
    model = standing_in(obedient())
    model.complete(question, {}, SHORT)
    child = model._child
    os.kill(child.pid, signal.SIGKILL)
    assert gone(child.pid)

    assert model.complete(question, {}, SHORT).load_ms == 5.0
    model.close()


def test_a_late_answer_ends_the_child(question):
    model = standing_in(obedient("time.sleep(60)"), timeout=0.8)
    model.start()
    pid = model._child.pid

    with pytest.raises(ModelUnavailableError, match=r"within 0.8 s"):
        model.complete(question, {}, SHORT)
    assert gone(pid)
    model.close()


def test_a_child_that_dies_at_once_is_unavailable_with_its_last_words(question):
    model = standing_in("sys.stderr.write('libgomp is missing'); sys.exit(7)")

    with pytest.raises(ModelUnavailableError, match="exit status 7: libgomp is missing"):
        model.complete(question, {}, SHORT)
    model.close()


def test_a_child_that_talks_nonsense_is_unavailable(question):
    model = standing_in("print('llama says hi', flush=True); time.sleep(60)")

    with pytest.raises(ModelUnavailableError, match="crashed"):
        model.complete(question, {}, SHORT)
    model.close()


def test_a_second_caller_waits_no_longer_than_its_deadline(question):
    model = standing_in(obedient("time.sleep(60)"), timeout=1.0)
    started = time.monotonic()
    # As another caller holds it while the model thinks.
    with model._lock, pytest.raises(ModelUnavailableError, match="busy"):
        model.complete(question, {}, SHORT)
    assert 1 <= time.monotonic() - started < 5
    model.close()


def test_callers_in_many_threads_each_get_their_own_answer():
    script = (
        f"sys.stdin.readline()\n{READY}\nfor line in sys.stdin:\n"
        "    said = json.loads(line)['messages'][0]['content']\n"
        "    message = {'finish_reason': 'stop', 'message': {'content': said}}\n"
        "    print(json.dumps({'result': {'choices': [message], 'usage': {'prompt_tokens': 1, 'completion_tokens': 1}}}), flush=True)"
    )
    model = standing_in(script)
    answers: dict[str, str] = {}

    def call(name: str) -> None:
        answers[name] = model.complete([Message(role="user", content=name)], {}, SHORT).text

    threads = [threading.Thread(target=call, args=(f"question {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {f"question {n}": f"question {n}" for n in range(8)}
    model.close()


def test_closing_ends_a_call_in_flight_and_every_later_one(question):
    model = standing_in(obedient("time.sleep(60)"), timeout=30)
    model.start()
    pid = model._child.pid
    closer = threading.Timer(0.5, model.close)
    closer.start()

    with pytest.raises(ModelUnavailableError, match="crashed"):
        model.complete(question, {}, SHORT)
    closer.join()
    with pytest.raises(ModelUnavailableError, match="was closed"):
        model.complete(question, {}, SHORT)
    model.close()
    assert gone(pid)


def test_closing_a_model_that_never_started_is_harmless():
    model = EmbeddedModel(EmbeddedSettings())
    model.close()

    assert not model.health().ok


def test_the_child_inherits_no_settings_and_no_credentials(monkeypatch, question):
    monkeypatch.setenv("FFE_OANDA__TOKEN", "secret")
    monkeypatch.setenv("OLLAMA_API_KEY", "secret")
    tell = f"sys.stdin.readline()\n{READY}\nsys.stdin.readline()\nsys.stderr.write(' '.join(os.environ))\nsys.exit(1)"
    model = standing_in(tell)

    with pytest.raises(ModelUnavailableError) as caught:
        model.complete(question, {}, SHORT)
    assert "PATH" in str(caught.value)
    assert "FFE_" not in str(caught.value)
    assert "OLLAMA" not in str(caught.value)
    model.close()


@pytest.mark.parametrize("busy", [False, True])
def test_the_child_ends_when_its_parent_is_killed(busy):
    script = (
        "import sys, threading, time\n"
        "from ffe.llm.embedded import EmbeddedModel\nfrom ffe.llm.models import Message, Sampling\n"
        "from ffe.settings import EmbeddedSettings\n"
        "model = EmbeddedModel(EmbeddedSettings())\nmodel.identity()\n"
        f"if {busy}: threading.Thread(target=model.complete, args=([Message(role='user', content='word ' * 1200)], {{'type': 'object'}}, Sampling())).start(); time.sleep(0.3)\n"
        "print(model._child.pid, flush=True)\ntime.sleep(60)"
    )
    root = Path(ffe.__file__).parents[1]
    with subprocess.Popen((sys.executable, "-c", script), stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        pid = int(parent.stdout.readline())
        assert not gone(pid, within=0.1)
        parent.kill()
    assert gone(pid)
