"""The bench for GPUs measures nothing on a CPU in a GPU's name, and says so."""

import re

import pytest

from benchmarks import gpu
from benchmarks.model import contexts
from ffe.llm.devices import DeviceError
from ffe.llm.embedded import EmbeddedModel
from ffe.settings import EmbeddedSettings

pytestmark = pytest.mark.slow


@pytest.fixture
def no_devices(monkeypatch, tmp_path):
    """A host without NVIDIA and a runtime built for the CPU, whatever this one is."""
    monkeypatch.setattr(gpu, "devices", tuple)
    monkeypatch.setattr(gpu, "gpu_names", list)
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    return monkeypatch


def test_without_a_gpu_it_says_so_and_ends_with_3(no_devices, capsys):
    no_devices.setenv("FFE_OLLAMA__HOST", "http://127.0.0.1:9")

    assert gpu.main(["--decisions", "1"]) == 3
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "no GPU here: not measured"
    assert "reports no GPU" in said[0]
    assert "no answer at http://127.0.0.1:9" in said[1]


def test_a_driver_that_fails_is_told_and_no_reason_to_stop(no_devices, capsys):
    def fail():
        raise DeviceError("NVML failed: driver mismatch")

    no_devices.setattr(gpu, "devices", fail)
    no_devices.setenv("FFE_OLLAMA__HOST", "http://127.0.0.1:9")

    assert gpu.main([]) == 3
    assert "card: NVML failed: driver mismatch" in capsys.readouterr().out


def test_an_ollama_model_on_its_hosts_cpu_is_not_measured(no_devices, capsys, monkeypatch, stub):
    no_devices.setenv("FFE_OLLAMA__HOST", stub.url)
    monkeypatch.setattr(gpu, "loaded", lambda settings: None)

    assert gpu.main(["--decisions", "1"]) == 3
    assert "has the model on its CPU" in capsys.readouterr().out


def test_what_it_would_measure_is_a_prompt_of_the_asked_length_and_the_time_of_each_decision():
    model = EmbeddedModel(EmbeddedSettings())
    try:
        said = gpu.measure(model, contexts(1), 700)
    finally:
        model.close()

    assert re.search(r"1 decisions, 1 valid, prompts of (6[5-9]|7[0-4])\d to", said)
    assert re.search(r"prompt \d+ tokens/s, generation \d+ tokens/s", said)
    assert "the target of p95 below 1000 ms is " in said
