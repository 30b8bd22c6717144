"""Device memory that a model needs, against the table of the two models' architectures (docs/gpu.md)."""

import pytest

from ffe.llm.vram import ARCHITECTURES, vram_need, weight_bytes


@pytest.mark.parametrize(
    ("name", "quantization", "gigabytes"),
    [
        ("llama3.2:1b", "q4_0", 0.763),
        ("llama3.2:1b", "q8_0", 1.31),
        ("llama3.2:1b", "fp16", 2.47),
        ("llama3.2:3b", "q4_0", 1.909),
        ("llama3.2:3b", "q8_0", 3.41),
        ("llama3.2:3b", "fp16", 6.43),
    ],
)
def test_tensor_bytes_follow_from_the_architecture(name: str, quantization: str, gigabytes: float) -> None:
    assert weight_bytes(ARCHITECTURES[name], quantization) / 1e9 == pytest.approx(gigabytes, rel=0.003)


@pytest.mark.parametrize(("name", "per_token", "mebibytes"), [("1b", 32_768, 128), ("3b", 114_688, 448)])
def test_the_cache_of_4096_tokens_is_as_large_as_the_table_says(name: str, per_token: int, mebibytes: int) -> None:
    need = vram_need(f"llama3.2:{name}-instruct-q4_0", 4096)
    assert ARCHITECTURES[f"llama3.2:{name}"].cache_bytes_per_token == per_token
    assert need is not None
    assert need.cache == mebibytes * 1024**2


def test_the_whole_need_at_4096_tokens_is_about_3_and_about_1_7_gigabytes() -> None:
    large, small = (vram_need(f"llama3.2:{name}-instruct-q4_0", 4096) for name in ("3b", "1b"))
    assert large is not None
    assert small is not None
    assert large.total / 1e9 == pytest.approx(3.0, abs=0.3)
    assert 1.3 <= small.total / 1e9 <= 1.75
    assert large.total == large.weights + large.cache + large.overhead


@pytest.mark.parametrize("model", ["llama3.2:3b", "llama3.2:3b-instruct-q4_K_M", "qwen3:4b-q4_0", "llama3.2:30b-q4_0"])
def test_the_need_of_a_model_that_is_not_known_is_not_guessed(model: str) -> None:
    assert vram_need(model, 2048) is None
